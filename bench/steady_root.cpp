// Whether the covariance recursion ever comes to rest: after how many steps, with all rows measured, P(k|k−1) has the
// bits it had before, and how long the cycle is then (1: a fixed point, at which a constant gain would be exactly
// valid). Random models of some sizes, then the linear ones among the model files given.
// usage: bench_steady_root [MODEL.yaml…]
#include <Eigen/Core>
#include <algorithm>
#include <cstdio>
#include <random>
#include <variant>
#include <vector>

#include "config/config.hpp"
#include "twinkeeper/estimation/kalman_filter.hpp"
#include "twinkeeper/model/analysis.hpp"

namespace {

using namespace twinkeeper;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr long kSteps = 100'000;

MatrixXd random_matrix(std::mt19937_64& engine, Index rows, Index columns) {
  std::normal_distribution<double> normal;
  return MatrixXd::NullaryExpr(rows, columns, [&] { return normal(engine); });
}

model::StateSpace random_model(std::mt19937_64& engine, Index n, Index p, bool correlated) {
  model::StateSpace space;
  space.sample_time = 0.1;
  space.A = random_matrix(engine, n, n);
  space.A *= 0.97 / model::spectral_radius(space.A);
  space.B = MatrixXd::Zero(n, 0);
  space.C = random_matrix(engine, p, n);
  space.D = MatrixXd::Zero(p, 0);
  space.d = VectorXd::Zero(n);
  const MatrixXd root = random_matrix(engine, n + p, n + p);
  const MatrixXd joint = root * root.transpose();
  space.Q = joint.topLeftCorner(n, n);
  space.R = correlated ? MatrixXd(joint.bottomRightCorner(p, p)) : MatrixXd(0.5 * MatrixXd::Identity(p, p));
  space.S = correlated ? MatrixXd(joint.topRightCorner(n, p)) : MatrixXd::Zero(n, p);
  return space;
}

struct Rest {
  long length = 0;  // of the cycle, 0: none found
  long steps = 0;   // until it was found
};

// Brent's search. Three rounds of the cycle must agree: P could be equal by chance where its root is not.
Rest rest_of(const model::StateSpace& space) {
  estimation::KalmanFilter filter(space);
  filter.reset(VectorXd::Zero(space.n_x()), VectorXd::Ones(space.n_x()));
  const std::vector<double> u(static_cast<std::size_t>(space.n_u())), y(static_cast<std::size_t>(space.n_y()));
  const std::vector<std::uint8_t> all(y.size(), 1);
  const auto step = [&] {
    filter.expect(u);
    filter.fuse(y, all, all);
    return filter.predict(u);
  };
  MatrixXd anchor = filter.covariance_prior();
  long power = 1;
  long length = 0;
  for (long k = 1; k <= kSteps; ++k) {
    if (!step()) return {};
    ++length;
    if (filter.covariance_prior() == anchor) {
      bool again = true;
      for (long round = 0; round < 2 && again; ++round) {
        for (long i = 0; i < length; ++i) again = step() && again;
        again = again && filter.covariance_prior() == anchor;
      }
      if (again) return {length, k};
    }
    if (length == power) {
      anchor = filter.covariance_prior();
      power *= 2;
      length = 0;
    }
  }
  return {};
}

void random_models() {
  constexpr int kModels = 40;
  std::printf("%ld steps of %d random models of each size; length of the cycle in which P(k|k-1) ends\n", kSteps,
              kModels);
  std::printf("%4s %8s %8s %8s %8s %8s  %s\n", "n", "1", "2", "3-16", "longer", "none", "found after, median");
  for (const Index n : {1, 2, 3, 4, 6, 8, 12, 16}) {
    int counts[5] = {};
    std::vector<long> found;
    for (int number = 0; number < kModels; ++number) {
      std::mt19937_64 engine(static_cast<std::uint64_t>(1000 * n + number));
      const Index p = 1 + number % std::min<Index>(n, 4);
      const Rest rest = rest_of(random_model(engine, n, p, number % 2 == 1));
      ++counts[rest.length == 0 ? 4 : rest.length <= 2 ? rest.length - 1 : rest.length <= 16 ? 2 : 3];
      if (rest.length != 0) found.push_back(rest.steps);
    }
    std::sort(found.begin(), found.end());
    std::printf("%4ld %8d %8d %8d %8d %8d  ", static_cast<long>(n), counts[0], counts[1], counts[2], counts[3],
                counts[4]);
    std::printf(found.empty() ? "-\n" : "%ld steps\n", found.empty() ? 0L : found[found.size() / 2]);
    std::fflush(stdout);
  }
}

void model_file(const char* file) {
  using Diagnostics = std::vector<config::Diagnostic>;
  auto loaded = config::load_model(file, std::nullopt, {});
  if (std::holds_alternative<Diagnostics>(loaded)) loaded = config::load_model(file, std::chrono::seconds{1}, {});
  if (std::holds_alternative<Diagnostics>(loaded)) {
    std::printf("%s: cannot be read\n", file);
    return;
  }
  const auto& read = std::get<config::ModelFile>(loaded);
  auto built = model::build(read.model, std::chrono::duration<double>(read.period).count());
  if (!std::holds_alternative<model::StateSpace>(built)) {
    std::printf("%s: is no model\n", file);
    return;
  }
  const auto& space = std::get<model::StateSpace>(built);
  if (space.nonlinear()) {
    std::printf("%s: nonlinear, its gain is another one at each step\n", file);
    return;
  }
  const Rest rest = rest_of(space);
  std::printf("%s: n = %ld, ", file, static_cast<long>(space.n_x()));
  if (rest.length == 0)
    std::printf("no cycle in %ld steps\n", kSteps);
  else
    std::printf("a cycle of %ld, found after %ld steps\n", rest.length, rest.steps);
}

}  // namespace

int main(int argc, char** argv) {
  random_models();
  for (int i = 1; i < argc; ++i) model_file(argv[i]);
}
