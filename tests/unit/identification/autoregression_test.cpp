#include "identification/autoregression.hpp"

#include <random>

#include "identification/identify.hpp"
#include "support/catch.hpp"

using namespace twinkeeper::identification;
using Eigen::Index;
using Eigen::MatrixXd;

namespace {

// 0: AR(1) of 0.6 pushed by output 1; 1: white; 2: a random walk.
Experiments three_series(Index count, unsigned seed) {
  std::mt19937 source(seed);
  std::normal_distribution<double> normal;
  Experiment out;
  out.u = MatrixXd::Zero(0, count);
  out.y = MatrixXd::Zero(3, count);
  for (Index k = 1; k < count; ++k) {
    out.y(0, k) = 0.6 * out.y(0, k - 1) + 0.5 * out.y(1, k - 1) + normal(source);
    out.y(1, k) = normal(source);
    out.y(2, k) = out.y(2, k - 1) + normal(source);
  }
  return {out};
}

}  // namespace

TEST_CASE("A vector autoregression holds what the record shows and nothing of a walk in other outputs") {
  int known_walks = 0;
  for (unsigned seed = 1; seed <= 20; ++seed) {
    const Experiments record = three_series(400, seed);
    const auto known = levels_known(record);
    CHECK((known[0] && known[1]));
    known_walks += known[2] ? 1 : 0;
    if (known[2]) continue;
    const LinearModel model = autoregression(record, 1, 0.9975);
    CHECK(model.A(0, 0) == Approx(0.6).margin(0.15));
    CHECK(model.A(0, 1) == Approx(0.5).margin(0.2));
    CHECK(model.A(0, 2) == 0.0);
    CHECK(model.A(1, 2) == 0.0);
    CHECK(model.A(2, 2) == Approx(0.9975));
    CHECK(model.A(2, 0) == 0.0);
    CHECK(model.K.isApprox(model.A));
  }
  CHECK(known_walks <= 4);  // one in twenty by chance
}

TEST_CASE("A model is made again from other rows by its recipe alone") {
  const Experiments record = three_series(600, 7);
  IdentifySettings settings;
  settings.method = Method::var;
  settings.order = 1;
  const auto first = identify(record, {}, {"a", "b", "c"}, settings);
  REQUIRE(first.ok());
  const auto again = identify_again(slice(record, 0, 450), {true, Focus::prediction, 1, {}});
  REQUIRE(again.ok());
  CHECK(again.value().A.rows() == 3);
  CHECK((again.value().Ry - first.value().Ry).norm() < 0.2 * first.value().Ry.norm());
  CHECK_FALSE(identify_again(slice(record, 0, 100), {true, Focus::prediction, 10, {}}).ok());
  CHECK_FALSE(identify_again(slice(record, 0, 60), {true, Focus::prediction, 1, {}}).ok());
  const auto subspace = identify_again(record, {false, Focus::prediction, 2, {}});
  REQUIRE(subspace.ok());
  CHECK(subspace.value().A.rows() == 2);
}
