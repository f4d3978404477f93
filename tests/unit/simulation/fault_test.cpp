#include "simulation/fault.hpp"

#include "support/catch.hpp"
#include "unit/simulation/fixtures.hpp"

namespace twinkeeper::simulation {

TEST_CASE("Fault specifications resolve their names and numbers") {
  const Settings settings = fixtures::tank_simulation();
  auto fault = [&](const char* spec) { return parse_fault(spec, settings).value(); };

  const Fault leak = fault("disturbance:tanks.level_2@20.5+10=-0.002");
  CHECK(leak.kind == FaultKind::disturbance);
  CHECK((leak.twin == 0 && leak.state == 1));
  CHECK((leak.onset == 20.5 && leak.duration == 10.0 && leak.value == -0.002));
  CHECK(leak.spec == "disturbance:tanks.level_2@20.5+10=-0.002");

  const Fault stuck = fault("stuck:plc.pump@0+1");
  CHECK((stuck.kind == FaultKind::stuck && stuck.tag == 2 && stuck.onset == 0.0));

  const Fault bias = fault("bias:plc.level_1@1e1+2.5=+1e-3");
  CHECK((bias.kind == FaultKind::bias && bias.tag == 0 && bias.onset == 10.0 && bias.value == 1e-3));

  const Fault drift = fault("drift:plc.level_2@5+60=-1e-3");
  CHECK((drift.kind == FaultKind::drift && drift.tag == 1 && drift.value == -1e-3));

  const Fault noise = fault("noise:plc.level_1@5+60=10");
  CHECK((noise.kind == FaultKind::noise && noise.tag == 0 && noise.value == 10.0));

  const Fault dropout = fault("dropout:plc@3+4");
  CHECK((dropout.kind == FaultKind::dropout && dropout.device == 0));
  CHECK_FALSE(dropout.active(2.999));
  CHECK(dropout.active(3.0));
  CHECK_FALSE(dropout.active(7.0));
}

TEST_CASE("Wrong fault specifications are refused with what is wrong and what is accepted") {
  const Settings settings = fixtures::tank_simulation();
  struct Case {
    const char* spec;
    const char* what;
    const char* accepted;
  };
  const std::string all =
      "disturbance:TWIN.STATE@T+D=V, stuck:TAG@T+D, bias:TAG@T+D=V, drift:TAG@T+D=V, noise:TAG@T+D=F, "
      "dropout:DEVICE@T+D, parameter:TWIN.NAME@T=V";
  const Case cases[] = {
      {"", "unknown kind of fault ''", all.c_str()},
      {"parametre:tanks.a@1=3", "unknown kind of fault 'parametre'", all.c_str()},
      {"parameter:tanks.a1@1=3", "there is no parameter 'tanks.a1'",
       "parameters of templates, which no twin's model is"},
      {"stuck", "nothing after the kind", "stuck:TAG@T+D"},
      {"stuck:plc.level_1", "no '@' with the time", "stuck:TAG@T+D"},
      {"stuck:plc.level_1@x+1", "T is not a time", "stuck:TAG@T+D with T in seconds, 0 or more"},
      {"stuck:plc.level_1@-1+1", "T is not a time", "stuck:TAG@T+D with T in seconds, 0 or more"},
      {"stuck:plc.level_1@inf+1", "T is not a time", "stuck:TAG@T+D with T in seconds, 0 or more"},
      {"stuck:plc.level_1@1", "no '+' with the duration after T", "stuck:TAG@T+D"},
      {"stuck:plc.level_1@1s+2", "no '+' with the duration after T", "stuck:TAG@T+D"},
      {"stuck:plc.level_1@1+0", "D is not a duration", "stuck:TAG@T+D with D in seconds, more than 0"},
      {"stuck:plc.level_1@1+2=3", "'=3' at the end is too much", "stuck:TAG@T+D"},
      {"bias:plc.level_1@1+2", "no '=' with the value after D", "bias:TAG@T+D=V"},
      {"bias:plc.level_1@1+2=", "V is not a finite number", "bias:TAG@T+D=V"},
      {"bias:plc.level_1@1+2=nan", "V is not a finite number", "bias:TAG@T+D=V"},
      {"bias:plc.level_1@1+2=3m", "'m' at the end is too much", "bias:TAG@T+D=V"},
      {"drift:plc.level_1@1+2", "no '=' with the value after D", "drift:TAG@T+D=V"},
      {"noise:plc.level_1@1+2=x", "F is not a finite number", "noise:TAG@T+D=F"},
      {"noise:plc.level_1@1+2=-1", "F is below 0", "noise:TAG@T+D=F with F times the noise of the model, 0 or more"},
      {"noise:plc.pump@1+2=3", "'plc.pump' is no twin's output and has no noise", "plc.level_1, plc.level_2"},
      {"stuck:plc.level_9@1+2", "there is no tag 'plc.level_9'",
       "plc.level_1, plc.level_2, plc.pump, plc.running, plc.ambient"},
      {"dropout:plc2@1+2", "there is no device 'plc2'", "plc"},
      {"disturbance:tanks.level_1x@1+2=3", "there is no state 'tanks.level_1x'", "tanks.level_1, tanks.level_2"},
  };
  for (const Case& c : cases) {
    const auto result = parse_fault(c.spec, settings);
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().code() == base::ErrorCode::invalid_argument);
    CHECK(result.error().message() == "fault '" + std::string(c.spec) + "': " + c.what + "; accepted: " + c.accepted);
  }
}

TEST_CASE("Faults on text registers are refused where a number is needed") {
  Settings settings = fixtures::tank_simulation();
  auto text = fixtures::reg("serial", drivers::RegisterKind::holding, 50, drivers::ValueType::STRING);
  text.length = 8;
  settings.devices[0].registers.push_back(text);
  CHECK(parse_fault("stuck:plc.serial@1+2", settings).ok());
  CHECK_FALSE(parse_fault("bias:plc.serial@1+2=3", settings).ok());
  CHECK_FALSE(parse_fault("drift:plc.serial@1+2=3", settings).ok());
}

TEST_CASE("A parameter of a template is changed by name, within its bounds, for good") {
  const Settings settings = fixtures::two_tank_simulation();
  const auto fault = parse_fault("parameter:tanks.a1@20.5=6e-6", settings);
  REQUIRE(fault.ok());
  CHECK(fault.value().kind == FaultKind::parameter);
  CHECK((fault.value().twin == 0 && fault.value().parameter == "a1"));
  CHECK((fault.value().onset == 20.5 && fault.value().value == 6e-6));
  CHECK((!fault.value().active(20.4) && fault.value().active(1e9)));
  const std::string known =
      "tanks.A1, tanks.A2, tanks.a1, tanks.a2, tanks.k_pump, tanks.height_1, tanks.overflow_share, "
      "tanks.overflow_time, tanks.h_min, tanks.g, tanks.sensor_zero_1, tanks.sensor_zero_2, "
      "tanks.pump_zero";
  CHECK(parse_fault("parameter:tanks.a3@1=1", settings).error().message() ==
        "fault 'parameter:tanks.a3@1=1': there is no parameter 'tanks.a3'; accepted: " + known);
  CHECK(parse_fault("parameter:tanks.height_2@1=1", settings).error().message().find("there is no parameter") !=
        std::string::npos);
  CHECK(parse_fault("parameter:tanks.a1@1=0", settings).error().message() ==
        "fault 'parameter:tanks.a1@1=0': a1 is out of range; accepted: a number above 0 in m2");
  CHECK(parse_fault("parameter:tanks.a1@1+2=1", settings).error().message() ==
        "fault 'parameter:tanks.a1@1+2=1': no '=' with the value after T; accepted: parameter:TWIN.NAME@T=V");
}

TEST_CASE("A parameter that is a state is not put outside of that state's limits") {
  model::ModelSettings tanks = fixtures::two_tank_settings();
  tanks.augment.resize(1);
  tanks.augment[0].kind = model::AugmentKind::parameter;
  tanks.augment[0].name = "a1";
  tanks.augment[0].noise_density = 1e-9;
  tanks.augment[0].initial_std = 1e-6;
  tanks.augment[0].min = 8e-6;
  Settings settings = fixtures::two_tank_simulation();
  settings.twins[0].model = fixtures::built(tanks);
  CHECK(parse_fault("parameter:tanks.a1@1=8e-6", settings).ok());
  CHECK(parse_fault("parameter:tanks.a1@1=1e-3", settings).ok());
  CHECK(parse_fault("parameter:tanks.a2@1=1e-6", settings).ok());  // that one is no state
  CHECK(parse_fault("parameter:tanks.a1@1=7e-6", settings).error().message() ==
        "fault 'parameter:tanks.a1@1=7e-6': 7e-06 is outside min and max of the augmented state a1; accepted: 8e-06 or "
        "more in m2");
  tanks.augment[0].max = 2e-5;
  settings.twins[0].model = fixtures::built(tanks);
  CHECK(parse_fault("parameter:tanks.a1@1=2.1e-5", settings).error().message() ==
        "fault 'parameter:tanks.a1@1=2.1e-5': 2.1e-05 is outside min and max of the augmented state a1; accepted: a "
        "number from 8e-06 to 2e-05 in m2");
}

}  // namespace twinkeeper::simulation
