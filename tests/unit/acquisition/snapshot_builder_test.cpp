#include "acquisition/snapshot_builder.hpp"

#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::acquisition;
using namespace std::chrono_literals;
using signals::Quality;
using signals::Reason;

TEST_CASE("SnapshotBuilder tells the newest samples with their ages and marks stale ones") {
  TagRules rules;
  rules.settings.max_age = 300ms;
  Validator validator({rules, rules, rules, rules});
  const auto put = [&](signals::TagIndex tag, double value, base::Duration time) {
    signals::Sample sample;
    sample.tag = tag;
    sample.value = value;
    sample.raw.kind = signals::RawKind::float64;
    sample.raw.real = value;
    sample.quality = Quality::good;
    sample.time = base::Instant{time};
    validator.validate(sample);
  };
  put(0, 1.0, 1s);
  put(1, 2.0, 1900ms);
  put(3, 4.0, 1950ms);
  const SnapshotBuilder builder(5, {3, 0, 2});
  signals::DeviceSnapshot snapshot = builder.make_record();
  builder.build(validator, base::Instant{2s}, snapshot);
  CHECK(snapshot.device == 5);
  REQUIRE(snapshot.tags.size() == 3);
  CHECK(snapshot.first == base::Instant{1s});
  CHECK(snapshot.last == base::Instant{1950ms});
  CHECK(snapshot.tags[0].last.value == 4.0);
  CHECK(snapshot.tags[0].age == 50ms);
  CHECK(snapshot.tags[0].last.quality == Quality::good);
  CHECK(snapshot.tags[1].age == 1s);
  CHECK(snapshot.tags[1].last.quality == Quality::bad);
  CHECK(snapshot.tags[1].last.reason == Reason::stale);
  CHECK(snapshot.tags[2].age < base::Duration{0});
  CHECK(snapshot.tags[2].last.reason == Reason::stale);
}

TEST_CASE("SnapshotBuilder gives the publishing instant while no tag has a sample") {
  Validator validator({TagRules{}});
  const SnapshotBuilder builder(0, {0});
  signals::DeviceSnapshot snapshot = builder.make_record();
  builder.build(validator, base::Instant{3s}, snapshot);
  CHECK(snapshot.first == base::Instant{3s});
  CHECK(snapshot.last == base::Instant{3s});
}
