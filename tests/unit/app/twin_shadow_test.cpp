#include "app/twin_shadow.hpp"

#include <limits>

#include "support/catch.hpp"

using namespace twinkeeper;
using nlohmann::json;

namespace {

telemetry::TwinDescription tanks() {
  telemetry::TwinDescription twin;
  twin.name = "tanks";
  twin.model = {"two_tank", 2, "sha256:1"};
  twin.regimes = {"idle", "running"};
  twin.states = {{"level_1", "m"}, {"level_2", "m"}};
  twin.inputs.resize(1);
  twin.inputs[0].signal.name = "pump";
  twin.outputs.resize(1);
  twin.outputs[0].signal.name = "level_1";
  twin.outputs[0].source.emplace();
  return twin;
}

estimation::TwinStep step() {
  estimation::TwinStep out(2, 1, 1);
  out.mode = estimation::Mode::tracking;
  out.x = {0.123456789, 0.5};
  out.std = {0.00123456, std::numeric_limits<double>::quiet_NaN()};
  out.inputs[0].quality = signals::Quality::good;
  out.outputs[0].quality = signals::Quality::bad;
  out.outputs[0].reason = signals::Reason::stuck;
  out.regime = 1;
  return out;
}

}  // namespace

TEST_CASE("a twin's shadow holds what it is and what is wrong with it") {
  telemetry::AnomalySummary anomalies;
  anomalies.active = {"tanks.level_1.stuck"};
  anomalies.priority = diagnosis::Priority::high;
  CHECK(app::twin_shadow(tanks(), step(), anomalies, 5) == json::parse(R"({
    "twin": "tanks", "mode": "tracking", "regime": "running", "priority": 3, "anomalies": ["tanks.level_1.stuck"],
    "model": {"name": "two_tank", "version": 2, "hash": "sha256:1"},
    "states": {"level_1": {"value": 0.12346, "std": 0.00123, "unit": "m"}, "level_2": {"value": 0.5, "unit": "m"}},
    "bad": {"level_1": "stuck"}})"));
}

TEST_CASE("what has no value is absent") {
  auto nothing = step();
  nothing.x = {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
  nothing.regime = -1;
  const json shadow = app::twin_shadow(tanks(), nothing, {}, 5);
  CHECK_FALSE(shadow.contains("states"));
  CHECK_FALSE(shadow.contains("regime"));
}

TEST_CASE("a state within its dead-band is the same") {
  const auto state = [](double value, double std) { return json{{"value", value}, {"std", std}, {"unit", "m"}}; };
  CHECK(app::same_in_shadow(state(1, 0.1), state(1.09, 0.1)));
  CHECK_FALSE(app::same_in_shadow(state(1, 0.1), state(1.11, 0.1)));
  CHECK_FALSE(app::same_in_shadow(state(1, 0.1), state(1, 0.04)));
  CHECK_FALSE(app::same_in_shadow(state(1, 0.1), state(1, 0.25)));
  CHECK(app::same_in_shadow({{"value", 100}}, {{"value", 100.9}}));
  CHECK_FALSE(app::same_in_shadow({{"value", 100}}, {{"value", 101.1}}));
  CHECK_FALSE(app::same_in_shadow(state(1, 0.1), {{"value", 1}, {"unit", "m"}}));
  CHECK_FALSE(app::same_in_shadow(1, 2));
  CHECK_FALSE(app::same_in_shadow({{"value", "x"}}, {{"value", 1}}));
}
