#include <algorithm>
#include <iostream>
#include <map>

#include "app/commands.hpp"
#include "app/event_log.hpp"
#include "app/exit_codes.hpp"
#include "app/log_columns.hpp"
#include "app/log_replay.hpp"
#include "app/replay_csv.hpp"
#include "app/replay_page.hpp"
#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::app {
namespace {

struct Chosen {
  Plan plan;
  std::size_t twin = 0;
  std::vector<std::string> names;  // by TagIndex, as the log has them
  bool judged = true;              // false: a model without a diagnosis, nothing is an anomaly
};

class LogReport final : public LogReplayOutput {
 public:
  LogReport(const logs::LogReader& log, std::optional<CsvFile> steps, bool every_step, bool judged)
      : log_(log), steps_(std::move(steps)), every_step_(every_step), judged_(judged) {}

  void begin(const model::StateSpace& model, const diagnosis::Calibration& calibration, ReplayPage* page) {
    page_ = page;
    calibration_ = &calibration;
    if (steps_) steps_->row(step_header(model));
  }
  void row(std::string_view time_text, std::int64_t tick, const estimation::TwinStep& step, std::string_view regime,
           bool anomaly) override {
    if (calibration_ && calibration_->given() && !step.tests_held) {
      const std::string_view name = regime.empty() ? diagnosis::kWholeLog : regime;
      const bool known = std::any_of(calibration_->regimes.begin(), calibration_->regimes.end(),
                                     [&](const auto& one) { return one.name == name; });
      if (!known) ++not_calibrated_[std::string(name)];
    }
    if (page_ && !between_) page_->row(time_text, tick, step, anomaly);
    if (!steps_) return;
    write_step(line_, time_text, tick, step, regime, anomaly && judged_);
    steps_->row(line_);
  }
  void step_without_row(std::chrono::nanoseconds time, const estimation::TwinStep& step, std::string_view regime,
                        bool anomaly) override {
    if (!steps_ || !every_step_) return;
    time_.clear();
    if (log_.time_is_date()) {
      base::append_rfc3339(time_, base::WallTime{time});
    } else {
      append_shortest(time_, static_cast<double>(time.count()) / 1e9);
    }
    between_ = true;
    row(time_, step.step, step, regime, anomaly);
    between_ = false;
  }
  void anomaly(std::string_view time_text, const diagnosis::AnomalyEvent& event) override {
    using diagnosis::AnomalyEventKind;
    if (page_) page_->anomaly(event);
    const bool finer = event.event == AnomalyEventKind::changed && event.magnitude_std;  // of the cause more is known
    const bool told = event.event == AnomalyEventKind::raised || event.event == AnomalyEventKind::cleared || finer;
    if (!judged_ || !told) return;
    std::cout << time_text << "  anomaly " << diagnosis::to_string(event.event) << " " << event.id << ": "
              << escape_control_bytes(event.message) << '\n';
    if (event.event != AnomalyEventKind::cleared) tell_cause(event);
  }
  // Regimes without limits of their own in a model that has some, and how many rows were in them.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& not_calibrated() const { return not_calibrated_; }
  [[nodiscard]] base::Status close() { return steps_ ? steps_->close() : base::Status{base::Success{}}; }

 private:
  // One indented line of figures, for scripts and for whoever wants to know more than the sentence says.
  static void tell_cause(const diagnosis::AnomalyEvent& event) {
    std::cout << "    kind " << diagnosis::to_string(event.kind) << ", test " << event.test << ", began "
              << std::chrono::duration<double>(event.time - event.onset).count() << " s before";
    if (event.magnitude) {
      std::cout << ", magnitude " << *event.magnitude;
      if (event.magnitude_std) std::cout << " ± " << *event.magnitude_std;
      std::cout << ' ' << (event.magnitude_unit.empty() ? event.unit : event.magnitude_unit);
    }
    for (std::size_t i = 0; i < event.hypotheses.size(); ++i) {
      std::cout << (i == 0 ? "; " : ", ") << event.hypotheses[i].name << ' ' << event.hypotheses[i].probability;
    }
    std::cout << '\n';
  }

  const logs::LogReader& log_;
  std::optional<CsvFile> steps_;
  const bool every_step_;
  const bool judged_;
  std::string line_, time_;
  const diagnosis::Calibration* calibration_ = nullptr;
  std::map<std::string, std::uint64_t> not_calibrated_;
  ReplayPage* page_ = nullptr;
  bool between_ = false;  // a tick without a row
};

std::variant<Chosen, int> from_configuration(const ReplayArguments& arguments) {
  auto loaded = load_or_report(*arguments.config_file, false, arguments.diagnosis_file);
  if (const int* code = std::get_if<int>(&loaded)) return *code;
  Chosen chosen;
  chosen.plan = std::move(std::get<Plan>(loaded));
  chosen.names = tag_names(chosen.plan.config);
  const auto twin = choose_twin(chosen.plan, "replay", arguments.twin);
  if (!twin) return kExitUsage;
  chosen.twin = *twin;
  return chosen;
}

std::variant<Chosen, int> from_model(const ReplayArguments& arguments, const logs::LogReader& log) {
  const auto loaded = load_model_or_report(*arguments.model_file, arguments.sample_time, arguments.diagnosis_file);
  if (const int* code = std::get_if<int>(&loaded)) return *code;
  const auto& file = std::get<config::ModelFile>(loaded);
  Chosen chosen;
  chosen.judged = file.has_diagnosis;
  chosen.plan = plan_of_model(file, names_of(log.columns()));
  for (const auto& reg : chosen.plan.config.devices[0].driver.registers) chosen.names.push_back(reg.name);
  return chosen;
}

}  // namespace

int replay_log_command(const ReplayArguments& arguments) {
  auto opened = logs::LogReader::open(*arguments.input_file);
  if (!opened.ok()) return told(opened.error().message(), exit_code_of_log(opened.error()));
  logs::LogReader& log = opened.value();
  auto chosen_or_code = arguments.model_file ? from_model(arguments, log) : from_configuration(arguments);
  if (const int* code = std::get_if<int>(&chosen_or_code)) return *code;
  const Chosen& chosen = std::get<Chosen>(chosen_or_code);
  const auto tags = match_columns({log.file(), log.columns()}, chosen.plan, chosen.twin, chosen.names,
                                  arguments.model_file ? InputsNeeded::all : InputsNeeded::none);
  if (!tags) return kExitBadData;
  // By a model alone it is known only now which outputs there are.
  if (!has_columns_enough(log.file(), chosen.plan)) return kExitBadData;

  std::optional<CsvFile> steps;
  if (arguments.output_file) {
    if (is_same_file(*arguments.output_file, *arguments.input_file)) {
      return told("replay: --output is the log that is read; accepted: another file", kExitUsage);
    }
    auto file = CsvFile::open(*arguments.output_file);
    if (!file.ok()) return told(file.error().message(), kExitIo);
    steps.emplace(std::move(file).value());
  }
  LogReport report(log, std::move(steps), arguments.every_step, chosen.judged);
  std::optional<ReplayPage> page;
  if (arguments.report_file) page.emplace(chosen.plan, chosen.twin, chosen.judged);
  report.begin(chosen.plan.models[chosen.twin], chosen.plan.config.twins[chosen.twin].diagnosis.calibration,
               page ? &*page : nullptr);
  const auto replayed = replay_log(chosen.plan, chosen.twin, log, *tags, report);
  const auto written = report.close();
  if (!replayed.ok()) return told(replayed.error().message(), exit_code_of_log(replayed.error()));
  if (!written.ok()) return told(written.error().message(), kExitIo);
  const LogReplaySummary& summary = replayed.value();
  if (summary.rows == 0) return told(log.file() + " has no rows", kExitBadData);
  std::cout << summary.rows << " rows, " << summary.samples << " samples (" << summary.samples_bad << " bad), "
            << summary.steps << " steps; "
            << (chosen.judged ? std::to_string(summary.rows_with_anomaly) + " rows with an anomaly"
                              : "the model has no diagnosis: ungated, no anomaly is told")
            << std::endl;
  ReplayPage::Told told_of{"replay", "replay of", log.file(), "", log.time_is_date(), summary, {}, {}};
  for (const auto& [regime, rows] : report.not_calibrated()) {
    const std::string line =
        "not_calibrated: regime " + regime + ", " + std::to_string(rows) + " rows tested by the usual limits";
    std::cout << line << std::endl;
    told_of.notes.push_back({logs::Tone::warning, line});
  }
  if (summary.rows_late > 0) {
    std::cerr << "warning: " << log.file() << ": " << summary.rows_late
              << " rows go back in time; they were fused where they belong, but for " << summary.rows_dropped
              << " that were further back than the history\n";
  }
  if (page) return page->write(*arguments.report_file, told_of);
  return kExitDone;
}

}  // namespace twinkeeper::app
