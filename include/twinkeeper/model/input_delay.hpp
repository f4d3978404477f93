// Inputs that reach the machine later than they are told: dead time, such as the way through a pipe.
//
//   u(t) is held between ticks; what drives the machine is u(t − τ),  τ = s·Ts + r,  0 ≤ r < Ts
//   x(k+1) = A x(k) + B₁ u(k−s−1) + B₀ u(k−s) + …     B₀ = ∫₀^{Ts−r} e^{Fσ} dσ G     B₁ = B − B₀
//   y(k)   = C x(k) + D u(t_k − τ),                    which is u(k−s) if r = 0, else u(k−s−1)
//
//   symbol  shape      unit             meaning
//   s       n_u        steps            StateSpace::dead_times
//   B₁      n_x × n_u  state / input    StateSpace::B_late, zero columns where r = 0; B stays the sum of both
//
// Before the first tick an input is taken to have had its first value for ever. The ring is longer than the dead times
// by the steps that rewind() may take back. Errors: none. Edge rules: without delays, drive is u. Thread rule: one
// thread. Allocation: none after construction. Source: Åström and Wittenmark, Computer-Controlled Systems (1997), §2.3.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::model {

// The same model with two inputs for each of its own, u(k−s) and u(k−s−1), if an input has a part of a step left; else
// itself.
[[nodiscard]] StateSpace with_late_inputs(const StateSpace& model);

class InputDelay {
 public:
  explicit InputDelay(const StateSpace& model, std::size_t history = 0);

  [[nodiscard]] bool any() const { return !ring_.empty(); }
  // Inputs of with_late_inputs().
  [[nodiscard]] std::size_t drive_size() const { return late_ ? 2 * steps_.size() : steps_.size(); }
  // Takes u(k) and gives what drives the machine in this step.
  void push(std::span<const double> u, std::span<double> drive);
  // The next push is the first.
  void restart() { pushes_ = 0; }
  // As if the last `steps` pushes had not been; at most `history` of them.
  void rewind(std::size_t steps);
  template <class Archive>
  void archive(Archive& a) {
    a(ring_, at_, pushes_);
  }
  // Of what push() gave, the value of input `j` that D works with.
  [[nodiscard]] double fed(std::span<const double> drive, std::size_t j) const {
    return split_[j] != 0 ? drive[steps_.size() + j] : drive[j];
  }

 private:
  std::vector<std::size_t> steps_;
  std::vector<std::uint8_t> split_;  // r > 0
  bool late_ = false;                // any of them
  std::vector<double> ring_;         // length_ × n_u; empty: no delays
  std::size_t length_ = 0;
  std::size_t at_ = 0;  // of the newest
  std::uint64_t pushes_ = 0;
};

}  // namespace twinkeeper::model
