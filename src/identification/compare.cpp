#include "identification/compare.hpp"

#include <Eigen/Cholesky>
#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <limits>

#include "identification/nonlinear_predictor.hpp"
#include "identification/ticks.hpp"
#include "twinkeeper/model/analysis.hpp"

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

struct Span {  // rows of one experiment
  std::size_t begin, end;
};

std::vector<Span> experiments_of(const Record& record) {
  std::vector<Span> spans;
  std::size_t begin = 0;
  for (std::size_t row = 1; row < record.tick.size(); ++row) {
    if (record.tick[row] - record.tick[row - 1] <= kLongestGap + 1) continue;
    spans.push_back({begin, row});
    begin = row;
  }
  spans.push_back({begin, record.tick.size()});
  return spans;
}

Ticks ticks_of(const model::StateSpace& model, const Record& record, const Span& span) {
  Ticks ticks;
  const std::int64_t first = record.tick[span.begin];
  const auto count = static_cast<Index>(record.tick[span.end - 1] - first + 1);
  ticks.u = MatrixXd::Constant(model.n_u(), count, kNone);
  ticks.y = MatrixXd::Constant(model.n_y(), count, kNone);
  for (std::size_t row = span.begin; row < span.end; ++row) {
    const auto at = static_cast<Index>(record.tick[row] - first);
    const auto source = static_cast<Index>(row);
    ticks.of_row.push_back(at);
    for (Index i = 0; i < model.n_u(); ++i) {
      const double value = record.u(source, i);
      const model::Limits& limits = model.inputs[static_cast<std::size_t>(i)].limits;
      if (!std::isnan(value)) ticks.u(i, at) = std::clamp(value, limits.min, limits.max) - model.u_op(i);
    }
    for (Index i = 0; i < model.n_y(); ++i) {
      if (!std::isnan(record.y(source, i))) ticks.y(i, at) = record.y(source, i) - model.y_op(i);
    }
  }
  for (Index i = 0; i < model.n_u(); ++i) {
    double held = 0.0;
    for (Index k = 0; k < count; ++k) {
      if (std::isnan(ticks.u(i, k))) ticks.u(i, k) = held;
      held = ticks.u(i, k);
    }
  }
  return ticks;
}

class Predictor {
 public:
  Predictor(const model::StateSpace& model, const MatrixXd& gain, const MatrixXd& sigma)
      : model_(model), gain_(gain), sigma_(sigma) {}

  [[nodiscard]] VectorXd output(const VectorXd& x, const Ticks& ticks, Index k) const {
    return model_.C * x + model_.D * ticks.u.col(k);
  }
  [[nodiscard]] VectorXd free_step(const VectorXd& x, const Ticks& ticks, Index k) const {
    return model_.A * x + model_.B * ticks.u.col(k) + model_.d;
  }
  // x(k+1|k), and how it depends on x0 if `slope` is that of x(k|k−1).
  [[nodiscard]] VectorXd corrected_step(const VectorXd& x, const Ticks& ticks, Index k, MatrixXd* slope) const {
    VectorXd next = free_step(x, ticks, k);
    const std::vector<Index> rows = measured(ticks, k);
    const MatrixXd gain = rows.empty() ? MatrixXd() : gain_of(rows);
    if (!rows.empty()) {
      const VectorXd innovation = (ticks.y.col(k) - output(x, ticks, k))(rows);
      next += gain * innovation;
    }
    if (slope != nullptr) {
      MatrixXd moved = model_.A * *slope;
      if (!rows.empty()) moved -= gain * (model_.C(rows, Eigen::all) * *slope);
      *slope = std::move(moved);
    }
    return next;
  }
  // What the steps begin with where x0 is the deviation of x: that of z, with foh (model/hold.hpp).
  [[nodiscard]] VectorXd begin(const VectorXd& x0, const Ticks& ticks) const {
    if (!model_.foh()) return x0;
    return x0 - model_.hold_offset * ticks.u.col(0);
  }
  [[nodiscard]] static std::vector<Index> measured(const Ticks& ticks, Index k) {
    std::vector<Index> rows;
    for (Index i = 0; i < ticks.y.rows(); ++i) {
      if (!std::isnan(ticks.y(i, k))) rows.push_back(i);
    }
    return rows;
  }
  // The x0 of the smallest weighted squared errors over the ticks before `end`; `prior`: that of start_of().
  [[nodiscard]] VectorXd estimate_start(const Ticks& ticks, Index end, bool one_step, const VectorXd& prior) const {
    const Index n = model_.n_x();
    std::vector<VectorXd> errors;
    std::vector<MatrixXd> slopes;
    VectorXd x = begin(prior, ticks);
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
    for (Index k = 0; k < end; ++k) {
      if (const std::vector<Index> rows = measured(ticks, k); !rows.empty()) {
        const Eigen::LLT<MatrixXd> root(sigma_(rows, rows));
        errors.push_back(root.matrixL().solve(VectorXd((ticks.y.col(k) - output(x, ticks, k))(rows))));
        slopes.push_back(root.matrixL().solve(MatrixXd(model_.C(rows, Eigen::all) * slope)));
        count += static_cast<Index>(rows.size());
      }
      if (one_step) {
        x = corrected_step(x, ticks, k, &slope);
      } else {
        x = free_step(x, ticks, k);
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

// ŷ by tick, one column each.
MatrixXd predict(const Predictor& predictor, const Ticks& ticks, std::optional<std::int64_t> horizon,
                 const VectorXd& x0) {
  MatrixXd predicted(ticks.y.rows(), ticks.count());
  if (!horizon || *horizon >= ticks.count()) {
    VectorXd x = predictor.begin(x0, ticks);
    for (Index k = 0; k < ticks.count(); ++k) {
      predicted.col(k) = predictor.output(x, ticks, k);
      x = predictor.free_step(x, ticks, k);
    }
    return predicted;
  }
  const auto ahead = static_cast<Index>(*horizon);
  VectorXd free = predictor.begin(x0, ticks);
  for (Index k = 0; k < ahead; ++k) {  // these have no y to begin from
    predicted.col(k) = predictor.output(free, ticks, k);
    free = predictor.free_step(free, ticks, k);
  }
  VectorXd x = predictor.begin(x0, ticks);  // x(j|j−1)
  for (Index j = 0; j + ahead < ticks.count(); ++j) {
    x = predictor.corrected_step(x, ticks, j, nullptr);
    VectorXd run = x;  // x(j+1|j)
    for (Index k = j + 1; k < j + ahead; ++k) run = predictor.free_step(run, ticks, k);
    predicted.col(j + ahead) = predictor.output(run, ticks, j + ahead);
  }
  return predicted;
}

double fit_of(double squared_error, double squared_spread) {
  return squared_spread > 0.0 ? 100.0 * (1.0 - std::sqrt(squared_error / squared_spread)) : kNone;
}

class Score {
 public:
  void add(double measured, double predicted, double persisted) { rows_.push_back({measured, predicted, persisted}); }
  [[nodiscard]] OutputScore result() const {
    OutputScore score;
    score.rows = rows_.size();
    double mean = 0.0;
    for (const auto& row : rows_) mean += row.measured / static_cast<double>(rows_.size());
    double error = 0.0, spread = 0.0, persisted = 0.0, spread_persisted = 0.0;
    bool any_persisted = false;
    for (const auto& row : rows_) {
      const double deviation = (row.measured - mean) * (row.measured - mean);
      error += (row.measured - row.predicted) * (row.measured - row.predicted);
      spread += deviation;
      if (std::isnan(row.persisted)) continue;
      any_persisted = true;
      persisted += (row.measured - row.persisted) * (row.measured - row.persisted);
      spread_persisted += deviation;
    }
    score.fit = fit_of(error, spread);
    score.rmse = rows_.empty() ? kNone : std::sqrt(error / static_cast<double>(rows_.size()));
    score.persistence = any_persisted ? fit_of(persisted, spread_persisted) : kNone;
    return score;
  }

 private:
  struct Row {
    double measured, predicted, persisted;
  };
  std::vector<Row> rows_;
};

}  // namespace

base::Result<Comparison> compare(const model::StateSpace& model, const Record& record,
                                 std::optional<std::int64_t> horizon, Start start) {
  const auto steady = model::steady_state(model);
  if (!steady.ok() && horizon) {
    return base::Error(base::ErrorCode::invalid_argument,
                       "the model has no steady gain to predict with: " + steady.error().message());
  }
  const MatrixXd gain = steady.ok() ? steady.value().K : MatrixXd::Zero(model.n_x(), model.n_y());
  const MatrixXd sigma = steady.ok() ? steady.value().Sigma : model.R;
  const Predictor predictor(model, gain, sigma);
  std::optional<NonlinearPredictor> nonlinear;
  if (model.nonlinear()) {
    nonlinear.emplace(model, steady.ok() ? steady.value().P : MatrixXd::Zero(model.n_x(), model.n_x()), sigma);
  }

  Comparison out;
  const std::size_t rows = record.tick.size();
  out.predicted.resize(static_cast<Index>(rows), model.n_y());
  out.scored.assign(rows, true);
  std::vector<Score> scores(static_cast<std::size_t>(model.n_y()));
  const std::vector<Span> spans = experiments_of(record);
  const VectorXd prior = start_of(model);
  out.experiments = spans.size();
  for (const Span& span : spans) {
    const Ticks ticks = ticks_of(model, record, span);
    VectorXd x0 = prior;
    std::size_t used = 0;  // rows that x0 was made of
    if (start == Start::estimate) {
      used = std::min(kRowsForStart, span.end - span.begin);
      const Index end = ticks.of_row[used - 1] + 1;
      x0 = nonlinear ? nonlinear->estimate_start(ticks, end, horizon.has_value(), prior)
                     : predictor.estimate_start(ticks, end, horizon.has_value(), prior);
    }
    const MatrixXd predicted =
        nonlinear ? nonlinear->predict(ticks, horizon, x0) : predict(predictor, ticks, horizon, x0);
    for (std::size_t row = span.begin; row < span.end; ++row) {
      const auto into = static_cast<Index>(row);
      const Index tick = ticks.of_row[row - span.begin];
      out.predicted.row(into) = (predicted.col(tick) + model.y_op).transpose();
      out.scored[row] = row - span.begin >= used;
      if (!out.scored[row]) continue;
      for (Index i = 0; i < model.n_y(); ++i) {
        const double measured = record.y(into, i);
        if (std::isnan(measured)) continue;
        const bool persists = horizon && tick >= *horizon;
        const double before = persists ? ticks.y(i, tick - static_cast<Index>(*horizon)) + model.y_op(i) : kNone;
        scores[static_cast<std::size_t>(i)].add(measured, out.predicted(into, i), before);
      }
    }
  }
  for (const Score& score : scores) out.scores.push_back(score.result());
  return out;
}

}  // namespace twinkeeper::identification
