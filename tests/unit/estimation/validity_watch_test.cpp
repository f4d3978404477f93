#include "twinkeeper/estimation/validity_watch.hpp"

#include <cmath>

#include "plants_for_tests.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::estimation;
using Eigen::VectorXd;
using signals::Quality;
using signals::Reason;

namespace {

VectorXd scalar(double value) { return VectorXd::Constant(1, value); }

// The lag of plants_for_tests, meant for 20 … 80 at its input and 30 … 90 at its output; noise 0.1.
model::StateSpace ranged() {
  model::StateSpace model = lags(1);
  model.inputs[0].valid = {20.0, 80.0};
  model.outputs[0].valid = {30.0, 90.0};
  model.initial = scalar(50.0);
  return model;
}

struct Bench {
  Twin twin;
  TwinStep out;
  explicit Bench(const model::StateSpace& model, TwinSettings settings = {})
      : twin(make_twin(model, std::move(settings))), out(twin.make_record()) {}
  bool valid(double u, double y) {
    twin.step(frame_of(scalar(u), scalar(y)), out);
    CHECK(out.tests_held == !out.valid);
    return out.valid;
  }
};

TwinSettings without_gate() {
  TwinSettings settings;
  settings.gate.reset();
  return settings;
}

}  // namespace

TEST_CASE("A twin is valid while every signal is within its range, and tells which are not") {
  Bench bench(ranged(), without_gate());
  CHECK(bench.valid(50.0, 50.0));
  CHECK(bench.valid(20.0, 90.0));  // the bounds belong to the range
  CHECK_FALSE(bench.valid(19.9, 50.0));
  CHECK(bench.out.inputs[0].outside);
  CHECK_FALSE(bench.out.outputs[0].outside);
  CHECK_FALSE(bench.valid(50.0, 90.1));
  CHECK_FALSE(bench.out.inputs[0].outside);
  CHECK(bench.out.outputs[0].outside);
  CHECK(bench.valid(50.0, 60.0));
}

TEST_CASE("A model without ranges is valid anywhere") {
  model::StateSpace model = lags(1);
  Bench bench(model, without_gate());
  CHECK(bench.valid(1e12, -1e12));
  CHECK_FALSE(bench.out.tests_held);
}

TEST_CASE("A value that hovers at a bound is outside once, not again and again") {
  Bench bench(ranged(), without_gate());
  std::mt19937_64 engine(3);
  std::normal_distribution<double> normal;
  int changes = 0;
  bool before = true;
  for (int k = 0; k < 2000; ++k) {
    const bool now = bench.valid(80.0 + 0.5 * normal(engine), 60.0);
    changes += now != before;
    before = now;
  }
  CHECK(changes == 1);
  CHECK_FALSE(before);
  // Back from 5 % within the range.
  CHECK_FALSE(bench.valid(77.1, 60.0));
  CHECK(bench.valid(76.9, 60.0));
  CHECK(bench.valid(79.9, 60.0));
}

TEST_CASE("A narrow range of a noisy output is entered again by three standard deviations, at most a quarter") {
  model::StateSpace model = ranged();
  model.outputs[0].valid = {30.0, 32.0};
  Bench noisy(model, without_gate());
  CHECK_FALSE(noisy.valid(50.0, 29.0));
  CHECK_FALSE(noisy.valid(50.0, 30.2));
  CHECK(noisy.valid(50.0, 30.4));
  model.outputs[0].valid = {30.0, 30.4};
  Bench narrow(model, without_gate());
  CHECK_FALSE(narrow.valid(50.0, 29.0));
  CHECK_FALSE(narrow.valid(50.0, 30.05));
  CHECK(narrow.valid(50.0, 30.2));
}

TEST_CASE("Without a usable value the last verdict stands") {
  Bench bench(ranged(), without_gate());
  CHECK_FALSE(bench.valid(50.0, 95.0));
  signals::Frame frame = frame_of(scalar(50.0), scalar(60.0));
  frame.outputs[0].fresh = false;
  bench.twin.step(frame, bench.out);
  CHECK_FALSE(bench.out.valid);
  frame.outputs[0].fresh = true;
  frame.outputs[0].quality = Quality::bad;
  frame.outputs[0].reason = Reason::error_value;
  bench.twin.step(frame, bench.out);
  CHECK_FALSE(bench.out.valid);
  CHECK(bench.valid(50.0, 60.0));

  frame = frame_of(scalar(10.0), scalar(60.0));
  frame.inputs[0].stand_in = true;
  bench.twin.step(frame, bench.out);
  CHECK(bench.out.valid);
  frame.inputs[0].stand_in = false;
  frame.inputs[0].quality = Quality::bad;
  bench.twin.step(frame, bench.out);
  CHECK(bench.out.valid);
  CHECK_FALSE(bench.valid(10.0, 60.0));
}

TEST_CASE("A limited input counts as it is used, and a sensor that jumps does not leave the range") {
  model::StateSpace model = ranged();
  model.inputs[0].limits = {0.0, 70.0};
  Bench limited(model, without_gate());
  CHECK(limited.valid(500.0, 50.0));

  Bench gated(ranged());
  for (int k = 0; k < 50; ++k) REQUIRE(gated.valid(50.0, 50.0));
  CHECK(gated.valid(50.0, 500.0));
  CHECK_FALSE(gated.out.outputs[0].fused);
}

TEST_CASE("Outside its range a twin runs on as it would have without ranges") {
  Bench bench(ranged());
  model::StateSpace plain = ranged();
  plain.inputs[0].valid = plain.outputs[0].valid = lags(1).inputs[0].valid;
  Bench other(plain);
  std::mt19937_64 engine(4);
  std::normal_distribution<double> normal;
  for (int k = 0; k < 500; ++k) {
    const double u = 50.0 + 40.0 * std::sin(0.05 * k);
    const double y = 50.0 + 20.0 * std::sin(0.05 * k - 0.5) + 0.1 * normal(engine);
    bench.valid(u, y);
    other.valid(u, y);
    REQUIRE(bench.out.x == other.out.x);
    REQUIRE(bench.out.std == other.out.std);
    REQUIRE(bench.out.mode == other.out.mode);
  }
}
