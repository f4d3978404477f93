#include "twinkeeper/diagnosis/bus_diagnosis.hpp"

#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::diagnosis;
using namespace std::chrono_literals;
using signals::Quality;
using signals::Reason;

namespace {

// Two devices behind one controller, polled every 100 ms and every 500 ms, looked at as often.
struct BusDiagnosisBench {
  std::vector<DeviceDiagnosisSetup> setups{{"plc", {{"a", true}, {"b", true}}, 100ms, 300ms},
                                           {"meter", {{"power", true}}, 500ms, 300ms}};
  BusDiagnosis bus{"tcp://10.0.0.7:502", setups};
  DeviceDiagnosis plc{setups[0]};
  DeviceDiagnosis meter{setups[1]};
  base::Instant now{10s};
  std::vector<AnomalyEvent> out;

  void run(base::Duration time, bool plc_lost, bool meter_lost) {
    for (const base::Instant end = now + time; now < end;) {
      now += 100ms;
      look(0, plc, plc_lost);
      if (now.time_since_epoch() % 500ms == 0ms) look(1, meter, meter_lost);
    }
  }
  void look(std::size_t place, DeviceDiagnosis& device, bool lost) {
    const TagCondition condition = lost ? TagCondition{Quality::bad, Reason::timeout} : TagCondition{Quality::good, {}};
    const std::vector<TagCondition> tags(setups[place].tags.size(), condition);
    device.evaluate(now, tags, out, bus.evaluate(now, place, DeviceDiagnosis::lost(tags), out));
  }
  [[nodiscard]] std::vector<std::string> told() const {
    std::vector<std::string> ids;
    for (const auto& event : out) ids.push_back(event.id + " " + std::string(to_string(event.event)));
    return ids;
  }
};

using Told = std::vector<std::string>;

}  // namespace

TEST_CASE("A lost bus raises one alarm with the tags of all its devices, and nothing beside it") {
  BusDiagnosisBench bench;
  bench.run(5s, false, false);
  bench.run(20s, true, true);
  REQUIRE(bench.told() == Told{"gateway.plc.connection raised"});
  CHECK(bench.out[0].owner_kind == OwnerKind::gateway);
  CHECK(bench.out[0].kind == AnomalyKind::communication);
  CHECK(bench.out[0].tags == std::vector<std::string>{"plc.a", "plc.b", "meter.power"});
  CHECK(bench.out[0].message == "None of the devices behind tcp://10.0.0.7:502 can be reached: plc and meter.");
  bench.run(5s, false, false);
  CHECK(bench.told() == Told{"gateway.plc.connection raised", "gateway.plc.connection cleared"});
}

TEST_CASE("A device that is lost alone on its bus has its own alarm") {
  BusDiagnosisBench bench;
  bench.run(5s, false, false);
  bench.run(20s, true, false);
  CHECK(bench.told() == Told{"plc.connection raised"});
}

TEST_CASE("The alarm of a device lost earlier gives way to that of the bus and names it as its cause") {
  BusDiagnosisBench bench;
  bench.run(5s, false, false);
  bench.run(5s, true, false);
  bench.run(20s, true, true);
  REQUIRE(bench.told() == Told{"plc.connection raised", "gateway.plc.connection raised", "plc.connection cleared"});
  CHECK(bench.out[2].caused_by == std::vector<std::string>{"gateway.plc.connection"});
}

TEST_CASE("A device that stays away when the bus is heard again gets its own alarm") {
  BusDiagnosisBench bench;
  bench.run(5s, false, false);
  bench.run(20s, true, true);
  bench.run(20s, false, true);
  CHECK(bench.told() ==
        Told{"gateway.plc.connection raised", "gateway.plc.connection cleared", "meter.connection raised"});
}
