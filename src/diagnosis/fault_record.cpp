#include "twinkeeper/diagnosis/fault_record.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace twinkeeper::diagnosis {

FaultRecord::FaultRecord(const model::StateSpace& model, base::Duration period, bool means, std::int64_t older)
    : n_(static_cast<std::size_t>(model.n_x())),
      p_(static_cast<std::size_t>(model.n_y())),
      means_(means),
      nonlinear_(model.nonlinear()),
      stride_(p_ + n_ + (means_ ? p_ : 0) + (nonlinear_ ? n_ * n_ + p_ * n_ : 0)),
      slots_(static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(kWindow + kBlock + older)))),
      period_(period),
      values_(static_cast<std::size_t>(slots_) * stride_, 0.0),
      roots_(static_cast<std::size_t>(slots_ / kBlock) * n_ * n_, 0.0),
      rejected_(static_cast<std::size_t>(slots_) * p_, 0) {
  if (!nonlinear_) return;
  A_ = model.A;
  C_ = model.C;
}

void FaultRecord::take(std::int64_t k, const estimation::TwinStep& step, const estimation::FilterStep& filter) {
  const std::size_t place = slot(k);
  double* to = values_.data() + place * stride_;
  for (std::size_t i = 0; i < p_; ++i) {
    const estimation::OutputStep& row = step.outputs[i];
    const bool good = std::isfinite(row.innovation) && std::isfinite(row.test_ratio);
    to[i] = good ? row.innovation : std::numeric_limits<double>::quiet_NaN();
    rejected_[place * p_ + i] = good && row.test_ratio > 1.0;
  }
  to = std::copy_n(filter.correction.data(), n_, to + p_);
  if (means_) to = std::copy_n(filter.R.data(), p_, to);
  if (nonlinear_) {
    const bool own = !filter.A.empty();
    to = std::copy_n(own ? filter.A.data() : A_.data(), n_ * n_, to);
    std::copy_n(own ? filter.C.data() : C_.data(), p_ * n_, to);
  }
  if (keeps_root(k)) std::copy_n(filter.root.data(), n_ * n_, roots_.data() + place / kBlock * n_ * n_);
  newest_ = k;
  newest_time_ = step.time;
}

void FaultRecord::move(std::int64_t k, const Eigen::VectorXd& by) {
  double* correction = values_.data() + slot(k) * stride_ + p_;
  for (std::size_t i = 0; i < n_; ++i) correction[i] += by(static_cast<Eigen::Index>(i));
}

FaultRecord::Step FaultRecord::at(std::int64_t k) const {
  const double* from = values_.data() + slot(k) * stride_;
  Step step{};
  step.innovation = from;
  step.correction = from + p_;
  from += p_ + n_;
  if (means_) step.R = from;
  from += means_ ? p_ : 0;
  if (nonlinear_) {
    step.A = from;
    step.C = from + n_ * n_;
  }
  step.rejected = rejected_.data() + slot(k) * p_;
  return step;
}

}  // namespace twinkeeper::diagnosis
