#include "twinkeeper/model/input_delay.hpp"

#include <algorithm>

namespace twinkeeper::model {

using Eigen::Index;
using Eigen::MatrixXd;

StateSpace with_late_inputs(const StateSpace& model) {
  if (model.B_late.size() == 0) return model;
  const Index m = model.n_u();
  StateSpace wide = model;
  wide.B.resize(model.n_x(), 2 * m);
  wide.B << model.B - model.B_late, model.B_late;
  wide.D = MatrixXd::Zero(model.n_y(), 2 * m);
  for (Index j = 0; j < m; ++j) {
    const bool split = model.dead_times[static_cast<std::size_t>(j)].split;
    wide.D.col(split ? m + j : j) = model.D.col(j);
  }
  wide.u_op.resize(2 * m);
  wide.u_op << model.u_op, model.u_op;
  wide.inputs.insert(wide.inputs.end(), model.inputs.begin(), model.inputs.end());
  return wide;
}

InputDelay::InputDelay(const StateSpace& model, std::size_t history)
    : steps_(static_cast<std::size_t>(model.n_u()), 0), split_(steps_.size(), 0) {
  std::size_t longest = 0;
  for (std::size_t j = 0; j < model.dead_times.size(); ++j) {
    steps_[j] = static_cast<std::size_t>(model.dead_times[j].steps);
    split_[j] = model.dead_times[j].split;
    longest = std::max(longest, steps_[j] + split_[j]);
  }
  late_ = model.B_late.size() != 0;
  if (longest == 0) return;
  length_ = longest + 1 + history;
  ring_.assign(length_ * steps_.size(), 0.0);
}

void InputDelay::push(std::span<const double> u, std::span<double> drive) {
  const std::size_t m = steps_.size();
  if (ring_.empty()) {
    std::copy(u.begin(), u.end(), drive.begin());
    return;
  }
  if (pushes_++ == 0) {
    for (std::size_t k = 0; k < length_; ++k)
      std::copy(u.begin(), u.end(), ring_.begin() + static_cast<std::ptrdiff_t>(k * m));
  }
  at_ = (at_ + 1) % length_;
  std::copy(u.begin(), u.end(), ring_.begin() + static_cast<std::ptrdiff_t>(at_ * m));
  const auto before = [&](std::size_t j, std::size_t steps) {
    return ring_[(at_ + length_ - steps) % length_ * m + j];
  };
  for (std::size_t j = 0; j < m; ++j) {
    drive[j] = before(j, steps_[j]);
    if (late_) drive[m + j] = before(j, steps_[j] + split_[j]);
  }
}

void InputDelay::rewind(std::size_t steps) {
  if (ring_.empty()) return;
  at_ = (at_ + length_ - steps) % length_;
  pushes_ -= steps;
}

}  // namespace twinkeeper::model
