// What a model of lags would have made of a log: ARX(10,10), without inputs VAR(10), fitted to the first half of the
// rows and judged on the second; of fewer lags where the first half is short.
//
// Thread rule: pure function. Allocates.
#pragma once

#include <vector>

#include "identification/compare.hpp"

namespace twinkeeper::app {

struct LagsFit {  // by output, %; empty: the rows have too many gaps, or are too few
  std::vector<double> one_step, simulation;
};
[[nodiscard]] LagsFit fit_of_lags(const identification::Record& record);

}  // namespace twinkeeper::app
