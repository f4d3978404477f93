// Validator: decides per sample how far it can be trusted, and keeps what each tag said last.
//
// Tests, in this order; the first that fails gives the reason, all of them make the sample bad:
//   not_finite      value is NaN or infinite (not for text)
//   error_value     raw equals one of the tag's error values, rounded to the register's own type (1.1 for a FLOAT32 is
//                   the float nearest to 1.1; −1 never equals an unsigned register)
//   out_of_range    value < min_value or value > max_value
//   rate_of_change  |value − v_g| > max_rate · (t − t_g), with v_g, t_g the last good value and its time
//   stuck           the same raw value for at least T; it stays bad until the raw value changes
//
// T is stuck_after (StuckRule::fixed) or, by itself, only for a tag that is an output with known noise:
//   p = erf(q / (2√2 σ))      N = ⌈1 + ln α / ln p⌉      T = max(N, 10) · max(period, poll interval)
//   symbol  unit     meaning
//   σ       scaled   noise_std of the output
//   q       scaled   resolution; 0: p = 0
//   p       –        most that the probability of two equal codes in a row can be
//   α       –        10⁻⁸, chance that N equal codes in a row come from a healthy sensor
// and at least max(N, 3) samples. N > 100 000: no test here; diagnosis still tells a value that is the same while the twin
// has expected it to move (twin_diagnosis.hpp). A device that refreshes its registers more slowly than they are
// polled repeats codes without being stuck: give such a tag stuck_after.
//
// A sample that arrives bad (timeout, exception, no_match) keeps its reason and leaves v_g, t_g and the run of equal
// raw values untouched. A run is begun anew after a silence longer than max_age: nothing is known of the time between.
// A sample older than the newest of its tag is judged without rate_of_change and stuck, which are about what came
// before it, and stays without effect on what is kept; one with the same time replaces the newest, without a rate test.
//
// Errors: none; a tag beyond the rules breaks an invariant (abort). Thread rule: one thread. Clock: none.
// Allocation: none after construction, except for text.
// Source: run length of equal codes of a quantised Gaussian, p from the centred code (its maximum).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "acquisition/settings.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/sample.hpp"

namespace twinkeeper::acquisition {

struct OutputNoise {  // of the twin's output that a tag feeds
  double noise_std = 0.0;
  double resolution = 0.0;
  base::Duration period{};  // of the twin
};

struct TagRules {
  ValidationSettings settings;
  base::Duration poll_interval{};
  std::optional<OutputNoise> noise;
};

inline constexpr std::int64_t kLeastStuckPeriods = 10;

// N above, at least 1; absent where no run length is long enough (N > 100 000) or σ is not positive.
[[nodiscard]] std::optional<std::int64_t> stuck_run_length(double noise_std, double resolution);

struct StuckLimit {
  base::Duration unchanged_for{};
  std::int64_t samples = 0;
};
// What the rules of one tag come to; absent: no stuck test.
[[nodiscard]] std::optional<StuckLimit> stuck_limit(const TagRules& rules);

inline constexpr std::size_t kReasonCount = 12;  // of signals::Reason

struct ValidatorCounters {
  std::uint64_t samples_total = 0;
  std::uint64_t samples_backward_total = 0;                 // of those, older than the newest of their tag
  std::array<std::uint64_t, kReasonCount> bad_by_reason{};  // indexed by signals::Reason

  [[nodiscard]] std::uint64_t samples_bad_total() const;
  [[nodiscard]] std::uint64_t bad(signals::Reason reason) const {
    return bad_by_reason[static_cast<std::size_t>(reason)];
  }
};

class Validator {
 public:
  explicit Validator(std::vector<TagRules> rules);  // by TagIndex

  // Sets quality and reason.
  void validate(signals::Sample& sample);

  // The newest sample of a tag as validate() left it; before the first one bad, stale, NaN.
  [[nodiscard]] const signals::Sample& latest(signals::TagIndex tag) const;
  [[nodiscard]] bool has_sample(signals::TagIndex tag) const;
  // Quality and reason of a tag at `now`: bad and stale once nothing, good or bad, has come for longer than max_age,
  // else those of its newest sample.
  [[nodiscard]] signals::Quality quality_at(signals::TagIndex tag, base::Instant now, signals::Reason& reason) const;

  [[nodiscard]] const ValidatorCounters& counters() const { return counters_; }

  // What is kept of one tag, into one of the same rules.
  template <class Archive>
  void archive(signals::TagIndex tag, Archive& a) {
    Tag& kept = tags_[tag];
    a(kept.latest.value, kept.latest.quality, kept.latest.reason, kept.latest.exception_code, kept.latest.time);
    archive_raw(kept.latest.raw, a);
    a(kept.has_sample, kept.has_good, kept.good_value, kept.good_time, kept.has_raw, kept.stuck);
    archive_raw(kept.raw, a);
    a(kept.unchanged_since, kept.raw_time, kept.run_samples);
  }
  [[nodiscard]] std::size_t size() const { return tags_.size(); }

 private:
  template <class Archive>
  static void archive_raw(signals::RawValue& raw, Archive& a) {
    a(raw.kind, raw.integer, raw.natural, raw.real, raw.text);
  }

  struct Tag {
    TagRules rules;
    std::optional<StuckLimit> stuck_limit;
    signals::Sample latest;
    bool has_sample = false;
    bool has_good = false;
    double good_value = 0.0;
    base::Instant good_time;
    // The run of equal raw values.
    bool has_raw = false;
    bool stuck = false;
    signals::RawValue raw;
    base::Instant unchanged_since;
    base::Instant raw_time;  // newest of the run
    std::int64_t run_samples = 0;
  };

  static void follow_run(Tag& tag, const signals::Sample& sample);
  static signals::Reason judge_value(const Tag& tag, const signals::Sample& sample);
  static signals::Reason judge_change(const Tag& tag, const signals::Sample& sample);
  [[nodiscard]] const Tag& at(signals::TagIndex tag) const;

  std::vector<Tag> tags_;
  ValidatorCounters counters_;
};

}  // namespace twinkeeper::acquisition
