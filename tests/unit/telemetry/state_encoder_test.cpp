#include "telemetry/state_encoder.hpp"

#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "unit/telemetry/allocation_counter.hpp"
#include "unit/telemetry/example_messages.hpp"

using namespace twinkeeper;
using namespace twinkeeper::telemetry;
using nlohmann::json;

namespace {

json encoded(const estimation::TwinStep& step, StateLayout layout, const TwinDescription& twin = example::twin()) {
  signals::Message message;
  StateEncoder(twin, kDefaultDigits, layout).encode(step, example::anomalies(), message);
  return json::parse("{" + message.members + "}");
}

}  // namespace

TEST_CASE("a nested state names its stream, schema and instant") {
  signals::Message message;
  StateEncoder(example::twin(), 7, StateLayout::nested).encode(example::step(), {}, message);
  CHECK(message.stream == "twins.tanks.state");
  CHECK(message.schema == "twinkeeper.state/1");
  CHECK(message.message_class == signals::MessageClass::state);
  CHECK(message.time == example::step().time);
  CHECK_FALSE(message.retain);
  StateEncoder(example::twin(), 7, StateLayout::flat).encode(example::step(), {}, message);
  CHECK(message.schema == "twinkeeper.state_flat/1");
}

TEST_CASE("a nested state gives a reason exactly where quality is not good") {
  estimation::TwinStep step = example::step();
  step.inputs[0].quality = signals::Quality::uncertain;
  step.inputs[0].reason = signals::Reason::saturated;
  const json state = encoded(step, StateLayout::nested);
  CHECK(state.at("inputs").at("pump").at("reason") == "saturated");
  CHECK_FALSE(state.at("inputs").at("ambient").contains("reason"));
  CHECK(state.at("outputs").at("level_2").at("reason") == "stuck");
  CHECK_FALSE(state.at("outputs").at("level_1").contains("reason"));
  CHECK(state.at("outputs").at("flow").at("reason") == "stale");
  CHECK(state.at("outputs").at("flow").at("virtual") == true);
  CHECK_FALSE(state.at("outputs").at("level_1").contains("virtual"));
}

TEST_CASE("a state writes null for every number that has no value") {
  estimation::TwinStep step = example::step();
  const double none = std::numeric_limits<double>::quiet_NaN();
  step.mode = estimation::Mode::initializing;
  step.x = {none, none};
  step.std = {none, none};
  step.nis = none;
  step.nis_dof = 0;
  for (auto& output : step.outputs) output.expected = output.std = output.innovation = output.test_ratio = none;
  const json nested = encoded(step, StateLayout::nested);
  CHECK(nested.at("states").at("level_1").at("value").is_null());
  CHECK(nested.at("states").at("level_1").at("std").is_null());
  CHECK(nested.at("nis").is_null());
  CHECK(nested.at("outputs").at("level_1").at("test_ratio").is_null());
  CHECK(nested.at("outputs").at("flow").at("age_ms").is_null());
  CHECK(nested.at("inputs").at("ambient").at("age_ms").is_null());
  const json flat = encoded(step, StateLayout::flat);
  CHECK(flat.at("v").at("x_level_1").is_null());
  CHECK(flat.at("v").at("nu_level_1").is_null());
}

TEST_CASE("a measurement a little younger than its tick has age zero") {
  estimation::TwinStep step = example::step();
  step.outputs[0].age = std::chrono::milliseconds{-7};
  CHECK(encoded(step, StateLayout::nested).at("outputs").at("level_1").at("age_ms") == 0);
}

TEST_CASE("both layouts carry the same numbers") {
  const json nested = encoded(example::step(), StateLayout::nested);
  const json flat = encoded(example::step(), StateLayout::flat);
  const json& v = flat.at("v");
  for (const auto& [name, state] : nested.at("states").items()) {
    CHECK(v.at("x_" + name) == state.at("value"));
    CHECK(v.at("sd_" + name) == state.at("std"));
  }
  for (const auto& [name, input] : nested.at("inputs").items()) CHECK(v.at("u_" + name) == input.at("value"));
  for (const auto& [name, output] : nested.at("outputs").items()) {
    CHECK(v.at("y_" + name) == output.at("measured"));
    CHECK(v.at("yhat_" + name) == output.at("expected"));
    CHECK(v.at("nu_" + name) == output.at("innovation"));
  }
  CHECK(v.size() == 2 * 2 + 2 + 3 * 3);
  CHECK(flat.at("bad") == json{{"level_2", "stuck"}});
  for (const char* name :
       {"twin", "step", "mode", "regime", "model", "nis", "nis_dof", "anomalies", "shelved", "priority"})
    CHECK(flat.at(name) == nested.at(name));
}

TEST_CASE("a flat state names a bad signal once where an input and an output share the name") {
  TwinDescription twin = example::twin();
  twin.inputs[0].signal.name = "level_2";
  estimation::TwinStep step = example::step();
  step.inputs[0].quality = signals::Quality::bad;
  step.inputs[0].reason = signals::Reason::timeout;
  signals::Message message;
  StateEncoder(twin, 7, StateLayout::flat).encode(step, {}, message);
  CHECK(message.members.find("\"bad\":{\"level_2\":\"timeout\"}") != std::string::npos);
}

TEST_CASE("a state tells where a model with ranges is not meant to hold, and one without tells nothing of it") {
  TwinDescription twin = example::twin();
  twin.inputs[0].signal.valid_min = 1.0;
  twin.inputs[0].signal.valid_max = 8.0;
  estimation::TwinStep step = example::step();
  for (const StateLayout layout : {StateLayout::nested, StateLayout::flat}) {
    CHECK_FALSE(encoded(step, layout).contains("valid"));
    CHECK_FALSE(encoded(step, layout).contains("outside"));
    CHECK(encoded(step, layout, twin).at("valid") == true);
    CHECK(encoded(step, layout, twin).at("outside") == json::array());
    estimation::TwinStep away = step;
    away.inputs[0].outside = away.outputs[1].outside = true;
    away.valid = false;
    CHECK(encoded(away, layout, twin).at("valid") == false);
    CHECK(encoded(away, layout, twin).at("outside") == json{"pump", "level_2"});
  }
}

TEST_CASE("encoding a state allocates nothing once its message has been used") {
  for (const StateLayout layout : {StateLayout::nested, StateLayout::flat}) {
    TwinDescription twin = example::twin();
    twin.inputs[0].signal.valid_min = 1.0;
    twin.inputs[0].signal.valid_max = 8.0;
    const StateEncoder encoder(twin, 7, layout);
    estimation::TwinStep step = example::step();
    step.valid = false;
    step.inputs[0].outside = step.outputs[0].outside = true;
    const AnomalySummary anomalies = example::anomalies();
    signals::Message message;
    encoder.encode(step, anomalies, message);
    const std::uint64_t before = allocations();
    for (int i = 0; i < 100; ++i) encoder.encode(step, anomalies, message);
    CHECK(allocations() == before);
  }
}
