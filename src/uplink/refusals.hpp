// What the broker takes and what it refuses, as far as its answers have shown: streams on their own topics, and packets
// of backlog.
//
// Brokers may hang up with each refusal, so a refused stream is not tried with every message but once in a while.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::uplink {

class Refusals {
 public:
  // False if it was known already; then it is barred for twice as long.
  bool refused(const std::string& stream, const std::string& reason, base::Instant now) {
    const auto [place, added] = barred_.try_emplace(stream);
    Bar& bar = place->second;
    if (now >= bar.until) bar.length = added ? kBarredFor : std::min<base::Duration>(2 * bar.length, kBarredForMost);
    bar.until = now + bar.length;
    bar.reason = reason;
    return added;
  }
  bool packets_refused() { return !std::exchange(no_packets_, true); }
  void never_pack(const std::string& stream) { never_packed_.insert(stream); }

  void passed(const std::string& stream) {
    if (!barred_.empty()) barred_.erase(stream);
    if (!doubtful_.empty()) doubtful_.erase(stream);
  }
  void packet_passed() { packets_pass_ = true; }
  // One message of the stream was given up. False if that is the second one in a row.
  bool doubt(const std::string& stream) { return doubtful_.insert(stream).second; }

  [[nodiscard]] bool barred(const std::string& stream, base::Instant now) const {
    if (barred_.empty()) return false;
    const auto found = barred_.find(stream);
    return found != barred_.end() && now < found->second.until;
  }
  // It was refused, or one of its messages, and nothing on it has passed since.
  [[nodiscard]] bool has_record(const std::string& stream) const {
    return was_barred(stream) || (!doubtful_.empty() && doubtful_.contains(stream));
  }
  [[nodiscard]] bool was_barred(const std::string& stream) const {
    return !barred_.empty() && barred_.contains(stream);
  }
  [[nodiscard]] const std::string& reason(const std::string& stream) const { return barred_.at(stream).reason; }
  [[nodiscard]] bool may_pack(const std::string& stream) const {
    return !no_packets_ && !never_packed_.contains(stream);
  }
  [[nodiscard]] bool packets_pass() const { return packets_pass_; }

 private:
  static constexpr base::Duration kBarredFor = std::chrono::minutes{5};
  static constexpr base::Duration kBarredForMost = std::chrono::hours{1};

  struct Bar {
    base::Instant until{};
    base::Duration length{0};
    std::string reason;
  };
  std::map<std::string, Bar> barred_;
  std::set<std::string> doubtful_;
  std::set<std::string> never_packed_;
  bool no_packets_ = false;
  bool packets_pass_ = false;
};

}  // namespace twinkeeper::uplink
