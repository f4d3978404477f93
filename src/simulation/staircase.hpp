// What an input does while nobody commands it: a seeded staircase around its nominal value.
//
// The first step is the middle, each later one another of middle + a {−1, −½, 0, ½, 1}, drawn at random and never twice
// the same in a row. Each lasts three times the model's slowest decaying time constant, within 20 s … 10 min, so that
// the plant all but settles on it.
// The middle is the nominal value, the operating point moved inside min … max. a is a tenth of its distance to the nearer
// of min and max, without limits a tenth of |nominal|, or 1 around 0. A nominal value that stands on a limit would leave
// no room: there a is a twentieth of the range and the middle lies a inside the limit. a is made smaller where the
// settled states would otherwise use more than half of their distance to their limits.
// Thread rule: one thread. Source of the idea: staircase excitation of identification experiments.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::simulation {

class Staircase {
 public:
  Staircase(double middle, double amplitude, double dwell, base::Random random);

  // Value at `time` (s from the start); times must not go back.
  [[nodiscard]] double at(double time);

  [[nodiscard]] double amplitude() const { return amplitude_; }
  [[nodiscard]] double dwell() const { return dwell_; }

 private:
  double middle_;
  double amplitude_;
  double dwell_;
  base::Random random_;
  std::int64_t turn_ = 0;
  int level_ = 0;  // −2 … 2, in halves of the amplitude
};

// One per input of the model.
[[nodiscard]] std::vector<Staircase> make_staircases(const model::StateSpace& model, std::uint64_t seed,
                                                     const std::string& twin);

}  // namespace twinkeeper::simulation
