// A TCP connection in time of its own, for tests that need many faults in little time.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <span>
#include <utility>

#include "drivers/transport.hpp"
#include "scheduled_bytes.hpp"
#include "support/fake_clock.hpp"

namespace twinkeeper::test {

// The peer writes one message after the other; their bytes never mix.
class FakeConnection final : public drivers::Transport {
 public:
  explicit FakeConnection(support::FakeClock& clock) : clock_(clock) {}

  base::Status connect(base::Duration) override {
    close();
    ++connects;
    if (refuses && refuses()) return base::Error{base::ErrorCode::unavailable, "refused", true};
    if (!haunted || !haunted()) messages_.clear();
    if (!messages_.empty() && messages_.front().sent > 0) messages_.pop_front();
    closes_ = base::Instant::max();
    open_ = true;
    return base::Success{};
  }
  base::Status send(std::span<const std::uint8_t> frame, base::Instant) override {
    if (!open_ || closes_ <= clock_.now()) return lost();
    if (answer) answer(frame);
    return base::Success{};
  }
  base::Result<std::size_t> receive(std::span<std::uint8_t> into, base::Instant deadline) override {
    const base::Instant happens = std::min({next(), closes_, deadline});
    if (happens > clock_.now()) clock_.sleep_until(happens);
    std::size_t size = 0;
    for (; size < into.size() && due(); ++size) into[size] = take();
    if (size > 0) return size;
    if (closes_ <= clock_.now()) return lost();
    return base::Error{base::ErrorCode::timeout, "no complete reply in time", true};
  }
  bool quiet() noexcept override { return open_ && !due() && closes_ > clock_.now(); }
  bool discard_input() noexcept override {
    const bool any = due();
    while (due()) take();
    return any;
  }
  bool reopening_discards() const noexcept override { return true; }
  void close() noexcept override { open_ = false; }
  bool connected() const noexcept override { return open_; }

  // The first byte comes after `delay`, later if the message before is not through by then.
  void arrive(const Bytes& bytes, base::Duration delay, base::Duration apart) {
    if (bytes.empty()) return;
    Message message{bytes, clock_.now() + delay, apart};
    const auto place = std::upper_bound(messages_.begin(), messages_.end(), message.next,
                                        [](base::Instant time, const Message& other) { return time < other.next; });
    const bool pushes_in = place == messages_.begin() && !messages_.empty() && messages_.front().sent > 0;
    messages_.insert(pushes_in ? std::next(place) : place, std::move(message));
  }
  void forget() { messages_.clear(); }  // what is on its way
  // The peer hangs up then: what would come later never comes on this connection.
  void close_after(base::Duration delay) { closes_ = std::min(closes_, clock_.now() + delay); }

  std::function<void(std::span<const std::uint8_t>)> answer;
  std::function<bool()> refuses;  // the next connection attempt
  // Messages on their way on the old connection come on the new one, as from a gateway that answers whoever is there.
  std::function<bool()> haunted;
  int connects = 0;

 private:
  struct Message {
    Bytes bytes;
    base::Instant next;  // byte
    base::Duration apart{};
    std::size_t sent = 0;
  };

  static base::Error lost() { return {base::ErrorCode::connection_lost, "closed", true}; }
  [[nodiscard]] base::Instant next() const { return messages_.empty() ? base::Instant::max() : messages_.front().next; }
  [[nodiscard]] bool due() const { return next() <= std::min(clock_.now(), closes_ - base::Duration{1}); }
  std::uint8_t take() {
    Message& message = messages_.front();
    const std::uint8_t byte = message.bytes[message.sent++];
    message.next += message.apart;
    if (message.sent == message.bytes.size()) {
      const base::Instant free = message.next;
      messages_.pop_front();
      if (!messages_.empty()) messages_.front().next = std::max(messages_.front().next, free);
    }
    return byte;
  }

  support::FakeClock& clock_;
  bool open_ = false;
  base::Instant closes_ = base::Instant::max();
  std::deque<Message> messages_;
};

}  // namespace twinkeeper::test
