#include "simulation/scenario.hpp"

#include <limits>

#include "simulation/fault.hpp"
#include "support/catch.hpp"
#include "unit/simulation/fixtures.hpp"

namespace twinkeeper::simulation {
namespace {

using namespace std::chrono_literals;

base::Instant at(base::Duration since) { return base::Instant{since}; }

Settings with_faults(const std::vector<const char*>& specs) {
  Settings settings = fixtures::tank_simulation();
  for (const char* spec : specs) settings.faults.push_back(parse_fault(spec, settings).value());
  return settings;
}

}  // namespace

TEST_CASE("Steps fall on whole multiples of the period on the monotonic clock") {
  fixtures::RecordedEvents events;
  Scenario scenario(fixtures::tank_simulation(), events);
  scenario.start(at(1234567ms));
  CHECK(scenario.next() == at(1234600ms));
  CHECK(scenario.origin() == at(1234600ms));
  const auto& truth = scenario.advance();
  REQUIRE(truth.size() == 1);
  CHECK(*truth[0] == Eigen::Vector2d(0.15, 0.12));
  CHECK(scenario.next() == at(1234700ms));
  CHECK(scenario.registers().served(0) == Approx(0.15).margin(0.01));
  CHECK(scenario.registers().served(2) == 3.0);
  CHECK(scenario.registers().served(4) == 21.5);
}

TEST_CASE("Speed shortens the grid and leaves the plant's own steps alone") {
  fixtures::RecordedEvents events;
  Settings slow = fixtures::tank_simulation();
  Settings fast = slow;
  fast.speed = 10.0;
  Scenario a(slow, events), b(fast, events);
  a.start(at(5s));
  b.start(at(5s));
  for (int k = 0; k < 500; ++k) {
    const Eigen::VectorXd x = *a.advance()[0];
    REQUIRE(x == *b.advance()[0]);
  }
  CHECK(a.next() == at(55s));
  CHECK(b.next() == at(10s));
}

TEST_CASE("Twins of different periods step at their own instants and share one row where they meet") {
  fixtures::RecordedEvents events;
  Settings settings = fixtures::tank_simulation();
  model::ModelSettings slow = fixtures::tank_settings();
  slow.sample_time = 0.25;
  settings.twins.push_back(settings.twins[0]);
  settings.twins[1].name = "slow";
  settings.twins[1].period = 250ms;
  settings.twins[1].model = fixtures::built(slow, 0.25);
  settings.twins[1].outputs = {std::nullopt, std::nullopt};
  Scenario scenario(settings, events);
  scenario.start(at(1s));
  std::string seen;
  for (int i = 0; i < 7; ++i) {
    const auto& truth = scenario.advance();
    seen += truth[0] != nullptr ? (truth[1] != nullptr ? 'b' : '1') : '2';
  }
  CHECK(seen == "b11211b");
  CHECK(scenario.next() == at(1600ms));
}

TEST_CASE("A leak acts from its beginning to its end and only on its state") {
  fixtures::RecordedEvents events;
  Scenario calm(fixtures::tank_simulation(), events);
  Scenario leaking(with_faults({"disturbance:tanks.level_2@1+0.5=-0.01"}), events);
  calm.start(at(1s));
  leaking.start(at(1s));
  for (int k = 0; k < 20; ++k) {
    const Eigen::VectorXd difference = *leaking.advance()[0] - *calm.advance()[0];
    CHECK(difference[0] == 0.0);
    if (k <= 10) CHECK(difference[1] == 0.0);
    if (k == 11) CHECK(difference[1] == Approx(-0.001));
    if (k == 15) CHECK(difference[1] == Approx(-0.001 * (1 + 0.97 + 0.97 * 0.97 + 0.912673 + 0.88529281)));
    if (k == 16) CHECK(difference[1] == Approx(-0.00097 * (1 + 0.97 + 0.97 * 0.97 + 0.912673 + 0.88529281)));
  }
  CHECK(events.codes() == std::vector<std::string>{"fault_started", "fault_ended"});
  CHECK(events.events[0].message == "fault disturbance:tanks.level_2@1+0.5=-0.01 begins");
}

TEST_CASE("Stuck and bias change what is served between their edges and never the plant") {
  fixtures::RecordedEvents events;
  Scenario calm(fixtures::tank_simulation(), events);
  Scenario faulty(
      with_faults({"stuck:plc.level_1@1+0.5", "bias:plc.level_2@1+0.5=0.25", "bias:plc.ambient@1.05+0.1=2"}), events);
  calm.start(at(1s));
  faulty.start(at(1s));
  double frozen = 0.0;
  while (faulty.next() < at(3s)) {
    const base::Instant now = faulty.next();
    faulty.advance();
    while (calm.next() <= now) calm.advance();
    const bool active = now >= at(2s) && now < at(2500ms);
    if (now == at(1900ms)) frozen = faulty.registers().served(0);
    CHECK(faulty.registers().served(0) == (active ? frozen : calm.registers().served(0)));
    CHECK(faulty.registers().served(1) - calm.registers().served(1) == Approx(active ? 0.25 : 0.0).margin(1e-7));
    const bool warm = now >= at(2050ms) && now < at(2150ms);
    CHECK(faulty.registers().served(4) == Approx(warm ? 23.5 : 21.5));
  }
  CHECK(events.events.size() == 6);
}

TEST_CASE("A drift grows with the time since its onset, beside a bias, and is gone at its end") {
  fixtures::RecordedEvents events;
  Scenario calm(fixtures::tank_simulation(), events);
  Scenario drifting(with_faults({"drift:plc.level_1@1.05+2=0.01", "bias:plc.level_1@2+5=0.5"}), events);
  calm.start(at(1s));
  drifting.start(at(1s));
  while (drifting.next() < at(5s)) {
    const base::Instant now = drifting.next();
    drifting.advance();
    while (calm.next() <= now) calm.advance();
    const double since = std::chrono::duration<double>(now - at(2050ms)).count();
    const double drift = since >= 0.0 && since < 2.0 ? 0.01 * since : 0.0;
    const double bias = now >= at(3s) ? 0.5 : 0.0;
    CHECK(drifting.registers().served(0) - calm.registers().served(0) == Approx(drift + bias).margin(1e-7));
    CHECK(drifting.registers().value(0) == calm.registers().value(0));
  }
}

TEST_CASE("A drift of a tag that no twin drives goes on by itself, at any speed") {
  fixtures::RecordedEvents events;
  for (const double speed : {1.0, 10.0}) {
    Settings settings = with_faults({"drift:plc.ambient@1+3=0.5"});
    settings.twins.clear();
    settings.speed = speed;
    Scenario scenario(settings, events);
    scenario.start(at(10s));
    int risen = 0;
    double newest = scenario.registers().served(4);
    const double begin = newest;
    for (int i = 0; i < 31; ++i) {
      scenario.advance();
      const double served = scenario.registers().served(4);
      if (served > newest) ++risen;
      newest = served;
    }
    CHECK(risen >= 10);  // in the register's resolution of 0.1
    CHECK(newest == begin);
    CHECK(scenario.next() == base::Instant::max());
  }
}

TEST_CASE("A drift outlives steps that were given up") {
  fixtures::RecordedEvents events;
  Scenario scenario(with_faults({"drift:plc.ambient@1+100=0.5"}), events);
  scenario.start(at(1s));
  scenario.advance();
  scenario.skip_to(at(12s));
  CHECK(scenario.registers().served(4) == Approx(21.5 + 5.0));
  scenario.advance();
  CHECK(scenario.next() == at(12100ms));
}

TEST_CASE("Noise is multiplied between its edges, for its tag alone, and the plant goes on as without") {
  fixtures::RecordedEvents events;
  Scenario calm(fixtures::tank_simulation(), events);
  Scenario noisy(with_faults({"noise:plc.level_1@10+90=4", "noise:plc.level_1@50+10=2", "noise:plc.level_2@20+10=0"}),
                 events);
  calm.start(at(1s));
  noisy.start(at(1s));
  while (noisy.next() < at(120s)) {
    const base::Instant now = noisy.next();
    const Eigen::VectorXd* x = noisy.advance()[0];
    const Eigen::VectorXd* same = nullptr;
    while (calm.next() <= now) same = calm.advance()[0];
    if (x == nullptr) continue;
    REQUIRE(*x == *same);
    const double own = calm.registers().served(0) - (*x)[0];
    const double factor =
        (now >= at(11s) && now < at(101s) ? 4.0 : 1.0) * (now >= at(51s) && now < at(61s) ? 2.0 : 1.0);
    REQUIRE(noisy.registers().served(0) - (*x)[0] == Approx(factor * own).margin(1e-6));
    const bool silent = now >= at(21s) && now < at(31s);
    REQUIRE(noisy.registers().served(1) == Approx(silent ? (*x)[1] : calm.registers().served(1)).margin(1e-7));
  }
}

TEST_CASE("Dropouts that overlap keep the device out until the last one ends") {
  fixtures::RecordedEvents events;
  Scenario scenario(with_faults({"dropout:plc@1+1", "dropout:plc@1.5+1"}), events);
  scenario.start(at(1s));
  while (scenario.next() < at(5s)) {
    const base::Instant now = scenario.next();
    scenario.advance();
    CHECK(scenario.is_out(0) == (now >= at(2s) && now < at(3500ms)));
  }
  CHECK(scenario.dropout_changes() == 4);
}

TEST_CASE("Inputs that nobody drives are constants and measured tags feed other twins") {
  fixtures::RecordedEvents events;
  Settings settings = fixtures::tank_simulation();
  settings.twins.push_back(settings.twins[0]);
  settings.twins[1].name = "second";
  settings.twins[1].outputs = {std::nullopt, std::nullopt};
  settings.twins[1].model.Q.setZero();
  settings.twins[1].model.S.setZero();
  const auto twin = settings.twins[1].model;

  SECTION("a constant") { settings.twins[1].inputs = {{std::nullopt, 4.5}}; }
  SECTION("a constant beyond the limits is saturated as the twin does") {
    settings.twins[1].inputs = {{std::nullopt, 99.0}};
  }
  SECTION("the other twin's output") { settings.twins[1].inputs = {{signals::TagIndex{0}, 0.0}}; }
  SECTION("the other twin's staircase") {}

  Scenario scenario(settings, events);
  scenario.start(at(1s));
  Eigen::VectorXd x = *scenario.advance()[1];
  for (int k = 0; k < 300; ++k) {
    const auto& input = settings.twins[1].inputs[0];
    const double u = std::min(10.0, input.tag ? scenario.registers().value(*input.tag) : input.constant);
    const Eigen::VectorXd expected = twin.x_op + twin.A * (x - twin.x_op) + twin.B * (u - 3.0);
    x = *scenario.advance()[1];
    REQUIRE((x - expected).norm() < 1e-12);
  }
}

TEST_CASE("Of two twins of one machine the first is the plant that the registers show") {
  fixtures::RecordedEvents events;
  Settings settings = with_faults({"disturbance:tanks.level_1@0+1000=0.01"});
  settings.twins.push_back(settings.twins[0]);
  settings.twins[1].name = "again";
  Scenario scenario(settings, events);
  scenario.start(at(1s));
  double level = 0.0;
  for (int k = 0; k < 200; ++k) level = (*scenario.advance()[0])[0];
  const auto shown = *settings.twins[0].outputs[0];
  CHECK(scenario.registers().value(shown) == Approx(level).margin(0.02));
  CHECK(level > settings.twins[0].model.x_op[0] + 0.04);
}

TEST_CASE("Steps that are given up are counted and the grid stays") {
  fixtures::RecordedEvents events;
  Scenario scenario(with_faults({"bias:plc.level_1@1+100=1"}), events);
  scenario.start(at(1s));
  scenario.advance();
  scenario.skip_to(at(61050ms));
  CHECK(scenario.next() == at(61100ms));
  CHECK(scenario.skipped() == 600);
  CHECK(events.codes() == std::vector<std::string>{"fault_started"});
  scenario.advance();
  CHECK(scenario.steps() == 2);
}

TEST_CASE("Settings that do not fit each other are refused with the reason") {
  auto message = [](const Settings& settings) {
    const auto status = Scenario::check(settings);
    return status.ok() ? std::string("ok") : status.error().message();
  };
  CHECK(message(fixtures::tank_simulation()) == "ok");
  Settings s = fixtures::tank_simulation();
  s.speed = 0.0;
  CHECK(message(s).find("speed") != std::string::npos);
  s.speed = std::numeric_limits<double>::quiet_NaN();
  CHECK(message(s).find("speed") != std::string::npos);
  s.speed = 2000.0;
  CHECK(message(s).find("less than 100us") != std::string::npos);
  s = fixtures::tank_simulation();
  s.twins[0].inputs.clear();
  CHECK(message(s).find("twin 'tanks'") != std::string::npos);
  s = fixtures::tank_simulation();
  s.twins[0].outputs[1] = 99;
  CHECK(message(s).find("beyond") != std::string::npos);
  s = with_faults({"dropout:plc@1+1"});
  s.faults[0].device = 3;
  CHECK(message(s).find("dropout:plc@1+1") != std::string::npos);
}

TEST_CASE("A parameter changes at its time and stays changed") {
  fixtures::RecordedEvents events;
  Settings settings = fixtures::two_tank_simulation();
  Scenario calm(settings, events);
  settings.faults.push_back(parse_fault("parameter:tanks.a2@2=6e-6", settings).value());
  REQUIRE(Scenario::check(settings).ok());
  Scenario clogged(settings, events);
  calm.start(at(1s));
  clogged.start(at(1s));
  double difference = 0.0;
  for (int k = 0; k < 600; ++k) {
    const Eigen::VectorXd apart = *clogged.advance()[0] - *calm.advance()[0];
    CHECK(apart[0] == 0.0);
    if (k <= 20) CHECK(apart[1] == 0.0);
    if (k > 20) CHECK(apart[1] > difference);
    difference = apart[1];
  }
  CHECK(events.codes() == std::vector<std::string>{"fault_started"});
}

}  // namespace twinkeeper::simulation
