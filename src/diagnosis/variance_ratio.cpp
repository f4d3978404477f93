#include "twinkeeper/diagnosis/variance_ratio.hpp"

namespace twinkeeper::diagnosis {

void VarianceRatio::add(double z, base::Instant time) {
  if (rows_.empty()) return;
  double& place = rows_[next_];
  if (full()) {
    sum_ -= place;
    squares_ -= place * place;
  } else {
    ++count_;
  }
  place = z;
  sum_ += z;
  squares_ += z * z;
  if (++next_ == rows_.size()) {
    next_ = 0;
    sum_ = squares_ = 0.0;  // so that what is rounded away does not gather
    for (std::size_t i = 0; i < count_; ++i) {
      sum_ += rows_[i];
      squares_ += rows_[i] * rows_[i];
    }
  }
  const double ratio = full() ? value() : 1.0;
  if (ratio <= 1.0) onset_up_ = time;
  if (ratio >= 1.0) onset_down_ = time;
}

void VarianceRatio::reset() {
  next_ = count_ = 0;
  sum_ = squares_ = 0.0;
}

double VarianceRatio::value() const {
  const auto n = static_cast<double>(count_);
  return count_ > 1 ? (squares_ - sum_ * sum_ / n) / (n - 1.0) : 1.0;
}

}  // namespace twinkeeper::diagnosis
