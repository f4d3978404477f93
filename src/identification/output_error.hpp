// Fits parallel sections to a record by least squares of their own output, after Gauss, Newton, Levenberg, Marquardt.
//
//   min Σ_i w_i Σ_k (y_i(k) − ŷ_i(k))²     ŷ = the sections driven by v, from an x0 of each experiment
//
// With v = u it is the fit of the free simulation (the simulation focus); with v = [u; y] the sections are the
// predictor x(k+1) = (A − K C) x + (B − K D) u + K y, and it is that of the one-step prediction (the prediction focus).
// What depends on the parameters is a linear combination of the same few signals for all outputs (each input through
// each section, the sections' answers to x0 and to a change of their poles), so the normal equations cost one Gram
// matrix of these, and a small congruence for each output. Filled samples count for nothing.
// Freedom without meaning (each section's change of basis) is left to the damping.
// Thread rule: pure functions. Allocates. Source: Marquardt (1963); Ljung, System Identification (1999), §10.2.
#pragma once

#include "identification/experiments.hpp"
#include "identification/parallel_sections.hpp"

namespace twinkeeper::identification {

enum class Focus { simulation, prediction };

struct FitSettings {
  bool poles = true, outputs = true, inputs = true, starts = true;  // what is free: A, C, B with D and o, x0
  bool offset = true;                                               // o, where B is
  bool feed_through = true;                                         // D, where B is
  bool weigh_by_error = false;                                      // w from the errors themselves; else 1
  int steps = 30;
  double converged = 1e-5;  // relative change of the cost of one step
  double cap = 1.0;         // largest magnitude of a pole
};

struct Fitted {
  Sections sections;
  Eigen::MatrixXd x0;      // n × experiments
  Eigen::VectorXd errors;  // mean square by output
  double cost = 0.0;       // their weighted sum
};

// `sections` are what it starts with.
[[nodiscard]] Fitted fit(const Experiments& experiments, Focus focus, Sections sections, const FitSettings& settings);

// B, D, o and x0 alone, in one step: with the poles and C given ŷ is linear in them.
[[nodiscard]] Fitted fit_inputs(const Experiments& experiments, Focus focus, Sections sections,
                                bool feed_through = true);

}  // namespace twinkeeper::identification
