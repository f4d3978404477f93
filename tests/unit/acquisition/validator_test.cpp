#include "acquisition/validator.hpp"

#include <limits>
#include <random>

#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::acquisition;
using namespace std::chrono_literals;
using signals::Quality;
using signals::RawKind;
using signals::Reason;
using signals::Sample;

namespace {

base::Instant at(base::Duration since_start) { return base::Instant{1h} + since_start; }

Sample number(double value, base::Duration time, signals::TagIndex tag = 0) {
  Sample sample;
  sample.tag = tag;
  sample.value = value;
  sample.raw.kind = RawKind::float64;
  sample.raw.real = value;
  sample.quality = Quality::good;
  sample.time = at(time);
  return sample;
}

Sample failure(Reason reason, base::Duration time) {
  Sample sample;
  sample.reason = reason;
  sample.time = at(time);
  return sample;
}

TagRules rules() {
  TagRules made;
  made.poll_interval = 100ms;
  made.settings.max_age = 300ms;
  return made;
}

Reason reason_of(Validator& validator, Sample sample) {
  validator.validate(sample);
  CHECK((sample.quality == Quality::good) == (sample.reason == Reason::none));
  CHECK(validator.latest(sample.tag).reason == sample.reason);
  return sample.reason;
}

}  // namespace

TEST_CASE("Validator takes the first test that fails as the reason") {
  TagRules r = rules();
  r.settings.min_value = 0.0;
  r.settings.max_value = 2.0;
  r.settings.max_rate = 1.0;
  r.settings.error_values = {-99.0};
  Validator validator({r});
  CHECK(reason_of(validator, number(1.0, 0ms)) == Reason::none);
  CHECK(reason_of(validator, number(std::nan(""), 100ms)) == Reason::not_finite);
  CHECK(reason_of(validator, number(std::numeric_limits<double>::infinity(), 200ms)) == Reason::not_finite);
  CHECK(reason_of(validator, number(-99.0, 300ms)) == Reason::error_value);
  CHECK(reason_of(validator, number(2.0001, 400ms)) == Reason::out_of_range);
  CHECK(reason_of(validator, number(-0.1, 500ms)) == Reason::out_of_range);
  CHECK(reason_of(validator, number(1.7, 600ms)) == Reason::rate_of_change);
  CHECK(reason_of(validator, number(1.5, 700ms)) == Reason::none);
  CHECK(validator.counters().samples_total == 8);
  CHECK(validator.counters().samples_bad_total() == 6);
  CHECK(validator.counters().bad(Reason::out_of_range) == 2);
}

TEST_CASE("Validator measures the rate against the last good value and its time") {
  TagRules r = rules();
  r.settings.max_rate = 1.0;
  Validator validator({r});
  CHECK(reason_of(validator, number(0.0, 0ms)) == Reason::none);
  CHECK(reason_of(validator, number(0.5, 100ms)) == Reason::rate_of_change);
  CHECK(reason_of(validator, number(0.5, 400ms)) == Reason::rate_of_change);
  CHECK(reason_of(validator, number(0.5, 500ms)) == Reason::none);
  CHECK(reason_of(validator, number(9.0, 500ms)) == Reason::none);  // no time has passed, so there is no rate
}

TEST_CASE("Validator compares error values in the register's own type") {
  const auto raw_reason = [](double error_value, RawKind kind, auto fill) {
    TagRules r = rules();
    r.settings.error_values = {error_value};
    Validator validator({r});
    Sample sample = number(1.0, 0ms);
    sample.raw = {};
    sample.raw.kind = kind;
    fill(sample.raw);
    return reason_of(validator, sample);
  };
  const auto integer = [](std::int64_t v) { return [v](signals::RawValue& raw) { raw.integer = v; }; };
  const auto natural = [](std::uint64_t v) { return [v](signals::RawValue& raw) { raw.natural = v; }; };
  const auto real = [](double v) { return [v](signals::RawValue& raw) { raw.real = v; }; };
  CHECK(raw_reason(-32768, RawKind::signed_integer, integer(-32768)) == Reason::error_value);
  CHECK(raw_reason(65535, RawKind::unsigned_integer, natural(65535)) == Reason::error_value);
  CHECK(raw_reason(-1, RawKind::unsigned_integer, natural(65535)) == Reason::none);
  CHECK(raw_reason(1.5, RawKind::signed_integer, integer(1)) == Reason::none);
  CHECK(raw_reason(9007199254740992.0, RawKind::signed_integer, integer(9007199254740993)) == Reason::none);
  CHECK(raw_reason(18446744073709551616.0, RawKind::unsigned_integer, natural(0)) == Reason::none);
  CHECK(raw_reason(1.1, RawKind::float32, real(static_cast<double>(1.1F))) == Reason::error_value);
  CHECK(raw_reason(1.1, RawKind::float64, real(static_cast<double>(1.1F))) == Reason::none);
  CHECK(raw_reason(1e300, RawKind::float32, real(1.0)) == Reason::none);
  CHECK(raw_reason(0.1, RawKind::float16, real(0.0999755859375)) == Reason::error_value);
  CHECK(raw_reason(6.0e-8, RawKind::float16, real(5.9604644775390625e-8)) == Reason::error_value);
  CHECK(raw_reason(1, RawKind::boolean, integer(1)) == Reason::error_value);
}

TEST_CASE("Run lengths that tell a stuck sensor follow from noise and resolution") {
  CHECK(stuck_run_length(2.0, 1.0) == 13);
  CHECK(stuck_run_length(1.0, 1.0) == 21);
  CHECK(stuck_run_length(0.5, 1.0) == 50);
  CHECK(stuck_run_length(0.25, 1.0) == 397);
  CHECK(stuck_run_length(0.002, 0.001) == 13);
  CHECK(stuck_run_length(1.0, 0.0) == 1);
  CHECK_FALSE(stuck_run_length(0.1, 1.0).has_value());
  CHECK_FALSE(stuck_run_length(0.0, 1.0).has_value());
}

TEST_CASE("Limits of the stuck test follow the slower of poll interval and period") {
  TagRules r = rules();
  CHECK_FALSE(stuck_limit(r).has_value());
  r.noise = OutputNoise{2.0, 1.0, 100ms};
  CHECK(stuck_limit(r)->unchanged_for == 1300ms);
  CHECK(stuck_limit(r)->samples == 13);
  r.poll_interval = 1s;
  CHECK(stuck_limit(r)->unchanged_for == 13s);
  r.poll_interval = 50ms;
  r.noise->resolution = 0.0;
  CHECK(stuck_limit(r)->unchanged_for == 1s);
  CHECK(stuck_limit(r)->samples == 3);
  r.settings.stuck_rule = StuckRule::off;
  CHECK_FALSE(stuck_limit(r).has_value());
  r.settings.stuck_rule = StuckRule::fixed;
  r.settings.stuck_after = 7s;
  CHECK(stuck_limit(r)->unchanged_for == 7s);
}

TEST_CASE("A sample is stuck once the raw value has not changed for long enough until it changes") {
  TagRules r = rules();
  r.noise = OutputNoise{2.0, 1.0, 100ms};
  Validator validator({r});
  for (int i = 0; i <= 12; ++i) CHECK(reason_of(validator, number(5.0, i * 100ms)) == Reason::none);
  for (int i = 13; i < 40; ++i) CHECK(reason_of(validator, number(5.0, i * 100ms)) == Reason::stuck);
  CHECK(reason_of(validator, number(6.0, 4s)) == Reason::none);
  CHECK(reason_of(validator, number(5.0, 4100ms)) == Reason::none);
}

TEST_CASE("A stuck sensor stays stuck across an outage and a healthy one is not stuck by it") {
  TagRules r = rules();
  r.settings.stuck_rule = StuckRule::fixed;
  r.settings.stuck_after = 1s;
  Validator validator({r});
  CHECK(reason_of(validator, number(5.0, 0ms)) == Reason::none);
  CHECK(reason_of(validator, failure(Reason::timeout, 100ms)) == Reason::timeout);
  CHECK(reason_of(validator, number(5.0, 60s)) == Reason::none);
  for (int i = 1; i <= 10; ++i) (void)reason_of(validator, number(5.0, 60s + i * 100ms));
  CHECK(validator.latest(0).reason == Reason::stuck);
  CHECK(reason_of(validator, number(5.0, 120s)) == Reason::stuck);
}

TEST_CASE("A sample that arrives bad keeps its reason and leaves the history untouched") {
  TagRules r = rules();
  r.settings.max_rate = 1.0;
  r.settings.stuck_rule = StuckRule::fixed;
  r.settings.stuck_after = 400ms;
  Validator validator({r});
  CHECK(reason_of(validator, number(1.0, 0ms)) == Reason::none);
  CHECK(reason_of(validator, failure(Reason::timeout, 100ms)) == Reason::timeout);
  CHECK(reason_of(validator, failure(Reason::exception, 150ms)) == Reason::exception);
  CHECK(reason_of(validator, number(1.3, 200ms)) == Reason::rate_of_change);
  CHECK(reason_of(validator, number(1.0, 300ms)) == Reason::none);
  CHECK(reason_of(validator, failure(Reason::no_match, 400ms)) == Reason::no_match);
  CHECK(reason_of(validator, number(1.0, 600ms)) == Reason::none);
  CHECK(reason_of(validator, number(1.0, 700ms)) == Reason::stuck);
}

TEST_CASE("A sample older than the newest of its tag is judged by its value alone and leaves no trace") {
  Validator validator({rules(), rules()});
  CHECK(reason_of(validator, number(1.0, 200ms)) == Reason::none);
  Sample late = number(2.0, 100ms);
  validator.validate(late);
  CHECK(late.quality == Quality::good);
  CHECK(validator.latest(0).value == 1.0);
  CHECK(validator.counters().samples_backward_total == 1);
  CHECK(validator.counters().samples_total == 2);
  CHECK(reason_of(validator, number(3.0, 100ms, 1)) == Reason::none);
}

TEST_CASE("A tag is stale before its first sample and after a silence longer than max_age") {
  Validator validator({rules()});
  Reason reason = Reason::none;
  CHECK(validator.quality_at(0, at(0ms), reason) == Quality::bad);
  CHECK(reason == Reason::stale);
  CHECK_FALSE(validator.has_sample(0));
  (void)reason_of(validator, number(1.0, 0ms));
  CHECK(validator.quality_at(0, at(300ms), reason) == Quality::good);
  CHECK(reason == Reason::none);
  CHECK(validator.quality_at(0, at(301ms), reason) == Quality::bad);
  CHECK(reason == Reason::stale);
  (void)reason_of(validator, failure(Reason::timeout, 400ms));
  CHECK(validator.quality_at(0, at(500ms), reason) == Quality::bad);
  CHECK(reason == Reason::timeout);
}

TEST_CASE("Text is neither finite nor in range yet good") {
  TagRules r = rules();
  r.settings.min_value = 0.0;
  Validator validator({r});
  Sample sample;
  sample.quality = Quality::good;
  sample.raw.kind = RawKind::text;
  sample.raw.text = "running";
  sample.time = at(0ms);
  CHECK(reason_of(validator, sample) == Reason::none);
  CHECK(validator.latest(0).raw.text == "running");
}

TEST_CASE("Quantised healthy noise is not called stuck over a million samples") {
  TagRules r = rules();
  r.noise = OutputNoise{1.0, 1.0, 100ms};
  Validator validator({r});
  std::mt19937_64 random(7);
  std::normal_distribution<double> noise;
  for (int i = 0; i < 1'000'000; ++i) {
    Sample sample = number(std::round(20.0 + noise(random)), i * 100ms);
    validator.validate(sample);
  }
  CHECK(validator.counters().bad(Reason::stuck) == 0);
}
