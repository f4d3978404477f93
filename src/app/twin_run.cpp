#include "app/twin_run.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>
#include <sstream>
#include <utility>

#include "config/sha256.hpp"
#include "twinkeeper/model/analysis.hpp"
#include "twinkeeper/model/augmentation.hpp"

namespace twinkeeper::app {
namespace {

double resolution_of(const drivers::RegisterSettings& reg) {
  switch (reg.type) {
    case drivers::ValueType::FLOAT16:
    case drivers::ValueType::FLOAT32:
    case drivers::ValueType::FLOAT64:
    case drivers::ValueType::STRING: return 0.0;
    default: return std::abs(reg.scale);
  }
}

acquisition::SynchroniserSetup synchroniser_setup(const Plan& plan, std::size_t index, std::int64_t history,
                                                  base::Instant origin) {
  const auto& twin = plan.config.twins[index];
  const auto& model = plan.models[index];
  const auto origins = tag_origins(plan.config);
  const auto max_age_of = [&](signals::TagIndex tag) {
    return plan.config.devices[origins[tag].device].registers[origins[tag].reg].validation.max_age;
  };
  acquisition::SynchroniserSetup setup;
  setup.origin = origin;
  setup.period = twin.period;
  setup.history = history;
  for (std::size_t u = 0; u < twin.inputs.size(); ++u) {
    acquisition::InputSetup input{twin.inputs[u], model.u_op(static_cast<Eigen::Index>(u))};
    if (input.source.tag && !input.source.max_age) input.source.max_age = max_age_of(*input.source.tag);
    setup.inputs.push_back(input);
  }
  for (const auto& source : twin.outputs) {
    const auto max_age = source.tag ? max_age_of(*source.tag) : base::Duration::zero();
    setup.outputs.push_back({source.tag, max_age, source.combine});
  }
  return setup;
}

diagnosis::AugmentedSetup augmented_setup(const model::StateSpace& model, std::size_t k,
                                          const diagnosis::TwinDiagnosisSetup& signals) {
  const model::AugmentedState& augmented = model.augmented[k];
  diagnosis::AugmentedSetup out;
  out.state = static_cast<std::size_t>(model.n_own()) + k;
  out.name = model.states[out.state].name;
  out.unit = model.states[out.state].unit;
  out.of = augmented.of;
  out.kind = augmented.kind;
  out.usual = augmented.initial;
  out.limit = augmented.deviation_limit;
  std::string tag;
  if (augmented.kind == model::AugmentKind::sensor_bias) {
    tag = signals.outputs[augmented.at].tag;
  } else if (augmented.kind == model::AugmentKind::input_disturbance) {
    tag = signals.inputs[augmented.at].tag;
  }
  if (!tag.empty()) {
    out.of = tag;
    out.tags = {tag};
    return out;
  }
  for (const diagnosis::SignalSetup& output : signals.outputs) {  // by which it shows
    if (!output.tag.empty()) out.tags.push_back(output.tag);
  }
  return out;
}

void note_effects(const model::StateSpace& model, diagnosis::TwinDiagnosisSetup& setup) {
  if (setup.augmented.empty()) return;
  std::vector<Eigen::Index> measured;
  for (std::size_t i = 0; i < setup.outputs.size(); ++i) {
    if (!setup.outputs[i].tag.empty()) measured.push_back(static_cast<Eigen::Index>(i));
  }
  const auto steady = model::steady_state(model, measured);
  if (!steady) return;
  const auto effects = model::augmented_effects(model, steady.value(), measured);
  for (std::size_t k = 0; k < effects.size(); ++k) setup.augmented[k].effect = effects[k];
}

// `told`: tags whose reasons an earlier twin tells, or this twin by an earlier signal.
diagnosis::TwinDiagnosisSetup diagnosis_setup(const Plan& plan, std::size_t index,
                                              const std::vector<std::string>& names,
                                              const std::vector<acquisition::TagRules>& rules,
                                              std::set<signals::TagIndex>& told) {
  const auto& twin = plan.config.twins[index];
  const auto& model = plan.models[index];
  diagnosis::TwinDiagnosisSetup setup;
  setup.twin = twin.name;
  setup.settings = twin.diagnosis;
  setup.period = twin.period;
  for (const auto& regime : twin.regimes) setup.regimes.push_back(regime.name);
  const auto signal = [&](const std::string& name, const std::string& unit,
                          const std::optional<signals::TagIndex>& tag) {
    return diagnosis::SignalSetup{name, unit, tag ? names[*tag] : std::string(), tag && told.insert(*tag).second};
  };
  for (std::size_t y = 0; y < twin.outputs.size(); ++y) {
    const auto& tag = twin.outputs[y].tag;
    setup.outputs.push_back(signal(model.outputs[y].name, model.outputs[y].unit, tag));
    diagnosis::SignalSetup& output = setup.outputs.back();
    if (!tag || !output.tells_reasons) continue;
    const acquisition::TagRules& rule = rules[*tag];
    if (rule.settings.stuck_rule == acquisition::StuckRule::automatic && rule.noise) {
      output.motion = diagnosis::MotionTest{rule.noise->resolution, static_cast<int>(acquisition::kLeastStuckPeriods)};
    }
  }
  for (std::size_t u = 0; u < twin.inputs.size(); ++u) {
    setup.inputs.push_back(signal(model.inputs[u].name, model.inputs[u].unit, twin.inputs[u].tag));
  }
  for (std::size_t k = 0; k < model.augmented.size(); ++k) setup.augmented.push_back(augmented_setup(model, k, setup));
  note_effects(model, setup);
  return setup;
}

diagnosis::IsolationSetup isolation_setup(const estimation::Twin& twin) {
  const model::StateSpace& model = twin.model();
  const std::vector<bool>& mapped = twin.settings().mapped;
  diagnosis::IsolationSetup setup{
      diagnosis::FaultIsolation(model, mapped), {}, std::vector<bool>(mapped.size(), false)};
  for (const model::Signal& state : model.states) setup.states.push_back({state.name, state.unit, {}});
  for (std::size_t i = 0; i < mapped.size(); ++i) {
    std::vector<std::ptrdiff_t> others;
    for (std::size_t j = 0; j < mapped.size(); ++j) {
      if (mapped[j] && j != i) others.push_back(static_cast<std::ptrdiff_t>(j));
    }
    setup.dispensable[i] = mapped[i] && !others.empty() && model::detectability(model, others).detectable &&
                           model::indistinguishable(model, others).empty();
  }
  return setup;
}

}  // namespace

std::vector<acquisition::TagRules> tag_rules(const Plan& plan) {
  std::vector<acquisition::TagRules> rules;
  for (const auto& device : plan.config.devices) {
    for (std::size_t r = 0; r < device.registers.size(); ++r) {
      rules.push_back({device.registers[r].validation, device.driver.registers[r].poll_interval, std::nullopt});
    }
  }
  const auto origins = tag_origins(plan.config);
  for (std::size_t i = 0; i < plan.config.twins.size(); ++i) {
    const auto& twin = plan.config.twins[i];
    const auto& model = plan.models[i];
    for (std::size_t y = 0; y < twin.outputs.size(); ++y) {
      const auto& tag = twin.outputs[y].tag;
      if (!tag || rules[*tag].noise) continue;
      const auto& origin = origins[*tag];
      const auto index = static_cast<Eigen::Index>(y);
      const double given = model.noise_std[y];
      const double coarser = std::isnan(model.resolution[y]) ? 0.0 : model.resolution[y];
      rules[*tag].noise = acquisition::OutputNoise{
          std::isnan(given) ? std::sqrt(model.R(index, index)) : given,
          std::max(coarser, resolution_of(plan.config.devices[origin.device].driver.registers[origin.reg])),
          twin.period};
    }
  }
  return rules;
}

std::vector<std::vector<signals::TagIndex>> tags_of_twins(const Plan& plan) {
  std::vector<std::vector<signals::TagIndex>> all;
  for (const config::TwinConfig& twin : plan.config.twins) {
    std::set<signals::TagIndex> tags;
    const auto use = [&](const std::optional<signals::TagIndex>& tag) {
      if (tag) tags.insert(*tag);
    };
    for (const auto& input : twin.inputs) use(input.tag);
    for (const auto& output : twin.outputs) use(output.tag);
    for (const auto& regime : twin.regimes) {
      for (const auto& part : regime.when) use(part.tag);  // of a joining part it is 0 and does no harm
    }
    all.emplace_back(tags.begin(), tags.end());
  }
  return all;
}

std::vector<std::vector<std::size_t>> users_of_tags(const Plan& plan) {
  std::vector<std::vector<std::size_t>> users(plan.tag_count());
  const auto tags = tags_of_twins(plan);
  for (std::size_t i = 0; i < tags.size(); ++i) {
    for (const signals::TagIndex tag : tags[i]) users[tag].push_back(i);
  }
  return users;
}

std::vector<std::string> setup_hashes(const Plan& plan) {
  std::vector<std::string> hashes;
  const auto names = tag_names(plan.config);
  const auto origins = tag_origins(plan.config);
  const auto tags = tags_of_twins(plan);
  for (std::size_t i = 0; i < tags.size(); ++i) {
    std::ostringstream text;
    text.precision(17);
    text << plan.config.twins[i].hash;
    for (const signals::TagIndex tag : tags[i]) {
      const config::DeviceConfig& device = plan.config.devices[origins[tag].device];
      const drivers::RegisterSettings& reg = device.driver.registers[origins[tag].reg];
      const acquisition::ValidationSettings& rules = device.registers[origins[tag].reg].validation;
      text << '\n'
           << names[tag] << ' ' << static_cast<int>(reg.type) << ' ' << reg.scale << ' ' << reg.offset << ' '
           << reg.unit;
      for (const auto& limit : {rules.min_value, rules.max_value, rules.max_rate}) text << ' ' << limit.value_or(0.0);
      text << ' ' << static_cast<int>(rules.stuck_rule) << ' ' << rules.stuck_after.count() << ' '
           << rules.max_age.count();
    }
    hashes.push_back(config::sha256(text.str()));
  }
  return hashes;
}

TwinRun::TwinRun(estimation::Twin twin, acquisition::FrameSynchroniser synchroniser, diagnosis::TwinDiagnosis diagnosis,
                 std::optional<diagnosis::SensorWatch> watch, std::vector<std::string> regimes,
                 acquisition::RegimeSelector selector, std::int64_t lateness)
    : twin_(std::move(twin)),
      synchroniser_(std::move(synchroniser)),
      diagnosis_(std::move(diagnosis)),
      regimes_(std::move(regimes)),
      selector_(std::move(selector)),
      history_(static_cast<std::int64_t>(twin_.settings().history)),
      lateness_(lateness),
      past_(twin_.settings().history + 1),
      consistency_(static_cast<std::size_t>(twin_.model().n_y())) {
  if (lateness_ > history_) std::abort();
  if (watch) {
    const estimation::TwinSettings& settings = twin_.settings();
    isolation_.emplace(Isolation{
        diagnosis::FaultRecord(twin_.model(), settings.period, settings.averages, history_), *std::move(watch), {}});
  }
  for (Past& past : past_) {
    past.step = twin_.make_record();
    if (history_ > 0) remember(past);
  }
}

std::size_t TwinRun::place(std::int64_t tick) const {
  const auto size = static_cast<std::int64_t>(past_.size());
  return static_cast<std::size_t>((tick % size + size) % size);
}

const estimation::TwinStep* TwinRun::at(std::int64_t tick) const {
  tick += first_tick_;
  const auto size = static_cast<std::int64_t>(past_.size());
  if (tick_ == kNever || tick < begin_ || tick > tick_ || tick <= tick_ - size) return nullptr;
  return &past_[place(tick)].step;
}

void TwinRun::revise() {
  const std::optional<std::int64_t> from = synchroniser_.take_revision();
  if (!from) return;
  const Past& first = past_[place(*from)];
  twin_.recall(first.before);
  if (isolation_) isolation_->watch.recall(first.watch_before);
  for (std::int64_t tick = *from; tick <= tick_; ++tick) {
    if (tick != *from) remember(past_[place(tick)]);
    step_twin(tick, synchroniser_.frame(tick));
    ++steps_revised_;
  }
}

const estimation::TwinStep& TwinRun::step(std::int64_t tick, std::vector<diagnosis::AnomalyEvent>& anomalies) {
  revise();
  tick += first_tick_;
  if (tick_ == kNever) {
    begin_ = tick;
    tick_ = judged_ = tick - 1;
    synchroniser_.settle_before(tick);
  }
  while (tick_ < tick) {
    close(++tick_);
    judge_until(tick_ - lateness_, anomalies);
  }
  return newest();
}

void TwinRun::give_up() {
  if (!begun()) return;
  synchroniser_.settle_before(tick_ + 1);
  static_cast<void>(synchroniser_.take_revision());
  twin_.begin_anew();
  tick_ = kNever;
}

void TwinRun::close(std::int64_t tick) {
  newest_ = place(tick);
  Past& past = past_[newest_];
  if (history_ > 0) remember(past);
  if (!regimes_.empty()) {
    const acquisition::SelectedRegime regime = selector_.at(tick);
    past.step.regime = regime.index;
    past.regime_holds_tests = !regime.settled;
  }
  step_twin(tick, synchroniser_.close(tick));
}

void TwinRun::remember(Past& past) const {
  twin_.remember(past.before);
  if (isolation_) isolation_->watch.remember(past.watch_before);
}

void TwinRun::step_twin(std::int64_t tick, const signals::Frame& frame) {
  Past& past = past_[place(tick)];
  if (isolation_) twin_.leave_out(isolation_->watch.left_out());
  twin_.step(frame, past.step);
  past.step.step = tick - first_tick_;
  past.step.tests_held = past.step.tests_held || past.regime_holds_tests;
  if (!isolation_) return;
  auto& [record, watch, filter] = *isolation_;
  twin_.tell(filter, diagnosis::FaultRecord::keeps_root(tick));
  record.take(tick, past.step, filter);
  if (const auto correction = watch.take(tick, past.step, record)) {
    twin_.correct(correction->by, correction->P);
    record.move(tick, correction->by);
  }
}

void TwinRun::judge_until(std::int64_t tick, std::vector<diagnosis::AnomalyEvent>& anomalies) {
  while (judged_ < tick) {
    const Past& past = past_[place(++judged_)];
    const estimation::TwinStep& step = past.step;
    consistency_.take(step);
    const std::size_t told = anomalies.size();
    diagnosis_.evaluate(step, anomalies, {isolation_ ? &isolation_->record : nullptr, judged_});
    for (std::size_t i = told; i < anomalies.size(); ++i) anomalies[i].regime = regime_of(step);
  }
}

std::vector<TwinRun> make_twin_runs(const Plan& plan, std::vector<estimation::Twin> twins, base::Instant origin) {
  std::vector<TwinRun> runs;
  const auto names = tag_names(plan.config);
  const auto rules = tag_rules(plan);
  std::set<signals::TagIndex> told;
  std::vector<base::Duration> max_ages;
  for (const auto& device : plan.config.devices) {
    for (const auto& reg : device.registers) max_ages.push_back(reg.validation.max_age);
  }
  for (std::size_t i = 0; i < twins.size(); ++i) {
    const config::TwinConfig& twin = plan.config.twins[i];
    std::vector<std::string> regimes;
    for (const auto& regime : twin.regimes) regimes.push_back(regime.name);
    const auto history = static_cast<std::int64_t>(twins[i].settings().history);
    const acquisition::SynchroniserSetup setup = synchroniser_setup(plan, i, history, origin);
    diagnosis::TwinDiagnosis diagnosis(diagnosis_setup(plan, i, names, rules, told));
    std::optional<diagnosis::SensorWatch> watch;
    if (twin.diagnosis.isolation.enabled) {
      diagnosis::IsolationSetup isolation = isolation_setup(twins[i]);
      watch.emplace(isolation.isolation, isolation.dispensable, twin.diagnosis, diagnosis.all_limits());
      diagnosis.isolate_with(std::move(isolation));
    }
    runs.emplace_back(std::move(twins[i]), acquisition::FrameSynchroniser(setup, plan.tag_count()),
                      std::move(diagnosis), std::move(watch), std::move(regimes),
                      acquisition::RegimeSelector(twin.regimes, origin, twin.period, max_ages),
                      std::min(watermark_of(twin).lateness, history));
  }
  return runs;
}

TwinRun make_twin_run(const Plan& plan, std::size_t twin, base::Instant origin) {
  auto twins = std::get<std::vector<estimation::Twin>>(make_twins(plan));
  return std::move(make_twin_runs(plan, std::move(twins), origin)[twin]);
}

}  // namespace twinkeeper::app
