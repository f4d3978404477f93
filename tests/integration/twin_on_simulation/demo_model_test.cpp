// The demonstration's configuration on simulated time: its plant, validation, twin and diagnosis, step by step, without
// sockets and threads. What the demonstration claims must hold here for many seeds.
#include <algorithm>
#include <cmath>
#include <string>
#include <variant>
#include <vector>

#include "acquisition/validator.hpp"
#include "config/config.hpp"
#include "drivers/decoder.hpp"
#include "simulation/fault.hpp"
#include "simulation/scenario.hpp"
#include "support/catch.hpp"
#include "twinkeeper/diagnosis/twin_diagnosis.hpp"
#include "twinkeeper/estimation/twin.hpp"

namespace twinkeeper {
namespace {

using diagnosis::AnomalyEventKind;
using diagnosis::AnomalyKind;

struct NoEvents final : signals::EventSink {
  void raise(signals::Event) override {}
};

config::Config demo() {
  config::LoadOptions options;
  options.check_files = false;
  options.environment = {{"MODBUS_PORT", "1502"}, {"MQTT_PORT", "8883"}, {"DEMO_DIRECTORY", "/tmp"}};
  auto loaded = config::load(TWINKEEPER_SOURCE_DIR "/config/demo.yaml", options);
  if (const auto* faults = std::get_if<std::vector<config::Diagnostic>>(&loaded)) {
    for (const auto& fault : *faults) UNSCOPED_INFO(fault.text());
    FAIL("config/demo.yaml does not load");
  }
  return std::get<config::Config>(std::move(loaded));
}

model::StateSpace build(const config::TwinConfig& twin) {
  auto built = model::build(twin.model, std::chrono::duration<double>(twin.period).count());
  if (const auto* issues = std::get_if<base::Issues>(&built)) {
    for (const auto& issue : *issues) UNSCOPED_INFO(issue.path + ": " + issue.what);
    FAIL("the demonstration's model cannot be built");
  }
  return std::get<model::StateSpace>(std::move(built));
}

simulation::Settings plant_of(const config::Config& config, const std::vector<std::string>& faults,
                              std::uint64_t seed) {
  simulation::Settings settings;
  for (const auto& device : config.devices) settings.devices.push_back(device.driver);
  for (const auto& twin : config.twins) {
    simulation::TwinSettings one{twin.name, build(twin), twin.period, {}, {}};
    for (const auto& output : twin.outputs) one.outputs.push_back(output.tag);
    for (const auto& input : twin.inputs) one.inputs.push_back({input.tag, input.constant});
    settings.twins.push_back(std::move(one));
  }
  settings.seed = seed;
  for (const std::string& spec : faults) {
    auto fault = simulation::parse_fault(spec, settings);
    REQUIRE(fault.ok());
    settings.faults.push_back(std::move(fault).value());
  }
  return settings;
}

acquisition::Validator validator_of(const config::Config& config, const model::StateSpace& model) {
  std::vector<acquisition::TagRules> rules;
  for (const auto& device : config.devices) {
    for (std::size_t r = 0; r < device.registers.size(); ++r) {
      rules.push_back({device.registers[r].validation, device.driver.registers[r].poll_interval, std::nullopt});
    }
  }
  const auto& twin = config.twins[0];
  for (std::size_t i = 0; i < twin.outputs.size(); ++i) {
    rules[*twin.outputs[i].tag].noise = acquisition::OutputNoise{model.noise_std[i], model.resolution[i], twin.period};
  }
  return acquisition::Validator(std::move(rules));
}

diagnosis::TwinDiagnosisSetup diagnosis_of(const config::Config& config, const model::StateSpace& model) {
  const auto& twin = config.twins[0];
  auto tag_name = [&](signals::TagIndex tag) {
    const auto& device = config.devices[0].driver;
    return device.name + "." + device.registers[tag].name;
  };
  diagnosis::TwinDiagnosisSetup setup{twin.name, {}, {}, twin.diagnosis, twin.period};
  for (std::size_t i = 0; i < twin.inputs.size(); ++i) {
    setup.inputs.push_back({model.inputs[i].name, model.inputs[i].unit, tag_name(*twin.inputs[i].tag)});
  }
  for (std::size_t i = 0; i < twin.outputs.size(); ++i) {
    setup.outputs.push_back({model.outputs[i].name, model.outputs[i].unit, tag_name(*twin.outputs[i].tag)});
  }
  return setup;
}

// Plant and daemon's maths on one simulated clock.
class Rig {
 public:
  Rig(const std::vector<std::string>& faults, std::uint64_t seed)
      : config_(demo()),
        model_(build(config_.twins[0])),
        scenario_(plant_of(config_, faults, seed), no_events_),
        validator_(validator_of(config_, model_)),
        twin_(make_twin()),
        diagnosis_(diagnosis_of(config_, model_)),
        step_(twin_.make_record()) {
    scenario_.start(base::Instant{std::chrono::seconds{1000}});
  }

  // Seconds from the start of the plant.
  [[nodiscard]] double since_start(base::Instant t) const {
    return std::chrono::duration<double>(t - scenario_.origin()).count();
  }

  void step() {
    const auto& twin = config_.twins[0];
    base::Instant now = scenario_.next();
    while (scenario_.advance()[0] == nullptr) now = scenario_.next();  // a fault's edge between two steps
    truth_ = scenario_.truth(0);
    signals::Frame frame{k_++, now, {}, {}};
    for (const auto& input : twin.inputs) frame.inputs.push_back(poll(*input.tag, now));
    for (const auto& output : twin.outputs) frame.outputs.push_back(poll(*output.tag, now));
    twin_.step(frame, step_);
    diagnosis_.evaluate(step_, events);
  }

  [[nodiscard]] const estimation::TwinStep& told() const { return step_; }
  [[nodiscard]] const Eigen::VectorXd& truth() const { return truth_; }
  [[nodiscard]] const model::StateSpace& model() const { return model_; }
  std::vector<diagnosis::AnomalyEvent> events;

 private:
  estimation::Twin make_twin() {
    estimation::TwinSettings settings;
    settings.gate = config_.twins[0].diagnosis.gate;
    settings.gate_timeout = config_.twins[0].diagnosis.gate_timeout;
    settings.period = config_.twins[0].period;
    auto created = estimation::Twin::create(model_, settings);
    REQUIRE(std::holds_alternative<estimation::Twin>(created));
    return std::get<estimation::Twin>(std::move(created));
  }

  signals::FrameValue poll(signals::TagIndex tag, base::Instant now) {
    const auto& reg = config_.devices[0].driver.registers[tag];
    const auto words = scenario_.registers().bank(0).at(reg.kind, reg.address, drivers::word_count(reg));
    const auto decoded = drivers::decode_words(reg, words);
    signals::Sample sample;
    sample.tag = tag;
    sample.value = decoded.value;
    sample.raw = decoded.raw;
    sample.quality = signals::Quality::good;
    sample.time = now;
    validator_.validate(sample);
    return {sample.value, sample.quality, sample.reason, base::Duration{}, true};
  }

  NoEvents no_events_;
  config::Config config_;
  model::StateSpace model_;
  simulation::Scenario scenario_;
  acquisition::Validator validator_;
  estimation::Twin twin_;
  diagnosis::TwinDiagnosis diagnosis_;
  estimation::TwinStep step_;
  Eigen::VectorXd truth_;
  std::int64_t k_ = 0;
};

std::string texts(const std::vector<diagnosis::AnomalyEvent>& events) {
  std::string all;
  for (const auto& event : events) all += event.id + " " + std::string(to_string(event.event)) + "\n";
  return all;
}

}  // namespace

TEST_CASE("The demonstration's twin follows the true states within its own standard deviations and raises nothing") {
  Rig rig({}, 1);
  int inside_one = 0, inside_three = 0, total = 0;
  for (int k = 0; k < 10000; ++k) {
    rig.step();
    if (rig.told().mode != estimation::Mode::tracking) continue;
    for (std::size_t i = 0; i < rig.told().x.size(); ++i) {
      const double error = std::abs(rig.told().x[i] - rig.truth()[static_cast<Eigen::Index>(i)]);
      REQUIRE(rig.told().std[i] <= rig.model().noise_std[i]);
      inside_one += error <= rig.told().std[i] ? 1 : 0;
      inside_three += error <= 3.0 * rig.told().std[i] ? 1 : 0;
      ++total;
    }
  }
  INFO(texts(rig.events));
  CHECK(total >= 2 * 9900);
  CHECK(inside_three >= 0.99 * total);
  CHECK(inside_one >= 0.60 * total);
  CHECK(inside_one <= 0.76 * total);
  CHECK(rig.events.empty());
}

TEST_CASE("The demonstration's faults are flagged with the right tag and kind within seconds and clear in time") {
  constexpr double kLeak = 22.0, kLeakEnd = 31.0, kStuck = 52.0, kStuckEnd = 59.0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Rig rig({"disturbance:tanks.level_1@22+9=-0.0015", "stuck:tank_plc.level_2@52+7"}, seed);
    for (int k = 0; k < 750; ++k) rig.step();
    INFO("seed " << seed << "\n" << texts(rig.events));
    std::vector<diagnosis::AnomalyEvent> raised, cleared;
    for (const auto& event : rig.events) {
      if (event.event == AnomalyEventKind::raised) raised.push_back(event);
      if (event.event == AnomalyEventKind::cleared) cleared.push_back(event);
    }
    REQUIRE(raised.size() == 2);
    CHECK(raised[0].id == "tanks.level_1.cusum");
    CHECK(raised[0].kind == AnomalyKind::process);
    CHECK(raised[0].tags.front() == "tank_plc.level_1");
    CHECK(rig.since_start(raised[0].time) > kLeak);
    CHECK(rig.since_start(raised[0].time) < kLeak + 8.0);
    CHECK(raised[1].id == "tanks.level_2.stuck");
    CHECK(raised[1].kind == AnomalyKind::sensor);
    CHECK(raised[1].tags == std::vector<std::string>{"tank_plc.level_2"});
    CHECK(rig.since_start(raised[1].time) > kStuck);
    CHECK(rig.since_start(raised[1].time) < kStuck + 3.0);
    REQUIRE(cleared.size() == 2);
    CHECK(rig.since_start(cleared[0].time) > kLeakEnd);
    CHECK(rig.since_start(cleared[0].time) < kLeakEnd + 14.0);
    CHECK(rig.since_start(cleared[1].time) > kStuckEnd);
  }
}

}  // namespace twinkeeper
