// On which topic the broker hangs up.
//
// Not every broker has a word for "refused": under MQTT 3.1.1 AWS IoT Core closes the connection at a publication that
// it doesn't allow, and Mosquitto acknowledges it before it does so. Publications are taken in order, but what had been
// answered when the connection broke is only half known here. In doubt are therefore the last one acknowledged and all
// that were in flight. Topics in doubt at two losses in a row get one publication alone, one after the other, on the
// next connections, when those have stood for a while; where several of them break right then, it is that topic. A bad
// network or a second gateway with the same client id breaks connections that stand quietly, too, which clears
// everything.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace twinkeeper::uplink {

class HangUps {
 public:
  struct Suspect {
    std::string topic;
    std::int64_t row = 0;  // the first one of its publication
  };

  // A connection broke with these in doubt, each topic once (none: it broke for another reason). Returns the culprit.
  std::optional<Suspect> broke(const std::vector<Suspect>& in_doubt) {
    const bool alone = next_alone() != nullptr;
    std::vector<Suspect> again;
    for (const Suspect& suspect : in_doubt) {
      if (knows(suspect.topic)) again.push_back(suspect);
    }
    if (again.empty()) {
      suspects_ = in_doubt;
      losses_in_company_ = in_doubt.empty() ? 0 : 1;
      losses_alone_ = 0;
      return std::nullopt;
    }
    ++(alone ? losses_alone_ : losses_in_company_);
    suspects_ = again;
    if (losses_alone_ < kLossesAlone) return std::nullopt;
    const Suspect culprit = suspects_.front();
    clear(culprit.topic);
    return culprit;
  }

  // A publication on it was acknowledged and the connection has outlived that, or there is none left.
  void clear(const std::string& topic) {
    if (suspects_.empty()) return;
    std::erase_if(suspects_, [&](const Suspect& suspect) { return suspect.topic == topic; });
    losses_alone_ = 0;
    if (suspects_.empty()) losses_in_company_ = 0;
  }

  // What is to go alone now, before all else.
  [[nodiscard]] const Suspect* next_alone() const {
    return losses_in_company_ >= kLossesInCompany ? &suspects_.front() : nullptr;
  }

 private:
  static constexpr int kLossesInCompany = 2;
  static constexpr int kLossesAlone = 3;

  [[nodiscard]] bool knows(const std::string& topic) const {
    return std::any_of(suspects_.begin(), suspects_.end(), [&](const auto& known) { return known.topic == topic; });
  }

  std::vector<Suspect> suspects_;  // in doubt at all of the last losses, in the order they were sent
  int losses_in_company_ = 0;
  int losses_alone_ = 0;  // with the first of them
};

}  // namespace twinkeeper::uplink
