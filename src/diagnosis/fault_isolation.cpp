#include "twinkeeper/diagnosis/fault_isolation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "twinkeeper/base/elementary.hpp"
#include "twinkeeper/model/analysis.hpp"

namespace twinkeeper::diagnosis {
namespace {

constexpr Eigen::Index kReferenceSteps = 60;
constexpr double kKappa = 50.0;         // 6 σ of a sensor in each of the reference's steps
constexpr double kSettled = 1e-10;      // of P, relative, from one step to the next
constexpr double kPriorFreedom = 30.0;  // χ² of so many degrees is taken for granted before s² is believed
constexpr double kUnseen = 1e-12;       // of J, relative to the largest of the hypothesis
constexpr double kAccounts = 0.5;
constexpr double kShareOfPeriod = 0.02;
constexpr double kOperationsPerSecond = 5e8;

}  // namespace

FaultIsolation::FaultIsolation(const model::StateSpace& model, const std::vector<bool>& mapped)
    : nonlinear_(model.nonlinear()), A_(model.A), C_(model.C), Q_(model.Q), R_(model.R), S_(model.S) {
  weight_ = Vector::Ones(model.n_y());
  std::vector<Index> measured;
  for (std::size_t i = 0; i < mapped.size(); ++i) {
    if (mapped[i]) measured.push_back(static_cast<Index>(i));
  }
  biases_ = measured.size();
  const Index own = model.n_own();
  parameters_ = model::parameter_effects(model);
  const auto H = static_cast<Index>(biases_ + parameters_.size()) + model.n_u() + own;
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
  for (std::size_t k = 0; k < parameters_.size(); ++k) {
    const Index h = add(FaultKind::parameter, static_cast<Index>(k), 1.0);
    b_.col(h) = parameters_[k].b;
    c_.col(h) = parameters_[k].c;
  }
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

  const double size = static_cast<double>(model.n_x());
  const double operations =
      14.0 * size * size * size + 6.0 * static_cast<double>(H) * size * (size + static_cast<double>(model.n_y()));
  const double steps = kShareOfPeriod * period * kOperationsPerSecond / operations;
  const auto both_ways = static_cast<double>(2 * FaultRecord::kWindow);
  quota_ = static_cast<std::size_t>(
      std::clamp(steps, both_ways / static_cast<double>(FaultRecord::kBlock - 1) + 1.0, both_ways + 2.0));
}

void FaultIsolation::weigh(const std::vector<double>& long_run) {
  for (std::size_t i = 0; i < long_run.size(); ++i) weight_(static_cast<Index>(i)) = 1.0 / std::max(1.0, long_run[i]);
}

bool FaultIsolation::evaluate(const FaultRecord& record, std::int64_t from, std::int64_t now) {
  if (at_.phase != Phase::idle && (now - at_.last >= FaultRecord::kBlock || at_.last < from)) at_.phase = Phase::idle;
  if (at_.phase == Phase::idle) {
    if (at_.ended == now) return true;
    estimates_.clear();
    at_.last = now;
    const std::int64_t block = FaultRecord::kBlock;
    const std::int64_t first = std::max(from, now - FaultRecord::kWindow + 1);
    at_.first = first + ((-first) % block + block) % block;
    if (now - at_.first + 1 < kLeast) {
      at_.ended = now;
      return true;
    }
    begin(record);
    at_.phase = Phase::forth;
    at_.next = at_.first;
  } else if (behind_) {
    catch_up(record);
  }
  behind_ = false;
  const auto end = [&] {
    at_.phase = Phase::idle;
    at_.ended = now;
    return true;
  };
  for (std::size_t done = 0; done < quota_; ++done) {
    if (at_.phase == Phase::forth) {
      if (!forward(record, at_.next)) return end();
      if (++at_.next > at_.last) {
        at_.phase = Phase::back;
        at_.next = at_.last;
      }
    } else {
      backward(at_.next);
      if (--at_.next < at_.first) {
        conclude(record);
        return end();
      }
    }
  }
  return false;
}

void FaultIsolation::catch_up(const FaultRecord& record) {
  begin(record);
  const std::int64_t forth = at_.phase == Phase::forth ? at_.next : at_.last + 1;
  for (std::int64_t k = at_.first; k < forth; ++k) static_cast<void>(forward(record, k));
  for (std::int64_t k = at_.last; at_.phase == Phase::back && k > at_.next; --k) backward(k);
}

void FaultIsolation::begin(const FaultRecord& record) {
  const auto steps = static_cast<std::size_t>(at_.last - at_.first + 1);
  const Index n = A_.rows();
  const Index H = b_.cols();
  mark_good(record);
  gains_.clear();
  gain_of_.clear();
  settled_ = false;
  const Eigen::Map<const Matrix> root(record.root(at_.first), n, n);
  P_ = root * root.transpose();
  delta_ = Vector::Zero(n);
  innovation_.assign(steps, Vector());
  weighted_.assign(steps, Vector());
  time_.assign(steps, {});
  chi_square_.assign(steps, 0.0);
  rows_.assign(steps, 0);
  N_ = Matrix::Zero(n, n);
  m_ = Matrix::Zero(n, H);
  m_ramp_ = Matrix::Zero(n, static_cast<Index>(biases_));
  r_ = Vector::Zero(n);
  J_ = rho_ = Vector::Zero(H);
  J_ramp_ = cross_ = rho_ramp_ = Vector::Zero(static_cast<Index>(biases_));
  information_ = score_ = Matrix::Zero(static_cast<Index>(steps), static_cast<Index>(hypotheses_.size()));
}

void FaultIsolation::let_go() {
  if (gains_.empty()) return;
  const auto empty = [](auto&... each) { ((each = std::remove_reference_t<decltype(each)>()), ...); };
  empty(good_, gains_, gain_of_, innovation_, weighted_, chi_square_, time_, rows_, information_, score_);
}

void FaultIsolation::mark_good(const FaultRecord& record) {
  const auto p = static_cast<std::size_t>(C_.rows());
  good_.assign(static_cast<std::size_t>(at_.last - at_.first + 1) * p, 0);
  std::vector<std::size_t> rejected;  // that belong together
  for (std::size_t i = 0; i < p; ++i) {
    std::int64_t passes = 0;  // since the last of them
    const auto end_spell = [&] {
      for (const std::size_t row : rejected) good_[row] = rejected.size() >= static_cast<std::size_t>(kOutlier);
      rejected.clear();
    };
    for (std::int64_t k = at_.first; k <= at_.last; ++k) {
      const FaultRecord::Step step = record.at(k);
      if (!std::isfinite(step.innovation[i])) continue;
      const std::size_t row = place(k) * p + i;
      good_[row] = 1;
      if (step.rejected[i] == 0) {
        ++passes;
        continue;
      }
      if (passes >= FaultRecord::kBlock) end_spell();
      rejected.push_back(row);
      passes = 0;
    }
    if (passes > 0) end_spell();
    rejected.clear();
  }
}

// X of the good rows by Cholesky; the diagonal of R is that of the step.
bool FaultIsolation::invert_innovation(Gains& gains, const Matrix& C, const double* R, std::int64_t k) {
  const Index p = C.rows();
  std::vector<Index> rows;
  for (Index i = 0; i < p; ++i) {
    if (good_[place(k) * static_cast<std::size_t>(p) + static_cast<std::size_t>(i)] != 0) rows.push_back(i);
  }
  const auto size = static_cast<Index>(rows.size());
  Matrix root = Matrix::Zero(size, size);
  const Matrix CP = C * P_;
  for (Index a = 0; a < size; ++a) {
    const Index i = rows[static_cast<std::size_t>(a)];
    for (Index b = 0; b <= a; ++b) {
      const Index j = rows[static_cast<std::size_t>(b)];
      double value = CP.row(i).dot(C.row(j)) + (i == j && R != nullptr ? R[i] : R_(i, j));
      for (Index c = 0; c < b; ++c) value -= root(a, c) * root(b, c);
      if (a == b && !(value > 0.0)) return false;
      root(a, b) = a == b ? std::sqrt(value) : value / root(b, b);
    }
  }
  Matrix inverse = Matrix::Zero(size, size);  // of root
  for (Index b = 0; b < size; ++b) {
    inverse(b, b) = 1.0 / root(b, b);
    for (Index a = b + 1; a < size; ++a) {
      double value = 0.0;
      for (Index c = b; c < a; ++c) value -= root(a, c) * inverse(c, b);
      inverse(a, b) = value / root(a, a);
    }
  }
  gains.X = Matrix::Zero(p, p);
  for (Index a = 0; a < size; ++a) {
    for (Index b = 0; b < size; ++b) {
      double value = 0.0;
      for (Index c = std::max(a, b); c < size; ++c) value += inverse(c, a) * inverse(c, b);
      gains.X(rows[static_cast<std::size_t>(a)], rows[static_cast<std::size_t>(b)]) = value;
    }
  }
  return true;
}

bool FaultIsolation::forward(const FaultRecord& record, std::int64_t k) {
  const Index n = A_.rows();
  const Index p = C_.rows();
  const std::size_t step = place(k);
  const FaultRecord::Step found = record.at(k);
  const auto row = [&](std::size_t which) { return good_.begin() + static_cast<std::ptrdiff_t>(which) * p; };
  const bool same = settled_ && step > 0 && std::equal(row(step), row(step + 1), row(step - 1)) &&
                    (found.R == nullptr || std::equal(found.R, found.R + p, record.at(k - 1).R));
  if (!same) {
    gains_.emplace_back();
    Gains& gains = gains_.back();
    if (nonlinear_) {
      gains.A = Eigen::Map<const Matrix>(found.A, n, n);
      gains.C = Eigen::Map<const Matrix>(found.C, p, n);
    }
    const Matrix& A = nonlinear_ ? gains.A : A_;
    const Matrix& C = nonlinear_ ? gains.C : C_;
    if (!invert_innovation(gains, C, found.R, k)) return false;
    const Matrix AP = A * P_;
    const Matrix cross = AP * C.transpose() + S_;
    gains.L = cross * gains.X;
    gains.X = (weight_.asDiagonal() * gains.X * weight_.asDiagonal()).eval();
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
      innovation(i) += found.innovation[i];
      ++rows_[step];
    } else {
      innovation(i) = 0.0;
    }
  }
  time_[step] = record.time(k);
  weighted_[step] = gains.X * innovation;
  innovation_[step] = innovation;
  chi_square_[step] = innovation.dot(weighted_[step]);
  const Eigen::Map<const Vector> done(found.correction, n);
  delta_ = (A * delta_ + gains.L * innovation - done).eval();
  return chi_square_[step] * 0.0 == 0.0;
}

void FaultIsolation::backward(std::int64_t k) {
  const std::size_t step = place(k);
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

void FaultIsolation::conclude(const FaultRecord& record) {
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
    double weight = 0.0, square = 0.0;
    const double prior = 1.0 / static_cast<double>(1 + hypotheses_[static_cast<std::size_t>(h)].like.size());
    for (Index k = 0; k < steps; ++k) {
      if (!seen(k, h)) continue;
      const double J = information_(k, h);
      const double known = kKappa * kKappa * J / information_(reference, h);
      const double share =
          prior * base::exp(0.5 * (ratio(k, h) / spread * (known / (1.0 + known)) - top)) / std::sqrt(1.0 + known);
      const double away = score_(k, h) / J - score_(onset, h) / information_(onset, h);
      weight += share;
      square += share * (spread / J + away * away);
    }
    const double scale = per_second_[static_cast<std::size_t>(h)];
    const double size = score_(onset, h) / information_(onset, h);
    const double std = weight > 0.0 ? std::sqrt(square / weight) : std::sqrt(spread / information_(onset, h));
    const std::int64_t begin = at_.first + onset;
    estimates_.push_back({static_cast<std::size_t>(h), weight, ratio(onset, h) / spread, scale * size, scale * std,
                          record.time(begin), begin, onset == 0});
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

const FaultEstimate* FaultIsolation::cause() const {
  const FaultEstimate* best = nullptr;
  double most = 0.0;
  for (const FaultEstimate& estimate : estimates_) {
    const double probability = group_probability(estimate);
    if (probability <= most * (1.0 + 1e-9)) continue;
    most = probability;
    best = &estimate;
  }
  return best != nullptr && best->statistic >= kEvidence ? best : nullptr;
}

FaultIsolation::Course FaultIsolation::course_of(const FaultEstimate& fault) const {
  const auto at = static_cast<Index>(fault.hypothesis);
  const bool ramp = hypotheses_[fault.hypothesis].kind == FaultKind::drift;
  return {ramp ? at - b_.cols() : at, ramp, fault.begin};
}

bool FaultIsolation::accounts_for(const FaultEstimate& fault, const Departure& departure) const {
  const auto i = static_cast<Index>(departure.output);
  const Course course = course_of(fault);
  const double size = fault.magnitude / per_second_[fault.hypothesis];
  Vector e = Vector::Zero(A_.rows());
  double caused = 0.0, shown = 0.0;
  for (std::int64_t k = at_.first; k <= at_.last; ++k) {
    const std::size_t step = place(k);
    const Gains& gains = gains_[gain_of_[step]];
    const bool counts =
        time_[step] >= departure.since && good_[step * static_cast<std::size_t>(C_.rows()) + departure.output] != 0;
    if (counts) shown += innovation_[step](i);
    if (k < fault.begin) continue;
    const double level = course.level(k);
    const Matrix& C = nonlinear_ ? gains.C : C_;
    if (counts) caused += size * (C.row(i).dot(e) + level * c_(i, course.column));
    e = (gains.F * e + level * gains.beta.col(course.column)).eval();
  }
  return shown > 0.0 ? caused >= kAccounts * shown : caused <= kAccounts * shown;
}

double FaultIsolation::sensor_probability(std::optional<std::size_t> output) const {
  double sum = 0.0;
  for (const FaultEstimate& estimate : estimates_) {
    const FaultHypothesis& hypothesis = hypotheses_[estimate.hypothesis];
    if (of_sensor(hypothesis.kind) && (!output || hypothesis.at == *output)) sum += estimate.probability;
  }
  return sum;
}

std::optional<FaultIsolation::Correction> FaultIsolation::without(const FaultEstimate& fault, const FaultRecord& record,
                                                                  std::int64_t now) {
  // The filter goes on to `now`, as far as the evaluation has not seen.
  const std::int64_t seen = at_.last;
  at_.last = now;
  mark_good(record);
  const auto steps = static_cast<std::size_t>(now - at_.first + 1);
  innovation_.resize(steps);
  weighted_.resize(steps);
  time_.resize(steps);
  chi_square_.resize(steps, 0.0);
  rows_.resize(steps, 0);
  bool fine = true;
  for (std::int64_t k = seen + 1; k <= now && fine; ++k) fine = forward(record, k);
  at_.last = seen;
  if (!fine) return std::nullopt;

  const Course course = course_of(fault);
  Vector e = Vector::Zero(A_.rows());
  for (std::int64_t k = fault.begin; k <= now; ++k) {
    const Gains& gains = gains_[gain_of_[place(k)]];
    const double level = course.level(k);
    e = (gains.F * e + level * gains.beta.col(course.column)).eval();
  }
  const double scale = per_second_[fault.hypothesis];
  const double std = fault.magnitude_std / scale;
  return Correction{delta_ + fault.magnitude / scale * e, P_ + std * std * e * e.transpose()};
}

}  // namespace twinkeeper::diagnosis
