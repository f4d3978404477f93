#include "identification/grey_box.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/formatted.hpp"
#include "identification/candidates.hpp"
#include "identification/compare.hpp"
#include "identification/excitation.hpp"
#include "identification/fit_figures.hpp"
#include "identification/regression.hpp"
#include "identification/template_noise.hpp"
#include "identification/template_run.hpp"
#include "identification/verdict.hpp"
#include "twinkeeper/base/elementary.hpp"
#include "twinkeeper/model/templates.hpp"

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using model::ModelSettings;

constexpr double kDecade = 10.0;
constexpr double kTrained = 0.7;
constexpr double kApart = 3.0;  // standard deviations
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Positive by its nature: found by its logarithm.
bool positive(const model::ParameterInfo& info, double value) {
  return info.least == 0.0 && info.above_least && value > 0.0;
}

std::vector<model::ParameterInfo> infos_of(const ModelSettings& settings) {
  std::vector<std::string> given;
  for (const auto& parameter : settings.parameters) given.push_back(parameter.name);
  return model::find_template(settings.type)->parameters(given);
}

// At the template's default, which is not "none of it": gravity, a share of 1, where a square root ends.
bool is_constant(const model::ParameterInfo& info, double value) { return info.value == value && value != 0.0; }

struct SoughtSet {
  std::vector<FreeParameter> parameters;
  std::vector<std::size_t> at;  // in settings.parameters
};

SoughtSet wanted_of(const ModelSettings& settings, const std::vector<SoughtParameter>& sought) {
  SoughtSet out;
  for (const model::ParameterInfo& info : infos_of(settings)) {
    const auto one = std::find_if(settings.parameters.begin(), settings.parameters.end(),
                                  [&](const auto& parameter) { return parameter.name == info.name; });
    if (one == settings.parameters.end() || info.structural) continue;
    const auto asked = std::find_if(sought.begin(), sought.end(), [&](const auto& s) { return s.name == info.name; });
    if (sought.empty() ? is_constant(info, one->value) : asked == sought.end()) continue;
    FreeParameter free{info.name, one->value, info.least, info.most, positive(info, one->value), 1.0};
    if (free.logarithmic) {
      free.low = std::max(free.low, one->value / kDecade);
      free.high = std::min(free.high, one->value * kDecade);
    }
    if (asked != sought.end()) {
      free.low = std::max(info.least, asked->min.value_or(free.low));
      free.high = std::min(info.most, asked->max.value_or(free.high));
    }
    const double range = free.high - free.low;
    free.unit = std::isfinite(range) ? range : std::max(1.0, std::abs(one->value));
    out.parameters.push_back(free);
    out.at.push_back(static_cast<std::size_t>(one - settings.parameters.begin()));
  }
  return out;
}

// What is wrong with what is sought.
std::vector<std::string> faults_of(const ModelSettings& settings, const std::vector<SoughtParameter>& sought) {
  std::vector<std::string> out;
  std::string known;
  for (const auto& one : settings.parameters) known += (known.empty() ? "" : ", ") + one.name;
  for (const SoughtParameter& one : sought) {
    const auto value = model::value_of(settings.parameters, one.name);
    if (!value) {
      out.push_back(one.name + " is no parameter of the file; accepted: " + known);
    } else if (!(one.min.value_or(*value) <= *value && *value <= one.max.value_or(*value))) {
      out.push_back(one.name + ": the file's " + base::formatted("%.4g", *value) + " is not in its range");
    }
  }
  if (out.empty() && wanted_of(settings, sought).parameters.empty()) {
    out.push_back("no parameter is left to be found; accepted: " + known);
  }
  return out;
}

Record record_of_experiments(const Experiments& experiments) {
  Record out;
  const Index ticks = ticks_in(experiments);
  out.u.resize(ticks, experiments.front().u.rows());
  out.y.resize(ticks, experiments.front().y.rows());
  std::int64_t tick = 0;
  Index row = 0;
  for (const auto& e : experiments) {
    out.u.middleRows(row, e.count()) = e.u.transpose();
    out.y.middleRows(row, e.count()) = e.y.transpose();
    for (const auto& [output, at] : e.missing) out.y(row + at, output) = std::numeric_limits<double>::quiet_NaN();
    for (Index k = 0; k < e.count(); ++k) out.tick.push_back(tick++);
    row += e.count();
    tick += 2 * kLongestGap;
  }
  return out;
}

Experiments heads_of(const Experiments& experiments) {
  Experiments out;
  for (const auto& e : experiments) {
    const Index count = std::min<Index>(static_cast<Index>(kRowsForStart), e.count());
    auto& head = out.emplace_back();
    head.u = e.u.leftCols(count);
    head.y = e.y.leftCols(count);
    for (const auto& cell : e.missing) {
      if (cell.second < count) head.missing.push_back(cell);
    }
  }
  return out;
}

// One fit of a template to some experiments.
class GreyBoxFit {
 public:
  GreyBoxFit(const Experiments& data, ModelSettings settings, const GreyBoxSettings& how)
      : data_(data),
        settings_(std::move(settings)),
        sample_time_(how.sample_time),
        wanted_(wanted_of(settings_, how.sought)),
        asked_(!how.sought.empty()) {
    p_ = data.front().y.rows();
    theta_count_ = static_cast<Index>(wanted_.parameters.size());
    const Scale scale = scale_of(data);
    weight_ = scale.y_unit.cwiseInverse();
  }

  // False if the equations can't be run from the starts.
  bool run(const std::function<void(int, double)>& on_step) {
    auto start = template_model(settings_, sample_time_);
    if (!start) return false;
    n_ = start->n_x();
    x0_ = MatrixXd(n_, static_cast<Index>(data_.size()));
    x0_.colwise() = start->x_op;
    for (Index i = 0; i < n_; ++i) {
      const auto& state = settings_.states[static_cast<std::size_t>(i)];
      if (state.initial) x0_.row(i).setConstant(*state.initial);
    }
    LeastSquaresSettings how;
    const Experiments heads = heads_of(data_);
    if (const auto found = search(heads, false, how)) take(*found, false);
    how.on_step = [&](int step, double cost) {
      if (on_step) on_step(step, std::sqrt(cost / static_cast<double>(ticks_in(data_) * p_)));
    };
    for (int round = 0; round < (p_ > 1 ? 2 : 1); ++round) {
      auto found = search(data_, true, how);
      if (!found) return false;
      take(*found, true);
      fit_ = std::move(*found);
      if (p_ > 1 && round == 0) weight_ = rmse().cwiseMax(1e-12).cwiseInverse();
    }
    fit_template_noise(settings_, data_, x0_, rmse(), sample_time_);
    return true;
  }

  [[nodiscard]] const ModelSettings& settings() const { return settings_; }
  [[nodiscard]] std::optional<model::StateSpace> built() const { return template_model(settings_, sample_time_); }

  // By output, of the free simulation.
  [[nodiscard]] VectorXd rmse() const {
    VectorXd squares = VectorXd::Zero(p_);
    VectorXd count = VectorXd::Zero(p_);
    const auto errors =
        residuals_of(data_, *template_model(settings_, sample_time_), VectorXd::Ones(p_), std::nullopt, VectorXd());
    for (Index k = 0; k < errors.size(); ++k) squares(k % p_) += errors(k) * errors(k);
    for (const auto& e : data_) {
      count.array() += static_cast<double>(e.count());
      for (const auto& cell : e.missing) count(cell.first) -= 1.0;
    }
    return squares.cwiseQuotient(count.cwiseMax(1.0)).cwiseSqrt();
  }

  [[nodiscard]] MatrixXd innovations() const {
    const auto model = template_model(settings_, sample_time_);
    MatrixXd out(p_, ticks_in(data_));
    Index at = 0;
    for (std::size_t e = 0; e < data_.size(); ++e) {
      out.middleCols(at, data_[e].count()) = filter(*model, data_[e], x0_.col(static_cast<Index>(e))).nu;
      at += data_[e].count();
    }
    return out;
  }

  // With warnings about what can only be told together.
  [[nodiscard]] std::vector<ParameterEstimate> estimates(std::vector<std::string>& warnings) const {
    MatrixXd slopes = fit_.slopes;
    MatrixXd fine = fit_.fine_slopes;
    for (Index i = 0; i < theta_count_; ++i) {
      if (fit_.bound[static_cast<std::size_t>(i)] == 0) continue;
      slopes.col(i).setZero();
      fine.col(i).setZero();
    }
    const MatrixXd asked = MatrixXd::Identity(theta_count_, slopes.cols());
    const VectorXd std = standard_deviations(slopes, fit_.residuals, p_, asked);
    std::vector<ParameterEstimate> out;
    const auto infos = infos_of(settings_);
    for (Index i = 0; i < theta_count_; ++i) {
      const FreeParameter& one = wanted_.parameters[static_cast<std::size_t>(i)];
      const auto info = std::find_if(infos.begin(), infos.end(), [&](const auto& k) { return k.name == one.name; });
      ParameterEstimate& found = out.emplace_back();
      found.name = one.name;
      found.unit = info->unit;
      found.start = one.start;
      found.value = fit_.theta(i);
      found.low = one.low;
      found.high = one.high;
      found.bound = fit_.bound[static_cast<std::size_t>(i)];
      const double spread = std(i);  // of ln θ, or of θ in its unit
      found.std = spread * (one.logarithmic ? found.value : one.unit);
      const bool moves = slopes.col(i).squaredNorm() > 0.0;
      const double most = one.logarithmic ? 1.0 : 0.5 * (one.high - one.low) / one.unit;
      found.identifiable = found.bound != 0 || (moves && spread <= most);
    }
    std::vector<bool> together(out.size(), false);
    std::vector<bool> idle(out.size(), false);  // an offset nobody asked for that nothing here shows
    for (std::size_t i = 0; i < out.size(); ++i) {
      idle[i] = !asked_ && out[i].start == 0.0 && !(slopes.col(static_cast<Index>(i)).squaredNorm() > 0.0);
    }
    for (const auto& direction : open_directions(fine)) {
      std::string names;
      int count = 0;
      for (const Index i : direction) {
        if (i >= theta_count_) continue;
        ParameterEstimate& one = out[static_cast<std::size_t>(i)];
        one.identifiable = false;
        names += (names.empty() ? "" : ", ") + one.name;
        ++count;
      }
      if (count < 2) continue;
      for (const Index i : direction) {
        if (i < theta_count_) together[static_cast<std::size_t>(i)] = true;
      }
      const std::string text = "only together do " + names +
                               " show in the record, not each by itself: know one of them, and leave it out of --fit";
      if (std::find(warnings.begin(), warnings.end(), text) == warnings.end()) warnings.push_back(text);
    }
    for (std::size_t i = 0; i < out.size(); ++i) {
      const ParameterEstimate& one = out[i];
      if (one.bound != 0) {
        warnings.push_back(one.name + " stands at its " + (one.bound < 0 ? "lower" : "upper") + " bound, " +
                           base::formatted("%.4g", one.value) +
                           ": a range too narrow, or equations that lack something");
      } else if (!one.identifiable && !together[i] && !idle[i]) {
        warnings.push_back(one.name + " can't be told from this record; its value is little more than the start");
      }
    }
    std::vector<ParameterEstimate> told;
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (!idle[i] || out[i].bound != 0) told.push_back(std::move(out[i]));
    }
    return told;
  }

 private:
  [[nodiscard]] ModelSettings with(const VectorXd& theta) const {
    ModelSettings out = settings_;
    for (Index i = 0; i < theta_count_; ++i) {
      out.parameters[wanted_.at[static_cast<std::size_t>(i)]].value = theta(i);
    }
    return out;
  }

  // `x0`: of all experiments, empty: those at hand. With `only`, what is not of that experiment is taken over.
  struct Only {
    std::size_t experiment;
    const VectorXd& others;
  };
  [[nodiscard]] VectorXd residuals_of(const Experiments& data, const model::StateSpace& model, const VectorXd& weight,
                                      const std::optional<Only>& only, const VectorXd& x0) const {
    VectorXd out = only ? only->others : VectorXd(ticks_in(data) * p_);
    TemplateRun run(model);
    Index at = 0;
    for (std::size_t e = 0; e < data.size(); ++e) {
      const Experiment& one = data[e];
      const Index size = one.count() * p_;
      if (!only || only->experiment == e) {
        const auto experiment = static_cast<Index>(e);
        const VectorXd start =
            x0.size() > 0 ? VectorXd(x0.segment(experiment * n_, n_)) : VectorXd(x0_.col(experiment));
        MatrixXd errors = weight.asDiagonal() * (one.y - run.simulate(one, start));
        for (const auto& [output, tick] : one.missing) errors(output, tick) = 0.0;
        out.segment(at, size) = Eigen::Map<const VectorXd>(errors.data(), size);
      }
      at += size;
    }
    return out;
  }

  [[nodiscard]] std::optional<LeastSquares> search(const Experiments& data, bool with_parameters,
                                                   const LeastSquaresSettings& how) const {
    std::vector<FreeParameter> free = wanted_.parameters;
    for (Index i = 0; i < theta_count_; ++i) {
      FreeParameter& one = free[static_cast<std::size_t>(i)];
      one.start = settings_.parameters[wanted_.at[static_cast<std::size_t>(i)]].value;
      if (!with_parameters) one.low = one.high = one.start;
    }
    for (Index e = 0; e < x0_.cols(); ++e) {
      for (Index i = 0; i < n_; ++i) {
        const auto& state = settings_.states[static_cast<std::size_t>(i)];
        const double start = x0_(i, e);
        free.push_back({state.name, start, std::min(state.min.value_or(-kInfinity), start),
                        std::max(state.max.value_or(kInfinity), start), false, std::max(1.0, std::abs(start))});
      }
    }
    const Residuals residuals = [&](const VectorXd& theta, const MovedFrom* moved) -> std::optional<VectorXd> {
      const auto model = template_model(with(theta), sample_time_);
      if (!model) return std::nullopt;
      std::optional<Only> only;
      if (moved != nullptr && moved->parameter >= theta_count_) {
        only.emplace(Only{static_cast<std::size_t>((moved->parameter - theta_count_) / n_), moved->residuals});
      }
      return residuals_of(data, *model, weight_, only, theta.tail(x0_.size()));
    };
    return bounded_least_squares(free, residuals, how);
  }

  void take(const LeastSquares& found, bool with_parameters) {
    if (with_parameters) settings_ = with(found.theta);
    x0_ = Eigen::Map<const MatrixXd>(found.theta.data() + theta_count_, n_, x0_.cols());
  }

  const Experiments& data_;
  ModelSettings settings_;
  const double sample_time_;
  const SoughtSet wanted_;
  const bool asked_;
  Index n_ = 0, p_ = 0, theta_count_ = 0;
  VectorXd weight_;  // √w
  MatrixXd x0_;      // n × experiments, absolute
  LeastSquares fit_;
};

struct Held {  // figures of a part that was not fitted
  std::vector<OutputScore> simulated, one, ten;
  Figures arx_one, arx_simulated;
};

Held judged(const model::StateSpace& model, const Experiments& train, const Experiments& validate) {
  Held out;
  const Record record = record_of_experiments(validate);
  const auto scores = [&](std::optional<std::int64_t> horizon) {
    auto compared = compare(model, record, horizon, Start::estimate);
    if (compared.ok()) return compared.value().scores;
    constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
    return std::vector<OutputScore>(static_cast<std::size_t>(model.n_y()), {0, kUnknown, kUnknown, kUnknown});
  };
  out.simulated = scores(std::nullopt);
  out.one = scores(1);
  out.ten = scores(10);
  const Scale scale = scale_of(train);
  const LinearModel floor = reference_of_lags(scaled(train, scale), largest_pole(ticks_in(train)));
  const Experiments rest = scaled(validate, scale);
  out.arx_one = predicted(rest, floor, 1);
  out.arx_simulated = simulated(rest, floor);
  return out;
}

void take_figures(const std::array<Held, 2>& held, Identified& out) {
  out.outputs.resize(held[0].simulated.size());
  for (std::size_t i = 0; i < out.outputs.size(); ++i) {
    OutputFigures& one = out.outputs[i];
    const auto mean = [&](const auto& of) { return 0.5 * (of(held[0]) + of(held[1])); };
    const auto row = static_cast<Index>(i);
    one.simulation = mean([&](const Held& h) { return h.simulated[i].fit; });
    one.simulation_worst = std::min(held[0].simulated[i].fit, held[1].simulated[i].fit);
    one.one_step = mean([&](const Held& h) { return h.one[i].fit; });
    one.persistence_one = mean([&](const Held& h) { return h.one[i].persistence; });
    one.ten_steps = mean([&](const Held& h) { return h.ten[i].fit; });
    one.persistence_ten = mean([&](const Held& h) { return h.ten[i].persistence; });
    one.arx_one_step = mean([&](const Held& h) { return h.arx_one.fit(row); });
    one.arx_simulation = mean([&](const Held& h) { return h.arx_simulated.fit(row); });
  }
}

void tell_changes(const std::vector<ParameterEstimate>& first, const std::vector<ParameterEstimate>& last,
                  Identified& out) {
  for (std::size_t i = 0; i < std::min(first.size(), last.size()); ++i) {
    if (first[i].name != last[i].name) return;
    const double apart = std::abs(first[i].value - last[i].value);
    const bool both = first[i].identifiable && last[i].identifiable && first[i].bound == 0 && last[i].bound == 0;
    if (!both || !(apart > kApart * base::hypot(first[i].std, last[i].std))) continue;
    out.warnings.push_back(first[i].name + " is " + base::formatted("%.4g", first[i].value) +
                           " from the first 70 % of the rows and " + base::formatted("%.4g", last[i].value) +
                           " from the last: it changed, or the equations lack something");
  }
}

constexpr const char* kCannotBeRun = "the template's equations can't be run with the values that the file starts from";

base::Error corrupt(const std::string& why) { return {base::ErrorCode::corrupt, why}; }

// `settings` without augmented states.
std::optional<base::Error> refusal_of(const Experiments& experiments, const ModelSettings& settings,
                                      const GreyBoxSettings& how) {
  if (const Index ticks = ticks_in(experiments); ticks < kFewestRows) {
    return corrupt(std::to_string(ticks) + " samples are too few; accepted: " + std::to_string(kFewestRows));
  }
  const auto faults = faults_of(settings, how.sought);
  if (faults.empty()) return std::nullopt;
  std::string all;
  for (const auto& fault : faults) all += (all.empty() ? "" : "\n") + fault;
  return base::Error(base::ErrorCode::invalid_argument, all);
}

}  // namespace

base::Result<GreyBox> identify_template(const Experiments& experiments, const ModelSettings& settings,
                                        const GreyBoxSettings& how) {
  ModelSettings plain = settings;
  plain.augment.clear();
  if (auto refusal = refusal_of(experiments, plain, how)) return std::move(*refusal);
  const Index ticks = ticks_in(experiments);
  const auto part = static_cast<Index>(kTrained * static_cast<double>(ticks));
  const std::array<Experiments, 3> train{experiments, slice(experiments, 0, part),
                                         slice(experiments, ticks - part, ticks)};
  const std::array<Experiments, 2> validate{slice(experiments, part, ticks), slice(experiments, 0, ticks - part)};
  for (std::size_t f = 0; f < validate.size(); ++f) {
    if (validate[f].empty() || train[f + 1].empty()) {
      return corrupt("the stretches without gaps are too short to keep a part back");
    }
  }
  std::vector<GreyBoxFit> fits;
  for (const Experiments& part_of : train) fits.emplace_back(part_of, plain, how);
  std::array<bool, 3> good{};
  std::array<Held, 2> held;
  const auto job = [&](std::size_t i) {
    good[i] = fits[i].run(i == 0 ? how.on_step : nullptr);
    if (i > 0 && good[i]) held[i - 1] = judged(*fits[i].built(), train[i], validate[i - 1]);
  };
  if (how.for_each) {
    how.for_each(train.size(), job);
  } else {
    for (std::size_t i = 0; i < train.size(); ++i) job(i);
  }
  if (!std::all_of(good.begin(), good.end(), [](bool one) { return one; })) {
    return corrupt(kCannotBeRun);
  }
  GreyBox out;
  out.model = fits[0].settings();
  out.model.augment = settings.augment;
  Identified& found = out.found;
  found.kind = "template " + settings.type;
  found.order = static_cast<Index>(plain.states.size());
  found.delays.assign(plain.inputs.size(), 0);
  found.parameters = fits[0].estimates(found.warnings);
  std::vector<std::string> unsaid;
  tell_changes(fits[1].estimates(unsaid), fits[2].estimates(unsaid), found);
  found.rmse = fits[0].rmse();
  found.residuals = residual_tests(experiments, fits[0].innovations());
  take_figures(held, found);
  judge_figures(!plain.inputs.empty(), found);
  if (how.replaces) {
    const auto list = [](const std::vector<OutputScore>& scores) {
      std::vector<double> out_of;
      for (const auto& score : scores) out_of.push_back(score.fit);
      return out_of;
    };
    const Held old = judged(*template_model(plain, how.sample_time), train[1], validate[0]);
    found.replaced = Replaced{list(old.simulated), list(held[0].simulated), list(old.one), list(held[0].one)};
    judge_replacement(found);
  }
  return out;
}

base::Result<ModelSettings> identify_template_again(const Experiments& experiments, const ModelSettings& settings,
                                                    const GreyBoxSettings& how) {
  ModelSettings plain = settings;
  plain.augment.clear();
  if (auto refusal = refusal_of(experiments, plain, how)) return std::move(*refusal);
  GreyBoxFit fit(experiments, std::move(plain), how);
  if (!fit.run(how.on_step)) return corrupt(kCannotBeRun);
  ModelSettings out = fit.settings();
  out.augment = settings.augment;
  return out;
}

}  // namespace twinkeeper::identification
