// A plant under a controller: what its inputs answer, and models that replace others.
#include <cmath>

#include "base/random.hpp"
#include "identification/decompositions.hpp"
#include "identification/identify.hpp"
#include "support/catch.hpp"
#include "twinkeeper/model/analysis.hpp"

using namespace twinkeeper;
using namespace twinkeeper::identification;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

constexpr double kPole = 0.9;
constexpr double kGain = 2.0;
constexpr double kProportional = 1.5;

struct Loop {
  double set_points = 1.0;  // size of their steps
  double plant_gain = kGain;
};

// y = G u + v with v a disturbance as large as the steps, u = kp (r − y) + ki Σ (r − y).
Experiments loop_record(const Loop& loop, Index count, unsigned seed) {
  base::Random random(seed);
  Experiment out;
  out.u.resize(1, count);
  out.y.resize(1, count);
  double x = 0.0, v = 0.0, integral = 0.0, r = 0.0;
  for (Index k = 0; k < count; ++k) {
    if (random.uniform() > 0.97) r = loop.set_points * (2.0 * random.uniform() - 1.0);
    const double y = x + v;
    integral += 0.05 * (r - y);
    const double u = kProportional * (r - y) + integral;
    out.u(0, k) = u;
    out.y(0, k) = y;
    x = kPole * x + (1.0 - kPole) * loop.plant_gain * u;
    v = 0.7 * v + 0.3 * random.normal();
  }
  return {out};
}

Experiments open_record(double gain, double noise, Index count, unsigned seed) {
  base::Random random(seed);
  Experiment out;
  out.u.resize(1, count);
  out.y.resize(1, count);
  double x = 0.0, u = 0.0;
  for (Index k = 0; k < count; ++k) {
    if (random.uniform() > 0.9) u = 2.0 * random.uniform() - 1.0;
    out.u(0, k) = u;
    out.y(0, k) = x + 0.5 * noise * random.normal();
    x = kPole * x + (1.0 - kPole) * gain * u;
  }
  return {out};
}

double gain_of_model(const Identified& found) {
  const Index n = found.A.rows();
  return (found.C * least_squares(MatrixXd::Identity(n, n) - found.A, found.B) + found.D)(0, 0);
}

IdentifySettings in_loop() {
  IdentifySettings out;
  out.closed_loop = true;
  return out;
}

WarmStart start_from(const Identified& found) {
  return {found.A, found.B, found.C, found.D, found.K, found.u_op, found.y_op, found.delays};
}

}  // namespace

TEST_CASE("Under feedback a long regression starts near the plant where projections along the inputs do not") {
  double worst_open = 0.0;
  double worst_loop = 0.0;
  for (unsigned seed = 1; seed <= 3; ++seed) {
    const Experiments record = loop_record({}, 3000, seed);
    const Experiments data = scaled(record, scale_of(record));
    const auto regression = LongRegression::of(data, 20);
    const auto subspace = Subspace::of(data, 20);
    REQUIRE(regression);
    REQUIRE(subspace);
    // Two states: the plant's pole and the disturbance's.
    Fold fold;
    fold.train = data;
    fold.scale = scale_of(record);
    fold.cap = 1.0;
    const auto gain_from = [&](bool by_regression, Focus focus) {
      Fold one = fold;
      if (by_regression) {
        one.past = regression;
      } else {
        one.subspaces.push_back(*subspace);
      }
      const auto start = best_start(one, focus, 2);
      REQUIRE(start);
      const LinearModel model =
          focus == Focus::simulation ? matrices_of(start->sections) : model_of_predictor(start->sections);
      const double gain = (model.C * least_squares(MatrixXd::Identity(2, 2) - model.A, model.B) + model.D)(0, 0);
      return gain * fold.scale.y_unit(0) / fold.scale.u_unit(0);
    };
    worst_loop = std::max(worst_loop, std::abs(gain_from(true, Focus::prediction) - kGain));
    worst_open = std::max(worst_open, std::abs(gain_from(false, Focus::simulation) - kGain));
  }
  CHECK(worst_loop < 0.25 * kGain);
  CHECK(worst_open > 2.0 * worst_loop);
}

TEST_CASE("In a closed loop the plant is found, has no direct term, and its gain lies within what it may be off by") {
  for (unsigned seed = 1; seed <= 2; ++seed) {
    const auto found = identify(loop_record({}, 1500, seed), {"u"}, {"y"}, in_loop());
    REQUIRE(found.ok());
    CHECK(gain_of_model(found.value()) == Approx(kGain).epsilon(0.15));
    CHECK(found.value().D.norm() == 0.0);
    REQUIRE(found.value().uncertainty.gain_std.size() == 1);
    const double std = found.value().uncertainty.gain_std(0, 0);
    CHECK(std < 0.2 * kGain);
    CHECK(std::abs(gain_of_model(found.value()) - kGain) < 3.0 * std);
  }
}

TEST_CASE("Feedback nobody spoke of is warned of, and a loop whose set point stands still is refused") {
  const auto unasked = identify(loop_record({}, 2000, 4), {"u"}, {"y"}, {});
  REQUIRE(unasked.ok());
  bool warned = false;
  for (const auto& text : unasked.value().warnings) warned = warned || text.find("--closed-loop") != std::string::npos;
  CHECK(warned);
  Loop still;
  still.set_points = 0.0;
  const auto found = identify(loop_record(still, 2000, 5), {"u"}, {"y"}, in_loop());
  REQUIRE_FALSE(found.ok());
  CHECK(found.error().message().find("record steps of the set point") != std::string::npos);
}

TEST_CASE("Gains and time constants are off by no more than they are said to be") {
  int gain = 0;
  int pole = 0;
  constexpr int kRuns = 8;
  for (unsigned seed = 1; seed <= kRuns; ++seed) {
    IdentifySettings settings;
    settings.order = 1;
    settings.method = Method::n4sid;
    const auto found = identify(open_record(kGain, 0.3, 500, seed), {"u"}, {"y"}, settings);
    REQUIRE(found.ok());
    const LinearUncertainty& of = found.value().uncertainty;
    REQUIRE(of.poles.size() == 1);
    CHECK(of.gain(0, 0) == Approx(gain_of_model(found.value())).epsilon(1e-6));
    CHECK(of.gain_std(0, 0) < 0.1);
    gain += std::abs(of.gain(0, 0) - kGain) < 2.0 * of.gain_std(0, 0) ? 1 : 0;
    pole += std::abs(of.poles[0].time_constant + 1.0 / std::log(kPole)) < 2.0 * of.poles[0].time_constant_std ? 1 : 0;
  }
  CHECK(gain >= 6);
  CHECK(pole >= 6);
}

TEST_CASE("A warm start follows a plant that changed, and does not replace a model that predicts better") {
  const auto old = identify(open_record(kGain, 0.1, 600, 1), {"u"}, {"y"}, {});
  REQUIRE(old.ok());
  IdentifySettings settings;
  settings.from = start_from(old.value());
  const auto changed = identify(open_record(1.5 * kGain, 0.1, 600, 2), {"u"}, {"y"}, settings);
  REQUIRE(changed.ok());
  CHECK(changed.value().verdict == Verdict::accept);
  CHECK(changed.value().A.rows() == old.value().A.rows());
  CHECK(gain_of_model(changed.value()) == Approx(1.5 * kGain).epsilon(0.05));
  REQUIRE(changed.value().replaced);
  CHECK(changed.value().replaced->new_simulation[0] > changed.value().replaced->old_simulation[0] + 5.0);

  // The first rows are of another machine: what is fitted to them is worse on the last ones.
  Experiments mixed = open_record(kGain, 0.1, 600, 3);
  mixed[0].y.leftCols(420) = open_record(0.5 * kGain, 0.1, 600, 3)[0].y.leftCols(420);
  const auto worse = identify(mixed, {"u"}, {"y"}, settings);
  REQUIRE(worse.ok());
  CHECK(worse.value().verdict == Verdict::reject);
  CHECK(worse.value().reasons.back().find("the model that it would replace") != std::string::npos);
}
