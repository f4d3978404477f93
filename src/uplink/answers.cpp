#include "uplink/answers.hpp"

#include <utility>

namespace twinkeeper::uplink {
namespace {

constexpr base::Duration kKept = std::chrono::minutes{1};
constexpr std::size_t kMost = 64;
constexpr std::size_t kMostStreams = 10'000;

}  // namespace

void Answers::add(std::string topic, signals::Message message) {
  const std::lock_guard lock(mutex_);
  // Streams are counted, as one id may be answered more than once; forgotten all at once when there are too many.
  if (counts_.size() >= kMostStreams) counts_.clear();
  const std::uint64_t seq = ++counts_[message.stream];
  const base::Instant made = message.time;
  keep({std::move(topic), {}, std::move(message), seq, made, 0});
}

void Answers::add(std::string topic, std::string payload, base::Instant now) {
  const std::lock_guard lock(mutex_);
  keep({std::move(topic), std::move(payload), std::nullopt, 0, now, 0});
}

void Answers::keep(Answer answer) {
  if (answers_.size() >= kMost) answers_.erase(answers_.begin());
  answers_.push_back(std::move(answer));
}

void Answers::publish(base::Instant now, const std::function<bool(std::uint64_t)>& outstanding,
                      const std::function<std::uint64_t(const Answer&)>& publish) {
  const std::lock_guard lock(mutex_);
  std::erase_if(answers_, [&](const Answer& answer) {
    const bool settled = answer.token != 0 && !outstanding(answer.token);
    return settled || now - answer.made > kKept;
  });
  for (Answer& answer : answers_) {
    if (answer.token == 0) answer.token = publish(answer);
  }
}

void Answers::take_back(const std::function<bool(std::uint64_t)>& outstanding) {
  const std::lock_guard lock(mutex_);
  for (Answer& answer : answers_) {
    if (outstanding(answer.token)) answer.token = 0;
  }
}

}  // namespace twinkeeper::uplink
