#include "twinkeeper/diagnosis/device_diagnosis.hpp"

#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::diagnosis;
using namespace std::chrono_literals;
using signals::Quality;
using signals::Reason;

namespace {

constexpr TagCondition kGood{Quality::good, Reason::none};
constexpr TagCondition bad(Reason reason) { return {Quality::bad, reason}; }

struct DeviceDiagnosisBench {
  DeviceDiagnosis diagnosis{{"plc", {{"a", true}, {"b", false}, {"c", true}}, 100ms, 300ms}};
  base::Instant now{10s};
  std::vector<AnomalyEvent> out;

  void polls(int count, TagCondition a, TagCondition b, TagCondition c) {
    const std::vector<TagCondition> tags{a, b, c};
    for (int i = 0; i < count; ++i) {
      now += 100ms;
      diagnosis.evaluate(now, tags, out);
    }
  }
};

}  // namespace

TEST_CASE("A lost device raises one alarm that lists all tags and clears when it answers") {
  DeviceDiagnosisBench bench;
  bench.polls(50, kGood, kGood, kGood);
  CHECK(bench.out.empty());
  bench.polls(3, bad(Reason::timeout), bad(Reason::stale), bad(Reason::timeout));
  bench.polls(50, bad(Reason::timeout), bad(Reason::no_match), bad(Reason::timeout));
  REQUIRE(bench.out.size() == 1);
  CHECK(bench.out[0].id == "plc.connection");
  CHECK(bench.out[0].kind == AnomalyKind::communication);
  CHECK(bench.out[0].owner_kind == OwnerKind::device);
  CHECK(bench.out[0].owner == "plc");
  CHECK(bench.out[0].tags == std::vector<std::string>{"plc.a", "plc.b", "plc.c"});
  CHECK(bench.out[0].raised_at - bench.out[0].onset == 600ms);
  bench.polls(3, kGood, kGood, kGood);
  REQUIRE(bench.out.size() == 2);
  CHECK(bench.out[1].event == AnomalyEventKind::cleared);
}

TEST_CASE("A single lost request raises nothing") {
  DeviceDiagnosisBench bench;
  for (int i = 0; i < 20; ++i) {
    bench.polls(3, bad(Reason::timeout), bad(Reason::timeout), bad(Reason::timeout));
    bench.polls(1, kGood, kGood, kGood);
  }
  CHECK(bench.out.empty());
}

TEST_CASE("Registers refused with an exception share one alarm that names them") {
  DeviceDiagnosisBench bench;
  bench.polls(20, kGood, bad(Reason::exception), bad(Reason::exception));
  REQUIRE(bench.out.size() == 1);
  CHECK(bench.out[0].id == "plc.b.exception");
  CHECK(bench.out[0].test == "exception");
  CHECK(bench.out[0].tags == std::vector<std::string>{"plc.b", "plc.c"});
  bench.polls(3, kGood, kGood, kGood);
  REQUIRE(bench.out.size() == 2);
  CHECK(bench.out[1].event == AnomalyEventKind::cleared);
  CHECK(bench.diagnosis.alarms().active_count() == 0);
}

TEST_CASE("Registers that fail later join the alarm within a minute") {
  DeviceDiagnosisBench bench;
  bench.polls(20, bad(Reason::exception), kGood, kGood);
  bench.polls(700, bad(Reason::exception), bad(Reason::exception), kGood);
  REQUIRE(bench.out.size() == 2);
  CHECK(bench.out[1].event == AnomalyEventKind::changed);
  CHECK(bench.out[1].tags == std::vector<std::string>{"plc.a", "plc.b"});
}

TEST_CASE("Sensor alarms are raised here only for tags that no twin uses") {
  DeviceDiagnosisBench bench;
  bench.polls(20, bad(Reason::stuck), bad(Reason::stuck), bad(Reason::out_of_range));
  REQUIRE(bench.out.size() == 2);
  CHECK(bench.out[0].id == "plc.a.stuck");
  CHECK(bench.out[0].kind == AnomalyKind::sensor);
  CHECK(bench.out[1].id == "plc.c.out_of_range");
}

TEST_CASE("While a device is lost nothing else of it is raised or cleared") {
  DeviceDiagnosisBench bench;
  bench.polls(20, bad(Reason::stuck), kGood, kGood);
  REQUIRE(bench.out.size() == 1);
  bench.polls(50, bad(Reason::timeout), bad(Reason::timeout), bad(Reason::timeout));
  REQUIRE(bench.out.size() == 2);
  CHECK(bench.out[1].id == "plc.connection");
  CHECK(bench.diagnosis.alarms().active_ids() == std::vector<std::string>{"plc.connection", "plc.a.stuck"});
  bench.polls(3, kGood, kGood, kGood);
  CHECK(bench.diagnosis.alarms().active_count() == 0);
}

TEST_CASE("A later fault of the same sensor takes the place of the earlier one") {
  DeviceDiagnosisBench bench;
  bench.polls(20, bad(Reason::stuck), kGood, kGood);
  for (int i = 0; i < 20; ++i) bench.polls(1, bad(Reason::out_of_range), kGood, kGood);
  CHECK(bench.diagnosis.alarms().active_ids() == std::vector<std::string>{"plc.a.out_of_range"});
}
