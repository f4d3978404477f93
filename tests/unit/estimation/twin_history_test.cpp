// What a twin takes back and does again, and what it makes of means.
#include <bit>
#include <thread>

#include "plants_for_tests.hpp"
#include "reference_filter.hpp"
#include "support/catch.hpp"
#include "twinkeeper/estimation/twin.hpp"

using namespace twinkeeper;
using namespace twinkeeper::estimation;
using Eigen::Index;
using Eigen::VectorXd;

namespace {

bool same_step(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

bool same_step(const TwinStep& a, const TwinStep& b) {
  bool equal = a.mode == b.mode && same_step(a.nis, b.nis) && a.nis_dof == b.nis_dof;
  for (std::size_t i = 0; i < a.x.size(); ++i)
    equal = equal && same_step(a.x[i], b.x[i]) && same_step(a.std[i], b.std[i]);
  for (std::size_t i = 0; i < a.outputs.size(); ++i) {
    equal = equal && same_step(a.outputs[i].expected, b.outputs[i].expected) &&
            same_step(a.outputs[i].std, b.outputs[i].std) && a.outputs[i].fused == b.outputs[i].fused;
  }
  return equal;
}

// Runs `frames` with excursions: from time to time the twin goes on with nonsense, and is taken back. Returns how often
// a row was followed.
int check_recall(const model::StateSpace& model, const std::vector<signals::Frame>& frames, std::mt19937_64& engine) {
  constexpr std::size_t kHistory = 20;
  TwinSettings settings;
  settings.history = kHistory;
  settings.gate_timeout = std::chrono::seconds{3};
  Twin plain = make_twin(model, settings);
  Twin wandering = make_twin(model, settings);
  TwinStep expected = plain.make_record();
  TwinStep told = expected;
  Twin::Memory memory;
  int followed = 0;
  for (const signals::Frame& frame : frames) {
    if (engine() % 5 == 0) {
      wandering.remember(memory);
      for (std::size_t steps = 1 + engine() % kHistory; steps > 0; --steps) {
        signals::Frame nonsense = frame;
        for (auto& input : nonsense.inputs) input.value += 3.0;
        for (auto& output : nonsense.outputs) output.value *= engine() % 16 == 0 ? 1e300 : 1.5;
        mask_outputs(nonsense, engine);
        wandering.step(nonsense, told);
      }
      wandering.recall(memory);
    }
    plain.step(frame, expected);
    wandering.step(frame, told);
    REQUIRE(same_step(told, expected));
    for (const OutputStep& row : expected.outputs) followed += row.fused && row.test_ratio > 1.0;
  }
  CHECK(wandering.counters().gated_rows == plain.counters().gated_rows);
  return followed;
}

}  // namespace

TEST_CASE("What a twin takes back is as if it had not been, bit for bit") {
  std::mt19937_64 engine(31);
  constexpr Noise kNoises[] = {Noise::independent, Noise::full_R, Noise::correlated, Noise::rank_deficient,
                               Noise::innovations};
  for (int round = 0; round < 100; ++round) {
    const Index n = 1 + round % 9, m = round % 3, p = 1 + round % 5;
    CAPTURE(round, n, m, p);
    model::StateSpace model = random_model(engine, n, m, p, kNoises[round % 5]);
    if (round % 2 == 0) model.initial.reset();  // a start that is estimated can be taken back, too
    if (m > 0) model.dead_times.assign(static_cast<std::size_t>(m), {round % 4, false});
    Plant plant(model, 7, random_matrix(engine, n, 1));
    std::vector<signals::Frame> frames;
    for (int k = 0; k < 60; ++k) {
      const VectorXd u = random_matrix(engine, m, 1);
      frames.push_back(frame_of(u + model.u_op, plant.step(u) + model.y_op, k));
      mask_outputs(frames.back(), engine);
    }
    check_recall(model, frames, engine);
  }
}

TEST_CASE("What a twin of a nonlinear template takes back is as if it had not been, bit for bit") {
  std::mt19937_64 engine(32);
  for (const bool known_start : {true, false}) {
    const model::StateSpace model = two_tanks(known_start);
    std::vector<signals::Frame> frames;
    VectorXd moved = VectorXd::Zero(model.n_y());
    for (int k = 0; k < 600; ++k) {
      // Jumps that last, of both levels, of one or of none: rows are followed and isolated.
      if (k % 40 == 39) moved = VectorXd::Constant(2, 0.1 * static_cast<double>(engine() % 2));
      if (k % 80 == 79) moved(0) = 0.0;
      const VectorXd noise = 0.002 * random_matrix(engine, model.n_y(), 1);
      frames.push_back(
          frame_of(model.u_op + 0.1 * random_matrix(engine, model.n_u(), 1), model.y_op + moved + noise, k));
      mask_outputs(frames.back(), engine);
    }
    CHECK(check_recall(model, frames, engine) > 5);
  }
}

TEST_CASE("Copies of a twin with augmented states step at the same time and get the bits they would alone") {
  model::AugmentSettings parameter;
  parameter.kind = model::AugmentKind::parameter;
  parameter.name = "a2";
  parameter.noise_density = 1e-8;
  parameter.initial_std = 1e-6;
  const model::StateSpace model = two_tanks(true, 1.0, {parameter});
  const Twin start = make_twin(model);
  const auto run = [&model](Twin& twin, double volt) {
    TwinStep out = twin.make_record();
    VectorXd u = model.u_op;
    std::vector<double> course;
    for (int k = 0; k < 100'000; ++k) {
      u(0) = model.u_op(0) + (k / 50 % 2 == 0 ? volt : 0.0);
      twin.step(frame_of(u, model.y_op, k), out);
      course.insert(course.end(), out.x.begin(), out.x.end());
    }
    return course;
  };
  Twin alone[] = {start, start};
  const std::vector<double> expected[] = {run(alone[0], -0.5), run(alone[1], 0.5)};
  Twin copies[] = {start, start};
  std::vector<double> told[2];
  std::thread other([&] { told[0] = run(copies[0], -0.5); });
  told[1] = run(copies[1], 0.5);
  other.join();
  CHECK((told[0] == expected[0]));
  CHECK((told[1] == expected[1]));
}

TEST_CASE("The mean of several samples is fused with the variance of a mean") {
  std::mt19937_64 engine(33);
  for (int round = 0; round < 50; ++round) {
    const Index n = 1 + round % 6, p = 1 + round % 4;
    CAPTURE(round, n, p);
    const model::StateSpace model = random_model(engine, n, 0, p, Noise::independent);
    const VectorXd start = random_matrix(engine, n, 1);
    const VectorXd std = random_matrix(engine, n, 1).cwiseAbs();
    KalmanFilter filter(model);
    filter.reset(start, std);
    model::StateSpace changing = model;
    ReferenceFilter reference{changing, start, std.cwiseAbs2().asDiagonal(), {}, {}, {}, {}};
    Plant plant(model, 8, start);
    for (int k = 0; k < 30; ++k) {
      std::vector<std::uint32_t> samples(static_cast<std::size_t>(p));
      for (auto& count : samples) count = 1 + static_cast<std::uint32_t>(engine() % 5);
      for (Index i = 0; i < p; ++i) changing.R(i, i) = model.R(i, i) / samples[static_cast<std::size_t>(i)];
      const VectorXd y = plant.step(VectorXd(0));
      const auto good = random_mask(engine, p);
      auto used = good;
      for (auto& row : used) row = row != 0 && engine() % 8 != 0;
      filter.average(samples);
      filter.expect({});
      const double nis = filter.fuse(span(y), good, used);
      const VectorXd x_post = vector(filter.x_post());
      REQUIRE(filter.predict({}));
      reference.step(VectorXd(0), y, good, used);
      REQUIRE((x_post - reference.x_post).norm() <= 1e-9 * (1.0 + reference.x_post.norm()));
      REQUIRE((filter.covariance_prior() - reference.P).norm() <= 1e-9 * (1.0 + reference.P.norm()));
      if (std::isfinite(nis)) REQUIRE(nis == Approx(reference.nis).epsilon(1e-8));
    }
  }
}

TEST_CASE("A twin refuses means where the noise of one output tells of another's") {
  std::mt19937_64 engine(34);
  TwinSettings settings;
  settings.averages = true;
  for (const Noise noise : {Noise::full_R, Noise::correlated}) {
    const model::StateSpace model = random_model(engine, 3, 1, 2, noise);
    settings.period = base::Duration{std::llround(model.sample_time * 1e9)};
    const auto created = Twin::create(model, settings);
    REQUIRE(std::holds_alternative<base::Issues>(created));
    CHECK(std::get<base::Issues>(created)[0].accepted.find("combine: last") != std::string::npos);
  }
}
