#include "plants_for_tests.hpp"

#include <Eigen/Eigenvalues>
#include <cmath>
#include <limits>

#include "support/catch.hpp"
#include "twinkeeper/model/analysis.hpp"

namespace twinkeeper::estimation {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

MatrixXd joint_covariance(const model::StateSpace& model) {
  const Index n = model.n_x();
  const Index p = model.n_y();
  MatrixXd joint(n + p, n + p);
  joint << model.Q, model.S, model.S.transpose(), model.R;
  return joint;
}

void describe(model::StateSpace& model) {
  model.d = VectorXd::Zero(model.n_x());
  model.x_op = VectorXd::Zero(model.n_x());
  model.u_op = VectorXd::Zero(model.n_u());
  model.y_op = VectorXd::Zero(model.n_y());
  const auto name = [](std::vector<model::Signal>& list, const char* letter, Index count) {
    for (Index i = 0; i < count; ++i) {
      list.push_back({letter + std::to_string(i + 1), "", {-kInfinity, kInfinity}});
    }
  };
  name(model.states, "x", model.n_x());
  name(model.inputs, "u", model.n_u());
  name(model.outputs, "y", model.n_y());
}

}  // namespace

MatrixXd random_matrix(std::mt19937_64& engine, Index rows, Index columns) {
  std::normal_distribution<double> normal;
  return MatrixXd::NullaryExpr(rows, columns, [&] { return normal(engine); });
}

model::StateSpace random_model(std::mt19937_64& engine, Index n, Index m, Index p, Noise noise) {
  model::StateSpace model;
  model.sample_time = 0.1;
  model.A = random_matrix(engine, n, n);
  model.A *= 0.95 / model::spectral_radius(model.A);
  model.B = random_matrix(engine, n, m);
  model.C = random_matrix(engine, p, n);
  model.D = random_matrix(engine, p, m);
  const Index rank = noise == Noise::rank_deficient ? std::max<Index>(p, 1) : n + p;
  MatrixXd root = random_matrix(engine, n + p, rank);
  if (noise == Noise::rank_deficient) root.bottomRows(p).diagonal().array() += 3.0;
  const MatrixXd joint = root * root.transpose();
  model.Q = joint.topLeftCorner(n, n);
  model.R = joint.bottomRightCorner(p, p) + 0.1 * MatrixXd::Identity(p, p);
  model.S = joint.topRightCorner(n, p);
  if (noise == Noise::independent || noise == Noise::full_R) model.S.setZero();
  if (noise == Noise::independent) model.R = MatrixXd(model.R.diagonal().asDiagonal());
  describe(model);
  if (noise == Noise::innovations) {
    const auto steady = model::steady_state(model).value();
    model.innovations_form_only = true;
    model.R = steady.Sigma;
    model.S = steady.K * steady.Sigma;
    model.Q = steady.K * steady.Sigma * steady.K.transpose();
  }
  model.initial = VectorXd::Zero(n);
  return model;
}

model::StateSpace without_output(const model::StateSpace& model, Index dropped) {
  std::vector<Index> kept;
  for (Index i = 0; i < model.n_y(); ++i) {
    if (i != dropped) kept.push_back(i);
  }
  model::StateSpace less = model;
  less.C = model.C(kept, Eigen::all);
  less.D = model.D(kept, Eigen::all);
  less.R = model.R(kept, kept);
  less.S = model.S(Eigen::all, kept);
  less.outputs.erase(less.outputs.begin() + dropped);
  less.y_op = VectorXd(model.y_op(kept));
  less.innovations_form_only = false;  // the gain that goes with fewer outputs is not the one given
  return less;
}

bool same_bits(const MatrixXd& left, const MatrixXd& right) {
  if (left.rows() != right.rows() || left.cols() != right.cols()) return false;
  for (Index i = 0; i < left.size(); ++i) {
    const double a = left.data()[i];
    const double b = right.data()[i];
    if (std::isnan(a) && std::isnan(b)) continue;
    if (!(a == b) || std::signbit(a) != std::signbit(b)) return false;
  }
  return true;
}

model::StateSpace shuffled_outputs(const model::StateSpace& model,
                                   const Eigen::PermutationMatrix<Eigen::Dynamic>& order) {
  model::StateSpace shuffled = model;
  shuffled.C = order * model.C;
  shuffled.D = order * model.D;
  shuffled.R = order * model.R * order.transpose();
  shuffled.S = model.S * order.transpose();
  return shuffled;
}

std::vector<std::uint8_t> random_mask(std::mt19937_64& engine, Index p) {
  std::vector<std::uint8_t> mask(static_cast<std::size_t>(p));
  for (auto& row : mask) row = engine() % 10 < 7;
  return mask;
}

Plant::Plant(const model::StateSpace& model, std::uint64_t seed, const VectorXd& x)
    : model_(model), engine_(seed), x_(x), x_next_(x) {
  const Eigen::SelfAdjointEigenSolver<MatrixXd> modes(joint_covariance(model));
  root_ = modes.eigenvectors() * modes.eigenvalues().cwiseMax(0.0).cwiseSqrt().asDiagonal();
}

VectorXd Plant::step(const VectorXd& u) {
  x_ = x_next_;
  const VectorXd noise = root_ * VectorXd::NullaryExpr(root_.cols(), [&] { return normal_(engine_); });
  x_next_ = model_.A * x_ + model_.B * u + model_.d + noise.head(model_.n_x());
  return model_.C * x_ + model_.D * u + noise.tail(model_.n_y());
}

void mask_outputs(signals::Frame& frame, std::mt19937_64& engine) {
  const auto mask = random_mask(engine, static_cast<Eigen::Index>(frame.outputs.size()));
  for (std::size_t i = 0; i < mask.size(); ++i) frame.outputs[i].fresh = mask[i] != 0;
}

signals::Frame frame_of(const VectorXd& u, const VectorXd& y, std::int64_t step) {
  using signals::Quality;
  using signals::Reason;
  signals::Frame frame;
  frame.step = step;
  for (const double value : u) frame.inputs.push_back({value, Quality::good, Reason::none, base::Duration{0}, true});
  for (const double value : y) frame.outputs.push_back({value, Quality::good, Reason::none, base::Duration{0}, true});
  return frame;
}

model::StateSpace lags(Index count) {
  model::StateSpace model;
  model.sample_time = 0.1;
  model.A = 0.9 * MatrixXd::Identity(count, count);
  model.B = MatrixXd::Constant(count, 1, 0.1);
  model.C = MatrixXd::Identity(count, count);
  model.D = MatrixXd::Zero(count, 1);
  model.Q = 1e-4 * MatrixXd::Identity(count, count);
  model.R = 1e-2 * MatrixXd::Identity(count, count);
  model.S = MatrixXd::Zero(count, count);
  describe(model);
  model.initial = VectorXd::Zero(count);
  return model;
}

model::AugmentSettings augmented_entry(model::AugmentKind kind, const std::string& of, double noise_density,
                                       double initial_std) {
  using model::AugmentKind;
  model::AugmentSettings out;
  out.kind = kind;
  (kind == AugmentKind::sensor_bias ? out.output : kind == AugmentKind::parameter ? out.name : out.input) = of;
  out.noise_density = noise_density;
  out.initial = 0.0;
  out.initial_std = initial_std;
  return out;
}

model::StateSpace two_tanks(bool known_start, double volt, std::vector<model::AugmentSettings> augment) {
  model::ModelSettings settings;
  settings.augment = std::move(augment);
  settings.name = settings.type = "two_tank";
  settings.time = model::TimeBase::continuous;
  settings.parameters = {{"A1", 0.0028, ""},
                         {"A2", 0.0032, ""},
                         {"a1", 1.2e-5, ""},
                         {"a2", 1.2e-5, ""},
                         {"k_pump", 6.239e-6 / volt, ""},
                         {"height_1", 0.22, ""},
                         {"height_2", 0.5, ""},
                         {"overflow_time", 3.0, ""}};
  settings.states = {{"level_1", "m", {}, {}, 0.0, 0.6}, {"level_2", "m", {}, {}, 0.0, 0.6}};
  if (known_start) {
    for (auto& state : settings.states) {
      state.initial = 0.12;
      state.initial_std = 0.01;
    }
  }
  settings.inputs = {{"pump", "V", 3.0 * volt, {}, {}}};
  settings.outputs = {{"level_1", "m", {}, 0.002, {}}, {"level_2", "m", {}, 0.002, {}}};
  settings.noise.Q = model::Rows{{6.4e-8, 0.0}, {0.0, 6.4e-8}};
  return std::get<model::StateSpace>(model::build(settings, 1.0));
}

Twin make_twin(const model::StateSpace& model, TwinSettings settings) {
  settings.period = std::chrono::milliseconds{std::lround(1000.0 * model.sample_time)};
  auto created = Twin::create(model, std::move(settings));
  REQUIRE(std::holds_alternative<Twin>(created));
  return std::get<Twin>(std::move(created));
}

}  // namespace twinkeeper::estimation
