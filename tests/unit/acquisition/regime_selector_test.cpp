#include "acquisition/regime_selector.hpp"

#include "support/catch.hpp"

namespace {

using namespace twinkeeper;
using namespace twinkeeper::acquisition;
using namespace std::chrono_literals;
using Kind = ConditionPart::Kind;

constexpr base::Instant kBeginning{5s};

struct Rig {
  explicit Rig(std::vector<RegimeSettings> regimes) : selector(std::move(regimes), kBeginning, 1s, {3s, 3s, 3s}) {}

  void value(signals::TagIndex tag, double value, std::int64_t tick,
             signals::Quality quality = signals::Quality::good) {
    signals::Sample sample;
    sample.tag = tag;
    sample.value = value;
    sample.quality = quality;
    sample.time = kBeginning + tick * 1s;
    selector.accept(sample);
  }

  RegimeSelector selector;
};

RegimeSettings regime(Condition when, base::Duration settle = 0s) { return {"r", std::move(when), settle}; }

}  // namespace

TEST_CASE("each comparison is what its sign says") {
  const std::vector<std::pair<Kind, std::array<bool, 3>>> signs{
      {Kind::less, {true, false, false}},    {Kind::less_equal, {true, true, false}},
      {Kind::greater, {false, false, true}}, {Kind::greater_equal, {false, true, true}},
      {Kind::equal, {false, true, false}},   {Kind::not_equal, {true, false, true}}};
  for (const auto& [kind, expected] : signs) {
    Rig rig({regime({{kind, 1, 5.0}})});
    for (int i = 0; i < 3; ++i) {
      rig.value(1, 4.0 + i, i);
      CHECK((rig.selector.at(i).index == 0) == expected[static_cast<std::size_t>(i)]);
    }
  }
}

TEST_CASE("the first regime that holds is the one, and outside of all there is none") {
  Rig rig({regime({{Kind::greater, 0, 100}}), regime({{Kind::greater, 0, 10}})});
  rig.value(0, 50, 0);
  CHECK(rig.selector.at(0).index == 1);
  rig.value(0, 150, 1);
  CHECK(rig.selector.at(1).index == 0);
  rig.value(0, 5, 2);
  CHECK(rig.selector.at(2).index == -1);
  CHECK_FALSE(rig.selector.at(3).settled);
}

TEST_CASE("what is not known holds nothing, but does not hide what is known") {
  const ConditionPart a{Kind::greater, 0, 0}, b{Kind::greater, 1, 0};
  const ConditionPart both{Kind::both, 0, 0}, either{Kind::either, 0, 0}, negation{Kind::negation, 0, 0};
  // a is true, b is unknown.
  const std::vector<std::pair<Condition, bool>> cases{
      {{a}, true},
      {{b}, false},
      {{b, negation}, false},
      {{a, b, both}, false},
      {{a, b, either}, true},
      {{a, negation, b, either}, false},
      {{a, negation, b, both, negation}, true}};  // not (false and unknown)
  for (const auto& [condition, expected] : cases) {
    Rig rig({regime(condition)});
    rig.value(0, 1, 0);
    CHECK((rig.selector.at(0).index == 0) == expected);
  }
}

TEST_CASE("a value is known for its max_age, through bad samples too") {
  Rig rig({regime({{Kind::greater, 2, 0}})});
  rig.value(2, 1, 0);
  CHECK(rig.selector.at(0).index == 0);
  rig.value(2, -1, 2, signals::Quality::bad);
  CHECK(rig.selector.at(3).index == 0);
  CHECK(rig.selector.at(4).index == -1);
  rig.value(2, 1, 5);
  CHECK(rig.selector.at(5).index == 0);
}

TEST_CASE("a regime is settled when it has held for its settle time without a break") {
  Rig rig({regime({{Kind::greater, 0, 0}}, 2s)});
  const std::vector<double> values{1, 1, 1, -1, 1, 1, 1, 1};
  const std::vector<bool> settled{false, false, true, false, false, false, true, true};
  for (std::size_t k = 0; k < values.size(); ++k) {
    const auto tick = static_cast<std::int64_t>(k);
    rig.value(0, values[k], tick);
    CHECK(rig.selector.at(tick).settled == settled[k]);
  }
}
