// What the gate makes of rejections that last: a sensor at fault, or a machine that has moved.
#include <Eigen/Cholesky>
#include <Eigen/QR>
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "plants_for_tests.hpp"
#include "support/catch.hpp"
#include "twinkeeper/estimation/twin.hpp"

using namespace twinkeeper;
using namespace twinkeeper::estimation;
using namespace std::chrono_literals;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using signals::Quality;
using signals::Reason;

namespace {

const VectorXd kIdle = VectorXd::Zero(1);

// Slow modes that do not oscillate, all of them seen by every output, and a process that is quieter than the sensors.
model::StateSpace coupled(std::uint64_t seed, Index n, Index p, Noise noise) {
  std::mt19937_64 engine(seed);
  model::StateSpace model = random_model(engine, n, 1, p, noise);
  if (noise == Noise::innovations) return model;
  const MatrixXd modes = random_matrix(engine, n, n).householderQr().householderQ();
  model.A = modes * VectorXd::LinSpaced(n, 0.99, 0.9995).asDiagonal() * modes.transpose();
  model.Q *= 1e-4;
  model.S *= 1e-2;
  return model;
}

// What process noise could have done, had it been very large: every output shows it by at least `sigmas` of its usual
// standard deviations. Of some such jumps the one that hides least of itself.
VectorXd jump_of(const model::StateSpace& model, const TwinStep& usual, std::uint64_t seed, double sigmas) {
  std::mt19937_64 engine(seed);
  const MatrixXd root = model.Q.llt().matrixL();
  VectorXd best;
  double most = 0.0;
  for (int draw = 0; draw < 20; ++draw) {
    const VectorXd direction = root * random_matrix(engine, model.n_x(), 1);
    const VectorXd seen = model.C * direction;
    double least = std::numeric_limits<double>::infinity();
    for (Index i = 0; i < seen.size(); ++i) {
      least = std::min(least, std::abs(seen(i)) / usual.outputs[static_cast<std::size_t>(i)].std);
    }
    if (least <= most) continue;
    most = least;
    best = direction * (sigmas / least);
  }
  return best;
}

class Rig {
 public:
  Rig(const model::StateSpace& model, std::uint64_t seed, TwinSettings settings)
      : model_(model),
        plant_(model, seed, VectorXd::Zero(model.n_x())),
        twin_(make_twin(model, settings)),
        out(twin_.make_record()),
        bias(VectorXd::Zero(model.n_y())),
        seed_(seed) {}

  // Until `fresh` says otherwise every output is there.
  void step() {
    signals::Frame frame = frame_of(kIdle, plant_.step(kIdle) + bias, k_++);
    for (std::size_t i = 0; i < fresh.size(); ++i) frame.outputs[i].fresh = fresh[i];
    twin_.step(frame, out);
  }
  void run(int steps) {
    for (int k = 0; k < steps; ++k) step();
  }
  void begin_anew() { twin_.begin_anew(); }
  void jump(const VectorXd& by) { plant_ = Plant(model_, ++seed_, next_state() + by); }
  // The plant's state that the next step shows, without its noise.
  [[nodiscard]] VectorXd next_state() const { return model_.A * plant_.x() + model_.d; }
  [[nodiscard]] double error_in_std(Index i) const {
    const auto at = static_cast<std::size_t>(i);
    return std::abs(out.x[at] - plant_.x()(i)) / out.std[at];
  }
  [[nodiscard]] const Twin& twin() const { return twin_; }

 private:
  model::StateSpace model_;
  Plant plant_;
  Twin twin_;

 public:
  TwinStep out;
  VectorXd bias;
  std::vector<bool> fresh;

 private:
  std::uint64_t seed_;
  std::int64_t k_ = 0;
};

// NIS per row over some steps, none of which rejects anything.
double mean_nis(Rig& rig, int steps) {
  double nis = 0.0;
  double dof = 0.0;
  for (int k = 0; k < steps; ++k) {
    rig.step();
    for (const OutputStep& row : rig.out.outputs) REQUIRE(row.fused);
    nis += rig.out.nis;
    dof += rig.out.nis_dof;
  }
  return nis / dof;
}

}  // namespace

TEST_CASE("One of three sensors that lies by twenty sigma for an hour moves no bit of the twin and comes back") {
  for (const Noise noise : {Noise::independent, Noise::full_R, Noise::correlated, Noise::innovations}) {
    const model::StateSpace model = coupled(71, 4, 3, noise);
    Rig liar(model, 72, {});
    Rig without(model, 72, {});
    liar.run(500);
    without.run(500);
    REQUIRE(liar.out.mode == Mode::tracking);
    liar.bias(1) = 20.0 * liar.out.outputs[1].std;
    without.fresh = {true, false, true};
    for (int k = 0; k < 36'000; ++k) {
      liar.step();
      without.step();
      const OutputStep& row = liar.out.outputs[1];
      CAPTURE(static_cast<int>(noise), k, row.test_ratio);
      REQUIRE_FALSE(row.fused);
      REQUIRE(row.quality == Quality::bad);
      REQUIRE(row.reason == Reason::spike);
      REQUIRE(liar.out.x == without.out.x);
      REQUIRE(liar.out.outputs[0].fused);
      REQUIRE(liar.out.mode == (k < 50 ? Mode::tracking : Mode::degraded));
    }
    liar.bias(1) = 0.0;
    without.fresh = {};
    for (int k = 0; k < 100; ++k) {
      liar.step();
      without.step();
      REQUIRE(liar.out.outputs[1].fused);
      REQUIRE(liar.out.x == without.out.x);
    }
    CHECK(liar.out.mode == Mode::tracking);
  }
}

TEST_CASE(
    "A jump of the plant that most outputs show is followed within steps after the time-out and the NIS is right") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const Noise noise = std::array{Noise::independent, Noise::full_R, Noise::correlated}[seed % 3];
    const Index p = 1 + static_cast<Index>(seed % 4);
    const model::StateSpace model = coupled(1000 + seed, 4, p, noise);
    TwinSettings settings;
    settings.gate_timeout = 3s;
    Rig rig(model, seed, settings);
    rig.run(300);
    REQUIRE(rig.out.mode == Mode::tracking);
    rig.jump(jump_of(model, rig.out, seed, 200.0));
    int rejecting = 0;
    int fused_all = 0;
    int steps = 0;
    for (; steps < 2000 && fused_all < 20; ++steps) {
      rig.step();
      bool all = true;
      bool any = false;
      for (const OutputStep& row : rig.out.outputs) {
        all = all && row.fused && row.test_ratio <= 1.0;
        any = any || row.fused;
      }
      if (!any) ++rejecting;
      fused_all = all ? fused_all + 1 : 0;
    }
    CAPTURE(seed, p, rejecting, steps);
    CHECK(rejecting > 0);
    CHECK(steps <= 30 + 20 + 20);
    for (Index i = 0; i < 4; ++i) CHECK(rig.error_in_std(i) < 5.0);
    // What a single output shows of four slow modes comes slowly.
    for (int k = 0; k < 20'000 && rig.out.mode != Mode::tracking; ++k) rig.step();
    CHECK(rig.out.mode == Mode::tracking);
    for (Index i = 0; i < 4; ++i) CHECK(rig.error_in_std(i) < 5.0);
    CHECK(mean_nis(rig, 2000) == Approx(1.0).margin(0.2));
  }
}

TEST_CASE("Of two sensors the one that lies is isolated and both that jump are followed") {
  const model::StateSpace model = coupled(81, 3, 2, Noise::independent);
  TwinSettings settings;
  settings.gate_timeout = 3s;
  Rig rig(model, 82, settings);
  rig.run(300);
  rig.bias(0) = 20.0 * rig.out.outputs[0].std;
  for (int k = 0; k < 5000; ++k) {
    rig.step();
    REQUIRE_FALSE(rig.out.outputs[0].fused);
    REQUIRE(rig.out.outputs[1].fused);
  }
  rig.bias(0) = 0.0;
  rig.run(200);
  REQUIRE(rig.out.mode == Mode::tracking);
  rig.jump(jump_of(model, rig.out, 83, 100.0));
  rig.run(300);
  CHECK(rig.out.mode == Mode::tracking);
  for (Index i = 0; i < 3; ++i) CHECK(rig.error_in_std(i) < 5.0);
}

TEST_CASE("A row that no other shows passes again once process noise could have brought it there") {
  model::StateSpace model = lags(2);
  model.A = MatrixXd::Identity(2, 2);
  TwinSettings settings;
  settings.gate_timeout = 1s;
  Twin twin = make_twin(model, settings);
  TwinStep out = twin.make_record();
  VectorXd y = VectorXd::Zero(2);
  for (int k = 0; k < 100; ++k) twin.step(frame_of(kIdle, y, k), out);
  const double usual = out.outputs[1].std;
  y(1) = 20.0 * usual;
  int isolated = 0;
  for (twin.step(frame_of(kIdle, y), out); !out.outputs[1].fused; twin.step(frame_of(kIdle, y), out)) ++isolated;
  // ν² = g² Σ and Σ has grown by Q in every step.
  CHECK(isolated == Approx((400.0 / 25.0 - 1.0) * usual * usual / 1e-4).epsilon(0.01));
  for (int k = 0; k < 100; ++k) twin.step(frame_of(kIdle, y), out);
  CHECK(out.mode == Mode::tracking);
  CHECK(out.outputs[1].std == Approx(usual).epsilon(0.01));
}

TEST_CASE("An isolated sensor stays out while the twin is unsure of itself after a jump of the plant") {
  const model::StateSpace model = coupled(101, 4, 4, Noise::independent);
  TwinSettings settings;
  settings.gate_timeout = 3s;
  Rig rig(model, 102, settings);
  rig.run(300);
  rig.bias(2) = 20.0 * rig.out.outputs[2].std;
  rig.run(300);
  REQUIRE(rig.out.mode == Mode::degraded);
  rig.jump(jump_of(model, rig.out, 103, 200.0));
  bool unsure = false;
  bool would_pass = false;
  for (int k = 0; k < 500; ++k) {
    rig.step();
    REQUIRE_FALSE(rig.out.outputs[2].fused);
    unsure = unsure || rig.out.outputs[2].std > 100.0;
    would_pass = would_pass || rig.out.outputs[2].test_ratio <= 1.0;
  }
  CHECK(would_pass);
  for (Index i = 0; i < 4; ++i) CHECK(rig.error_in_std(i) < 5.0);
  rig.bias(2) = 0.0;
  rig.run(100);
  CHECK(rig.out.mode == Mode::tracking);
}

TEST_CASE("A sensor found to lie stays isolated when all others fall silent and when they come back") {
  const model::StateSpace model = coupled(111, 4, 3, Noise::independent);
  TwinSettings settings;
  settings.gate_timeout = 3s;
  Rig rig(model, 112, settings);
  rig.run(300);
  rig.bias(0) = 20.0 * rig.out.outputs[0].std;
  rig.run(100);
  rig.fresh = {true, false, false};
  for (int k = 0; k < 500; ++k) {
    rig.step();
    REQUIRE_FALSE(rig.out.outputs[0].fused);
  }
  CHECK(rig.out.mode == Mode::predict_only);
  rig.fresh = {};
  rig.run(300);
  CHECK_FALSE(rig.out.outputs[0].fused);
  for (Index i = 0; i < 4; ++i) CHECK(rig.error_in_std(i) < 5.0);
}

TEST_CASE(
    "A machine that has moved during an outage or was elsewhere at the start is followed though one output shows it") {
  model::StateSpace model = lags(2);
  model.A = MatrixXd::Identity(2, 2);
  TwinSettings settings;
  settings.gate_timeout = 20s;
  for (const int before : {0, 200}) {
    Rig rig(model, 131, settings);
    rig.run(before);
    if (before > 0) {
      rig.fresh = {false, false};
      rig.run(200);
      REQUIRE(rig.out.mode == Mode::predict_only);
      rig.fresh = {};
    }
    rig.bias(1) = 5.0;
    for (int k = 0; k < 200; ++k) {
      rig.step();
      REQUIRE(rig.out.outputs[0].fused);
      REQUIRE_FALSE(rig.out.outputs[1].fused);
    }
    rig.run(5);
    CHECK(rig.out.outputs[1].fused);
    rig.run(100);
    CHECK(rig.out.mode == Mode::tracking);
    CHECK(mean_nis(rig, 500) == Approx(1.0).margin(0.2));
  }
}

TEST_CASE("The order of the outputs decides no vote") {
  const model::StateSpace model = coupled(121, 4, 4, Noise::independent);
  Eigen::PermutationMatrix<Eigen::Dynamic> order(4);
  order.indices() << 2, 0, 3, 1;
  const model::StateSpace shuffled = shuffled_outputs(model, order);
  TwinSettings settings;
  settings.gate_timeout = 1s;
  Twin left = make_twin(model, settings);
  Twin right = make_twin(shuffled, settings);
  TwinStep told = left.make_record();
  TwinStep told_shuffled = right.make_record();
  Plant plant(model, 122, VectorXd::Zero(4));
  std::mt19937_64 engine(123);
  VectorXd bias = VectorXd::Zero(4);
  int isolated = 0;
  int followed = 0;
  for (int k = 0; k < 5000; ++k) {
    if (k % 50 == 49) {
      for (double& value : bias) value = engine() % 3 == 0 ? 1000.0 : 0.0;
    }
    const VectorXd y = plant.step(kIdle) + bias;
    left.step(frame_of(kIdle, y, k), told);
    right.step(frame_of(kIdle, order * y, k), told_shuffled);
    for (std::size_t i = 0; i < 4; ++i) {
      const OutputStep& row = told.outputs[i];
      CAPTURE(k, i, row.test_ratio);
      REQUIRE(told_shuffled.outputs[static_cast<std::size_t>(order.indices()(static_cast<Index>(i)))].fused ==
              row.fused);
      isolated += !row.fused;
      followed += row.fused && row.test_ratio > 1.0;
    }
  }
  CHECK(isolated > 1000);
  CHECK(followed > 10);
}

TEST_CASE("An isolated sensor that is repaired while all others are gone comes back") {
  TwinSettings settings;
  settings.gate_timeout = 3s;
  for (const bool stable : {true, false}) {
    CAPTURE(stable);
    model::StateSpace model = lags(2);
    // Without limits and measurements the second one's P would grow for hours before it is too wide.
    if (!stable) {
      model.A = MatrixXd::Identity(2, 2);
      for (auto& state : model.states) state.limits = {-5.0, 5.0};
    }
    Rig rig(model, 151, settings);
    rig.run(300);
    rig.bias(0) = 1000.0 * rig.out.outputs[0].std;
    rig.run(100);
    REQUIRE_FALSE(rig.out.outputs[0].fused);
    rig.fresh = {true, false};
    rig.run(500);
    REQUIRE_FALSE(rig.out.outputs[0].fused);
    rig.bias(0) = 0.0;
    int out_for = 0;
    for (rig.step(); !rig.out.outputs[0].fused && out_for < 1'000'000; rig.step()) ++out_for;
    CHECK(rig.out.outputs[0].fused);
    if (!stable) continue;  // by now the plant may have left the limits
    CHECK(out_for == 0);
    rig.run(100);
    CHECK(rig.out.outputs[0].fused);
    CHECK(rig.error_in_std(0) < 5.0);
  }
}

TEST_CASE("Any number of jumps is followed while one sensor is isolated") {
  const model::StateSpace model = coupled(161, 4, 3, Noise::independent);
  TwinSettings settings;
  settings.gate_timeout = 3s;
  Rig rig(model, 162, settings);
  rig.run(300);
  rig.bias(1) = 1e6 * rig.out.outputs[1].std;
  rig.run(300);
  for (std::uint64_t jump = 0; jump < 25; ++jump) {
    CAPTURE(jump);
    REQUIRE(rig.out.mode == Mode::degraded);
    rig.jump(jump_of(model, rig.out, 163 + jump, 200.0));
    rig.run(100);
    REQUIRE_FALSE(rig.out.outputs[1].fused);
    for (const std::size_t i : {0, 2}) {
      REQUIRE(rig.out.outputs[i].fused);
      REQUIRE(rig.out.outputs[i].test_ratio <= 1.0);
    }
    for (Index i = 0; i < 4; ++i) REQUIRE(rig.error_in_std(i) < 5.0);
    for (int k = 0; k < 20'000 && rig.out.mode != Mode::degraded; ++k) rig.step();
    rig.run(2000);
  }
}

TEST_CASE("A start that is estimated does without an isolated sensor and believes it where there is no other") {
  const model::StateSpace model = coupled(171, 4, 3, Noise::independent);
  TwinSettings settings;
  settings.gate_timeout = 3s;
  for (const bool alone : {false, true}) {
    CAPTURE(alone);
    Rig rig(model, 172, settings);
    rig.run(300);
    rig.bias(1) = 1000.0 * rig.out.outputs[1].std;
    rig.run(300);
    REQUIRE_FALSE(rig.out.outputs[1].fused);
    if (alone) {
      rig.bias(1) = 0.0;
      rig.fresh = {false, true, false};
    }
    rig.begin_anew();
    rig.run(300);
    REQUIRE(rig.out.mode != Mode::initializing);
    for (Index i = 0; i < 4; ++i) CHECK(rig.error_in_std(i) < 5.0);
    CHECK(rig.out.outputs[1].fused == alone);
  }
}

TEST_CASE("A start that is estimated leaves no row followed") {
  const model::StateSpace model = coupled(181, 4, 1, Noise::independent);
  TwinSettings settings;
  settings.gate_timeout = 3s;
  Rig rig(model, 182, settings);
  rig.run(300);
  rig.jump(jump_of(model, rig.out, 183, 200.0));
  for (int k = 0; k < 40 && !rig.out.outputs[0].fused; ++k) rig.step();
  rig.step();
  for (int k = 0; k < 40 && !rig.out.outputs[0].fused; ++k) rig.step();
  REQUIRE(rig.out.outputs[0].fused);
  rig.begin_anew();
  rig.run(100);
  REQUIRE(rig.out.mode != Mode::initializing);
  rig.bias(0) = 1e4 * rig.out.outputs[0].std;
  rig.step();
  CHECK_FALSE(rig.out.outputs[0].fused);
}
