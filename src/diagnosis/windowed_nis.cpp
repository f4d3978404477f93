#include "twinkeeper/diagnosis/windowed_nis.hpp"

#include <algorithm>
#include <cmath>

#include "twinkeeper/estimation/consistency_monitor.hpp"

namespace twinkeeper::diagnosis {
namespace {

constexpr double kStdOfOnceIn1e8 = 5.612;

}  // namespace

WindowedNis::WindowedNis(int window, int n_y, double gate)
    : steps_(static_cast<std::size_t>(window)), full_dof_(window * n_y) {
  gated_.push_back(0.0);
  for (int dof = 1; dof <= n_y; ++dof) gated_.push_back(estimation::chi_square_quantile(dof, gate));
  caps_ = gated_;
  set_limit({});
}

void WindowedNis::set_limit(const std::optional<double>& limit) {
  constexpr double kStepsOfDeparture = 4.0;
  limit_ = limit;
  if (full_dof_ == 0) return;
  const double h = limit.value_or(estimation::chi_square_quantile(full_dof_, kStdOfOnceIn1e8) / full_dof_);
  const double most = 1.0 + static_cast<double>(steps_.size()) * (h - 1.0) / kStepsOfDeparture;
  for (std::size_t dof = 0; dof < caps_.size(); ++dof) {
    caps_[dof] = std::max(gated_[dof], most * static_cast<double>(dof));
  }
}

void WindowedNis::add(double nis, int dof, base::Instant time) {
  if (steps_.empty() || dof <= 0 || dof >= static_cast<int>(caps_.size())) return;
  Step& place = steps_[next_];
  if (full()) {
    sum_ -= place.nis;
    dof_ -= place.dof;
  } else {
    ++count_;
  }
  place = {std::min(nis, caps_[static_cast<std::size_t>(dof)]), dof};
  sum_ += place.nis;
  dof_ += dof;
  if (++next_ == steps_.size()) {
    next_ = 0;
    sum_ = 0.0;  // so that what is rounded away does not gather
    for (std::size_t i = 0; i < count_; ++i) sum_ += steps_[i].nis;
  }
  if (!full() || value() <= 1.0) onset_ = time;
}

void WindowedNis::reset() {
  next_ = count_ = 0;
  sum_ = 0.0;
  dof_ = 0;
}

double WindowedNis::limit() const {
  if (!limit_) return estimation::chi_square_quantile(dof_, kStdOfOnceIn1e8) / dof_;
  if (dof_ == full_dof_) return *limit_;
  return 1.0 + (*limit_ - 1.0) * std::sqrt(static_cast<double>(full_dof_) / dof_);
}

}  // namespace twinkeeper::diagnosis
