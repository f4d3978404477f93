#include "identification/identify.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "identification/autoregression.hpp"
#include "identification/candidates.hpp"
#include "identification/dead_time.hpp"
#include "identification/excitation.hpp"
#include "identification/fit_figures.hpp"
#include "identification/predictor_gain.hpp"
#include "identification/regression.hpp"
#include "identification/verdict.hpp"
#include "twinkeeper/base/elementary.hpp"
#include "twinkeeper/model/analysis.hpp"

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr Index kLeastDelay = 4;                        // ticks: shorter ones are left to the states
constexpr std::array<double, 2> kTrainParts{0.7, 0.5};  // from the front and from the back
constexpr std::size_t kFolds = 2 * kTrainParts.size();
constexpr int kStepsOfCandidates = 12;
constexpr int kStepsOfChosen = 60;
constexpr double kArxMustLead = 3.0;  // points: a model of many lags is taken for that only
constexpr std::size_t kFigures = 5;   // of a fold: simulated, one step, ten steps, ARX one step, ARX simulated
constexpr std::array<Index, 4> kArxLags{1, 2, 4, 10};
constexpr Index kRowsOfLag = 10;      // for each number of an output's equation
constexpr Index kLeastRowsOfLag = 4;  // where the order is asked for

struct Tried {
  bool lags = false;  // ARX or VAR
  Focus focus = Focus::simulation;
  Index order = 0;
  std::array<std::optional<LinearModel>, kFolds> models;  // by fold
  std::array<std::optional<Sections>, kFolds> sections;
  std::array<double, kFolds> figure{};
  [[nodiscard]] double mean() const {
    return std::accumulate(figure.begin(), figure.end(), 0.0) / static_cast<double>(kFolds);
  }
  [[nodiscard]] bool complete() const {
    return std::all_of(models.begin(), models.end(), [](const auto& one) { return one.has_value(); });
  }
};

double mean_of(const VectorXd& fits) {
  double sum = 0.0;
  for (Index i = 0; i < fits.size(); ++i) sum += std::isfinite(fits(i)) ? std::max(fits(i), -100.0) : -100.0;
  return sum / static_cast<double>(fits.size());
}

std::string kind_of(const Tried& tried, bool has_inputs) {
  if (tried.lags) return has_inputs ? "ARX" : "VAR";
  if (!has_inputs) return "subspace, prediction error";
  return tried.focus == Focus::simulation ? "subspace, simulation focus" : "subspace, prediction focus";
}

double log_errors(const Found& found) {
  double sum = 0.0;
  for (const double error : found.errors) sum += base::log(std::max(error, 1e-15));
  return sum;
}

class Identification {
 public:
  Identification(Experiments data, const IdentifySettings& settings) : data_(std::move(data)), settings_(settings) {
    m_ = data_.front().u.rows();
    p_ = data_.front().y.rows();
    const Index ticks = ticks_in(data_);
    for (const double part : kTrainParts) {
      const auto train = static_cast<Index>(part * static_cast<double>(ticks));
      add_fold(slice(data_, 0, train), slice(data_, train, ticks));
      add_fold(slice(data_, ticks - train, ticks), slice(data_, 0, ticks - train));
    }
    add_fold(data_, {});
    scale_ = scale_of(data_);
  }

  [[nodiscard]] bool good() const {
    return std::none_of(folds_.begin(), folds_.begin() + kFolds,
                        [](const Fold& fold) { return fold.train.empty() || fold.validate.empty(); });
  }

  void run(const std::vector<std::string>& outputs, Identified& out) {
    if (settings_.closed_loop) {
      find_regressions();
    } else if (!settings_.from && (settings_.method == Method::automatic || settings_.method == Method::n4sid)) {
      find_subspaces();
    }
    list();
    try_all();
    choose(out);
    finish(outputs, out);
  }

  // False: the rows are too few.
  bool run_again(const Recipe& recipe, Identified& out) {
    tried_.push_back({recipe.lags, recipe.focus, recipe.order, {}, {}, {}});
    chosen_ = &tried_.front();
    Fold& whole = folds_[kFolds];
    if (recipe.lags) {
      if (kLeastRowsOfLag * recipe.order * (m_ + p_) > ticks_in(whole.train)) return false;
    } else {
      for (const Index s : horizons(whole.train)) {
        if (auto found = Subspace::of(whole.train, s)) whole.subspaces.push_back(std::move(*found));
      }
      if (!best_start(whole, recipe.focus, recipe.order)) return false;
    }
    const LinearModel core = refit();
    write(core, gain_of(whole, core), out);
    return true;
  }

 private:
  void add_fold(const Experiments& train, const Experiments& validate) {
    Fold fold;
    if (!train.empty()) {
      fold.scale = scale_of(train);
      fold.train = scaled(train, fold.scale);
      if (!validate.empty()) fold.validate = scaled(validate, fold.scale);
      fold.cap = largest_pole(ticks_in(train));
    }
    folds_.push_back(std::move(fold));
  }

  void each(std::size_t count, const std::function<void(std::size_t)>& job) const {
    if (settings_.for_each) {
      settings_.for_each(count, job);
      return;
    }
    for (std::size_t i = 0; i < count; ++i) job(i);
  }

  void find_subspaces() {
    struct Wanted {
      std::size_t fold;
      Index horizon;
    };
    std::vector<Wanted> wanted;
    for (std::size_t f = 0; f < folds_.size(); ++f) {
      const auto fit = horizons(folds_[f].train);
      for (auto s = fit.rbegin(); s != fit.rend(); ++s) wanted.push_back({f, *s});
    }
    std::vector<std::optional<Subspace>> found(wanted.size());
    each(wanted.size(),
         [&](std::size_t i) { found[i] = Subspace::of(folds_[wanted[i].fold].train, wanted[i].horizon); });
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (found[i]) folds_[wanted[i].fold].subspaces.push_back(std::move(*found[i]));
    }
  }

  void find_regressions() {
    each(folds_.size(), [&](std::size_t f) {
      const auto fit = horizons(folds_[f].train);
      if (!fit.empty()) folds_[f].past = LongRegression::of(folds_[f].train, fit.back());
    });
  }

  [[nodiscard]] std::optional<Fitted> start_of(const Fold& fold, Focus focus, Index order) const {
    if (settings_.from) return warm_start(fold, focus, *settings_.from);
    return best_start(fold, focus, order);
  }

  void list() {
    if (settings_.from) {
      const Index order = settings_.from->A.rows();
      if (m_ > 0 && !settings_.closed_loop) tried_.push_back({false, Focus::simulation, order, {}, {}});
      tried_.push_back({false, Focus::prediction, order, {}, {}});
      return;
    }
    const bool lags_only = settings_.method == Method::arx || settings_.method == Method::var;
    if (!lags_only) {
      const Index ticks = ticks_in(folds_[0].train);
      Index most = kMostStates;
      // Ten samples to a parameter.
      while (most > 1 && 10 * (most * (m_ + 2 * p_) + m_ * p_) > ticks * p_) --most;
      for (Index n = settings_.order.value_or(most); n >= settings_.order.value_or(1); --n) {
        if (m_ > 0 && !settings_.closed_loop) tried_.push_back({false, Focus::simulation, n, {}, {}});
        tried_.push_back({false, Focus::prediction, n, {}, {}});
      }
    }
    const bool chosen_order = settings_.method == Method::automatic && settings_.order;
    if (settings_.closed_loop || settings_.method == Method::n4sid || chosen_order) return;
    for (const Index lags : kArxLags) {
      if (settings_.order) break;
      tried_.push_back({true, Focus::prediction, lags, {}, {}});
    }
    if (settings_.order) tried_.push_back({true, Focus::prediction, *settings_.order, {}, {}});
  }

  void try_all() {
    each(kFolds * tried_.size(), [&](std::size_t i) {
      Tried& tried = tried_[i / kFolds];
      const std::size_t f = i % kFolds;
      const Fold& fold = folds_[f];
      if (tried.lags) {
        const Index rows = settings_.order ? kLeastRowsOfLag : kRowsOfLag;
        if (rows * tried.order * (m_ + p_) > ticks_in(fold.train)) return;
        tried.models[f] = of_lags(fold, tried.order);
      } else {
        auto start = start_of(fold, tried.focus, tried.order);
        if (!start) return;
        Found found = refine(fold, tried.focus, std::move(start->sections), kStepsOfCandidates, !settings_.closed_loop);
        if (settings_.closed_loop && found.drawn_in) return;  // a simulation by inputs that answer proves nothing
        tried.models[f] = std::move(found.model);
        tried.sections[f] = std::move(found.sections);
      }
      const Figures figures =
          simulates() ? simulated(fold.validate, *tried.models[f]) : predicted(fold.validate, *tried.models[f], 1);
      tried.figure[f] = mean_of(figures.fit);
    });
  }

  void choose(Identified& out) {
    double best = -std::numeric_limits<double>::infinity();
    double best_lags = best;
    for (const Tried& tried : tried_) {
      if (tried.complete()) (tried.lags ? best_lags : best) = std::max(tried.lags ? best_lags : best, tried.mean());
    }
    const bool lags = best_lags > best + kArxMustLead || best == -std::numeric_limits<double>::infinity();
    // Under feedback all are near one step ahead: there it is one in a hundred of the errors.
    const double most = lags ? best_lags : best;
    const double least = settings_.closed_loop ? most - 0.01 * (100.0 - most) : most - kWithin;
    for (const Tried& tried : tried_) {
      if (!tried.complete()) continue;
      out.candidates.push_back(
          {kind_of(tried, m_ > 0), tried.order, tried.mean(), {tried.figure.begin(), tried.figure.end()}});
      if (tried.lags != lags || tried.mean() < least) continue;
      const bool smaller = chosen_ == nullptr || tried.order < chosen_->order;
      // One that was fitted to the one-step errors has its noise from the same criterion.
      const bool better = chosen_ != nullptr && tried.order == chosen_->order && tried.focus == Focus::prediction;
      if (smaller || better) chosen_ = &tried;
    }
    std::stable_sort(out.candidates.begin(), out.candidates.end(),
                     [](const auto& a, const auto& b) { return a.mean > b.mean; });
    if (chosen_ == nullptr) return;
    out.kind = kind_of(*chosen_, m_ > 0);
    out.order = chosen_->order;
  }

  [[nodiscard]] LinearModel of_lags(const Fold& fold, Index order) const {
    return m_ > 0 ? arx(fold.train, order, fold.cap).model : autoregression(fold.train, order, fold.cap);
  }

  // The chosen kind and order on the whole record, from its subspaces and from where the folds ended.
  LinearModel refit() const {
    const Fold& whole = folds_[kFolds];
    if (chosen_->lags) return of_lags(whole, chosen_->order);
    std::vector<Sections> starts;
    if (auto start = start_of(whole, chosen_->focus, chosen_->order)) starts.push_back(std::move(start->sections));
    for (const auto& sections : chosen_->sections) {
      if (sections) starts.push_back(*sections);
    }
    const std::size_t count = starts.size();
    std::vector<Found> found(2 * count);  // with D, then without
    const bool direct = m_ > 0 && !settings_.closed_loop;
    each(direct ? 2 * count : count, [&](std::size_t i) {
      found[i] = refine(whole, chosen_->focus, starts[i % count], kStepsOfChosen, i < count && !settings_.closed_loop);
    });
    const auto least = [&](std::size_t from) {
      const auto begin = found.begin() + static_cast<std::ptrdiff_t>(from);
      return *std::min_element(begin, begin + static_cast<std::ptrdiff_t>(count), [&](const Found& a, const Found& b) {
        if (settings_.closed_loop && a.drawn_in != b.drawn_in) return b.drawn_in;
        return log_errors(a) < log_errors(b);
      });
    };
    const Found best = least(0);
    if (!direct) return best.model;
    // A D that only follows the noise keeps outputs from being fused while an input is stale, so it must earn its place.
    const Found plain = least(count);
    const auto samples = static_cast<double>(ticks_in(whole.train));
    const double price = static_cast<double>(m_ * p_) * base::log(samples);
    return samples * (log_errors(plain) - log_errors(best)) < price ? plain.model : best.model;
  }

  void finish(const std::vector<std::string>& outputs, Identified& out) {
    if (chosen_ == nullptr) return;
    if (!folds_[kFolds].subspaces.empty()) out.correlations = folds_[kFolds].subspaces.front().correlations();
    const LinearModel core = refit();
    Gain gain;
    std::array<Figures, 2 * kFigures> figures;
    each(3, [&](std::size_t i) {
      if (i == 2) {
        gain = gain_of(folds_[kFolds], core);
      } else {
        figures_of(folds_[i], *chosen_->models[i], &figures[kFigures * i]);
      }
    });
    out.outputs.resize(static_cast<std::size_t>(p_));
    for (Index i = 0; i < p_; ++i) {
      OutputFigures& one = out.outputs[static_cast<std::size_t>(i)];
      const auto both = [&](std::size_t k) { return 0.5 * (figures[k].fit(i) + figures[kFigures + k].fit(i)); };
      const auto stays = [&](std::size_t k) {
        return 0.5 * (figures[k].persistence(i) + figures[kFigures + k].persistence(i));
      };
      if (m_ > 0) {
        one.simulation = both(0);
        one.arx_simulation = both(4);
        one.simulation_worst = std::min(figures[0].fit(i), figures[kFigures].fit(i));
      }
      one.one_step = both(1);
      one.ten_steps = both(2);
      one.persistence_one = stays(1);
      one.persistence_ten = stays(2);
      one.arx_one_step = both(3);
    }
    if (settings_.from) out.replaced = beside(*settings_.from, figures);
    write(core, gain, out);
    LinearModel predictor = core;
    predictor.K = gain.K;
    const Experiments& rows = folds_[kFolds].train;
    out.residuals = residual_tests(rows, innovations(rows, predictor));
    tell_uncertainty(uncertainty_of(rows, predictor, core.K.size() > 0), out);
    std::vector<MatrixXd> errors{simulation_errors(folds_[kFolds].train, core)};
    for (std::size_t f = 0; f < kFolds && m_ > 0; ++f) {
      errors.push_back(simulation_errors(scaled(data_, folds_[f].scale), *chosen_->models[f]));
    }
    judge({folds_[0].train, folds_[1].train, folds_[kFolds].train}, core, errors, m_ > 0, outputs, out);
    judge_replacement(out);
  }

  // The model that is there on the rows that the first fold keeps back.
  [[nodiscard]] Replaced beside(const WarmStart& from, const std::array<Figures, 2 * kFigures>& figures) const {
    const auto list = [](const VectorXd& fits) { return std::vector<double>(fits.begin(), fits.end()); };
    const Scale point{from.u_op, VectorXd::Ones(m_), from.y_op, VectorXd::Ones(p_)};
    const Index ticks = ticks_in(data_);
    const auto train = static_cast<Index>(kTrainParts[0] * static_cast<double>(ticks));
    const Experiments rows = scaled(slice(data_, train, ticks), point);
    const LinearModel model{from.A, from.B, from.C, from.D, from.K, VectorXd::Zero(p_)};
    Replaced out;
    if (m_ > 0) {
      out.old_simulation = list(simulated(rows, model).fit);
      out.new_simulation = list(figures[0].fit);
    }
    out.old_one_step = list(predicted(rows, model, 1).fit);
    out.new_one_step = list(figures[1].fit);
    return out;
  }

  // What candidates are judged by: in a loop inputs answer the noise, and a simulation by them proves nothing.
  [[nodiscard]] bool simulates() const { return m_ > 0 && !settings_.closed_loop; }

  // A model out of the prediction focus has its gain from there, an ARX model by what it is.
  static Gain gain_of(const Fold& fold, const LinearModel& model) {
    if (model.K.size() > 0) return {model.K, innovation_covariance(fold.train, model)};
    return fit_gain(fold.train, model);
  }

  void figures_of(const Fold& fold, LinearModel model, Figures* out) const {
    model.K = gain_of(fold, model).K;
    if (m_ > 0) out[0] = simulated(fold.validate, model);
    out[1] = predicted(fold.validate, model, 1);
    out[2] = predicted(fold.validate, model, 10);
    const LinearModel floor = reference_of_lags(fold.train, fold.cap);
    out[3] = predicted(fold.validate, floor, 1);
    if (m_ > 0) out[4] = simulated(fold.validate, floor);
  }

  [[nodiscard]] LinearUncertainty uncertainty_of(const Experiments& rows, const LinearModel& predictor,
                                                 bool one_step) const {
    if (!chosen_->lags) return linear_uncertainty(rows, predictor, one_step);
    std::vector<bool> walks(static_cast<std::size_t>(p_), false);
    if (m_ == 0) {
      walks = levels_known(rows);
      walks.flip();
    }
    return lag_uncertainty(rows, predictor, walks);
  }

  // In physical units.
  void tell_uncertainty(LinearUncertainty scaled, Identified& out) const {
    out.uncertainty = std::move(scaled);
    if (out.uncertainty.gain.size() == 0) return;
    const auto y_unit = scale_.y_unit.asDiagonal();
    const MatrixXd u_inverse = scale_.u_unit.cwiseInverse().asDiagonal();
    out.uncertainty.gain = (y_unit * out.uncertainty.gain * u_inverse).eval();
    out.uncertainty.gain_std = (y_unit * out.uncertainty.gain_std * u_inverse).eval();
  }

  // In physical units, in the basis in which the noise is well scaled.
  void write(const LinearModel& core, const Gain& gain, Identified& out) const {
    const Noise noise = split_noise(core, gain);
    const MatrixXd back = noise.T_inverse;
    const auto y_unit = scale_.y_unit.asDiagonal();
    const MatrixXd u_inverse = scale_.u_unit.cwiseInverse().asDiagonal();
    const MatrixXd y_inverse = scale_.y_unit.cwiseInverse().asDiagonal();
    out.A = back * core.A * noise.T;
    out.B = back * core.B * u_inverse;
    out.C = y_unit * core.C * noise.T;
    out.D = y_unit * core.D * u_inverse;
    out.K = back * gain.K * y_inverse;
    out.Ry = y_unit * gain.Ry * y_unit;
    out.Q = noise.Q;
    out.R = y_unit * noise.R * y_unit;
    out.S = noise.S * y_unit;
    out.u_op = scale_.u_zero;
    out.y_op = scale_.y_zero + y_unit * core.o;
  }

  Experiments data_;
  const IdentifySettings& settings_;
  Index m_ = 0, p_ = 0;
  std::vector<Fold> folds_;  // two, and the whole record
  Scale scale_;
  std::vector<Tried> tried_;
  const Tried* chosen_ = nullptr;
};

}  // namespace

base::Result<Identified> identify(const Experiments& experiments, const std::vector<std::string>& inputs,
                                  const std::vector<std::string>& outputs, const IdentifySettings& settings) {
  const auto refused = [](const std::vector<std::string>& faults) {
    std::string all;
    for (const auto& fault : faults) all += (all.empty() ? "" : "\n") + fault;
    return base::Error(base::ErrorCode::corrupt, all);
  };
  const Excitation excitation = examine_excitation(experiments, inputs, outputs);
  std::vector<std::string> faults = excitation.faults;
  if (faults.empty() && settings.closed_loop) faults = faults_of_loop(experiments, inputs);
  if (!faults.empty()) return refused(faults);
  Identified out;
  out.warnings = excitation.warnings;
  if (settings.from) {
    out.delays = settings.from->delays;
  } else if (settings.closed_loop) {  // an answer of the controller would be taken for one of the plant
    out.delays.assign(inputs.size(), 0);
  } else {
    out.delays = dead_times(scaled(experiments, scale_of(experiments)));
  }
  for (Index& delay : out.delays) delay = !settings.from && delay < kLeastDelay ? 0 : delay;
  Experiments data = without_dead_times(experiments, out.delays);
  if (ticks_in(data) < kFewestRows) {
    out.delays.assign(out.delays.size(), 0);
    data = experiments;
  }
  Identification work(std::move(data), settings);
  if (!work.good()) return refused({"the stretches without gaps are too short to keep a part back"});
  work.run(outputs, out);
  if (out.kind.empty()) {
    return refused({settings.closed_loop ? "the record is too short, or what it shows of the plant grows by itself"
                                         : "the record is too short for the order or method that was asked for"});
  }
  if (!settings.closed_loop) tell_feedback(inputs, outputs, out);
  add_waiting_states(out);
  return out;
}

base::Result<Identified> identify_again(const Experiments& experiments, const Recipe& recipe) {
  const auto too_few = base::Error(base::ErrorCode::corrupt, "too few rows for the order of the model");
  const Experiments data = without_dead_times(experiments, recipe.delays);
  if (ticks_in(data) < kFewestRows) return too_few;
  const IdentifySettings settings;
  Identified out;
  out.delays = recipe.delays;
  out.order = recipe.order;
  Identification work(data, settings);
  if (!work.run_again(recipe, out)) return too_few;
  add_waiting_states(out);
  return out;
}

}  // namespace twinkeeper::identification
