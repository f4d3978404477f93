#include "uplink/link.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace twinkeeper::uplink {
namespace {

constexpr std::uint64_t kSessionsPerEpoch = 1'000'000;

template <class T>
std::vector<T> drain(std::deque<T>& queue) {
  std::vector<T> values(std::make_move_iterator(queue.begin()), std::make_move_iterator(queue.end()));
  queue.clear();
  return values;
}

}  // namespace

void Link::send_down(Publication publication) {
  {
    const std::lock_guard lock(mutex_);
    down_.push_back(std::move(publication));
  }
  connection_wake_up_.ring();
}

std::vector<LinkEvent> Link::take_up() {
  const std::lock_guard lock(mutex_);
  return drain(up_);
}

void Link::set_epoch(std::uint64_t epoch, std::optional<PreviousEpoch> previous) {
  const std::lock_guard lock(mutex_);
  if (epoch == epoch_) return;  // told by another courier before
  epoch_ = epoch;
  status_seq_ = 0;
  previous_ = std::move(previous);
}

void Link::send_up(LinkEvent event) {
  {
    const std::lock_guard lock(mutex_);
    up_.push_back(std::move(event));
  }
  spool_wake_up_.ring();
}

std::vector<Publication> Link::take_down() {
  const std::lock_guard lock(mutex_);
  return drain(down_);
}

void Link::forget_down() {
  const std::lock_guard lock(mutex_);
  down_.clear();
}

std::uint64_t Link::epoch() {
  const std::lock_guard lock(mutex_);
  return epoch_;
}

std::uint64_t Link::next_connection() {
  const std::lock_guard lock(mutex_);
  return ++connection_;
}

std::uint64_t Link::next_session() {
  const std::lock_guard lock(mutex_);
  session_ = std::max(session_ + 1, epoch_ * kSessionsPerEpoch + 1);
  return session_;
}

Link::StatusIdentity Link::next_status() {
  const std::lock_guard lock(mutex_);
  return {epoch_, ++status_seq_, previous_};
}

void Link::status_acknowledged(std::uint64_t epoch) {
  const std::lock_guard lock(mutex_);
  if (epoch == epoch_) previous_.reset();
}

}  // namespace twinkeeper::uplink
