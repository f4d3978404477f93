// The extended filter: on linear equations it is the Kalman filter; on the two tanks it keeps what its σ promises,
// through overflow and back.
#include <cmath>

#include "estimation/decorrelation.hpp"
#include "plants_for_tests.hpp"
#include "support/catch.hpp"
#include "twinkeeper/model/discretise.hpp"
#include "twinkeeper/model/dynamics.hpp"

using namespace twinkeeper;
using namespace twinkeeper::estimation;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

// Linear equations that say they are not: ẋ = F (x − x_op) + G (u − u_op) + dx, y = y_op + C (x − x_op) + D (u − u_op).
struct Matrices {
  MatrixXd F, G, C, D;
  VectorXd dx, x_op, u_op, y_op;
};

model::TemplateSignals signals_of(const model::Parameters& sizes) {
  model::TemplateSignals out;
  out.states.resize(static_cast<std::size_t>(*model::value_of(sizes, "n")));
  out.inputs.resize(static_cast<std::size_t>(*model::value_of(sizes, "m")));
  return out;
}

const model::Template kDisguise{
    "disguise", "",         false,  [](const std::vector<std::string>&) { return std::vector<model::ParameterInfo>{}; },
    nullptr,    signals_of, nullptr};

class Disguise final : public model::Dynamics {
 public:
  explicit Disguise(Matrices matrices)
      : Dynamics(kDisguise,
                 {{"n", static_cast<double>(matrices.F.rows()), ""}, {"m", static_cast<double>(matrices.G.cols()), ""}},
                 std::vector<std::size_t>(static_cast<std::size_t>(matrices.C.rows()))),
        m_(std::move(matrices)) {}
  [[nodiscard]] std::unique_ptr<Dynamics> clone() const override { return std::make_unique<Disguise>(*this); }

 private:
  void derivative(const Vector& x, const Vector& u, Vector& f, Matrix& F, Matrix& G) const override {
    F = m_.F;
    G = m_.G;
    f = m_.dx + m_.F * (x - m_.x_op) + m_.G * (u - m_.u_op);
  }
  [[nodiscard]] double output(std::size_t, const Vector& x, const Vector& u, Matrix& C, Matrix& D,
                              Index row) const override {
    C.row(row) = m_.C.row(row);
    D.row(row) = m_.D.row(row);
    return m_.y_op(row) + m_.C.row(row).dot(x - m_.x_op) + m_.D.row(row).dot(u - m_.u_op);
  }
  Matrices m_;
};

// A random continuous model of the given R, discretised at 0.1 s, with its own equations beside it.
model::StateSpace disguised(std::mt19937_64& engine, Index n, Index m, Index p, bool full_R) {
  Matrices matrices{random_matrix(engine, n, n), random_matrix(engine, n, m), random_matrix(engine, p, n),
                    random_matrix(engine, p, m), random_matrix(engine, n, 1), random_matrix(engine, n, 1),
                    random_matrix(engine, m, 1), random_matrix(engine, p, 1)};
  matrices.F -= (matrices.F.norm() + 0.5) * MatrixXd::Identity(n, n);
  const MatrixXd q = random_matrix(engine, n, n);
  model::StateSpace out = random_model(engine, n, m, p, full_R ? Noise::full_R : Noise::independent);
  out.W = q * q.transpose();
  out.sample_time = 0.1;
  const model::Discretised discrete = model::discretise(matrices.F, matrices.G, out.W, matrices.dx, out.sample_time);
  out.A = discrete.A;
  out.B = discrete.B;
  out.Q = discrete.Q;
  out.d = discrete.d;
  out.C = matrices.C;
  out.D = matrices.D;
  out.x_op = matrices.x_op;
  out.u_op = matrices.u_op;
  out.y_op = matrices.y_op;
  out.initial = matrices.x_op;
  out.initial_std = VectorXd::Ones(n);
  out.dynamics = std::make_shared<Disguise>(std::move(matrices));
  return out;
}

double largest_difference(const TwinStep& left, const TwinStep& right) {
  double most = 0.0;
  const auto compare = [&](double a, double b) {
    if (std::isnan(a) != std::isnan(b)) most = 1.0;
    if (!std::isnan(a)) most = std::max(most, std::abs(a - b) / (1.0 + std::abs(a)));
  };
  for (std::size_t i = 0; i < left.x.size(); ++i) {
    compare(left.x[i], right.x[i]);
    compare(left.std[i], right.std[i]);
  }
  for (std::size_t i = 0; i < left.outputs.size(); ++i) {
    compare(left.outputs[i].expected, right.outputs[i].expected);
    compare(left.outputs[i].std, right.outputs[i].std);
  }
  compare(left.nis, right.nis);
  return most;
}

bool same(const TwinStep& left, const TwinStep& right) {
  const auto equal = [](double a, double b) { return (std::isnan(a) && std::isnan(b)) || a == b; };
  for (std::size_t i = 0; i < left.x.size(); ++i) {
    if (!equal(left.x[i], right.x[i]) || !equal(left.std[i], right.std[i])) return false;
  }
  for (std::size_t i = 0; i < left.outputs.size(); ++i) {
    if (!equal(left.outputs[i].expected, right.outputs[i].expected)) return false;
  }
  return equal(left.nis, right.nis);
}

// The tanks in steps of 1 ms, with the model's process noise added once per step.
class Tanks {
 public:
  Tanks(const model::StateSpace& model, std::uint64_t seed, const VectorXd& x)
      : model_(model), engine_(seed), root_(lower_root(model.Q)), x_(x), f_(x), F_(model.A), G_(model.B) {}
  VectorXd measure() {
    VectorXd h(2);
    MatrixXd C(2, 2), D(2, 1);
    model_.dynamics->observe(x_, model_.u_op, h, C, D);
    for (Index i = 0; i < 2; ++i) h(i) += 0.002 * normal_(engine_);
    return h;
  }
  void advance(const VectorXd& u) {
    constexpr int kParts = 1000;
    for (int i = 0; i < kParts; ++i) {
      model_.dynamics->evaluate(x_, u, f_, F_, G_);
      x_ += f_ * (model_.sample_time / kParts);
    }
    VectorXd white(2);
    for (double& value : white) value = normal_(engine_);
    x_ = (x_ + root_ * white).cwiseMax(0.0);
  }
  [[nodiscard]] const VectorXd& x() const { return x_; }

 private:
  model::StateSpace model_;
  std::mt19937_64 engine_;
  std::normal_distribution<double> normal_;
  MatrixXd root_;
  VectorXd x_, f_;
  MatrixXd F_, G_;
};

}  // namespace

TEST_CASE("On linear equations the extended filter is the Kalman filter") {
  std::mt19937_64 engine(61);
  for (const bool full_R : {false, true}) {
    for (const Index n : {1, 3, 6, 11}) {
      const model::StateSpace extended = disguised(engine, n, 2, 3, full_R);
      REQUIRE(extended.nonlinear());
      model::StateSpace plain = extended;
      plain.dynamics = nullptr;
      Twin left = make_twin(extended);
      Twin right = make_twin(plain);
      TwinStep left_step = left.make_record();
      TwinStep right_step = right.make_record();
      double most = 0.0;
      for (int k = 0; k < 500; ++k) {
        signals::Frame frame =
            frame_of(extended.u_op + random_matrix(engine, 2, 1), extended.y_op + random_matrix(engine, 3, 1), k);
        mask_outputs(frame, engine);
        left.step(frame, left_step);
        right.step(frame, right_step);
        most = std::max(most, largest_difference(left_step, right_step));
      }
      CHECK(most < 1e-10);
    }
  }
}

TEST_CASE("The two tanks are followed through overflow and back as well as sigma says") {
  const model::StateSpace model = two_tanks(true);
  double sum = 0.0;
  int dof = 0;
  int overflown = 0;
  int beyond = 0;
  int states = 0;
  constexpr int kRuns = 4;
  constexpr int kSteps = 2000;
  for (int run = 0; run < kRuns; ++run) {
    VectorXd start(2);
    start << 0.12 + 0.005 * run, 0.11;
    Tanks plant(model, 70 + static_cast<std::uint64_t>(run), start);
    Twin twin = make_twin(model);
    TwinStep step = twin.make_record();
    for (int k = 0; k < kSteps; ++k) {
      const VectorXd u = VectorXd::Constant(1, k % 600 < 300 ? 3.0 : 6.0);  // at 6 V the first tank overflows
      const VectorXd truth = plant.x();
      twin.step(frame_of(u, plant.measure(), k), step);
      plant.advance(u);
      if (k < 50) continue;
      overflown += truth(0) > 0.22 ? 1 : 0;
      sum += step.nis;
      dof += step.nis_dof;
      for (std::size_t i = 0; i < 2; ++i) {
        ++states;
        beyond += std::abs(step.x[i] - truth(static_cast<Index>(i))) > 3.0 * step.std[i] ? 1 : 0;
      }
    }
    CHECK(step.mode == Mode::tracking);
  }
  CHECK(overflown > kRuns * kSteps / 5);
  INFO("NIS/p " << sum / dof << ", beyond 3 sigma " << beyond << " of " << states);
  CHECK(sum / dof > 0.95);  // ±3 standard deviations of a χ² mean are ±0.034
  CHECK(sum / dof < 1.05);
  CHECK(beyond < states / 100);  // 0.27 % by the normal distribution
}

TEST_CASE("Without initial the tanks are found by the linearisation, then followed by their equations") {
  const model::StateSpace model = two_tanks(false);
  VectorXd start(2);
  start << 0.05, 0.19;  // far from the operating point
  Tanks plant(model, 80, start);
  Twin twin = make_twin(model);
  TwinStep step = twin.make_record();
  for (int k = 0; k < 200; ++k) {
    const VectorXd u = VectorXd::Constant(1, 3.0);
    const VectorXd truth = plant.x();
    twin.step(frame_of(u, plant.measure(), k), step);
    plant.advance(u);
    if (k < 9) CHECK(step.mode == Mode::initializing);
    if (k < 20) continue;
    for (std::size_t i = 0; i < 2; ++i) CHECK(std::abs(step.x[i] - truth(static_cast<Index>(i))) < 5.0 * step.std[i]);
  }
  CHECK(step.mode == Mode::tracking);
}

TEST_CASE("A nonlinear twin that was rolled back goes on as one that has just begun") {
  const model::StateSpace model = two_tanks(false, 1e-6);
  Twin used = make_twin(model);
  TwinStep used_step = used.make_record();
  std::mt19937_64 engine(81);
  const auto frame = [&](int k) { return frame_of(model.u_op, model.y_op + 0.002 * random_matrix(engine, 2, 1), k); };
  for (int k = 0; k < 100; ++k) used.step(frame(k), used_step);
  signals::Frame wild = frame(100);
  wild.inputs[0].value = 1e308;
  used.step(wild, used_step);
  REQUIRE(used_step.mode == Mode::lost);
  Twin fresh = make_twin(model);
  TwinStep fresh_step = fresh.make_record();
  bool all_same = true;
  for (int k = 101; k < 200; ++k) {
    const signals::Frame next = frame(k);
    used.step(next, used_step);
    fresh.step(next, fresh_step);
    all_same = all_same && same(used_step, fresh_step);
  }
  CHECK(all_same);
}

TEST_CASE("The root with pivots is lower and gives back its matrix, singular ones included") {
  std::mt19937_64 engine(82);
  for (const Index n : {1, 2, 5, 9}) {
    for (Index rank = 0; rank <= n; ++rank) {
      const VectorXd scale = (4.0 * random_matrix(engine, n, 1)).array().exp();
      const MatrixXd factor = scale.asDiagonal() * random_matrix(engine, n, n).leftCols(rank);
      const MatrixXd P = factor * factor.transpose();
      MatrixXd root(n, n);
      std::vector<double> scratch(static_cast<std::size_t>(3 * n));
      pivoted_root(P, root, scratch.data());
      const VectorXd size = P.diagonal().cwiseSqrt().cwiseMax(1e-300);
      const MatrixXd off =
          size.cwiseInverse().asDiagonal() * (root * root.transpose() - P) * size.cwiseInverse().asDiagonal();
      CHECK(off.cwiseAbs().maxCoeff() < 1e-13);
      CHECK(root.isLowerTriangular(0.0));
    }
  }
}
