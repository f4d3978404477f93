// Which augmented states can be told apart: by exact ranks, and by the names that are told.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>

#include "augment_for_tests.hpp"
#include "model/augment.hpp"
#include "settings_for_tests.hpp"
#include "support/catch.hpp"
#include "twinkeeper/model/augmentation.hpp"

using namespace twinkeeper;
using namespace twinkeeper::model;
using namespace std::chrono_literals;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

base::Issues issues_of_augmented(const ModelSettings& settings, double period = 0.5) {
  auto made = build(settings, period);
  if (auto* issues = std::get_if<base::Issues>(&made)) return *issues;
  return {};
}

constexpr std::uint64_t kPrime =
    2'147'483'647;  // of a size that a rank of small integers is lost in it by accident only

// Exact rank of an integer matrix (modulo a prime, which is the rank itself but for a chance of 1e-9).
Index exact_rank(std::vector<std::vector<std::int64_t>> rows) {
  const auto modulo = [](std::int64_t value) {
    const auto p = static_cast<std::int64_t>(kPrime);
    return static_cast<std::uint64_t>(((value % p) + p) % p);
  };
  std::vector<std::vector<std::uint64_t>> m;
  for (const auto& row : rows) {
    m.emplace_back();
    for (const auto value : row) m.back().push_back(modulo(value));
  }
  const auto inverse = [](std::uint64_t a) {
    std::uint64_t result = 1;
    for (std::uint64_t e = kPrime - 2; e > 0; e /= 2, a = a * a % kPrime) {
      if (e % 2 == 1) result = result * a % kPrime;
    }
    return result;
  };
  std::size_t rank = 0;
  for (std::size_t column = 0; !m.empty() && column < m[0].size() && rank < m.size(); ++column) {
    std::size_t pivot = rank;
    while (pivot < m.size() && m[pivot][column] == 0) ++pivot;
    if (pivot == m.size()) continue;
    std::swap(m[pivot], m[rank]);
    const std::uint64_t scale = inverse(m[rank][column]);
    for (std::size_t i = rank + 1; i < m.size(); ++i) {
      const std::uint64_t factor = m[i][column] * scale % kPrime;
      for (std::size_t j = column; j < m[i].size(); ++j) {
        m[i][j] = (m[i][j] + (kPrime - factor) * m[rank][j]) % kPrime;
      }
    }
    ++rank;
  }
  return static_cast<Index>(rank);
}

}  // namespace

TEST_CASE("What can be told apart is what the exact rank of the integers says") {
  std::mt19937_64 engine(11);
  int told = 0;
  int clean = 0;
  for (int sample = 0; sample < 1000; ++sample) {
    const auto n = static_cast<Index>(1 + engine() % 5);
    const auto m = static_cast<Index>(1 + engine() % 3);
    const auto p = static_cast<Index>(1 + engine() % 4);
    // Many zeros, so that A − I, and the way from inputs to outputs, are often singular.
    const auto some = [&](Index rows, Index columns) {
      return MatrixXd(MatrixXd::NullaryExpr(rows, columns, [&] {
        return engine() % 3 != 0 ? 0.0 : static_cast<double>(static_cast<std::int64_t>(engine() % 7) - 3);
      }));
    };
    StateSpace model;
    model.sample_time = 1.0;
    model.A = some(n, n) + MatrixXd::Identity(n, n);
    model.B = some(n, m);
    model.C = some(p, n);
    model.D = some(p, m);
    model.Q = MatrixXd::Identity(n, n);
    model.R = MatrixXd::Identity(p, p);
    model.S = MatrixXd::Zero(n, p);
    model.d = model.x_op = VectorXd::Zero(n);
    for (Index i = 0; i < n; ++i) model.states.push_back({"x" + std::to_string(i), "", {}});
    for (Index i = 0; i < m; ++i) model.inputs.push_back({"u" + std::to_string(i), "", {}});
    for (Index i = 0; i < p; ++i) model.outputs.push_back({"y" + std::to_string(i), "", {}});
    std::vector<AugmentSettings> entries;
    for (Index i = 0; i < m; ++i) {
      if (engine() % 2 == 0) entries.push_back(disturbance("u" + std::to_string(i)));
    }
    for (Index i = 0; i < p; ++i) {
      if (engine() % 2 == 0) entries.push_back(bias("y" + std::to_string(i)));
    }
    std::shuffle(entries.begin(), entries.end(), engine);
    for (auto& entry : entries) {
      entry.initial = 0.0;
      if (engine() % 5 == 0) entry.time_constant = 10s;
    }
    augment(model, entries, false);
    std::vector<Index> measured;
    for (Index i = 0; i < p; ++i) {
      if (engine() % 4 != 0) measured.push_back(i);
    }

    std::vector<std::vector<std::int64_t>> rows(static_cast<std::size_t>(n) + measured.size());
    const auto append = [&](Index column) {
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const auto at = static_cast<Index>(i);
        const double value = at < n ? model.A(at, column) - (at == column ? 1.0 : 0.0)
                                    : model.C(measured[i - static_cast<std::size_t>(n)], column);
        rows[i].push_back(static_cast<std::int64_t>(value));
      }
    };
    for (Index j = 0; j < n; ++j) append(j);
    Index rank = exact_rank(rows);
    std::vector<std::string> expected;
    for (std::size_t k = 0; k < entries.size(); ++k) {
      if (entries[k].time_constant) continue;
      append(n + static_cast<Index>(k));
      const Index more = exact_rank(rows);
      if (more == rank) {
        expected.push_back("model.augment[" + std::to_string(k) + "]");
        for (auto& row : rows) row.pop_back();
      }
      rank = more;
    }
    // Units of another size change nothing: states, inputs and outputs in units of 1e±4 and so on.
    StateSpace scaled = model;
    std::uniform_real_distribution<double> exponent(-4.0, 4.0);
    VectorXd t(model.n_x()), s(p);
    for (double& value : t) value = std::pow(10.0, exponent(engine));
    for (double& value : s) value = std::pow(10.0, exponent(engine));
    scaled.A = t.cwiseInverse().asDiagonal() * model.A * t.asDiagonal();
    scaled.C = s.asDiagonal() * model.C * t.asDiagonal();
    for (const StateSpace* variant : {&model, &scaled}) {
      std::vector<std::string> found;
      for (const auto& issue : indistinguishable(*variant, measured)) found.push_back(issue.path);
      CHECK(found == expected);
    }
    (expected.empty() ? clean : told) += 1;
  }
  CHECK(told > 200);
  CHECK(clean > 200);
}

TEST_CASE("Directions that no output shows are told by the names in them") {
  const auto what = [](const ModelSettings& settings, double period) {
    std::vector<std::string> told;
    for (const auto& issue : issues_of_augmented(settings, period)) told.push_back(issue.path + ": " + issue.what);
    return told;
  };
  using Told = std::vector<std::string>;

  // One output: its sensor's bias and its heater's disturbance are one and the same.
  ModelSettings oven;
  oven.name = oven.type = "first_order_thermal";
  oven.time = TimeBase::continuous;
  oven.parameters = {{"C", 850.0, ""}, {"R", 0.4, ""}};
  oven.inputs = {{"heater", "W", 200.0, {}, {}}};
  oven.outputs = {{"T", "", {}, 0.1, {}}};
  oven.noise.Q = Rows{{1e-3}};
  oven.augment = {bias("T")};
  CHECK(what(oven, 1.0).empty());
  oven.augment = {bias("T"), disturbance("heater")};
  CHECK(what(oven, 1.0) == Told{"model.augment[1]: disturbance_heater cannot be told from bias_T"});
  oven.augment = {with_time_constant(bias("T"), 1h), disturbance("heater")};
  CHECK(what(oven, 1.0).empty());
  oven.augment = {disturbance("T_ambient"), parameter("R")};
  CHECK(what(oven, 1.0) == Told{"model.augment[1]: R cannot be told from disturbance_T_ambient"});
  // C says nothing of where the oven comes to rest.
  oven.augment = {parameter("C")};
  CHECK(what(oven, 1.0) ==
        Told{"model.augment[0]: C leaves no lasting trace in a measured output at the operating point"});
  // Nor does R where nothing is heated.
  oven.inputs[0].nominal = 0.0;
  oven.augment = {parameter("R")};
  CHECK(what(oven, 1.0) ==
        Told{"model.augment[0]: R leaves no lasting trace in a measured output at the operating point"});

  // An integrating state of the model: a tank without outlet.
  ModelSettings tank = two_tank_settings();
  tank.A = {{1.0, 0.0}, {0.02, 0.97}};
  tank.augment = {disturbance("pump")};
  CHECK(what(tank, 0.1).empty());
  tank.augment = {bias("level_1")};
  CHECK(what(tank, 0.1).empty());  // the second level tells how high the first one is
  tank.augment = {bias("level_1"), bias("level_2")};
  CHECK(what(tank, 0.1) == Told{"model.augment[1]: bias_level_2 cannot be told from bias_level_1"});
  tank.A = {{1.0, 0.0}, {0.0, 0.97}};
  tank.augment = {bias("level_1")};
  CHECK(what(tank, 0.1) == Told{"model.augment[0]: bias_level_1 cannot be told from level_1"});

  // Three against two outputs.
  tank = two_tank_settings();
  tank.augment = {bias("level_1"), bias("level_2"), disturbance("pump")};
  CHECK(what(tank, 0.1) ==
        Told{"model.augment[2]: disturbance_pump cannot be told from bias_level_1 and bias_level_2 together"});
  CHECK(indistinguishable(built(two_tank_settings())).empty());
  // Fewer measured outputs, fewer that they tell apart; one of an output that is not measured is not seen at all.
  tank.augment = {bias("level_1"), disturbance("pump")};
  const StateSpace model = built(tank);
  REQUIRE(indistinguishable(model, {0}).size() == 1);
  CHECK(indistinguishable(model, {0})[0].what == "disturbance_pump cannot be told from bias_level_1");
  REQUIRE(indistinguishable(model, {1}).size() == 1);
  CHECK(indistinguishable(model, {1})[0].what == "bias_level_1 leaves no lasting trace in a measured output");
}

TEST_CASE("A slow plant at a fast period hides no augmented state") {
  for (const double tau : {1e3, 1e6, 1e9}) {
    ModelSettings settings;
    settings.name = "slow";
    settings.time = TimeBase::continuous;
    settings.states = {{"a", "", 0.0, 1.0, {}, {}}, {"b", "", 0.0, 1.0, {}, {}}};
    settings.inputs = {{"u", "", {}, {}, {}}};
    settings.outputs = {{"a", "", {}, 1.0, {}}, {"b", "", {}, 1.0, {}}};
    settings.A = {{-1.0 / tau, 0.0}, {2.0 / tau, -2.0 / tau}};
    settings.B = {{1.0 / tau}, {0.0}};
    settings.C = {{1.0, 0.0}, {0.0, 1.0}};
    settings.noise.Q = Rows{{1e-9, 0.0}, {0.0, 1e-9}};
    settings.augment = {disturbance("u"), bias("b")};
    CHECK(issues_of_augmented(settings, 0.1).empty());
    settings.augment.push_back(bias("a"));
    REQUIRE(issues_of_augmented(settings, 0.1).size() == 1);
    CHECK(issues_of_augmented(settings, 0.1)[0].path == "model.augment[2]");
  }
}
