#include "identification/compare.hpp"

#include <Eigen/Cholesky>
#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <utility>

#include "identification/nonlinear_predictor.hpp"
#include "identification/ticks.hpp"
#include "twinkeeper/model/analysis.hpp"

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

class Predictor {
 public:
  Predictor(const model::StateSpace& model, const MatrixXd& gain, const MatrixXd& sigma)
      : model_(model), gain_(gain), sigma_(sigma) {}

  [[nodiscard]] VectorXd output(const VectorXd& x, const VectorXd& u) const { return model_.C * x + model_.D * u; }
  [[nodiscard]] VectorXd free_step(const VectorXd& x, const VectorXd& u) const {
    return model_.A * x + model_.B * u + model_.d;
  }
  // x(k+1|k), and how it depends on x0 if `slope` is that of x(k|k−1).
  [[nodiscard]] VectorXd corrected_step(const VectorXd& x, const VectorXd& u, const VectorXd& y,
                                        MatrixXd* slope) const {
    VectorXd next = free_step(x, u);
    const std::vector<Index> rows = measured(y);
    const MatrixXd gain = rows.empty() ? MatrixXd() : gain_of(rows);
    if (!rows.empty()) {
      const VectorXd innovation = (y - output(x, u))(rows);
      next += gain * innovation;
    }
    if (slope != nullptr) {
      MatrixXd moved = model_.A * *slope;
      if (!rows.empty()) moved -= gain * (MatrixXd(model_.C(rows, Eigen::all)) * *slope);
      *slope = std::move(moved);
    }
    return next;
  }
  // What the steps begin with where x0 is the deviation of x: that of z, with foh (model/hold.hpp).
  [[nodiscard]] VectorXd begin(const VectorXd& x0, const VectorXd& first_u) const {
    if (!model_.foh()) return x0;
    return x0 - model_.hold_offset * first_u;
  }
  [[nodiscard]] static std::vector<Index> measured(const VectorXd& y) {
    std::vector<Index> rows;
    for (Index i = 0; i < y.size(); ++i) {
      if (!std::isnan(y(i))) rows.push_back(i);
    }
    return rows;
  }
  // The x0 of the smallest weighted squared errors over a few ticks; `prior`: that of start_of().
  [[nodiscard]] VectorXd estimate_start(const Ticks& few, bool one_step, const VectorXd& prior) const {
    const Index n = model_.n_x();
    std::vector<VectorXd> errors;
    std::vector<MatrixXd> slopes;
    VectorXd x = begin(prior, few.u.col(0));
    MatrixXd slope = MatrixXd::Identity(n, n);
    Index count = 0;
    for (std::size_t k = 0; k < model_.augmented.size(); ++k) {
      const Index i = model_.n_own() + static_cast<Index>(k);
      const double initial_std = model_.augmented[k].initial_std;
      if (initial_std == 0.0) {  // known: it does not move
        slope(i, i) = 0.0;
        continue;
      }
      errors.emplace_back(VectorXd::Zero(1));
      slopes.emplace_back(MatrixXd::Zero(1, n));
      slopes.back()(0, i) = 1.0 / initial_std;
      ++count;
    }
    for (Index k = 0; k < few.count(); ++k) {
      const VectorXd u = few.u.col(k);
      const VectorXd y = few.y.col(k);
      if (const std::vector<Index> rows = measured(y); !rows.empty()) {
        const Eigen::LLT<MatrixXd> root(sigma_(rows, rows));
        errors.push_back(root.matrixL().solve(VectorXd((y - output(x, u))(rows))));
        slopes.push_back(root.matrixL().solve(MatrixXd(model_.C(rows, Eigen::all)) * slope));
        count += static_cast<Index>(rows.size());
      }
      if (one_step) {
        x = corrected_step(x, u, y, &slope);
      } else {
        x = free_step(x, u);
        slope = model_.A * slope;
      }
    }
    if (count == 0) return prior;
    MatrixXd all_slopes(count, n);
    VectorXd all_errors(count);
    Index row = 0;
    for (std::size_t i = 0; i < errors.size(); ++i) {
      all_errors.segment(row, errors[i].size()) = errors[i];
      all_slopes.middleRows(row, errors[i].size()) = slopes[i];
      row += errors[i].size();
    }
    const VectorXd moved = all_slopes.completeOrthogonalDecomposition().solve(all_errors);
    return model_.augmented.empty() ? moved : VectorXd(prior + moved);
  }

 private:
  [[nodiscard]] MatrixXd gain_of(const std::vector<Index>& rows) const {
    if (static_cast<Index>(rows.size()) == model_.n_y()) return gain_;
    const MatrixXd across = gain_ * sigma_(Eigen::all, rows);
    return sigma_(rows, rows).llt().solve(across.transpose()).transpose();
  }

  const model::StateSpace& model_;
  const MatrixXd& gain_;
  const MatrixXd& sigma_;
};

// Where nothing is known of x0 but what a model says of its augmented states.
VectorXd start_of(const model::StateSpace& model) {
  VectorXd x0 = VectorXd::Zero(model.n_x());
  for (std::size_t k = 0; k < model.augmented.size(); ++k) {
    const Index i = model.n_own() + static_cast<Index>(k);
    x0(i) = model.augmented[k].initial - model.x_op(i);
  }
  return x0;
}

// A course of ticks from x0 on.
class LinearCourse {
 public:
  LinearCourse(const Predictor& predictor, std::optional<std::int64_t> horizon, VectorXd x0)
      : predictor_(predictor), horizon_(horizon), x0_(std::move(x0)) {}

  // ŷ of the next tick.
  [[nodiscard]] VectorXd next(const VectorXd& u, const VectorXd& y) {
    if (at_ == 0) x_ = free_ = predictor_.begin(x0_, u);
    if (horizon_) past_.emplace_back(u, y);
    if (!horizon_ || at_ < *horizon_) {  // no y to begin from
      ++at_;
      VectorXd expected = predictor_.output(free_, u);
      free_ = predictor_.free_step(free_, u);
      return expected;
    }
    x_ = predictor_.corrected_step(x_, past_.front().first, past_.front().second, nullptr);  // x(j|j−1), j = k − H
    past_.pop_front();
    VectorXd run = x_;
    for (std::size_t k = 0; k + 1 < past_.size(); ++k) run = predictor_.free_step(run, past_[k].first);
    return predictor_.output(run, u);
  }

 private:
  const Predictor& predictor_;
  const std::optional<std::int64_t> horizon_;
  const VectorXd x0_;
  std::int64_t at_ = 0;  // ticks so far, up to the horizon
  VectorXd x_, free_;
  std::deque<std::pair<VectorXd, VectorXd>> past_;  // u, y of the last H ticks
};

// Sums of one output in one pass (Welford), so that rows need not be kept.
class Score {
 public:
  void add(double measured, double predicted, double persisted) {
    all_.add(measured, predicted);
    if (!std::isnan(persisted)) persisted_.add(measured, persisted);
  }
  [[nodiscard]] OutputScore result() const {
    OutputScore score;
    score.rows = all_.rows;
    score.fit = fit_of(all_.error, all_.spread);
    score.rmse = all_.rows == 0 ? kNone : std::sqrt(all_.error / static_cast<double>(all_.rows));
    // Both are measured against the mean of all rows.
    const double off = persisted_.mean - all_.mean;
    const double spread = persisted_.spread + static_cast<double>(persisted_.rows) * off * off;
    score.persistence = persisted_.rows > 0 ? fit_of(persisted_.error, spread) : kNone;
    return score;
  }

 private:
  struct Sums {
    std::size_t rows = 0;
    double mean = 0.0, spread = 0.0, error = 0.0;
    void add(double measured, double expected) {
      const double off = measured - mean;
      mean += off / static_cast<double>(++rows);
      spread += off * (measured - mean);
      error += (measured - expected) * (measured - expected);
    }
  };
  [[nodiscard]] static double fit_of(double squared_error, double squared_spread) {
    return squared_spread > 0.0 ? 100.0 * (1.0 - std::sqrt(squared_error / squared_spread)) : kNone;
  }

  Sums all_, persisted_;
};

}  // namespace

class StreamedComparison::Parts {
 public:
  Parts(const model::StateSpace& model, MatrixXd gain, MatrixXd sigma, const MatrixXd& P,
        std::optional<std::int64_t> horizon, Start start, OnRow on_row)
      : model_(model),
        gain_(std::move(gain)),
        sigma_(std::move(sigma)),
        predictor_(model_, gain_, sigma_),
        horizon_(horizon),
        start_(start),
        on_row_(std::move(on_row)),
        prior_(start_of(model)),
        scores_(static_cast<std::size_t>(model.n_y())),
        now_(no_row()),
        held_(VectorXd::Zero(model.n_u())) {
    if (model_.nonlinear()) nonlinear_.emplace(model_, P, sigma_);
  }

  void add(std::int64_t tick, const VectorXd& u, const VectorXd& y) {
    if (!now_.rows.empty() && tick != tick_) {  // the newest tick has all of its rows
      const bool apart = tick - tick_ > kLongestGap + 1;
      take(std::exchange(now_, no_row()));
      if (apart) {
        end_experiment();
      } else {
        while (++tick_ < tick) take(no_row());
      }
    }
    tick_ = tick;
    for (Index i = 0; i < model_.n_u(); ++i) {
      const model::Limits& limits = model_.inputs[static_cast<std::size_t>(i)].limits;
      if (!std::isnan(u(i))) now_.u(i) = std::clamp(u(i), limits.min, limits.max) - model_.u_op(i);
    }
    for (Index i = 0; i < model_.n_y(); ++i) {
      if (!std::isnan(y(i))) now_.y(i) = y(i) - model_.y_op(i);
    }
    now_.rows.push_back(y);
  }

  [[nodiscard]] StreamedComparison::Result finish() {
    if (!now_.rows.empty()) take(std::move(now_));
    end_experiment();
    StreamedComparison::Result out;
    for (const Score& score : scores_) out.scores.push_back(score.result());
    out.experiments = std::max<std::size_t>(experiments_, 1);
    return out;
  }

 private:
  struct Tick {
    VectorXd u, y;               // deviations; NaN: missing
    std::vector<VectorXd> rows;  // y of each, absolute
  };
  [[nodiscard]] Tick no_row() const {
    return {VectorXd::Constant(model_.n_u(), kNone), VectorXd::Constant(model_.n_y(), kNone), {}};
  }

  // Ticks come in order, those without a row among them.
  void take(Tick tick) {
    for (Index i = 0; i < model_.n_u(); ++i) {
      if (!std::isnan(tick.u(i))) held_(i) = tick.u(i);
    }
    tick.u = held_;
    rows_seen_ += tick.rows.size();
    if (begun_) {
      tell(tick);
      return;
    }
    first_.push_back(std::move(tick));
    if (start_ == Start::zero || rows_seen_ >= kRowsForStart) begin();
  }

  // The first ticks are there: x0, and what it says of them.
  void begin() {
    begun_ = true;
    ++experiments_;
    VectorXd x0 = prior_;
    if (start_ == Start::estimate) {
      Ticks few{MatrixXd(model_.n_u(), static_cast<Index>(first_.size())),
                MatrixXd(model_.n_y(), static_cast<Index>(first_.size()))};
      for (std::size_t k = 0; k < first_.size(); ++k) {
        few.u.col(static_cast<Index>(k)) = first_[k].u;
        few.y.col(static_cast<Index>(k)) = first_[k].y;
      }
      x0 = nonlinear_ ? nonlinear_->estimate_start(few, horizon_.has_value(), prior_)
                      : predictor_.estimate_start(few, horizon_.has_value(), prior_);
      unscored_ = std::min(kRowsForStart, rows_seen_);
    }
    if (nonlinear_) {
      nonlinear_->begin(horizon_, x0);
    } else {
      course_.emplace(predictor_, horizon_, std::move(x0));
    }
    const std::vector<Tick> first = std::exchange(first_, {});
    for (const Tick& tick : first) tell(tick);
  }

  void tell(const Tick& tick) {
    const VectorXd expected = nonlinear_ ? nonlinear_->next(tick.u, tick.y) : course_->next(tick.u, tick.y);
    const VectorXd predicted = expected + model_.y_op;
    VectorXd before = VectorXd::Constant(model_.n_y(), kNone);
    if (horizon_) {
      past_y_.push_back(tick.y);
      if (static_cast<std::int64_t>(past_y_.size()) > *horizon_) {
        before = past_y_.front() + model_.y_op;
        past_y_.pop_front();
      }
    }
    for (const VectorXd& y : tick.rows) {
      const bool scored = unscored_ == 0;
      if (!scored) --unscored_;
      on_row_(y, predicted, scored);
      for (Index i = 0; scored && i < model_.n_y(); ++i) {
        if (!std::isnan(y(i))) scores_[static_cast<std::size_t>(i)].add(y(i), predicted(i), before(i));
      }
    }
  }

  void end_experiment() {
    if (!begun_ && !first_.empty()) begin();
    begun_ = false;
    rows_seen_ = unscored_ = 0;
    held_.setZero();
    past_y_.clear();
  }

  const model::StateSpace& model_;
  const MatrixXd gain_, sigma_;
  const Predictor predictor_;
  std::optional<NonlinearPredictor> nonlinear_;
  const std::optional<std::int64_t> horizon_;
  const Start start_;
  const OnRow on_row_;
  const VectorXd prior_;
  std::vector<Score> scores_;
  std::size_t experiments_ = 0;

  std::int64_t tick_ = 0;  // the newest, and what there is of it so far
  Tick now_;

  bool begun_ = false;       // x0 is there
  std::vector<Tick> first_;  // until then
  std::size_t rows_seen_ = 0, unscored_ = 0;
  VectorXd held_;
  std::optional<LinearCourse> course_;
  std::deque<VectorXd> past_y_;  // of the last H ticks
};

StreamedComparison::StreamedComparison(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
StreamedComparison::StreamedComparison(StreamedComparison&&) noexcept = default;
StreamedComparison::~StreamedComparison() = default;

base::Result<StreamedComparison> StreamedComparison::of(const model::StateSpace& model,
                                                        std::optional<std::int64_t> horizon, Start start,
                                                        OnRow on_row) {
  const auto steady = model::steady_state(model);
  if (!steady.ok() && horizon) {
    return base::Error(base::ErrorCode::invalid_argument,
                       "the model has no steady gain to predict with: " + steady.error().message());
  }
  const bool good = steady.ok();
  return StreamedComparison(std::make_unique<Parts>(
      model, good ? steady.value().K : MatrixXd::Zero(model.n_x(), model.n_y()), good ? steady.value().Sigma : model.R,
      good ? steady.value().P : MatrixXd::Zero(model.n_x(), model.n_x()), horizon, start, std::move(on_row)));
}

void StreamedComparison::add(std::int64_t tick, const VectorXd& u, const VectorXd& y) { parts_->add(tick, u, y); }

StreamedComparison::Result StreamedComparison::finish() { return parts_->finish(); }

base::Result<Comparison> compare(const model::StateSpace& model, const Record& record,
                                 std::optional<std::int64_t> horizon, Start start) {
  Comparison out;
  out.predicted.resize(record.y.rows(), model.n_y());
  Index row = 0;
  auto streamed =
      StreamedComparison::of(model, horizon, start, [&](const VectorXd&, const VectorXd& predicted, bool scored) {
        out.predicted.row(row++) = predicted.transpose();
        out.scored.push_back(scored);
      });
  if (!streamed.ok()) return streamed.error();
  for (std::size_t k = 0; k < record.tick.size(); ++k) {
    const auto at = static_cast<Index>(k);
    streamed.value().add(record.tick[k], record.u.row(at).transpose(), record.y.row(at).transpose());
  }
  auto result = streamed.value().finish();
  out.scores = std::move(result.scores);
  out.experiments = result.experiments;
  return out;
}

}  // namespace twinkeeper::identification
