// RegimeSelector: in which of its operating regimes a twin's plant is at each tick.
//
// The first regime in the order of the configuration whose condition holds is the one; outside of every regime there is
// none. A comparison is made with the tag's last good value, of ticks up to this one, not older than its max_age;
// without one it is unknown, and so is what depends on it (Kleene's logic: true or unknown is true). Unknown does not
// hold. A regime is settled when it has held without a break for its settle time. Errors: none. Thread rule: one
// thread. Allocation: none after construction. Clock: none. Source: Kleene (1938) for the three values.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "acquisition/frame_synchroniser.hpp"
#include "acquisition/settings.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/sample.hpp"

namespace twinkeeper::acquisition {

struct SelectedRegime {
  int index = -1;  // position in the configuration; −1: outside of every regime
  bool settled = false;
};

class RegimeSelector {
 public:
  // `max_age`: by TagIndex, of every tag there is.
  RegimeSelector(std::vector<RegimeSettings> regimes, base::Instant origin, base::Duration period,
                 const std::vector<base::Duration>& max_age);

  // `sample` is validated.
  void accept(const signals::Sample& sample) { values_.accept(sample); }
  // Ticks may be skipped, and must grow.
  [[nodiscard]] SelectedRegime at(std::int64_t tick);

  template <class Archive>
  void archive(Archive& a) {
    a(values_, present_, entered_);
  }

 private:
  [[nodiscard]] std::optional<bool> holds(const Condition& condition, const signals::Frame& frame);

  std::vector<RegimeSettings> regimes_;     // tags as positions in the frame
  FrameSynchroniser values_;                // the tags of the conditions as inputs
  std::vector<std::optional<bool>> stack_;  // of holds()
  int present_ = -1;
  base::Instant entered_;
};

}  // namespace twinkeeper::acquisition
