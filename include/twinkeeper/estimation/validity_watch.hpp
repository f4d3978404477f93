// ValidityWatch: whether a twin is where its model is meant to hold (`validity` of a model).
//
//   outside      from the first value beyond min … max
//   inside       from the first value within min + δ … max − δ again, so that a value that hovers at a bound is outside
//   δ            5 % of max − min, of an output at least 3 √R_ii, at most 25 %
//   valid        no signal is outside
//
// Values are the inputs as they are used (limited), if neither bad nor a stand-in, and the outputs measured in this
// very step, if neither bad nor rejected by the gate: a sensor that jumps is a fault to be told, not a machine that has
// left its range. Without such a value the last verdict stands; before the first one a signal is inside, and an output
// that nobody measures stays so.
// Errors: none. Thread rule: pure; the verdicts are the twin's. Allocation: none after construction.
#pragma once

#include <cstdint>
#include <vector>

#include "twinkeeper/estimation/twin_step.hpp"
#include "twinkeeper/model/state_space.hpp"
#include "twinkeeper/signals/frame.hpp"

namespace twinkeeper::estimation {

class ValidityWatch {
 public:
  using Verdicts = std::vector<std::uint8_t>;  // 1: outside; inputs, then outputs; empty: the model has no ranges

  explicit ValidityWatch(const model::StateSpace& model);

  [[nodiscard]] Verdicts all_inside() const { return Verdicts(ranges_.size(), 0); }
  // Fills `outside` of every signal, `valid`, and `tests_held`. Last of a step.
  void judge(const signals::Frame& frame, Verdicts& outside, TwinStep& out) const;

 private:
  struct Range {
    model::Limits leave, enter;
  };
  static Range range_of(const model::Limits& valid, double noise_std);
  [[nodiscard]] std::uint8_t verdict(std::size_t signal, double value, std::uint8_t before) const;

  std::vector<Range> ranges_;  // inputs, then outputs
};

}  // namespace twinkeeper::estimation
