// On which topic the broker hangs up.
//
// Not every broker has a word for "refused": AWS IoT Core closes the connection at a publication that it doesn't allow.
// So that such a loss says which topic it was, a topic on which nothing has passed in this process is new, and at most
// one new topic is in flight at a time (the courier sees to it). If the connection breaks then, that topic alone is in
// doubt; the others flow on the next connection, and it is tried again when a connection has stood for a while, from the
// second loss on kLongWait after the last one at the earliest: a denied topic costs the others one reconnect, and later ones
// minutes apart.
//
// A topic that had passed can be denied, too, as policies change. Of these the first ones sent on a connection are in
// doubt, and rows that were in flight at the loss before, too; if a new one was in flight, it is likelier than they are,
// most of all if it was not even acknowledged (some brokers acknowledge under MQTT 3.1.1 what they then hang up at).
// Several in doubt are withheld on the next connection and probed there, one publication each, one topic after the
// other, last sent first, as the first one sent is the likeliest culprit: behind the second loss one is left.
//
// A loss with nothing in doubt, as a bad network or a second gateway with the same client id makes them, speaks for
// everybody under suspicion.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "uplink/spool.hpp"

namespace twinkeeper::uplink {

class HangUps {
 public:
  struct Suspect {
    std::string topic;
    std::int64_t row = 0;  // the first one of the publication it is probed with
    Lane lane = Lane::bulk;
    int losses = 0;  // at which it alone was in doubt
    // When it may be tried again, on a connection that has stood; none: at once, in its turn.
    std::optional<base::Instant> try_at{};
  };

  static constexpr base::Duration kLongWait = std::chrono::minutes{5};

  // A connection broke with these in flight, each topic once in the order they were sent. Returns the one that alone is
  // in doubt, with its losses.
  std::optional<Suspect> broke(const std::vector<Suspect>& in_flight, base::Instant now) {
    const std::set<std::int64_t> rows_before = std::exchange(rows_in_flight_, {});
    int likeliest = 1;
    for (const Suspect& one : in_flight) likeliest = std::max(likeliest, doubt_about(one.topic));
    std::vector<const Suspect*> in_doubt;
    for (const Suspect& one : in_flight) {
      rows_in_flight_.insert(one.row);
      if (doubt_about(one.topic) >= likeliest || rows_before.contains(one.row)) in_doubt.push_back(&one);
    }
    probing_.clear();
    answered_.clear();
    ++connection_;
    if (in_doubt.empty()) {
      std::erase_if(suspects_, [](Suspect& suspect) { return --suspect.losses <= 0; });
      return std::nullopt;
    }
    const bool alone = in_doubt.size() == 1;
    for (const Suspect* one : in_doubt) {
      const bool was_new = is_new(one->topic);
      passed_.erase(one->topic);
      auto suspect = find(one->topic);
      const bool known = suspect != suspects_.end();
      if (!known) suspect = suspects_.insert(suspects_.end(), {one->topic, one->row, one->lane});
      if (alone && was_new) ++suspect->losses;
      if (known || (alone && was_new)) suspect->try_at = now + (suspect->losses > 1 ? kLongWait : base::Duration{});
      if (alone && was_new) return *suspect;
    }
    return std::nullopt;
  }

  // A topic with a record: withheld from the start.
  void put_on_probation(Suspect suspect) { suspects_.push_back(std::move(suspect)); }

  // A publication on it was acknowledged, which without a reason code says little.
  void answered(const std::string& topic) {
    if (is_new(topic)) answered_.insert(topic);
  }
  // A publication on it was acknowledged and the connection has outlived that. Whether it was withheld.
  bool passed(const std::string& topic) {
    passed_.insert_or_assign(topic, connection_);
    return forget(topic);
  }
  // It is under suspicion no longer. Whether it was.
  bool forget(const std::string& topic) {
    if (suspects_.empty()) return false;
    if (probing_ == topic) probing_.clear();
    return std::erase_if(suspects_, [&](const Suspect& suspect) { return suspect.topic == topic; }) > 0;
  }

  // Nothing on it has passed yet, or it has come under suspicion since.
  [[nodiscard]] bool is_new(const std::string& topic) const { return !passed_.contains(topic); }
  // Nor has anything been acknowledged on this connection.
  [[nodiscard]] bool unanswered(const std::string& topic) const { return is_new(topic) && !answered_.contains(topic); }
  [[nodiscard]] bool withheld(const std::string& topic) const {
    return std::any_of(suspects_.begin(), suspects_.end(), [&](const auto& known) { return known.topic == topic; });
  }
  // Would not be in doubt if the connection broke now.
  [[nodiscard]] bool beyond_doubt(const std::string& topic, std::int64_t row) const {
    return passed_here(topic) && !rows_in_flight_.contains(row);
  }
  [[nodiscard]] const std::vector<Suspect>& suspects() const noexcept { return suspects_; }

  // Whom to probe now, if nobody is being probed; `stood`: the connection has been there for a while.
  [[nodiscard]] const Suspect* next_probe(base::Instant now, bool stood) const {
    if (!probing_.empty()) return nullptr;
    for (auto suspect = suspects_.rbegin(); suspect != suspects_.rend(); ++suspect) {
      if (suspect->try_at ? stood && *suspect->try_at <= now : true) return &*suspect;
    }
    return nullptr;
  }
  // When the next one of those that wait may be tried.
  [[nodiscard]] std::optional<base::Instant> next_try() const {
    std::optional<base::Instant> next;
    for (const Suspect& suspect : suspects_) {
      if (suspect.try_at && (!next || *suspect.try_at < *next)) next = suspect.try_at;
    }
    return next;
  }
  void probing(const std::string& topic) { probing_ = topic; }
  // It was not sent after all.
  void not_probed(const std::string& topic) {
    if (probing_ == topic) probing_.clear();
  }

 private:
  [[nodiscard]] int doubt_about(const std::string& topic) const {
    if (unanswered(topic)) return 3;
    if (is_new(topic)) return 2;
    return passed_here(topic) ? 0 : 1;
  }
  [[nodiscard]] bool passed_here(const std::string& topic) const {
    const auto found = passed_.find(topic);
    return found != passed_.end() && found->second == connection_;
  }
  [[nodiscard]] std::vector<Suspect>::iterator find(const std::string& topic) {
    return std::find_if(suspects_.begin(), suspects_.end(), [&](const auto& known) { return known.topic == topic; });
  }

  std::uint64_t connection_ = 0;
  std::vector<Suspect> suspects_;
  std::string probing_;                          // empty: nobody
  std::map<std::string, std::uint64_t> passed_;  // on which connection last
  std::set<std::string> answered_;
  std::set<std::int64_t> rows_in_flight_;  // at the last loss
};

}  // namespace twinkeeper::uplink
