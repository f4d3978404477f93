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

// What an output gets from several samples of one step: the last, or their mean, whose variance is that of one over
// their number.
enum class Combine { last, mean };

// Where a twin's input comes from: a tag or a constant.
struct InputSource {
  std::optional<signals::TagIndex> tag;
  double constant = 0.0;                  // without a tag
  std::optional<base::Duration> max_age;  // absent: the tag's own
  OnStale on_stale = OnStale::hold;
  base::Duration delay{};  // dead time: the machine feels it so much later
};

// Which tag measures a twin's output; without one it is virtual, only estimated.
struct OutputSource {
  std::optional<signals::TagIndex> tag;
  Combine combine = Combine::last;
};

// How long a twin waits for samples that come late.
struct LateSettings {
  std::optional<base::Duration> history;  // absent: kUsualHistory periods, kLongestUsualHistory at most
  base::Duration lateness{};              // what is further back is final for alarms
};
inline constexpr std::int64_t kUsualHistory = 100;
inline constexpr base::Duration kLongestUsualHistory = std::chrono::seconds{60};
inline constexpr std::int64_t kLongestHistory = 10'000;  // periods

// "plc.speed > 10 and not plc.door == 1", in the order in which it is computed: what it is made of before how it is
// joined.
struct ConditionPart {
  enum class Kind : std::uint8_t { less, less_equal, greater, greater_equal, equal, not_equal, both, either, negation };
  Kind kind = Kind::less;
  signals::TagIndex tag = 0;  // of a comparison, and what its value is compared with
  double number = 0.0;
};
using Condition = std::vector<ConditionPart>;

// A way of running in which the model is meant to hold.
struct RegimeSettings {
  std::string name;
  Condition when;
  base::Duration settle{};  // after the regime is entered, until tests count
};

}  // namespace twinkeeper::acquisition
