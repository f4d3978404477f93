// What acquisition needs to know of a tag and of a twin's mapping, in std types only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/sample.hpp"

namespace twinkeeper::acquisition {

// stuck_after: DURATION | auto | off
enum class StuckRule { automatic, fixed, off };

struct ValidationSettings {
  std::optional<double> min_value;   // scaled
  std::optional<double> max_value;   // scaled
  std::optional<double> max_rate;    // scaled units per second
  std::vector<double> error_values;  // compared with the raw value, in the register's own type
  base::Duration max_age{};          // default 3 × the poll interval, filled in by config
  StuckRule stuck_rule = StuckRule::automatic;
  base::Duration stuck_after{};  // with StuckRule::fixed
};

enum class OnStale { hold, nominal, bad };

// Where a twin's input comes from: a tag or a constant.
struct InputSource {
  std::optional<signals::TagIndex> tag;
  double constant = 0.0;                  // without a tag
  std::optional<base::Duration> max_age;  // absent: the tag's own
  OnStale on_stale = OnStale::hold;
};

}  // namespace twinkeeper::acquisition
