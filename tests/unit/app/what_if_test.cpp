// What a twin expects under inputs to come: bounds of the question and of the answer.
#include "app/what_if.hpp"

#include <nlohmann/json.hpp>

#include "app/twin_run.hpp"
#include "support/catch.hpp"
#include "support/fake_clock.hpp"
#include "twinkeeper/base/archive.hpp"

namespace {

using namespace twinkeeper;
using namespace std::chrono_literals;
using nlohmann::json;

// x(k+1) = 0.9 x(k) + u(k) in each of `n` states, all of them measured.
app::Plan make_plan(std::size_t n) {
  app::Plan plan;
  config::DeviceConfig device;
  device.driver.name = "plc";
  config::TwinConfig twin;
  twin.name = "tank";
  twin.period = 1s;
  twin.model.name = "tank";
  twin.model.sample_time = 1.0;
  twin.model.A = model::Rows(n, std::vector<double>(n, 0.0));
  twin.model.B = model::Rows(n, std::vector<double>(1, 1.0));
  twin.model.C = model::Rows(n, std::vector<double>(n, 0.0));
  twin.model.noise.Q = model::Rows(n, std::vector<double>(n, 0.0));
  twin.model.noise.R = model::Rows(n, std::vector<double>(n, 0.0));
  twin.model.inputs = {{"pump", "V", {}, {}, {}}};
  twin.inputs.resize(1);
  twin.inputs[0].constant = 1.0;
  for (std::size_t i = 0; i < n; ++i) {
    twin.model.states.push_back({"level_" + std::to_string(i), "m", 0.0, 1.0, {}, {}});
    twin.model.outputs.push_back({"level_" + std::to_string(i), "m", {}, {}, {}});
    twin.model.A[i][i] = 0.9;
    twin.model.C[i][i] = 1.0;
    (*twin.model.noise.Q)[i][i] = 0.01;
    (*twin.model.noise.R)[i][i] = 1.0;
    twin.outputs.emplace_back();
    twin.outputs.back().tag = static_cast<signals::TagIndex>(i);
    device.driver.registers.emplace_back();
    device.driver.registers.back().name = "level_" + std::to_string(i);
    device.driver.registers.back().poll_interval = 1s;
    device.registers.emplace_back();
  }
  plan.config.devices.push_back(std::move(device));
  auto built = model::build(twin.model, 1.0);
  REQUIRE(std::holds_alternative<model::StateSpace>(built));
  plan.models.push_back(std::get<model::StateSpace>(std::move(built)));
  plan.config.twins.push_back(std::move(twin));
  return plan;
}

app::CheckpointRecord record_of(const app::Plan& plan, int steps) {
  app::TwinRun run = app::make_twin_run(plan, 0, base::Instant{});
  std::vector<diagnosis::AnomalyEvent> events;
  for (int k = 0; k < steps; ++k) run.step(k, events);
  app::CheckpointRecord record;
  base::ArchiveWriter writer(record.archive);
  acquisition::Validator validator(app::tag_rules(plan));
  app::archive(app::tags_of_twins(plan)[0], validator, writer);
  writer(run);
  record.step = run.newest();
  return record;
}

telemetry::CommandArguments asked(base::Duration horizon) {
  telemetry::CommandArguments made;
  made.subject = "tank";
  made.duration = horizon;
  return made;
}

}  // namespace

TEST_CASE("a what-if follows the model under the inputs it is given, from the state that the twin has") {
  const app::Plan plan = make_plan(1);
  const auto record = record_of(plan, 5);
  const support::FakeClock clock{base::Instant{1h}};
  auto question = asked(5s);
  question.inputs = {{"pump", {{0s, 2.0}, {3s, 0.0}}}};
  const auto answer = app::what_if(plan, 0, record, question, clock);
  REQUIRE(answer.ok());
  const json forecast = json::parse("{" + answer.value() + "}")["forecast"];
  CHECK(forecast["steps"] == 5);
  CHECK(forecast["seconds"] == json({1, 2, 3, 4, 5}));
  CHECK(forecast["inputs"]["pump"]["value"] == json({2, 2, 0, 0, 0}));
  // The first step was driven by the input that the twin had.
  double x = record.step.x[0];
  double u = 1.0;
  const std::vector<double> next{2, 2, 0, 0, 0};
  for (std::size_t k = 0; k < 5; ++k) {
    x = 0.9 * x + u;
    u = next[k];
    const json& level = forecast["states"]["level_0"];
    CHECK(level["value"][k].get<double>() == Approx(x).epsilon(1e-5));
    CHECK(level["low"][k] < level["value"][k]);
    CHECK(level["high"][k] > level["value"][k]);
  }
}

TEST_CASE("a what-if that would take too long, or names what is not there, is refused with what is accepted") {
  const app::Plan small = make_plan(1);
  CHECK(app::what_if_objection(small, 0, asked(100'000s)).empty());
  CHECK(app::what_if_objection(small, 0, asked(100'001s)) ==
        "100001 steps are too many; accepted: a horizon of at most 100000s");
  auto question = asked(10s);
  question.inputs = {{"pumps", {{0s, 1.0}}}};
  CHECK(app::what_if_objection(small, 0, question) == "the twin has no input pumps; accepted: pump");
  const app::Plan large = make_plan(50);
  CHECK(app::what_if_objection(large, 0, asked(8000s)).empty());
  CHECK_FALSE(app::what_if_objection(large, 0, asked(8001s)).empty());
}

TEST_CASE("the answer to a what-if has its bytes, whatever was asked for") {
  const app::Plan plan = make_plan(40);
  const support::FakeClock clock{base::Instant{1h}};
  auto question = asked(1000s);
  question.points = 1000;
  const auto answer = app::what_if(plan, 0, record_of(plan, 2), question, clock);
  REQUIRE(answer.ok());
  CHECK(answer.value().size() <= app::kMostForecastBytes);
  CHECK(answer.value().size() >= app::kMostForecastBytes / 4);
  const json forecast = json::parse("{" + answer.value() + "}")["forecast"];
  const std::size_t points = forecast["seconds"].size();
  CHECK(points >= 30);
  CHECK(forecast["states"]["level_39"]["high"].size() == points);
  CHECK(forecast["seconds"].back().get<double>() > 960.0);
}
