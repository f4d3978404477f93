// Augmented states are found: constant biases and disturbances within what σ says, drifting parameters as they drift.
#include <chrono>
#include <cmath>

#include "estimation/decorrelation.hpp"
#include "model/augment.hpp"
#include "plants_for_tests.hpp"
#include "support/catch.hpp"
#include "twinkeeper/model/dynamics.hpp"

using namespace twinkeeper;
using namespace twinkeeper::estimation;
using namespace std::chrono_literals;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using model::AugmentKind;
using model::AugmentSettings;

namespace {

// A random model with one bias and one disturbance that its outputs tell apart; nothing, if they do not well.
std::optional<model::StateSpace> augmented_model(std::mt19937_64& engine, double noise_density) {
  const auto n = static_cast<Index>(1 + engine() % 4);
  const auto p = static_cast<Index>(2 + engine() % 2);
  model::StateSpace out = random_model(engine, n, 1, p, Noise::correlated);
  model::augment(out,
                 {augmented_entry(AugmentKind::sensor_bias, "y1", noise_density, 3.0),
                  augmented_entry(AugmentKind::input_disturbance, "u1", noise_density, 3.0)},
                 false);
  if (!model::indistinguishable(out).empty()) return std::nullopt;
  out.initial = VectorXd::Zero(out.n_x());
  out.initial_std = VectorXd::Ones(out.n_x());
  out.initial_std->tail(2).setConstant(3.0);
  return out;
}

// A continuous model of a template, with its equations followed in small steps and its noise added once per step.
class TemplatePlant {
 public:
  TemplatePlant(const model::StateSpace& model, std::uint64_t seed, const VectorXd& x)
      : model_(model),
        dynamics_(model.dynamics->clone()),
        engine_(seed),
        root_(lower_root(model.Q)),
        x_(x),
        f_(x),
        h_(model.y_op),
        F_(model.A),
        G_(model.B),
        C_(model.C),
        D_(model.D) {}
  VectorXd measure(const VectorXd& u) {
    dynamics_->observe(x_, u, h_, C_, D_);
    VectorXd y = h_;
    for (Index i = 0; i < y.size(); ++i) y(i) += std::sqrt(model_.R(i, i)) * normal_(engine_);
    return y;
  }
  void advance(const VectorXd& u) {
    constexpr int kParts = 200;
    for (int i = 0; i < kParts; ++i) {
      dynamics_->evaluate(x_, u, f_, F_, G_);
      x_ += f_ * (model_.sample_time / kParts);
    }
    VectorXd white(x_.size());
    for (double& value : white) value = normal_(engine_);
    x_ += root_ * white;
  }
  VectorXd& x() { return x_; }

 private:
  const model::StateSpace& model_;
  std::unique_ptr<model::Dynamics> dynamics_;
  std::mt19937_64 engine_;
  std::normal_distribution<double> normal_;
  MatrixXd root_;
  VectorXd x_, f_, h_;
  MatrixXd F_, G_, C_, D_;
};

struct Drift {
  const char* type;
  model::Parameters parameters;
  const char* of;
  double initial_std, noise_density;
  double to;  // share of its value that it drifts to
  std::vector<double> u;
  double swing;  // of the first input
  double noise_std;
  double Q;
  double period;
};

model::StateSpace drifting(const Drift& sample, bool known_start) {
  model::ModelSettings settings;
  settings.name = settings.type = sample.type;
  settings.time = model::TimeBase::continuous;
  settings.parameters = sample.parameters;
  AugmentSettings parameter =
      augmented_entry(AugmentKind::parameter, sample.of, sample.noise_density, sample.initial_std);
  parameter.initial.reset();
  settings.augment = {parameter};
  REQUIRE(complete(settings).empty());
  for (auto& output : settings.outputs) output.noise_std = sample.noise_std;
  for (std::size_t i = 0; i < sample.u.size(); ++i) settings.inputs[i].nominal = sample.u[i];
  model::Rows Q(settings.states.size(), std::vector<double>(settings.states.size(), 0.0));
  for (std::size_t i = 0; i < Q.size(); ++i) Q[i][i] = sample.Q;
  settings.noise.Q = Q;
  auto built = model::build(settings, sample.period);
  REQUIRE(std::holds_alternative<model::StateSpace>(built));
  auto model = std::get<model::StateSpace>(std::move(built));
  if (!known_start) return model;
  model.initial = model.x_op;
  model.initial_std = VectorXd::Constant(model.n_x(), sample.noise_std);
  (*model.initial_std)(model.n_x() - 1) = sample.initial_std;
  return model;
}

const std::vector<Drift>& drifts() {
  static const std::vector<Drift> all{
      {"two_tank",
       {{"A1", 0.0028, ""}, {"A2", 0.0032, ""}, {"a1", 1.2e-5, ""}, {"a2", 1.2e-5, ""}, {"k_pump", 6.239e-6, ""}},
       "a2",
       1e-6,
       1e-8,
       0.8,
       {3.0},
       0.5,
       0.002,
       6.4e-8,
       1.0},
      {"first_order_thermal",
       {{"C", 850.0, ""}, {"R", 0.4, ""}},
       "R",
       0.05,
       4e-4,
       1.3,
       {200.0, 20.0},
       60.0,
       0.1,
       1e-3,
       5.0},
      {"rc_network",
       {{"C_air", 4e4, ""},
        {"C_wall", 4e5, ""},
        {"eta_air", 1.0, ""},
        {"R_air_wall", 0.01, ""},
        {"R_wall_out", 0.02, ""}},
       "R_wall_out",
       0.002,
       4e-6,
       1.4,
       {800.0, 5.0},
       200.0,
       0.05,
       1e-6,
       60.0},
  };
  return all;
}

}  // namespace

TEST_CASE("A constant bias and a constant disturbance are found within what their sigma says") {
  std::mt19937_64 engine(21);
  int models = 0;
  int beyond = 0;
  double sum = 0.0;
  constexpr int kModels = 200;
  constexpr int kSteps = 400;
  while (models < kModels) {
    const auto filter = augmented_model(engine, 1e-4);
    if (!filter) continue;
    ++models;
    // The plant's stay where they are.
    model::StateSpace plant_model = *filter;
    plant_model.Q.bottomRows(2).setZero();
    plant_model.Q.rightCols(2).setZero();
    VectorXd start = random_matrix(engine, filter->n_x(), 1);
    start.tail(2) *= 3.0;
    Plant plant(plant_model, engine(), start);
    TwinSettings settings;
    settings.gate.reset();
    Twin twin = make_twin(*filter, settings);
    TwinStep step = twin.make_record();
    for (int k = 0; k < kSteps; ++k) {
      const VectorXd u = random_matrix(engine, 1, 1);
      twin.step(frame_of(u, plant.step(u), k), step);
    }
    for (Index i = filter->n_own(); i < filter->n_x(); ++i) {
      const double off = (step.x[static_cast<std::size_t>(i)] - start(i)) / step.std[static_cast<std::size_t>(i)];
      sum += off * off;
      beyond += std::abs(off) > 3.0 ? 1 : 0;
      CHECK(step.std[static_cast<std::size_t>(i)] < 3.0);
    }
  }
  INFO("mean square " << sum / (2 * kModels) << ", beyond 3 sigma " << beyond);
  CHECK(beyond <= 5);                                 // 400 × 0.27 % = 1.1
  CHECK(std::abs(sum / (2 * kModels) - 1.0) < 0.25);  // 3.5 standard deviations of a mean of 400 squares
}

TEST_CASE("The innovations of an augmented twin are what its covariances promise") {
  std::mt19937_64 engine(22);
  double sum = 0.0;
  double dof = 0.0;
  int outside = 0;
  int models = 0;
  constexpr int kModels = 100;
  constexpr int kSteps = 500;
  while (models < kModels) {
    const auto model = augmented_model(engine, 0.1);
    if (!model) continue;
    ++models;
    VectorXd start = random_matrix(engine, model->n_x(), 1);
    start.tail(2) *= 3.0;
    Plant plant(*model, engine(), start);
    TwinSettings settings;
    settings.gate.reset();
    Twin twin = make_twin(*model, settings);
    TwinStep step = twin.make_record();
    double own = 0.0;
    double own_dof = 0.0;
    for (int k = 0; k < kSteps; ++k) {
      const VectorXd u = random_matrix(engine, 1, 1);
      twin.step(frame_of(u, plant.step(u), k), step);
      own += step.nis;
      own_dof += step.nis_dof;
    }
    outside += std::abs(own - own_dof) > 2.576 * std::sqrt(2.0 * own_dof) ? 1 : 0;
    sum += own;
    dof += own_dof;
  }
  CHECK(outside <= 5);  // 1 of 100 by the normal distribution
  CHECK(std::abs(sum / dof - 1.0) < 3.0 * std::sqrt(2.0 / dof));
}

TEST_CASE("A drifting parameter is followed within 3 sigma from a start that is known or not") {
  for (const Drift& sample : drifts()) {
    for (const bool known_start : {true, false}) {
      INFO(sample.type << " " << sample.of << (known_start ? "" : ", start to be found"));
      const model::StateSpace model = drifting(sample, known_start);
      REQUIRE(model.nonlinear());
      const Index last = model.n_x() - 1;
      const double healthy = model.x_op(last);
      CHECK(model.states.back().name == sample.of);
      int beyond = 0;
      int steps = 0;
      double sum = 0.0;
      double dof = 0.0;
      constexpr int kSteps = 4000;
      for (std::uint64_t run = 0; run < 3; ++run) {
        model::StateSpace quiet = model;  // its parameter goes where it is told
        quiet.Q.row(last).setZero();
        quiet.Q.col(last).setZero();
        TemplatePlant plant(quiet, 31 + run, model.x_op);
        plant.x()(last) = healthy + sample.initial_std * (static_cast<double>(run) - 1.0);
        Twin twin = make_twin(model);
        TwinStep step = twin.make_record();
        const double first = plant.x()(last);
        for (int k = 0; k < kSteps; ++k) {
          VectorXd u = model.u_op;
          u(0) += (k / 200 % 2 == 0 ? 1.0 : -1.0) * sample.swing;
          const double share = std::clamp((k - 1000) / 2000.0, 0.0, 1.0);
          plant.x()(last) = first + share * (sample.to * healthy - first);
          twin.step(frame_of(u, plant.measure(u), k), step);
          const double off =
              (step.x[static_cast<std::size_t>(last)] - plant.x()(last)) / step.std[static_cast<std::size_t>(last)];
          plant.advance(u);
          if (step.mode == Mode::initializing) continue;
          ++steps;
          beyond += std::abs(off) > 3.0 ? 1 : 0;
          if (k < 50) continue;
          sum += step.nis;
          dof += step.nis_dof;
        }
        CHECK(step.mode == Mode::tracking);
        const double end = step.x[static_cast<std::size_t>(last)];
        CHECK(std::abs(end - sample.to * healthy) < 0.35 * std::abs(sample.to - 1.0) * healthy);
        CHECK(step.std[static_cast<std::size_t>(last)] < 0.8 * sample.initial_std);
      }
      INFO("beyond 3 sigma " << beyond << " of " << steps << ", NIS/p " << sum / dof);
      CHECK(beyond < steps / 50);
      CHECK(sum / dof > 0.9);
      CHECK(sum / dof < 1.15);
    }
  }
}

TEST_CASE("A twin whose measured outputs do not tell augmented states apart is refused") {
  std::mt19937_64 engine(23);
  std::optional<model::StateSpace> model;
  while (!model) model = augmented_model(engine, 0.1);
  TwinSettings settings;
  settings.period = 100ms;
  settings.mapped.assign(static_cast<std::size_t>(model->n_y()), false);
  settings.mapped[0] = true;
  const auto created = Twin::create(*model, settings);
  const auto* issues = std::get_if<base::Issues>(&created);
  REQUIRE(issues != nullptr);
  REQUIRE(issues->size() == 1);
  CHECK((*issues)[0].path == "model.augment[1]");
  CHECK((*issues)[0].what == "disturbance_u1 cannot be told from bias_y1");
}

TEST_CASE("A start that is estimated knows of augmented states what the model says of them") {
  std::mt19937_64 engine(24);
  std::optional<model::StateSpace> model;
  while (!model) model = augmented_model(engine, 1e-6);
  model->initial.reset();
  model->initial_std.reset();
  for (auto& state : model->augmented) {
    state.initial = 0.7;
    state.initial_std = 0.0;  // known exactly
  }
  Plant plant(*model, 1, VectorXd::Zero(model->n_x()));
  Twin twin = make_twin(*model);
  TwinStep step = twin.make_record();
  for (int k = 0; k < 40; ++k) {
    const VectorXd u = random_matrix(engine, 1, 1);
    twin.step(frame_of(u, plant.step(u), k), step);
  }
  REQUIRE(step.mode != Mode::initializing);
  for (Index i = model->n_own(); i < model->n_x(); ++i) {
    CHECK(step.x[static_cast<std::size_t>(i)] == Approx(0.7).margin(1e-3));
    CHECK(step.std[static_cast<std::size_t>(i)] < 1e-4);
  }
}
