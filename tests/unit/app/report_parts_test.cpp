// What the pages of identify, replay and calibrate have in common: step responses by closed forms, tests of residuals
// around gaps, fits.
#include "app/report_parts.hpp"

#include <cmath>
#include <limits>
#include <random>

#include "support/catch.hpp"

using namespace twinkeeper;

namespace {

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

// ẋ = −x / 2 + u, y = x + D u, a step every 100 ms.
model::StateSpace lag_of_two_seconds(model::Discretization hold, double dead_time_s, double feed_through = 0.0) {
  model::ModelSettings settings;
  settings.name = "lag";
  settings.time = model::TimeBase::continuous;
  settings.discretization = hold;
  settings.states.emplace_back().name = "x";
  settings.inputs.emplace_back().name = "u";
  settings.outputs.emplace_back().name = "y";
  settings.inputs[0].unit = "V";
  settings.outputs[0].unit = "m";
  settings.A = {{-0.5}};
  settings.B = {{1.0}};
  settings.C = {{1.0}};
  settings.D = {{feed_through}};
  settings.noise.Q = model::Rows{{1e-4}};
  settings.noise.R = model::Rows{{1e-4}};
  auto built = model::build(settings, 0.1, {dead_time_s});
  if (const auto* issues = std::get_if<base::Issues>(&built)) FAIL(issues->front().what);
  return std::get<model::StateSpace>(std::move(built));
}

logs::Response response_of(const model::StateSpace& model) {
  const auto section = app::dynamics_section(model);
  for (const auto& part : section.parts) {
    if (const auto* response = std::get_if<logs::Response>(&part)) return *response;
  }
  FAIL("no step response");
  return {};
}

std::vector<std::string> texts_of(const std::vector<logs::ReportCell>& row) {
  std::vector<std::string> out;
  for (const auto& cell : row) out.push_back(cell.text);
  return out;
}

identification::Record white_record(std::size_t count, std::int64_t gap_after) {
  identification::Record record;
  const auto rows = static_cast<Eigen::Index>(count);
  record.u = Eigen::MatrixXd(rows, 1);
  record.y = Eigen::MatrixXd::Zero(rows, 1);
  std::mt19937_64 random(7);
  std::normal_distribution<double> normal;
  for (Eigen::Index k = 0; k < rows; ++k) {
    record.tick.push_back(k < gap_after ? k : k + 1000);
    record.u(k, 0) = normal(random);
  }
  return record;
}

}  // namespace

TEST_CASE("a step response is that of the equations, whatever the hold, the dead time and the direct term") {
  const auto hold = GENERATE(model::Discretization::zoh, model::Discretization::foh);
  const double direct = GENERATE(0.0, 0.25);
  // Only a held input may have a dead time that is no multiple of the step.
  const double dead_time = hold == model::Discretization::foh ? 0.0 : GENERATE(0.0, 0.3, 0.34);
  const auto response = response_of(lag_of_two_seconds(hold, dead_time, direct));
  CHECK(response.unit == "m per V");
  CHECK(response.period == Approx(0.1));
  REQUIRE(response.final.has_value());
  CHECK(*response.final == Approx(2.0 + direct));
  for (std::size_t k = 0; k < response.values.size(); ++k) {
    const double since = 0.1 * static_cast<double>(k) - dead_time;
    double expected = since > -1e-9 ? 2.0 * (1.0 - std::exp(-0.5 * since)) + direct : 0.0;
    if (hold == model::Discretization::foh) {  // the input comes up linearly in the step before
      const auto of_ramp = [](double t) { return 2.0 * (t - 2.0 * (1.0 - std::exp(-0.5 * t))); };
      expected = (of_ramp(since + 0.1) - of_ramp(since)) / 0.1 + direct;
    }
    CHECK(response.values[k] == Approx(expected).margin(1e-9));
  }
  CHECK(response.values.back() == Approx(2.0 + direct).epsilon(0.02));
}

TEST_CASE("poles are told as time constants, periods and damping, pairs once") {
  model::ModelSettings settings;
  settings.name = "swing";
  settings.sample_time = 0.5;
  settings.states.resize(3);
  settings.states[0].name = "a";
  settings.states[1].name = "b";
  settings.states[2].name = "c";
  settings.outputs.emplace_back().name = "y";
  const double size = std::exp(-0.5 * 0.5);  // damping 1/√2 where the angle is as large as the decay
  settings.A = {{size * std::cos(0.25), size * std::sin(0.25), 0.0},
                {-size * std::sin(0.25), size * std::cos(0.25), 0.0},
                {0.0, 0.0, 1.0}};
  settings.C = {{1.0, 0.0, 1.0}};
  settings.noise.Q = model::Rows{{1e-4, 0.0, 0.0}, {0.0, 1e-4, 0.0}, {0.0, 0.0, 1e-4}};
  settings.noise.R = model::Rows{{1e-4}};
  const auto built = model::build(settings, 0.5);
  REQUIRE(std::holds_alternative<model::StateSpace>(built));
  app::DynamicsUncertainty uncertainty;
  uncertainty.pole_stds = {std::nullopt, 0.125};
  const auto section = app::dynamics_section(std::get<model::StateSpace>(built), uncertainty);
  const auto& table = std::get<logs::ReportTable>(section.parts[0]);
  REQUIRE(table.rows.size() == 2);
  CHECK(texts_of(table.rows[0]) == std::vector<std::string>{"never settles", "–", "–", "1", "1"});
  CHECK(table.rows[1][0].text == "2 ± 0.12");
  CHECK(table.rows[1][1].text == "12.57");
  CHECK(table.rows[1][2].text == "0.707");
  CHECK(std::get<logs::PoleMap>(section.parts[1]).poles.size() == 3);
}

TEST_CASE("white residuals are white across gaps and rows that do not count") {
  const auto record = white_record(1200, 500);
  Eigen::MatrixXd errors(1200, 1);
  std::mt19937_64 random(8);
  std::normal_distribution<double> normal;
  for (Eigen::Index k = 0; k < errors.rows(); ++k) errors(k, 0) = k >= 800 && k < 830 ? kNothing : normal(random);
  const auto tests = app::residual_tests_of(record, errors);
  REQUIRE(tests.size() == 1);
  CHECK(tests[0].white);
  CHECK(tests[0].band == Approx(2.576 / std::sqrt(1170.0)).epsilon(1e-3));
  REQUIRE(tests[0].inputs.size() == 1);
  CHECK_FALSE(tests[0].inputs[0].left);
}

TEST_CASE("an answer to an input that is left in the residuals is told") {
  const auto record = white_record(1200, 1200);
  Eigen::MatrixXd errors = Eigen::MatrixXd::Zero(1200, 1);
  std::mt19937_64 random(9);
  std::normal_distribution<double> normal;
  for (Eigen::Index k = 3; k < errors.rows(); ++k) errors(k, 0) = normal(random) + 0.5 * record.u(k - 3, 0);
  const auto tests = app::residual_tests_of(record, errors);
  REQUIRE(tests.size() == 1);
  CHECK(tests[0].inputs[0].left);
}

TEST_CASE("rows in stretches that are too short leave no test") {
  const auto record = white_record(30, 30);
  CHECK(app::residual_tests_of(record, Eigen::MatrixXd::Zero(30, 1)).empty());
  logs::ReportSection section;
  app::add_residual_tests(lag_of_two_seconds(model::Discretization::zoh, 0.0), {}, section);
  CHECK(std::get<std::string>(section.parts[0]).find("no stretch") != std::string::npos);
}

TEST_CASE("a fit leaves out what is missing and what stands before its begin") {
  const std::vector<double> measured{9.0, 1.0, kNothing, 3.0, 5.0};
  const std::vector<double> expected{0.0, 1.0, 7.0, 3.0, kNothing};
  CHECK(app::fit_of(measured, expected, 1) == Approx(100.0));
  CHECK(app::fit_of(measured, expected) < 0.0);
  CHECK(std::isnan(app::fit_of({1.0, 1.0}, {1.0, 2.0})));
  CHECK(std::isnan(app::fit_of({}, {})));
}
