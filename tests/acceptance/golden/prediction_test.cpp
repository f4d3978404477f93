// One-step predictions, NIS and free simulation of two identified models on the validation halves of real plants.
#include <cmath>
#include <limits>

#include "data_files.hpp"
#include "support/catch.hpp"
#include "twinkeeper/estimation/twin.hpp"

using namespace twinkeeper;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

struct Plant {
  model::StateSpace space;
  MatrixXd u, y;
  MatrixXd predictions, simulation;
};

std::optional<Plant> read_plant(const std::string& name, Index n_u, double period) {
  const auto folder = golden::data_folder("golden/" + name);
  if (!folder) return std::nullopt;
  const auto read = [&](const char* file) { return golden::read_matrix(*folder + file); };
  const auto settings_rows = [](const MatrixXd& matrix) {
    model::Rows rows;
    for (Index i = 0; i < matrix.rows(); ++i) {
      rows.emplace_back();
      for (Index j = 0; j < matrix.cols(); ++j) rows.back().push_back(matrix(i, j));
    }
    return rows;
  };
  const auto list = [](const MatrixXd& matrix) {
    return std::vector<double>(matrix.data(), matrix.data() + matrix.size());
  };
  model::ModelSettings settings;
  settings.name = name;
  settings.sample_time = period;
  const MatrixXd A = read("A.csv");
  const MatrixXd C = read("C.csv");
  settings.A = settings_rows(A);
  settings.B = settings_rows(read("B.csv"));
  settings.C = settings_rows(C);
  settings.D = settings_rows(read("D.csv"));
  settings.noise.K = settings_rows(read("K.csv"));
  settings.noise.Ry = settings_rows(read("Ry.csv"));
  settings.operating_point.u = list(read("umean.csv"));
  settings.operating_point.y = list(read("ymean.csv"));
  for (Index i = 0; i < A.rows(); ++i) {
    model::StateSettings state;
    state.name = "x" + std::to_string(i + 1);
    state.initial = 0.0;
    state.initial_std = 0.0;
    settings.states.push_back(state);
  }
  for (Index i = 0; i < n_u; ++i) settings.inputs.push_back({"u" + std::to_string(i + 1), "", {}, {}, {}});
  for (Index i = 0; i < C.rows(); ++i) settings.outputs.push_back({"y" + std::to_string(i + 1), "", {}, {}, {}});

  model::Built built = model::build(settings, period);
  REQUIRE(std::holds_alternative<model::StateSpace>(built));
  Plant plant;
  plant.space = std::get<model::StateSpace>(std::move(built));
  const MatrixXd log = golden::read_matrix(*golden::data_folder(name) + name + "_validate.csv", 1);
  plant.u = log.middleCols(1, n_u);
  plant.y = log.rightCols(C.rows());
  plant.predictions = read("pred1_nis.csv");
  plant.simulation = read("sim_x0zero.csv");
  return plant;
}

double relative(double value, double reference) { return std::abs(value - reference) / std::abs(reference); }

// Runs the twin as `replay` does; with `blind` it never sees a measurement, which is the free simulation.
void compare(const Plant& plant, double period, bool blind) {
  estimation::TwinSettings settings;
  settings.gate.reset();
  settings.period = std::chrono::nanoseconds(std::llround(period * 1e9));
  auto created = estimation::Twin::create(plant.space, settings);
  REQUIRE(std::holds_alternative<estimation::Twin>(created));
  auto& twin = std::get<estimation::Twin>(created);
  estimation::TwinStep out = twin.make_record();
  const Index n_y = plant.y.cols();
  const MatrixXd& reference = blind ? plant.simulation : plant.predictions;
  REQUIRE(reference.rows() == plant.y.rows());
  double worst = 0.0;
  double worst_nis = 0.0;
  for (Index k = 0; k < plant.y.rows(); ++k) {
    signals::Frame frame;
    frame.step = k;
    for (Index j = 0; j < plant.u.cols(); ++j) {
      frame.inputs.push_back({plant.u(k, j), signals::Quality::good, signals::Reason::none, base::Duration{0}, true});
    }
    for (Index i = 0; i < n_y; ++i) {
      frame.outputs.push_back(
          {plant.y(k, i), signals::Quality::good, signals::Reason::none, base::Duration{0}, !blind});
    }
    twin.step(frame, out);
    for (Index i = 0; i < n_y; ++i) {
      const double expected = out.outputs[static_cast<std::size_t>(i)].expected - plant.space.y_op(i);
      // The operating point is added outwards and taken off again here, which costs digits of small predictions.
      const double allowance = 4e-16 * std::abs(plant.space.y_op(i));
      worst = std::max(worst, (std::abs(expected - reference(k, i)) - allowance) / std::abs(reference(k, i)));
    }
    if (!blind) worst_nis = std::max(worst_nis, relative(out.nis, reference(k, n_y)));
    CHECK(std::isnan(out.std[0]));
  }
  CHECK(worst < 1e-9);
  CHECK(worst_nis < 1e-8);
}

}  // namespace

TEST_CASE("The twin predicts the dryer as the reference does and so does its free run") {
  const auto plant = read_plant("dryer", 1, 0.08);
  if (!plant) return;
  compare(*plant, 0.08, false);
  compare(*plant, 0.08, true);
}

TEST_CASE("The twin predicts the evaporator as the reference does and so does its free run") {
  const auto plant = read_plant("evaporator", 3, 1.0);
  if (!plant) return;
  compare(*plant, 1.0, false);
  compare(*plant, 1.0, true);
}
