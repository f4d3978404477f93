// From samples to anomalies: two tanks with a leak, later a sensor that sticks, through validation, synchronisation,
// the twin's step and the diagnosis.
#include <cmath>
#include <random>

#include "acquisition/frame_synchroniser.hpp"
#include "acquisition/validator.hpp"
#include "support/catch.hpp"
#include "twinkeeper/diagnosis/twin_diagnosis.hpp"
#include "twinkeeper/estimation/twin.hpp"
#include "twinkeeper/model/state_space.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;

namespace {

constexpr base::Duration kPeriod = 100ms;
constexpr base::Instant kOrigin{1h};

model::ModelSettings two_tanks() {
  model::ModelSettings s;
  s.name = "two_tank";
  s.sample_time = 0.1;
  s.states = {{"level_1", "m", 1.5, 0.05, 0.0, 2.0}, {"level_2", "m", 1.0, 0.05, 0.0, 2.0}};
  s.inputs = {{"pump", "V", {}, 0.0, 10.0}};
  s.outputs = {{"level_1", "m", {}, 0.002, 0.001}, {"level_2", "m", {}, 0.002, 0.001}};
  s.A = {{0.98, 0.0}, {0.02, 0.97}};
  s.B = {{0.01}, {0.0}};
  s.C = {{1.0, 0.0}, {0.0, 1.0}};
  s.noise.Q = model::Rows{{1e-6, 0.0}, {0.0, 1e-6}};
  return s;
}

}  // namespace

TEST_CASE("A leak and a stuck sensor are told apart from samples to anomalies without a false alarm") {
  auto built = model::build(two_tanks(), 0.1);
  REQUIRE(std::holds_alternative<model::StateSpace>(built));
  estimation::TwinSettings twin_settings;
  twin_settings.period = kPeriod;
  auto created = estimation::Twin::create(std::get<model::StateSpace>(std::move(built)), twin_settings);
  REQUIRE(std::holds_alternative<estimation::Twin>(created));
  estimation::Twin& twin = std::get<estimation::Twin>(created);

  acquisition::TagRules level;  // tags 0 and 1: levels, tag 2: pump
  level.poll_interval = kPeriod;
  level.settings.max_age = 300ms;
  level.noise = acquisition::OutputNoise{0.002, 0.001, kPeriod};
  acquisition::TagRules pump = level;
  pump.noise.reset();
  acquisition::Validator validator({level, level, pump});
  acquisition::InputSetup input;
  input.source.tag = 2;
  input.source.max_age = 300ms;
  acquisition::FrameSynchroniser synchroniser(
      {kOrigin, kPeriod, 0, {input}, {{signals::TagIndex{0}, 300ms}, {signals::TagIndex{1}, 300ms}}}, 3);
  diagnosis::TwinDiagnosis diagnosis({"tanks",
                                      {{"pump", "V", "plc.pump"}},
                                      {{"level_1", "m", "plc.level_1"}, {"level_2", "m", "plc.level_2"}},
                                      diagnosis::DiagnosisSettings{},
                                      kPeriod});

  constexpr int kLeakFrom = 1200, kLeakTo = 1500, kStuckFrom = 3600, kStuckTo = 3900, kEnd = 5400;
  std::mt19937_64 random(17);
  std::normal_distribution<double> noise;
  std::uniform_int_distribution<std::int64_t> jitter(-20'000'000, 20'000'000);
  double x1 = 1.5;
  double x2 = 1.0;
  double frozen = 0.0;
  std::vector<diagnosis::AnomalyEvent> events;
  estimation::TwinStep step = twin.make_record();
  for (int k = 0; k < kEnd; ++k) {
    const double u = 3.0 + 0.2 * std::sin(0.01 * k);
    double y[] = {x1 + 0.002 * noise(random), x2 + 0.002 * noise(random), u};
    for (double& value : y) value = &value == &y[2] ? value : 0.001 * std::round(value / 0.001);
    if (k == kStuckFrom) frozen = y[1];
    if (k >= kStuckFrom && k < kStuckTo) y[1] = frozen;
    for (signals::TagIndex tag = 0; tag < 3; ++tag) {
      signals::Sample sample;
      sample.tag = tag;
      sample.value = sample.raw.real = y[tag];
      sample.raw.kind = signals::RawKind::float64;
      sample.quality = signals::Quality::good;
      sample.time = kOrigin + k * kPeriod + base::Duration{jitter(random)};
      validator.validate(sample);
      synchroniser.accept(sample);
    }
    twin.step(synchroniser.close(k), step);
    diagnosis.evaluate(step, events);
    const double leak = k >= kLeakFrom && k < kLeakTo ? -0.002 : 0.0;
    const double next_1 = 0.98 * x1 + 0.01 * u + leak + 0.001 * noise(random);
    x2 = 0.02 * x1 + 0.97 * x2 + 0.001 * noise(random);
    x1 = next_1;
  }

  REQUIRE(events.size() == 4);
  CHECK(events[0].id == "tanks.level_1.cusum");
  CHECK(events[0].kind == diagnosis::AnomalyKind::process);
  CHECK(events[0].tags.front() == "plc.level_1");
  CHECK(events[0].raised_at > kOrigin + kLeakFrom * kPeriod);
  CHECK(events[0].raised_at < kOrigin + kLeakFrom * kPeriod + 6s);
  CHECK(std::chrono::abs(events[0].onset - (kOrigin + kLeakFrom * kPeriod)) < 1s);
  CHECK(events[1].event == diagnosis::AnomalyEventKind::cleared);
  CHECK(events[1].id == events[0].id);
  CHECK(events[2].id == "tanks.level_2.stuck");
  CHECK(events[2].kind == diagnosis::AnomalyKind::sensor);
  CHECK(events[2].tags == std::vector<std::string>{"plc.level_2"});
  CHECK(events[2].raised_at - (kOrigin + kStuckFrom * kPeriod) <= 1500ms);
  CHECK(std::chrono::abs(events[2].onset - (kOrigin + kStuckFrom * kPeriod)) <= 300ms);
  CHECK(events[3].event == diagnosis::AnomalyEventKind::cleared);
  CHECK(step.mode == estimation::Mode::tracking);
}

TEST_CASE("A sensor that lies for an hour has one alarm which stands as long as the lie and the other has none") {
  auto built = model::build(two_tanks(), 0.1);
  REQUIRE(std::holds_alternative<model::StateSpace>(built));
  estimation::TwinSettings settings;
  settings.period = kPeriod;
  for (const std::size_t liar : {0, 1}) {
    auto created = estimation::Twin::create(std::get<model::StateSpace>(built), settings);
    REQUIRE(std::holds_alternative<estimation::Twin>(created));
    estimation::Twin& twin = std::get<estimation::Twin>(created);
    diagnosis::TwinDiagnosis diagnosis({"tanks",
                                        {{"pump", "V", "plc.pump"}},
                                        {{"level_1", "m", "plc.level_1"}, {"level_2", "m", "plc.level_2"}},
                                        diagnosis::DiagnosisSettings{},
                                        kPeriod});
    constexpr int kFrom = 600, kTo = 36'600, kEnd = 37'600;
    std::mt19937_64 random(18);
    std::normal_distribution<double> noise;
    double x[] = {1.5, 1.0};
    std::vector<diagnosis::AnomalyEvent> events;
    estimation::TwinStep step = twin.make_record();
    double worst = 0.0;
    for (int k = 0; k < kEnd; ++k) {
      signals::Frame frame{k, kOrigin + k * kPeriod, {}, {}};
      const auto add = [](std::vector<signals::FrameValue>& list, double value) {
        list.push_back({value, signals::Quality::good, signals::Reason::none, base::Duration{0}, true});
      };
      add(frame.inputs, 3.0);
      for (std::size_t i = 0; i < 2; ++i) {
        add(frame.outputs, x[i] + 0.002 * noise(random) + (i == liar && k >= kFrom && k < kTo ? 0.06 : 0.0));
      }
      twin.step(frame, step);
      diagnosis.evaluate(step, events);
      for (std::size_t i = 0; i < 2; ++i) worst = std::max(worst, std::abs(step.x[i] - x[i]) / step.std[i]);
      const double next = 0.98 * x[0] + 0.03 + 0.001 * noise(random);
      x[1] = 0.02 * x[0] + 0.97 * x[1] + 0.001 * noise(random);
      x[0] = next;
    }
    CAPTURE(liar);
    CHECK(worst < 6.0);
    REQUIRE(events.size() == 2);
    CHECK(events[0].id == (liar == 0 ? "tanks.level_1.gate" : "tanks.level_2.gate"));
    CHECK(events[0].event == diagnosis::AnomalyEventKind::raised);
    CHECK(events[0].raised_at < kOrigin + kFrom * kPeriod + 3s);
    CHECK(events[1].event == diagnosis::AnomalyEventKind::cleared);
    CHECK(events[1].time > kOrigin + kTo * kPeriod);
    CHECK(events[1].time < kOrigin + kTo * kPeriod + 65s);
  }
}
