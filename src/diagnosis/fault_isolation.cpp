#include "twinkeeper/diagnosis/fault_isolation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "twinkeeper/base/elementary.hpp"
#include "twinkeeper/model/analysis.hpp"

namespace twinkeeper::diagnosis {
namespace {

constexpr double kNoValue = std::numeric_limits<double>::quiet_NaN();
constexpr Eigen::Index kReferenceSteps = 60;
constexpr double kKappa = 50.0;         // 6 σ of a sensor in each of the reference's steps
constexpr double kSettled = 1e-10;      // of P, relative, from one step to the next
constexpr double kPriorFreedom = 30.0;  // χ² of so many degrees is taken for granted before s² is believed
constexpr double kUnseen = 1e-12;       // of J, relative to the largest of the hypothesis
constexpr double kShareOfPeriod = 0.02;
constexpr double kOperationsPerSecond = 5e8;

}  // namespace

FaultIsolation::FaultIsolation(const model::StateSpace& model, const std::vector<bool>& mapped)
    : nonlinear_(model.nonlinear()), A_(model.A), C_(model.C), Q_(model.Q), R_(model.R), S_(model.S) {
  std::vector<Index> measured;
  for (std::size_t i = 0; i < mapped.size(); ++i) {
    if (mapped[i]) measured.push_back(static_cast<Index>(i));
  }
  biases_ = measured.size();
  const Index own = model.n_own();
  const auto H = static_cast<Index>(biases_) + model.n_u() + own;
  b_ = Matrix::Zero(model.n_x(), H);
  c_ = Matrix::Zero(model.n_y(), H);
  const double period = model.sample_time;
  const auto add = [&](FaultKind kind, Index at, double per_second) {
    hypotheses_.push_back({kind, static_cast<std::size_t>(at), {}});
    per_second_.push_back(per_second);
    return static_cast<Index>(hypotheses_.size()) - 1;
  };
  for (const Index i : measured) c_(i, add(FaultKind::bias, i, 1.0)) = 1.0;
  for (Index j = 0; j < model.n_u(); ++j) {
    const Index h = add(FaultKind::input, j, 1.0);
    b_.col(h) = model.B.col(j);
    c_.col(h) = model.D.col(j);
  }
  for (Index s = 0; s < own; ++s) b_(s, add(FaultKind::disturbance, s, 1.0 / period)) = 1.0;
  for (const Index i : measured) add(FaultKind::drift, i, 1.0 / period);
  // The groups of `check`: hypotheses stand in the order of the signatures.
  if (const auto steady = model::steady_state(model, measured)) {
    const auto faults = model::fault_signatures(model, steady.value(), measured);
    const auto groups = model::ambiguity(faults).members;
    for (const auto& group : groups) {
      for (const std::size_t member : group) {
        for (const std::size_t other : group) {
          if (other != member) hypotheses_[member].like.push_back(other);
        }
      }
    }
  }

  const auto n = static_cast<std::size_t>(model.n_x());
  const auto p = static_cast<std::size_t>(model.n_y());
  innovation_.assign(kSlots * p, kNoValue);
  noise_.assign(kSlots * p, 0.0);
  rejected_.assign(kSlots * p, 0);
  correction_.assign(kSlots * n, 0.0);
  time_.assign(kSlots, base::Instant{});
  roots_.assign(kSlots / kBlock * n * n, 0.0);
  if (nonlinear_) {
    As_.assign(kSlots * n * n, 0.0);
    Cs_.assign(kSlots * p * n, 0.0);
  }
  const double size = static_cast<double>(n);
  const double operations =
      14.0 * size * size * size + 6.0 * static_cast<double>(H) * size * (size + static_cast<double>(p));
  const double steps = kShareOfPeriod * period * kOperationsPerSecond / operations;
  quota_ = static_cast<std::size_t>(std::clamp(steps, 2.0 * kWindow / (kBlock - 1) + 1.0, 2.0 * kWindow + 2.0));
}

void FaultIsolation::take(const estimation::TwinStep& step, const estimation::FilterStep& filter) {
  const std::size_t at = slot(count_);
  const std::size_t p = step.outputs.size();
  const std::size_t n = filter.correction.size();
  for (std::size_t i = 0; i < p; ++i) {
    const estimation::OutputStep& row = step.outputs[i];
    const bool good = std::isfinite(row.innovation) && std::isfinite(row.test_ratio);
    innovation_[at * p + i] = good ? row.innovation : kNoValue;
    noise_[at * p + i] = filter.R[i];
    rejected_[at * p + i] = good && row.test_ratio > 1.0;
  }
  std::copy(filter.correction.begin(), filter.correction.end(),
            correction_.begin() + static_cast<std::ptrdiff_t>(at * n));
  time_[at] = step.time;
  if (at % kBlock == 0) {
    std::copy(filter.root.begin(), filter.root.end(),
              roots_.begin() + static_cast<std::ptrdiff_t>(at / kBlock * n * n));
  }
  if (nonlinear_) {
    const bool own = !filter.A.empty();
    std::copy_n(own ? filter.A.data() : A_.data(), n * n, As_.data() + at * n * n);
    std::copy_n(own ? filter.C.data() : C_.data(), p * n, Cs_.data() + at * p * n);
  }
  ++count_;
}

bool FaultIsolation::evaluate() {
  if (phase_ != Phase::idle && count_ - 1 - last_ >= static_cast<std::int64_t>(kBlock)) phase_ = Phase::idle;
  if (phase_ == Phase::idle) {
    if (evaluated_ == count_) return true;
    evaluated_ = count_;
    estimates_.clear();
    if (count_ < static_cast<std::int64_t>(kLeast)) return true;
    begin();
  }
  for (std::size_t done = 0; done < quota_; ++done) {
    if (phase_ == Phase::forth) {
      if (!forward(next_)) {
        phase_ = Phase::idle;
        return true;
      }
      if (++next_ > last_) {
        phase_ = Phase::back;
        next_ = last_;
      }
    } else {
      backward(next_);
      if (--next_ < first_) {
        phase_ = Phase::idle;
        conclude();
        return true;
      }
    }
  }
  return false;
}

void FaultIsolation::begin() {
  const auto window = static_cast<std::int64_t>(kWindow);
  const auto block = static_cast<std::int64_t>(kBlock);
  last_ = count_ - 1;
  first_ = (std::max<std::int64_t>(0, count_ - window) + block - 1) / block * block;
  const auto steps = static_cast<std::size_t>(last_ - first_ + 1);
  const Index n = A_.rows();
  const Index H = b_.cols();
  mark_outliers();
  gains_.clear();
  gain_of_.clear();
  settled_ = false;
  const Eigen::Map<const Matrix> root(roots_.data() + slot(first_) / kBlock * static_cast<std::size_t>(n * n), n, n);
  P_ = root * root.transpose();
  delta_ = Vector::Zero(n);
  weighted_.assign(steps, Vector());
  chi_square_.assign(steps, 0.0);
  rows_.assign(steps, 0);
  N_ = Matrix::Zero(n, n);
  m_ = Matrix::Zero(n, H);
  m_ramp_ = Matrix::Zero(n, static_cast<Index>(biases_));
  r_ = Vector::Zero(n);
  J_ = rho_ = Vector::Zero(H);
  J_ramp_ = cross_ = rho_ramp_ = Vector::Zero(static_cast<Index>(biases_));
  information_ = score_ = Matrix::Zero(static_cast<Index>(steps), static_cast<Index>(hypotheses_.size()));
  phase_ = Phase::forth;
  next_ = first_;
}

// Which rows are good, without those rejected for a moment only.
void FaultIsolation::mark_outliers() {
  const auto p = static_cast<std::size_t>(C_.rows());
  good_.assign(static_cast<std::size_t>(last_ - first_ + 1) * p, 0);
  for (std::size_t i = 0; i < p; ++i) {
    std::vector<std::size_t> spell;
    for (std::int64_t k = first_; k <= last_; ++k) {
      const std::size_t from = slot(k) * p + i;
      const std::size_t to = static_cast<std::size_t>(k - first_) * p + i;
      if (!std::isfinite(innovation_[from])) continue;
      good_[to] = 1;
      if (rejected_[from] != 0) {
        spell.push_back(to);
        continue;
      }
      if (spell.size() < static_cast<std::size_t>(kOutlier)) {
        for (const std::size_t outlier : spell) good_[outlier] = 0;
      }
      spell.clear();
    }
  }
}

// X of the good rows by Cholesky; the diagonal of R is that of the step.
bool FaultIsolation::invert_innovation(Gains& gains, const Matrix& C) {
  const Index p = C.rows();
  const auto at = slot(next_) * static_cast<std::size_t>(p);
  std::vector<Index> rows;
  for (Index i = 0; i < p; ++i) {
    if (good_[static_cast<std::size_t>((next_ - first_) * p + i)] != 0) rows.push_back(i);
  }
  const auto size = static_cast<Index>(rows.size());
  Matrix root = Matrix::Zero(size, size);
  const Matrix CP = C * P_;
  for (Index a = 0; a < size; ++a) {
    const Index i = rows[static_cast<std::size_t>(a)];
    for (Index b = 0; b <= a; ++b) {
      const Index j = rows[static_cast<std::size_t>(b)];
      double value = CP.row(i).dot(C.row(j)) + (i == j ? noise_[at + static_cast<std::size_t>(i)] : R_(i, j));
      for (Index k = 0; k < b; ++k) value -= root(a, k) * root(b, k);
      if (a == b && !(value > 0.0)) return false;
      root(a, b) = a == b ? std::sqrt(value) : value / root(b, b);
    }
  }
  Matrix inverse = Matrix::Zero(size, size);  // of root
  for (Index b = 0; b < size; ++b) {
    inverse(b, b) = 1.0 / root(b, b);
    for (Index a = b + 1; a < size; ++a) {
      double value = 0.0;
      for (Index k = b; k < a; ++k) value -= root(a, k) * inverse(k, b);
      inverse(a, b) = value / root(a, a);
    }
  }
  gains.X = Matrix::Zero(p, p);
  for (Index a = 0; a < size; ++a) {
    for (Index b = 0; b < size; ++b) {
      double value = 0.0;
      for (Index k = std::max(a, b); k < size; ++k) value += inverse(k, a) * inverse(k, b);
      gains.X(rows[static_cast<std::size_t>(a)], rows[static_cast<std::size_t>(b)]) = value;
    }
  }
  return true;
}

bool FaultIsolation::forward(std::int64_t k) {
  const Index n = A_.rows();
  const Index p = C_.rows();
  const auto step = static_cast<std::size_t>(k - first_);
  const auto at = slot(k);
  const auto row = [&](std::size_t which) { return good_.begin() + static_cast<std::ptrdiff_t>(which) * p; };
  const auto noise = [&](std::int64_t which) { return noise_.begin() + static_cast<std::ptrdiff_t>(slot(which)) * p; };
  const bool same = settled_ && step > 0 && std::equal(row(step), row(step + 1), row(step - 1)) &&
                    std::equal(noise(k), noise(k) + p, noise(k - 1));
  if (!same) {
    gains_.emplace_back();
    Gains& gains = gains_.back();
    if (nonlinear_) {
      gains.A = Eigen::Map<const Matrix>(As_.data() + at * static_cast<std::size_t>(n * n), n, n);
      gains.C = Eigen::Map<const Matrix>(Cs_.data() + at * static_cast<std::size_t>(p * n), p, n);
    }
    const Matrix& A = nonlinear_ ? gains.A : A_;
    const Matrix& C = nonlinear_ ? gains.C : C_;
    if (!invert_innovation(gains, C)) return false;
    const Matrix AP = A * P_;
    const Matrix cross = AP * C.transpose() + S_;
    gains.L = cross * gains.X;
    gains.XC = gains.X * C;
    gains.F = A - gains.L * C;
    gains.beta = b_ - gains.L * c_;
    Matrix next = AP * A.transpose() + Q_ - gains.L * cross.transpose();
    next = (0.5 * (next + next.transpose())).eval();
    settled_ = !nonlinear_;
    for (Index i = 0; i < n && settled_; ++i) {
      settled_ = std::abs(next(i, i) - P_(i, i)) <= kSettled * P_(i, i);
    }
    P_ = next;
  }
  gain_of_.push_back(gains_.size() - 1);
  const Gains& gains = gains_.back();
  const Matrix& A = nonlinear_ ? gains.A : A_;
  const Matrix& C = nonlinear_ ? gains.C : C_;
  Vector innovation = -(C * delta_);
  for (Index i = 0; i < p; ++i) {
    if (good_[step * static_cast<std::size_t>(p) + static_cast<std::size_t>(i)] != 0) {
      innovation(i) += innovation_[at * static_cast<std::size_t>(p) + static_cast<std::size_t>(i)];
      ++rows_[step];
    } else {
      innovation(i) = 0.0;
    }
  }
  weighted_[step] = gains.X * innovation;
  chi_square_[step] = innovation.dot(weighted_[step]);
  const Eigen::Map<const Vector> done(correction_.data() + at * static_cast<std::size_t>(n), n);
  delta_ = (A * delta_ + gains.L * innovation - done).eval();
  return chi_square_[step] * 0.0 == 0.0;
}

void FaultIsolation::backward(std::int64_t k) {
  const auto step = static_cast<std::size_t>(k - first_);
  const Gains& gains = gains_[gain_of_[step]];
  const Matrix& C = nonlinear_ ? gains.C : C_;
  const Vector& q = weighted_[step];
  const Index H = b_.cols();
  const auto D = static_cast<Index>(biases_);

  // Drifts first: they are made of what the biases are one step later.
  for (Index i = 0; i < D; ++i) {
    J_ramp_(i) += J_(i) + 2.0 * cross_(i);
    cross_(i) += J_(i) + gains.beta.col(i).dot(m_.col(i) + m_ramp_.col(i));
    rho_ramp_(i) += rho_(i);
  }
  m_ramp_ = (gains.F.transpose() * (m_.leftCols(D) + m_ramp_)).eval();

  const Matrix pushed = N_ * gains.beta + m_;
  const Matrix Xc = gains.X * c_;
  for (Index h = 0; h < H; ++h) {
    J_(h) += c_.col(h).dot(Xc.col(h)) + gains.beta.col(h).dot(pushed.col(h) + m_.col(h));
    rho_(h) += c_.col(h).dot(q) + gains.beta.col(h).dot(r_);
  }
  m_ = C.transpose() * Xc + gains.F.transpose() * pushed;
  r_ = (C.transpose() * q + gains.F.transpose() * r_).eval();
  const Matrix NF = N_ * gains.F;
  N_ = C.transpose() * gains.XC + gains.F.transpose() * NF;

  const auto row = static_cast<Index>(step);
  information_.row(row).head(H) = J_;
  information_.row(row).tail(D) = J_ramp_;
  score_.row(row).head(H) = rho_;
  score_.row(row).tail(D) = rho_ramp_;
}

void FaultIsolation::conclude() {
  const Index steps = information_.rows();
  const Index H = information_.cols();
  const Index reference = std::max<Index>(0, steps - kReferenceSteps);
  std::vector<Index> best(static_cast<std::size_t>(H), -1);
  const auto ratio = [&](Index k, Index h) { return score_(k, h) * score_(k, h) / information_(k, h); };
  const auto seen = [&](Index k, Index h) {
    return information_(k, h) > kUnseen * information_(0, h) && information_(k, h) > 0.0;
  };
  Index winner = -1;
  for (Index h = 0; h < H; ++h) {
    Index& onset = best[static_cast<std::size_t>(h)];
    for (Index k = 0; k < steps; ++k) {
      if (seen(k, h) && (onset < 0 || ratio(k, h) > ratio(onset, h))) onset = k;
    }
    if (onset < 0) continue;
    if (winner < 0 || ratio(onset, h) > ratio(best[static_cast<std::size_t>(winner)], winner)) winner = h;
  }
  if (winner < 0) return;

  const Index from = best[static_cast<std::size_t>(winner)];
  double left = kPriorFreedom - ratio(from, winner);
  double freedom = kPriorFreedom - 1.0;
  for (Index k = from; k < steps; ++k) {
    left += chi_square_[static_cast<std::size_t>(k)];
    freedom += rows_[static_cast<std::size_t>(k)];
  }
  const double spread = std::max(1.0, left / freedom);  // s²

  const double top = ratio(from, winner) / spread;
  double total = 0.0;
  for (Index h = 0; h < H; ++h) {
    const Index onset = best[static_cast<std::size_t>(h)];
    if (onset < 0) continue;
    double weight = 0.0;
    const double prior = 1.0 / static_cast<double>(1 + hypotheses_[static_cast<std::size_t>(h)].like.size());
    for (Index k = 0; k < steps; ++k) {
      if (!seen(k, h)) continue;
      const double known = kKappa * kKappa * information_(k, h) / information_(reference, h);
      weight +=
          prior * base::exp(0.5 * (ratio(k, h) / spread * (known / (1.0 + known)) - top)) / std::sqrt(1.0 + known);
    }
    const double J = information_(onset, h);
    const double scale = per_second_[static_cast<std::size_t>(h)];
    estimates_.push_back({static_cast<std::size_t>(h), weight, ratio(onset, h) / spread, scale * score_(onset, h) / J,
                          scale * std::sqrt(spread / J), time_[slot(first_ + onset)], onset == 0});
    total += weight;
  }
  for (FaultEstimate& estimate : estimates_) estimate.probability /= total;
  std::stable_sort(estimates_.begin(), estimates_.end(),
                   [](const FaultEstimate& a, const FaultEstimate& b) { return a.probability > b.probability; });
}

double FaultIsolation::group_probability(const FaultEstimate& estimate) const {
  double sum = estimate.probability;
  const auto& like = hypotheses_[estimate.hypothesis].like;
  for (const FaultEstimate& other : estimates_) {
    if (std::find(like.begin(), like.end(), other.hypothesis) != like.end()) sum += other.probability;
  }
  return sum;
}

}  // namespace twinkeeper::diagnosis
