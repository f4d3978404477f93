// On which topic the broker hangs up.
//
// Not every broker has a word for "refused": AWS IoT Core closes the connection at a publication that it doesn't allow,
// and Mosquitto under MQTT 3.1.1 acknowledges it before it does so. Publications are taken in order, but what had been
// answered when the connection broke is only half known here. In doubt are therefore the last one acknowledged and all
// that were in flight, but for topics on which something had passed on that connection (if the same row was not in
// flight at the loss before, too).
//
// Topics in doubt are withheld on the next connection, and everything else flows. They are probed there with one
// publication each, while nothing else is on its way that has not passed yet, one after the other, last sent first, as the
// first one sent is the likeliest culprit: who passes is withheld no longer, so that behind the second loss one topic is
// left. That one is probed on the next connections when
// they have stood for a while; if three of them break at it, it is blamed. A loss with nothing in doubt, as a bad network
// or a second gateway with the same client id makes them, clears everybody.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "uplink/spool.hpp"

namespace twinkeeper::uplink {

class HangUps {
 public:
  struct Suspect {
    std::string topic;
    std::int64_t row = 0;  // the first one of the publication it is probed with
    Lane lane = Lane::bulk;
    bool tried = false;  // a connection broke at its probe: the next one waits until the connection has stood
    int losses = 0;      // at probes on a connection that had stood
  };

  // A connection broke with these in doubt, each topic once in the order they were sent. Returns the culprit.
  std::optional<Suspect> broke(const std::vector<Suspect>& in_doubt) {
    const std::string probe = std::exchange(probing_, {});
    const std::set<std::int64_t> rows_before = std::exchange(rows_in_flight_, {});
    bool at_probe = false;
    bool in_company = false;
    for (const Suspect& one : in_doubt) {
      rows_in_flight_.insert(one.row);
      if (one.topic == probe) {
        at_probe = true;
      } else if (!passed_.contains(one.topic) || rows_before.contains(one.row)) {
        in_company = true;
        if (!withheld(one.topic)) suspects_.push_back(one);
      }
    }
    passed_.clear();
    const auto probed =
        std::find_if(suspects_.begin(), suspects_.end(), [&](const auto& s) { return s.topic == probe; });
    if (in_company) {  // it may have been any of them
      for (Suspect& suspect : suspects_) suspect.losses = 0;
      if (at_probe && probed != suspects_.end()) probed->tried = true;
      return std::nullopt;
    }
    if (!at_probe || probed == suspects_.end()) {
      suspects_.clear();
      return std::nullopt;
    }
    if (!std::exchange(probed->tried, true) || ++probed->losses < kLosses) return std::nullopt;
    Suspect culprit = std::move(*probed);
    suspects_.erase(probed);
    return culprit;
  }

  // A topic with a record: withheld from the start, probed on a connection that has stood.
  void put_on_probation(std::string topic, std::int64_t row, Lane lane, int losses) {
    suspects_.push_back({std::move(topic), row, lane, true, losses});
  }

  // A publication on it was acknowledged and the connection has outlived that, or there is nothing to probe it with.
  // Whether it was withheld.
  bool passed(const std::string& topic) {
    if (!passed_.contains(topic)) passed_.insert(topic);
    if (suspects_.empty()) return false;
    if (probing_ == topic) probing_.clear();
    return std::erase_if(suspects_, [&](const Suspect& suspect) { return suspect.topic == topic; }) > 0;
  }

  [[nodiscard]] bool withheld(const std::string& topic) const {
    return std::any_of(suspects_.begin(), suspects_.end(), [&](const auto& known) { return known.topic == topic; });
  }
  // Would not be in doubt if the connection broke now.
  [[nodiscard]] bool beyond_doubt(const std::string& topic, std::int64_t row) const {
    return passed_.contains(topic) && !rows_in_flight_.contains(row);
  }
  [[nodiscard]] const std::vector<Suspect>& suspects() const noexcept { return suspects_; }

  // Whom to probe now, if nobody is being probed; `stood`: the connection has been there for a while.
  [[nodiscard]] const Suspect* next_probe(bool stood) const {
    if (!probing_.empty()) return nullptr;
    for (auto suspect = suspects_.rbegin(); suspect != suspects_.rend(); ++suspect) {
      if (!suspect->tried) return &*suspect;
    }
    return stood && !suspects_.empty() ? &suspects_.front() : nullptr;
  }
  void probing(const std::string& topic) { probing_ = topic; }
  // It was not sent after all.
  void not_probed(const std::string& topic) {
    if (probing_ == topic) probing_.clear();
  }

  static constexpr int kLosses = 3;

 private:
  std::vector<Suspect> suspects_;
  std::string probing_;                    // empty: nobody
  std::set<std::string> passed_;           // on this connection
  std::set<std::int64_t> rows_in_flight_;  // at the last loss
};

}  // namespace twinkeeper::uplink
