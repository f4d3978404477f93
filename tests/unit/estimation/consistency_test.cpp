// What the published numbers promise, counted over many steps of matched plants.
#include <cmath>

#include "plants_for_tests.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::estimation;
using Eigen::Index;
using Eigen::VectorXd;

namespace {

struct Tally {
  double nis = 0.0;
  double dof = 0.0;
  long inside = 0;
  long states = 0;
};

void run(Tally& tally, const model::StateSpace& model, std::uint64_t seed, int steps, bool masked) {
  TwinSettings settings;
  settings.gate.reset();
  Twin twin = make_twin(model, settings);
  TwinStep out = twin.make_record();
  Plant plant(model, seed, VectorXd::Zero(model.n_x()));
  for (int k = 0; k < steps; ++k) {
    const VectorXd u = random_matrix(plant.engine(), model.n_u(), 1);
    const VectorXd y = plant.step(u);
    signals::Frame frame = frame_of(u, y, k);
    if (masked) mask_outputs(frame, plant.engine());
    twin.step(frame, out);
    if (k < 200) continue;
    if (out.nis_dof > 0) {
      tally.nis += out.nis;
      tally.dof += out.nis_dof;
    }
    for (Index i = 0; i < model.n_x(); ++i) {
      const std::size_t j = static_cast<std::size_t>(i);
      tally.inside += std::abs(out.x[j] - plant.x()(i)) <= out.std[j];
      ++tally.states;
    }
  }
}

}  // namespace

TEST_CASE("The true state is within one published standard deviation as often as a normal variable would be") {
  std::mt19937_64 engine(31);
  for (const Noise noise : {Noise::independent, Noise::full_R, Noise::correlated}) {
    for (const bool masked : {false, true}) {
      Tally tally;
      for (std::uint64_t seed = 1; seed <= 12; ++seed) {
        const auto size = static_cast<Index>(seed);
        run(tally, random_model(engine, 2 + size % 4, 1, 1 + size % 3, noise), seed, 8000, masked);
      }
      const double share = static_cast<double>(tally.inside) / static_cast<double>(tally.states);
      CAPTURE(static_cast<int>(noise), masked, tally.states);
      CHECK(share > 0.66);
      CHECK(share < 0.705);
      // χ² with `dof` degrees of freedom has the standard deviation √(2 dof); five of them.
      CHECK(std::abs(tally.nis - tally.dof) < 5.0 * std::sqrt(2.0 * tally.dof));
    }
  }
}

TEST_CASE("A mismatched model is seen in the NIS, so the band above is not empty talk") {
  std::mt19937_64 engine(32);
  const model::StateSpace model = random_model(engine, 3, 1, 2, Noise::independent);
  model::StateSpace optimist = model;
  optimist.R *= 0.5;
  optimist.Q *= 0.5;
  TwinSettings settings;
  settings.gate.reset();
  Twin twin = make_twin(optimist, settings);
  TwinStep out = twin.make_record();
  Plant plant(model, 5, VectorXd::Zero(3));
  double nis = 0.0;
  for (int k = 0; k < 5000; ++k) {
    const VectorXd u = random_matrix(plant.engine(), 1, 1);
    twin.step(frame_of(u, plant.step(u), k), out);
    nis += out.nis;
  }
  CHECK(nis / 5000.0 > 3.0);  // twice what it should be: 4
}
