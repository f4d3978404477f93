// Whether a record can tell what is asked of it, before anything is fitted.
//
//   faults    too few rows; a signal that never changes;
//             an input that is one sine (two numbers describe it, so two of the model can be found); inputs that are
//             linear combinations of others
//   warnings  few rows, an input with few changes
// Thread rule: pure function. Allocates.
#pragma once

#include <string>
#include <vector>

#include "identification/experiments.hpp"

namespace twinkeeper::identification {

inline constexpr Eigen::Index kFewestRows = 80;

struct Excitation {
  std::vector<std::string> faults, warnings;
};
[[nodiscard]] Excitation examine_excitation(const Experiments& experiments, const std::vector<std::string>& inputs,
                                            const std::vector<std::string>& outputs);

// What speaks against a record made under control: nothing but the controller moves its inputs.
[[nodiscard]] std::vector<std::string> faults_of_loop(const Experiments& experiments,
                                                      const std::vector<std::string>& inputs);

}  // namespace twinkeeper::identification
