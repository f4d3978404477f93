#include "simulation/staircase.hpp"

#include <cmath>
#include <set>

#include "support/catch.hpp"
#include "unit/simulation/fixtures.hpp"

namespace twinkeeper::simulation {

TEST_CASE("A staircase starts at nominal and never keeps a level when its step is over") {
  Staircase stairs(3.0, 0.4, 60.0, base::Random(1));
  std::set<double> levels;
  double before = stairs.at(0.0);
  CHECK(before == 3.0);
  CHECK(stairs.at(59.9) == 3.0);
  for (int turn = 1; turn < 400; ++turn) {
    const double value = stairs.at(60.0 * turn);
    CHECK(value != before);
    CHECK(stairs.at(60.0 * turn + 59.0) == value);
    levels.insert(value);
    before = value;
  }
  CHECK(levels == std::set<double>{2.6, 2.8, 3.0, 3.2, 3.4});
}

TEST_CASE("Staircases stay moderate inside the limits of inputs and settled states") {
  model::ModelSettings s = fixtures::tank_settings();
  auto stairs = make_staircases(fixtures::built(s), 1, "tanks");
  REQUIRE(stairs.size() == 1);
  CHECK(stairs[0].amplitude() == Approx(0.3));  // a tenth of the way from 3 V down to 0 V
  CHECK(stairs[0].dwell() == 20.0);             // three time constants of 3.3 s are less

  s.states[0].max = 0.125;  // 1 V moves level_1 by 10 mm; half of 1 mm is left
  stairs = make_staircases(fixtures::built(s), 1, "tanks");
  CHECK(stairs[0].amplitude() == Approx(0.05).epsilon(1e-6));

  s.augment.resize(1);  // a random walk has no gain of its own and takes none from the others
  s.augment[0].output = "level_2";
  s.augment[0].noise_density = 1e-6;
  s.augment[0].initial_std = 0.01;
  stairs = make_staircases(fixtures::built(s), 1, "tanks");
  CHECK(stairs[0].amplitude() == Approx(0.05).epsilon(1e-6));

  s.states[0].max = 0.3;
  s.inputs[0].min = s.inputs[0].max = {};
  stairs = make_staircases(fixtures::built(s), 1, "tanks");
  CHECK(stairs[0].amplitude() == Approx(0.3));  // a tenth of nominal

  s.A[0][0] = 0.9995;  // 200 s
  stairs = make_staircases(fixtures::built(s), 1, "tanks");
  CHECK(stairs[0].dwell() == Approx(600.0).epsilon(0.01));
}

TEST_CASE("A staircase moves inside the limits wherever the nominal value stands") {
  struct Case {
    double nominal;
    std::optional<double> min, max;
  };
  for (const Case& each : {Case{0.0, {}, {}}, Case{0.0, 0.0, 10.0}, Case{10.0, 0.0, 10.0}, Case{0.0, 4.0, 10.0},
                           Case{0.0, 0.0, {}}, Case{-3.0, {}, -3.0}, Case{5.0, 5.0, {}}}) {
    CAPTURE(each.nominal, each.min.value_or(-1e9), each.max.value_or(1e9));
    model::ModelSettings s = fixtures::tank_settings();
    s.operating_point.u = {each.nominal};
    s.inputs[0].nominal = {};
    s.inputs[0].min = each.min;
    s.inputs[0].max = each.max;
    s.states[0].min = s.states[0].max = {};
    auto stairs = make_staircases(fixtures::built(s), 1, "tanks");
    std::set<double> levels;
    for (int turn = 0; turn < 100; ++turn) levels.insert(stairs[0].at(20.0 * turn));
    CHECK(levels.size() == 5);
    CHECK(*levels.begin() >= each.min.value_or(-1e9));
    CHECK(*levels.rbegin() <= each.max.value_or(1e9));
  }
}

}  // namespace twinkeeper::simulation
