// What is said to the broker in return: not spooled, as nobody waits for an old answer.
//
// An answer is published at once, again after a reconnect while it is not acknowledged, and given up a minute after it
// was made. At most 64 wait, the oldest goes first.
// Thread rule: every function may be called from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/message.hpp"

namespace twinkeeper::uplink {

struct Answer {
  std::string topic;
  std::string payload;  // unless there is a message, whose envelope is made at publishing
  std::optional<signals::Message> message;
  std::uint64_t seq = 0;  // of the message
  base::Instant made{};
  std::uint64_t token = 0;  // not 0: published on the present connection
};

class Answers {
 public:
  void add(std::string topic, signals::Message message);
  void add(std::string topic, std::string payload, base::Instant now);

  // `publish` returns the token of the publication, 0 if there is none.
  void publish(base::Instant now, const std::function<bool(std::uint64_t token)>& outstanding,
               const std::function<std::uint64_t(const Answer&)>& publish);
  // The connection is about to end: what it has not settled is to be published again.
  void take_back(const std::function<bool(std::uint64_t token)>& outstanding);

 private:
  void keep(Answer answer);

  std::mutex mutex_;
  std::vector<Answer> answers_;
  std::map<std::string, std::uint64_t> counts_;  // by stream
};

}  // namespace twinkeeper::uplink
