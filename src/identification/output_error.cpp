#include "identification/output_error.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "identification/decompositions.hpp"

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr Index kChunk = 128;  // ticks

// Where each group of parameters begins, those of one output behind those that all outputs share.
struct Layout {
  Index n, inputs, fed, outputs, experiments;
  Index poles = 0, B, x0, shared, own;  // `own`: parameters of one output, C_i, o_i, D_i

  Layout(const Sections& s, Index experiment_count)
      : n(s.n), inputs(s.B.cols()), fed(s.D.cols()), outputs(s.C.rows()), experiments(experiment_count) {
    B = n;
    x0 = B + n * inputs;
    shared = x0 + n * experiments;
    own = n + 1 + fed;
  }
  [[nodiscard]] Index size() const { return shared + outputs * own; }
  [[nodiscard]] Index of_output(Index i) const { return shared + i * own; }
};

// Base signals: α and β of each input and section, then of each x0 and section, then the answers to changes of poles
// (four to a section), then one, then what is fed through.
struct Base {
  Index inputs, starts, poles, one, fed, size;
  Base(const Layout& at, Index sections) {
    inputs = 0;
    starts = 2 * sections * at.inputs;
    poles = starts + 2 * sections * at.experiments;
    one = poles + 4 * sections;
    fed = one + 1;
    size = fed + at.fed;
  }
};

class Problem {
 public:
  Problem(const Experiments& experiments, Focus focus, const Sections& form)
      : experiments_(experiments),
        focus_(focus),
        at_(form, static_cast<Index>(experiments.size())),
        base_(at_, form.count()) {
    used_ = VectorXd::Zero(at_.outputs);
    for (const auto& e : experiments) {
      used_.array() += static_cast<double>(e.count());
      for (const auto& cell : e.missing) used_(cell.first) -= 1.0;
    }
  }
  [[nodiscard]] const Layout& layout() const { return at_; }
  [[nodiscard]] const VectorXd& used() const { return used_; }

  // Squared errors by output. `normal`, `slope`: of the weighted sum of squares, if wanted.
  VectorXd evaluate(const Sections& s, const MatrixXd& x0, const VectorXd& weight, MatrixXd* normal,
                    VectorXd* slope) const {
    VectorXd squares = VectorXd::Zero(at_.outputs);
    const bool all = normal != nullptr;
    MatrixXd gram;
    MatrixXd across;               // base × outputs
    std::vector<MatrixXd> hidden;  // by output: what filled samples would add
    if (all) {
      gram = MatrixXd::Zero(base_.size, base_.size);
      across = MatrixXd::Zero(base_.size, at_.outputs);
      hidden.resize(static_cast<std::size_t>(at_.outputs));
    }
    MatrixXd signals = MatrixXd::Zero(base_.size, kChunk);
    MatrixXd errors(at_.outputs, kChunk);
    for (std::size_t e = 0; e < experiments_.size(); ++e) {
      const Experiment& data = experiments_[e];
      const auto experiment = static_cast<Index>(e);
      Runner run(*this, s, x0.col(experiment), experiment);
      std::size_t cell = 0;
      for (Index from = 0; from < data.count(); from += kChunk) {
        const Index width = std::min(kChunk, data.count() - from);
        for (Index k = 0; k < width; ++k) {
          run.step(data, from + k, all, signals, errors, k);
          for (; cell < data.missing.size() && data.missing[cell].second == from + k; ++cell) {
            const Index i = data.missing[cell].first;
            errors(i, k) = 0.0;
            if (!all) continue;
            MatrixXd& lost = hidden[static_cast<std::size_t>(i)];
            if (lost.size() == 0) lost = MatrixXd::Zero(base_.size, base_.size);
            lost.noalias() += signals.col(k) * signals.col(k).transpose();
          }
        }
        if (all) {
          gram.selfadjointView<Eigen::Lower>().rankUpdate(signals.leftCols(width));
          across.noalias() += signals.leftCols(width) * errors.leftCols(width).transpose();
        }
        squares += errors.leftCols(width).rowwise().squaredNorm();
      }
      if (all) signals.middleRows(base_.starts, 2 * s.count() * at_.experiments).setZero();
    }
    if (all) {
      gram.triangularView<Eigen::StrictlyUpper>() = gram.transpose().triangularView<Eigen::StrictlyUpper>();
      assemble(s, x0, weight, gram, across, hidden, *normal, *slope);
    }
    return squares;
  }

 private:
  // The sections and their answers, tick by tick.
  class Runner {
   public:
    Runner(const Problem& problem, const Sections& s, const VectorXd& x0, Index experiment)
        : problem_(problem), s_(s), x_(x0), experiment_(experiment) {
      const Layout& at = problem.at_;
      alpha_ = MatrixXd::Zero(at.inputs, s.count());
      beta_ = MatrixXd::Zero(at.inputs, s.count());
      start_ = MatrixXd::Zero(2, s.count());
      start_.row(0).setOnes();
      change_ = MatrixXd::Zero(4, s.count());
      v_ = VectorXd::Zero(at.inputs);
    }

    void step(const Experiment& data, Index k, bool all, MatrixXd& signals, MatrixXd& errors, Index into) {
      const Layout& at = problem_.at_;
      const Base& base = problem_.base_;
      const Index from_u = problem_.focus_ == Focus::simulation ? at.inputs : at.fed;
      v_.head(from_u) = data.u.col(k);
      if (problem_.focus_ == Focus::prediction) v_.tail(at.outputs) = data.y.col(k);
      auto error = errors.col(into);
      error = data.y.col(k) - s_.offset;
      for (Index j = 0; j < at.n; ++j) error -= s_.C.col(j) * x_(j);
      for (Index j = 0; j < at.fed; ++j) error -= s_.D.col(j) * v_(j);
      if (all) tell(signals.col(into).data(), base, at);
      for (Index i = 0; i < s_.count(); ++i) advance(i, all);
    }

   private:
    void tell(double* out, const Base& base, const Layout& at) const {
      Index to = base.inputs;
      for (Index i = 0; i < s_.count(); ++i) {
        for (Index j = 0; j < at.inputs; ++j) {
          out[to++] = alpha_(j, i);
          out[to++] = beta_(j, i);
        }
      }
      to = base.starts + 2 * s_.count() * experiment_;
      for (Index i = 0; i < s_.count(); ++i) {
        out[to++] = start_(0, i);
        out[to++] = start_(1, i);
      }
      to = base.poles;
      for (Index i = 0; i < s_.count(); ++i) {
        for (Index j = 0; j < 4; ++j) out[to++] = change_(j, i);
      }
      out[base.one] = 1.0;
      for (Index j = 0; j < at.fed; ++j) out[base.fed + j] = v_(j);
    }

    void advance(Index i, bool all) {
      const double m = s_.mean(i);
      const bool single = s_.single(i);
      const double r = single ? 0.0 : s_.ratio(i);
      const double back = single ? 0.0 : s_.square(i) / s_.ratio(i);
      const Index a = 2 * i;
      const double x1 = x_(a);
      const double x2 = single ? 0.0 : x_(a + 1);
      if (all) {
        for (Index j = 0; j < v_.size(); ++j) {
          const double alpha = alpha_(j, i);
          const double beta = beta_(j, i);
          alpha_(j, i) = m * alpha + back * beta + v_(j);
          beta_(j, i) = r * alpha + m * beta;
        }
        const double alpha = start_(0, i);
        const double beta = start_(1, i);
        start_(0, i) = m * alpha + back * beta;
        start_(1, i) = r * alpha + m * beta;
        const double z1 = change_(0, i);
        const double z2 = change_(1, i);
        change_(0, i) = m * z1 + r * z2 + x1;
        change_(1, i) = back * z1 + m * z2 + x2;
        const double w1 = change_(2, i);
        const double w2 = change_(3, i);
        change_(2, i) = m * w1 + r * w2;
        change_(3, i) = single ? 0.0 : back * w1 + m * w2 + x1 / r;
      }
      double b1 = 0.0;
      double b2 = 0.0;
      for (Index j = 0; j < v_.size(); ++j) {
        b1 += s_.B(a, j) * v_(j);
        if (!single) b2 += s_.B(a + 1, j) * v_(j);
      }
      x_(a) = m * x1 + r * x2 + b1;
      if (!single) x_(a + 1) = back * x1 + m * x2 + b2;
    }

    const Problem& problem_;
    const Sections& s_;
    VectorXd x_, v_;
    Index experiment_;
    MatrixXd alpha_, beta_;  // inputs × sections: A^k = α I + β [0 1; κ/r² 0] of each section, convolved with v
    MatrixXd start_;         // α and β themselves
    MatrixXd change_;        // of x with μ, of x with κ
  };

  // base → slopes of ŷ_i by the shared parameters and its own.
  [[nodiscard]] MatrixXd slopes_of(const Sections& s, const MatrixXd& x0, Index i) const {
    MatrixXd T = MatrixXd::Zero(base_.size, at_.shared + at_.own);
    for (Index k = 0; k < s.count(); ++k) {
      const Index a = 2 * k;
      const bool single = s.single(k);
      const double c1 = s.C(i, a);
      const double c2 = single ? 0.0 : s.C(i, a + 1);
      const double g = single ? 0.0 : s.square(k) / (s.ratio(k) * s.ratio(k));
      const Index poles = base_.poles + 4 * k;
      T(poles, at_.poles + a) = c1;
      T(poles + 1, at_.poles + a) = c2;
      if (!single) {
        T(poles + 2, at_.poles + a + 1) = c1;
        T(poles + 3, at_.poles + a + 1) = c2;
      }
      // Of a pair (α, β) that enters the section with weights b1, b2: x1 = α b1 + β b2, x2 = g β b1 + α b2.
      const auto enters = [&](Index signal, Index parameter, double b1, double b2) {
        T(signal, parameter) = c1;
        T(signal + 1, parameter) = c2 * g;
        const Index of_C = at_.shared + a;
        T(signal, of_C) += b1;
        if (single) return;
        T(signal + 1, parameter + 1) = c1;
        T(signal, parameter + 1) = c2;
        T(signal + 1, of_C) += b2;
        T(signal + 1, of_C + 1) += g * b1;
        T(signal, of_C + 1) += b2;
      };
      for (Index j = 0; j < at_.inputs; ++j) {
        enters(base_.inputs + 2 * (k * at_.inputs + j), at_.B + j * at_.n + a, s.B(a, j), single ? 0.0 : s.B(a + 1, j));
      }
      for (Index e = 0; e < at_.experiments; ++e) {
        enters(base_.starts + 2 * (e * s.count() + k), at_.x0 + e * at_.n + a, x0(a, e), single ? 0.0 : x0(a + 1, e));
      }
    }
    T(base_.one, at_.shared + at_.n) = 1.0;
    for (Index j = 0; j < at_.fed; ++j) T(base_.fed + j, at_.shared + at_.n + 1 + j) = 1.0;
    return T;
  }

  void assemble(const Sections& s, const MatrixXd& x0, const VectorXd& weight, const MatrixXd& gram,
                const MatrixXd& across, const std::vector<MatrixXd>& hidden, MatrixXd& normal, VectorXd& slope) const {
    normal = MatrixXd::Zero(at_.size(), at_.size());
    slope = VectorXd::Zero(at_.size());
    for (Index i = 0; i < at_.outputs; ++i) {
      const MatrixXd T = slopes_of(s, x0, i);
      const MatrixXd& lost = hidden[static_cast<std::size_t>(i)];
      const MatrixXd half = lost.size() == 0 ? MatrixXd(gram * T) : MatrixXd((gram - lost) * T);
      const MatrixXd part = weight(i) * (T.transpose() * half);
      const VectorXd descent = weight(i) * (T.transpose() * across.col(i));
      const Index own = at_.of_output(i);
      normal.topLeftCorner(at_.shared, at_.shared) += part.topLeftCorner(at_.shared, at_.shared);
      normal.block(0, own, at_.shared, at_.own) = part.topRightCorner(at_.shared, at_.own);
      normal.block(own, 0, at_.own, at_.shared) = part.bottomLeftCorner(at_.own, at_.shared);
      normal.block(own, own, at_.own, at_.own) = part.bottomRightCorner(at_.own, at_.own);
      slope.head(at_.shared) += descent.head(at_.shared);
      slope.segment(own, at_.own) = descent.tail(at_.own);
    }
  }

  const Experiments& experiments_;
  const Focus focus_;
  const Layout at_;
  const Base base_;
  VectorXd used_;
};

std::vector<Index> free_parameters(const Layout& at, const FitSettings& settings) {
  std::vector<Index> out;
  const auto add = [&](Index begin, Index count) {
    for (Index i = begin; i < begin + count; ++i) out.push_back(i);
  };
  if (settings.poles) add(at.poles, at.n);
  if (settings.inputs) add(at.B, at.n * at.inputs);
  if (settings.starts) add(at.x0, at.n * at.experiments);
  for (Index i = 0; i < at.outputs; ++i) {
    const Index own = at.of_output(i);
    if (settings.outputs) add(own, at.n);
    if (settings.inputs && settings.offset) add(own + at.n, 1);
    if (settings.inputs && settings.feed_through) add(own + at.n + 1, at.fed);
  }
  return out;
}

void move(Sections& s, MatrixXd& x0, const Layout& at, const std::vector<Index>& which, const VectorXd& by) {
  VectorXd step = VectorXd::Zero(at.size());
  for (std::size_t k = 0; k < which.size(); ++k) step(which[k]) = by(static_cast<Index>(k));
  for (Index k = 0; k < s.count(); ++k) {
    s.mean(k) += step(at.poles + 2 * k);
    if (!s.single(k)) s.square(k) += step(at.poles + 2 * k + 1);
  }
  s.B += Eigen::Map<const MatrixXd>(step.data() + at.B, at.n, at.inputs);
  x0 += Eigen::Map<const MatrixXd>(step.data() + at.x0, at.n, at.experiments);
  for (Index i = 0; i < at.outputs; ++i) {
    const double* own = step.data() + at.of_output(i);
    for (Index j = 0; j < at.n; ++j) s.C(i, j) += own[j];
    s.offset(i) += own[at.n];
    for (Index j = 0; j < at.fed; ++j) s.D(i, j) += own[at.n + 1 + j];
  }
}

}  // namespace

Fitted fit(const Experiments& experiments, Focus focus, Sections sections, const FitSettings& settings) {
  const Problem problem(experiments, focus, sections);
  const Layout& at = problem.layout();
  const std::vector<Index> which = free_parameters(at, settings);
  MatrixXd x0 = MatrixXd::Zero(at.n, at.experiments);
  VectorXd weight = VectorXd::Ones(at.outputs);
  MatrixXd normal;
  VectorXd slope;
  // Without poles and C among the parameters the first step leads to the least error; it also gives the rest a start.
  FitSettings linear = settings;
  linear.poles = linear.outputs = false;
  const std::vector<Index> first = free_parameters(at, linear);
  VectorXd squares = problem.evaluate(sections, x0, weight, &normal, &slope);
  if (!first.empty()) {
    MatrixXd G = normal(first, first);
    const double least = 1e-11 * std::max(G.diagonal().maxCoeff(), 1e-300);
    const VectorXd unit = G.diagonal().cwiseMax(least).cwiseSqrt().cwiseInverse();
    G = (unit.asDiagonal() * G * unit.asDiagonal()).eval();
    G.diagonal().array() += 1e-9;
    Sections moved = sections;
    MatrixXd moved_x0 = x0;
    move(moved, moved_x0, at, first, unit.asDiagonal() * solve_symmetric(G, unit.asDiagonal() * slope(first)));
    const VectorXd its_squares = problem.evaluate(moved, moved_x0, weight, nullptr, nullptr);
    if (its_squares.allFinite() && its_squares.sum() <= squares.sum()) {
      sections = std::move(moved);
      x0 = std::move(moved_x0);
      squares = its_squares;
    }
  }
  if (settings.weigh_by_error) {
    const VectorXd mean = squares.cwiseQuotient(problem.used()).cwiseMax(1e-8);
    weight = mean.cwiseInverse() * mean.minCoeff();
  }
  const bool linear_only = !settings.poles && !settings.outputs;
  double cost = weight.dot(squares);
  double damping = 1e-3;
  for (int step = 0; step < settings.steps && !linear_only; ++step) {
    problem.evaluate(sections, x0, weight, &normal, &slope);
    MatrixXd G = normal(which, which);
    const double least = 1e-11 * std::max(G.diagonal().maxCoeff(), 1e-300);
    const VectorXd unit = G.diagonal().cwiseMax(least).cwiseSqrt().cwiseInverse();
    G = (unit.asDiagonal() * G * unit.asDiagonal()).eval();
    const VectorXd right = unit.asDiagonal() * slope(which);
    const double before = cost;
    bool better = false;
    for (int attempt = 0; attempt < 8 && !better; ++attempt) {
      MatrixXd damped = G;
      damped.diagonal().array() += damping;
      Sections moved = sections;
      MatrixXd moved_x0 = x0;
      move(moved, moved_x0, at, which, unit.asDiagonal() * solve_symmetric(damped, right));
      moved.cap(settings.cap);
      const VectorXd its_squares = problem.evaluate(moved, moved_x0, weight, nullptr, nullptr);
      const double its_cost = weight.dot(its_squares);
      better = std::isfinite(its_cost) && its_cost < cost;
      if (better) {
        sections = std::move(moved);
        x0 = std::move(moved_x0);
        squares = its_squares;
        cost = its_cost;
        damping = std::max(damping * 0.2, 1e-9);
      } else {
        damping *= 6.0;
      }
    }
    if (!better || before - cost <= settings.converged * before) break;
  }
  return {std::move(sections), std::move(x0), squares.cwiseQuotient(problem.used()), cost};
}

Fitted fit_inputs(const Experiments& experiments, Focus focus, Sections sections, bool feed_through) {
  FitSettings settings;
  settings.feed_through = feed_through;
  settings.poles = settings.outputs = false;
  settings.offset = focus == Focus::simulation;
  return fit(experiments, focus, std::move(sections), settings);
}

}  // namespace twinkeeper::identification
