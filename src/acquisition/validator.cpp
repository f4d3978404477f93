#include "acquisition/validator.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <utility>

#include "twinkeeper/base/elementary.hpp"

namespace twinkeeper::acquisition {
namespace {

using signals::Quality;
using signals::RawKind;
using signals::RawValue;
using signals::Reason;

constexpr double kFalseStuck = 1e-8;  // α
constexpr double kLongestRun = 100'000.0;
constexpr std::int64_t kLeastSamples = 3;

bool same_raw(const RawValue& a, const RawValue& b) {
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case RawKind::none: return false;
    case RawKind::boolean:
    case RawKind::signed_integer: return a.integer == b.integer;
    case RawKind::unsigned_integer: return a.natural == b.natural;
    case RawKind::float16:
    case RawKind::float32:
    case RawKind::float64: return a.real == b.real;
    case RawKind::text: return a.text == b.text;
  }
  return false;
}

// The half-precision number nearest to `value`, ties to even.
double nearest_half(double value) {
  if (!std::isfinite(value) || value == 0.0) return value;
  int exponent = 0;
  std::frexp(value, &exponent);
  const double unit = std::ldexp(1.0, std::max(exponent - 11, -24));
  const double rounded = std::nearbyint(value / unit) * unit;
  return std::abs(rounded) > 65504.0 ? std::copysign(HUGE_VAL, value) : rounded;
}

// Exact also where a 64-bit integer has no double of its own.
bool equals(std::int64_t integer, double wanted) {
  return wanted >= -0x1p63 && wanted < 0x1p63 && std::trunc(wanted) == wanted &&
         static_cast<std::int64_t>(wanted) == integer;
}

bool equals(std::uint64_t natural, double wanted) {
  return wanted >= 0.0 && wanted < 0x1p64 && std::trunc(wanted) == wanted &&
         static_cast<std::uint64_t>(wanted) == natural;
}

bool is_error_value(const RawValue& raw, double error_value) {
  switch (raw.kind) {
    case RawKind::boolean:
    case RawKind::signed_integer: return equals(raw.integer, error_value);
    case RawKind::unsigned_integer: return equals(raw.natural, error_value);
    case RawKind::float16: return raw.real == nearest_half(error_value);
    case RawKind::float32:
      return std::abs(error_value) <= 0x1.fffffep127 &&
             raw.real == static_cast<double>(static_cast<float>(error_value));
    case RawKind::float64: return raw.real == error_value;
    case RawKind::none:
    case RawKind::text: return false;
  }
  return false;
}

double seconds(base::Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

std::optional<std::int64_t> stuck_run_length(double noise_std, double resolution) {
  if (!(noise_std > 0.0) || !(resolution >= 0.0)) return std::nullopt;
  const double p_same = base::erf(resolution / (2.0 * std::sqrt(2.0) * noise_std));
  if (p_same <= 0.0) return 1;
  if (p_same >= 1.0) return std::nullopt;
  const double length = std::ceil(1.0 + base::log(kFalseStuck) / base::log(p_same));
  if (!(length <= kLongestRun)) return std::nullopt;
  return static_cast<std::int64_t>(length);
}

std::optional<StuckLimit> stuck_limit(const TagRules& rules) {
  switch (rules.settings.stuck_rule) {
    case StuckRule::off: return std::nullopt;
    case StuckRule::fixed: return StuckLimit{rules.settings.stuck_after, 2};
    case StuckRule::automatic: break;
  }
  if (!rules.noise) return std::nullopt;
  const auto length = stuck_run_length(rules.noise->noise_std, rules.noise->resolution);
  if (!length) return std::nullopt;
  const base::Duration interval = std::max(rules.noise->period, rules.poll_interval);
  return StuckLimit{interval * std::max(*length, kLeastStuckPeriods), std::max(*length, kLeastSamples)};
}

std::uint64_t ValidatorCounters::samples_bad_total() const {
  return std::accumulate(bad_by_reason.begin(), bad_by_reason.end(), std::uint64_t{0});
}

Validator::Validator(std::vector<TagRules> rules) {
  tags_.resize(rules.size());
  for (std::size_t i = 0; i < rules.size(); ++i) {
    Tag& tag = tags_[i];
    tag.rules = std::move(rules[i]);
    tag.stuck_limit = stuck_limit(tag.rules);
    tag.latest.tag = static_cast<signals::TagIndex>(i);
    tag.latest.reason = Reason::stale;
  }
}

const Validator::Tag& Validator::at(signals::TagIndex tag) const {
  if (tag >= tags_.size()) std::abort();
  return tags_[tag];
}

void Validator::validate(signals::Sample& sample) {
  if (sample.tag >= tags_.size()) std::abort();
  Tag& tag = tags_[sample.tag];
  const bool backward = tag.has_sample && sample.time < tag.latest.time;
  if (sample.quality != Quality::bad) {
    if (!backward) follow_run(tag, sample);
    Reason reason = judge_value(tag, sample);
    if (reason == Reason::none && !backward) reason = judge_change(tag, sample);
    if (reason != Reason::none) {
      sample.quality = Quality::bad;
      sample.reason = reason;
    } else if (!backward) {
      tag.has_good = true;
      tag.good_value = sample.value;
      tag.good_time = sample.time;
    }
  }
  ++counters_.samples_total;
  if (sample.quality == Quality::bad) ++counters_.bad_by_reason[static_cast<std::size_t>(sample.reason)];
  if (backward) {
    ++counters_.samples_backward_total;
    return;
  }
  tag.latest = sample;
  tag.has_sample = true;
}

void Validator::follow_run(Tag& tag, const signals::Sample& sample) {
  const base::Duration silence_limit = tag.rules.settings.max_age;
  const bool same = tag.has_raw && same_raw(tag.raw, sample.raw);
  const bool heard = silence_limit.count() <= 0 || sample.time - tag.raw_time <= silence_limit;
  if (same && (heard || tag.stuck)) {
    if (sample.time > tag.raw_time) ++tag.run_samples;
  } else {
    tag.unchanged_since = sample.time;
    tag.run_samples = 1;
    tag.stuck = false;
  }
  tag.raw_time = sample.time;
  if (!same) {
    tag.raw = sample.raw;
    tag.has_raw = true;
  }
  if (tag.stuck_limit && !tag.stuck) {
    tag.stuck = tag.run_samples >= tag.stuck_limit->samples &&
                sample.time - tag.unchanged_since >= tag.stuck_limit->unchanged_for;
  }
}

Reason Validator::judge_value(const Tag& tag, const signals::Sample& sample) {
  const ValidationSettings& rules = tag.rules.settings;
  const bool text = sample.raw.kind == RawKind::text;
  if (!text && !std::isfinite(sample.value)) return Reason::not_finite;
  for (const double error_value : rules.error_values) {
    if (is_error_value(sample.raw, error_value)) return Reason::error_value;
  }
  if (text) return Reason::none;
  if (rules.min_value && sample.value < *rules.min_value) return Reason::out_of_range;
  if (rules.max_value && sample.value > *rules.max_value) return Reason::out_of_range;
  return Reason::none;
}

Reason Validator::judge_change(const Tag& tag, const signals::Sample& sample) {
  const auto& max_rate = tag.rules.settings.max_rate;
  if (max_rate && sample.raw.kind != RawKind::text && tag.has_good && sample.time > tag.good_time) {
    const double change = std::abs(sample.value - tag.good_value);
    if (change > *max_rate * seconds(sample.time - tag.good_time)) return Reason::rate_of_change;
  }
  return tag.stuck ? Reason::stuck : Reason::none;
}

const signals::Sample& Validator::latest(signals::TagIndex tag) const { return at(tag).latest; }

bool Validator::has_sample(signals::TagIndex tag) const { return at(tag).has_sample; }

Quality Validator::quality_at(signals::TagIndex tag, base::Instant now, Reason& reason) const {
  const Tag& found = at(tag);
  const base::Duration max_age = found.rules.settings.max_age;
  if (!found.has_sample || (max_age.count() > 0 && now - found.latest.time > max_age)) {
    reason = Reason::stale;
    return Quality::bad;
  }
  reason = found.latest.reason;
  return found.latest.quality;
}

}  // namespace twinkeeper::acquisition
