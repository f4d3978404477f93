#include <algorithm>
#include <atomic>
#include <charconv>
#include <cmath>
#include <exception>
#include <filesystem>
#include <functional>
#include <iostream>
#include <mutex>
#include <sstream>
#include <thread>

#include "app/commands.hpp"
#include "app/exit_codes.hpp"
#include "app/identification_report.hpp"
#include "app/identify_page.hpp"
#include "app/known_model.hpp"
#include "app/log_columns.hpp"
#include "app/log_record.hpp"
#include "app/log_report.hpp"
#include "app/model_output.hpp"
#include "app/model_refit.hpp"
#include "app/progress_line.hpp"
#include "app/version.hpp"
#include "config/model_writer.hpp"
#include "identification/grey_box.hpp"
#include "identification/identified_model.hpp"
#include "identification/identify.hpp"
#include "logs/log_survey.hpp"
#include "twinkeeper/base/quantity.hpp"
#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::app {
namespace {

using ModelJson = nlohmann::ordered_json;
using identification::Identified;
using identification::Method;

constexpr std::size_t kThreads = 2;
constexpr int kMostOrder = 50;

// Runs independent jobs on two threads, and tells how far it is.
class Workers {
 public:
  void run(std::size_t count, const std::function<void(std::size_t)>& job) {
    std::atomic<std::size_t> next{0};
    std::exception_ptr fault;
    const auto work = [&] {
      for (std::size_t i = next++; i < count; i = next++) {
        try {
          job(i);
        } catch (...) {
          const std::lock_guard lock(mutex_);
          fault = std::current_exception();
          next = count;
        }
        tell(count);
      }
    };
    stage_ += 1;
    done_ = 0;
    {
      std::vector<std::jthread> threads;
      const std::size_t more = std::min<std::size_t>({kThreads, std::thread::hardware_concurrency(), count});
      for (std::size_t i = 1; i < more; ++i) threads.emplace_back(work);
      work();
    }
    if (fault) std::rethrow_exception(fault);
  }
  // From any thread.
  void note(const std::string& text) { progress_.tell(text); }
  void end() { progress_.end(); }

 private:
  void tell(std::size_t count) {
    const std::lock_guard lock(mutex_);
    progress_.tell("stage " + std::to_string(stage_) + ", " + std::to_string(++done_) + " of " + std::to_string(count));
  }

  ProgressLine progress_{"identify"};
  std::mutex mutex_;
  std::size_t stage_ = 0, done_ = 0;
};

// The columns of some names; what the log lacks is added to `faults`.
ColumnOfSignal find_columns(const ColumnsOfLog& log, const std::vector<std::string>& names, const char* option,
                            std::vector<std::string>& faults) {
  ColumnOfSignal out;
  for (const auto& name : names) {
    if (out.emplace_back(column_named(log.columns, name))) continue;
    std::vector<std::string> there;
    for (const auto& column : log.columns) there.push_back(column.name);
    faults.push_back(std::string("identify: ") + option + ": " + log.file + " has no column " + name +
                     "; accepted: " + join(there));
  }
  return out;
}

std::optional<double> seconds_of(const std::string& text) {
  std::size_t used = 0;
  double value = 0.0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    return std::nullopt;
  }
  if (used != text.size()) {
    const auto parsed = base::parse_duration(text);
    if (!parsed.ok()) return std::nullopt;
    value = std::chrono::duration<double>(parsed.value()).count();
  }
  if (!(value >= 1e-6 && value <= 86400.0)) return std::nullopt;
  return value;
}

struct ReadLog {
  const logs::LogSurvey& survey;
  const TicksOfLog& ticks;
};

model::ModelSettings settings_of(const Identified& found, const ReadLog& log, const IdentifySignals& signals,
                                 double sample_time, const std::string& output_file) {
  model::ModelSettings out;
  out.name = as_identifier(std::filesystem::path(output_file).stem().string()).substr(0, 64);
  out.sample_time = sample_time;
  for (std::size_t i = 0; i < signals.inputs.size(); ++i) {
    auto& input = out.inputs.emplace_back();
    input.name = as_identifier(signals.inputs[i]);
    input.unit = log.survey.columns[*signals.input_columns[i]].column.unit;
  }
  for (std::size_t i = 0; i < signals.outputs.size(); ++i) {
    auto& output = out.outputs.emplace_back();
    output.name = as_identifier(signals.outputs[i]);
    output.unit = log.survey.columns[*signals.output_columns[i]].column.unit;
    output.resolution = log.ticks.resolutions[i];
  }
  identification::take_matrices(found, out);
  return out;
}

std::string range_of(const logs::LogSurvey& log) {
  return std::to_string(log.first_row) + ":" + std::to_string(log.first_row + log.rows);
}

ModelJson provenance_of(const Identified& found, const ReadLog& log, const IdentifySignals& signals,
                        const IdentifyArguments& arguments) {
  const auto rounded = [](double value) {
    return std::isfinite(value) ? ModelJson(std::round(value * 100.0) / 100.0) : ModelJson();
  };
  ModelJson out;
  out["command"] = "identify";
  out["version"] = kVersion;
  out["date"] = base::format_rfc3339(std::chrono::time_point_cast<base::Duration>(std::chrono::system_clock::now()));
  ModelJson data;
  data["log"] = std::filesystem::path(arguments.input_file).filename().string();
  data["rows"] = range_of(log.survey);
  data["hash"] = log.ticks.hash;
  data["inputs"] = signals.inputs;
  data["outputs"] = signals.outputs;
  out["data"] = data;
  out["method"] = found.kind;
  if (found.parameters.empty()) {
    out["order"] = found.order;
    out["delays"] = found.delays;
  }
  for (const auto& parameter : found.parameters) {
    ModelJson& one = out["parameters"][parameter.name];
    one["value"] = parameter.value;
    if (parameter.bound == 0 && parameter.identifiable) one["std"] = parameter.std;
    if (parameter.bound != 0) one["at"] = parameter.bound < 0 ? "lower bound" : "upper bound";
    if (!parameter.identifiable) one["identifiable"] = false;
    one["start"] = parameter.start;
    if (std::isfinite(parameter.low)) one["min"] = parameter.low;
    if (std::isfinite(parameter.high)) one["max"] = parameter.high;
  }
  if (arguments.template_file) out["template"] = std::filesystem::path(*arguments.template_file).filename().string();
  if (arguments.from_file) out["from"] = std::filesystem::path(*arguments.from_file).filename().string();
  if (arguments.closed_loop) out["closed_loop"] = true;
  out["verdict"] = name_of(found.verdict);
  ModelJson fits;
  for (std::size_t i = 0; i < found.outputs.size(); ++i) {
    const auto& one = found.outputs[i];
    ModelJson& fit = fits[as_identifier(signals.outputs[i])];
    if (!signals.inputs.empty()) fit["simulation"] = rounded(one.simulation);
    fit["one_step"] = rounded(one.one_step);
    fit["one_step_persistence"] = rounded(one.persistence_one);
    fit["ten_steps"] = rounded(one.ten_steps);
    fit["ten_steps_persistence"] = rounded(one.persistence_ten);
  }
  out["fits"] = fits;
  out["warnings"] = found.warnings;
  return out;
}

struct Wishes {
  logs::RowRange rows;
  std::optional<double> sample_time;
  identification::IdentifySettings settings;
  std::vector<identification::SoughtParameter> sought;
  IdentifySignals signals;
};

// Options that belong together, or do not.
void check_options(const IdentifyArguments& arguments, std::vector<std::string>& faults) {
  const bool of_template = arguments.method == "template";
  if (of_template && !arguments.template_file && !arguments.from_file) {
    faults.emplace_back("--method: template needs a model to start from; accepted: --template MODEL.yaml");
  }
  if (arguments.template_file && !of_template) {
    faults.emplace_back("--template: is of --method template; accepted: that, or --from");
  }
  if (arguments.template_file && arguments.from_file) {
    faults.emplace_back("--from: given beside --template; accepted: one of them");
  }
  if (arguments.sought && !of_template && !arguments.from_file) {
    faults.emplace_back("--fit: is of --method template");
  }
  if ((of_template || arguments.from_file) && arguments.order != "auto") {
    faults.emplace_back("--order: the model that it starts from has its own");
  }
  if (arguments.closed_loop && (of_template || arguments.method == "arx" || arguments.method == "var")) {
    faults.emplace_back("--closed-loop: is of --method auto and n4sid");
  }
}

// Nothing after a fault; all of them have been told.
std::optional<Wishes> wishes_of(const IdentifyArguments& arguments) {
  Wishes out;
  std::vector<std::string> faults;
  if (arguments.rows) {
    const auto rows = parse_rows(*arguments.rows);
    if (rows) out.rows = *rows;
    if (!rows) faults.push_back("--rows: " + *arguments.rows + "; accepted: A:B, zero-based, the row B not included");
  }
  if (arguments.sample_time) {
    out.sample_time = seconds_of(*arguments.sample_time);
    if (!out.sample_time) {
      faults.push_back("--sample-time: " + *arguments.sample_time + "; accepted: seconds, or a duration such as 100ms");
    }
  }
  if (arguments.order != "auto") {
    int order = 0;
    const char* end = arguments.order.data() + arguments.order.size();
    const auto parsed = std::from_chars(arguments.order.data(), end, order);
    if (parsed.ec != std::errc{} || parsed.ptr != end || order < 1 || order > kMostOrder) {
      faults.push_back("--order: " + arguments.order + "; accepted: auto, or a number from 1 to " +
                       std::to_string(kMostOrder));
    }
    out.settings.order = order;
  }
  if (arguments.inputs) out.signals.inputs = split_names(*arguments.inputs);
  out.signals.outputs = split_names(arguments.outputs);
  if (out.signals.outputs.empty() && !arguments.check)
    faults.emplace_back("--outputs: none; accepted: columns of the log, y,z,…");
  static const std::vector<std::pair<std::string, Method>> kMethods{
      {"auto", Method::automatic}, {"n4sid", Method::n4sid}, {"arx", Method::arx}, {"var", Method::var}};
  const auto method =
      std::find_if(kMethods.begin(), kMethods.end(), [&](const auto& one) { return one.first == arguments.method; });
  out.settings.closed_loop = arguments.closed_loop;
  check_options(arguments, faults);
  if (arguments.sought) out.sought = sought_of(*arguments.sought, faults).value_or(out.sought);
  if (method == kMethods.end() && arguments.method != "template") {
    faults.push_back("--method: " + arguments.method + "; accepted: auto | n4sid | arx | var | template");
  } else if (method != kMethods.end()) {
    out.settings.method = method->second;
    const bool has_inputs = !out.signals.inputs.empty();
    if (method->second == Method::var && has_inputs) {
      faults.emplace_back("--method: var is of time series without --inputs; accepted: arx with them");
    }
    if (method->second == Method::arx && !has_inputs) {
      faults.emplace_back("--method: arx needs --inputs; accepted: var without them");
    }
  }
  std::vector<std::string> names = out.signals.inputs;
  names.insert(names.end(), out.signals.outputs.begin(), out.signals.outputs.end());
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) faults.push_back("--inputs, --outputs: " + *twice + " is named twice");
  for (const auto& fault : faults) told("identify: " + fault, kExitUsage);
  if (!faults.empty()) return std::nullopt;
  return out;
}

struct Known {  // the model of --template or --from
  std::string file;
  std::optional<config::ModelFile> model;
  bool is_template = false;
};

// What was found, and the model that comes of it.
base::Result<Identified> fitted(Wishes& wished, const Known& known, const ReadLog& log, const identification::Cut& cut,
                                double step, const IdentifyArguments& arguments, model::ModelSettings& settings) {
  Workers workers;
  const auto for_each = [&](std::size_t count, const std::function<void(std::size_t)>& job) {
    workers.run(count, job);
  };
  const IdentifySignals& signals = wished.signals;
  if (known.is_template) {
    identification::GreyBoxSettings how;
    how.sample_time = step;
    how.sought = wished.sought;
    if (how.sought.empty() && arguments.from_file)
      how.sought = sought_noted(known.model->provenance, known.model->model);
    how.replaces = arguments.from_file.has_value();
    how.for_each = for_each;
    how.on_step = [&](int at, double errors) {
      workers.note("step " + std::to_string(at) + ", the simulation is off by " + std::to_string(errors) +
                   " of the outputs' deviations");
    };
    auto result = identification::identify_template(cut.experiments, known.model->model, how);
    workers.end();
    if (!result.ok()) return result.error();
    settings = std::move(result.value().model);
    settings.version = known.model->model.version + 1;
    return std::move(result.value().found);
  }
  wished.settings.for_each = for_each;
  auto result = identification::identify(cut.experiments, signals.inputs, signals.outputs, wished.settings);
  workers.end();
  if (!result.ok()) return result;
  settings = settings_of(result.value(), log, signals, step, arguments.output_file);
  if (known.model) {
    settings.name = known.model->model.name;
    settings.version = known.model->model.version + 1;
    settings.inputs = known.model->model.inputs;
    for (auto& input : settings.inputs) input.nominal.reset();  // the operating point is that of the rows
    for (std::size_t i = 0; i < settings.outputs.size(); ++i) {
      settings.outputs[i].name = known.model->model.outputs[i].name;
      settings.outputs[i].unit = known.model->model.outputs[i].unit;
    }
  }
  return result;
}

// Those of the signals; all of them with --check.
std::vector<std::size_t> told_columns(const logs::LogSurvey& survey, const IdentifySignals& signals, bool all) {
  std::vector<std::size_t> out;
  for (const auto* columns : {&signals.input_columns, &signals.output_columns}) {
    for (const auto& column : *columns) out.push_back(*column);
  }
  for (std::size_t c = 0; all && c < survey.columns.size(); ++c) {
    if (std::find(out.begin(), out.end(), c) == out.end()) out.push_back(c);
  }
  return out;
}

}  // namespace

int identify_command(const IdentifyArguments& arguments) {
  auto wished = wishes_of(arguments);
  if (!wished) return kExitUsage;
  IdentifySignals& signals = wished->signals;
  const auto surveyed = logs::survey_log(arguments.input_file, wished->rows);
  if (!surveyed.ok()) return told(surveyed.error().message(), exit_code_of_log(surveyed.error()));
  const logs::LogSurvey& survey = surveyed.value();
  const std::vector<logs::LogColumn> columns = survey.log_columns();
  const ColumnsOfLog log{arguments.input_file, columns};
  std::vector<std::string> faults;
  signals.input_columns = find_columns(log, signals.inputs, "--inputs", faults);
  signals.output_columns = find_columns(log, signals.outputs, "--outputs", faults);
  for (const auto& fault : faults) told(fault, kExitUsage);
  if (!faults.empty()) return kExitUsage;
  LogFindings report{survey, told_columns(survey, signals, arguments.check)};
  if (arguments.check && signals.outputs.empty())
    return tell_check(report, nullptr, signals.inputs, signals.outputs, false, arguments.json);

  const double step = wished->sample_time.value_or(survey.step);
  if (!(step > 0.0)) {
    return told(log.file + ": no two rows with times that rise; accepted: a log of several rows", kExitBadData);
  }
  Known known;
  if (arguments.template_file || arguments.from_file) {
    const std::string& file = arguments.template_file ? *arguments.template_file : *arguments.from_file;
    auto loaded = known_model_of(file, log, signals, step);
    if (const int* code = std::get_if<int>(&loaded)) return *code;
    known.file = file;
    known.model = std::move(std::get<config::ModelFile>(loaded));
    known.is_template = known.model->model.type != model::kStateSpace;
    if (arguments.template_file && !known.is_template) {
      return told(file + ": model.type: state_space is no template; accepted: --from", kExitConfig);
    }
    if (known.is_template && !arguments.json) tell_positions(signals, known.model->model);
    if (!known.is_template && !arguments.check) {
      const auto built = model::build(known.model->model, step);
      auto start = warm_start_of(file, std::get<model::StateSpace>(built), known.model->provenance);
      if (const int* code = std::get_if<int>(&start)) return *code;
      wished->settings.from = std::move(std::get<identification::WarmStart>(start));
    }
  }
  const base::Duration period{std::llround(step * 1e9)};
  auto reader = logs::LogReader::open(arguments.input_file);
  if (!reader.ok()) return told(reader.error().message(), exit_code_of_log(reader.error()));
  const auto read = read_ticks(reader.value(), wished->rows, period, signals.input_columns, signals.output_columns);
  if (!read.ok()) return told(read.error().message(), exit_code_of_log(read.error()));
  const TicksOfLog& ticks = read.value();
  const auto cut = identification::cut_into_experiments(ticks.resampled.record, signals.inputs, signals.outputs);
  report.resampled = &ticks.resampled;
  report.period = step;
  if (arguments.check) {
    return tell_check(report, &cut, signals.inputs, signals.outputs, wished->settings.closed_loop, arguments.json);
  }
  print_log(std::cout, report);
  if (!cut.ok()) return told(log.file + ": " + cut.error().message() + kLongerStep, kExitBadData);
  if (const auto lost = lost_at_gaps(cut.value())) std::cerr << "warning: " << log.file << ": " << *lost << '\n';

  model::ModelSettings settings;
  const auto result = fitted(*wished, known, {survey, ticks}, cut.value(), step, arguments, settings);
  if (!result.ok()) {
    const bool of_options = result.error().code() == base::ErrorCode::invalid_argument;
    const int code = of_options ? kExitUsage : kExitBadData;
    std::stringstream reasons(result.error().message());
    for (std::string reason; std::getline(reasons, reason);) {
      told((of_options ? "identify: --fit: " : log.file + ": ") + reason, code);
    }
    return code;
  }
  const Identified& found = result.value();
  auto built = model::build(settings, step);
  if (const auto* issues = std::get_if<base::Issues>(&built)) {
    for (const auto& issue : *issues) told("identify: " + issue.path + ": " + issue.what, kExitInternal);
    return kExitInternal;
  }
  print_identification(std::cout, found, std::get<model::StateSpace>(built), cut.value());
  if (arguments.from_file && !known.is_template) {
    print_changes(std::cout, found, std::get<model::StateSpace>(built),
                  std::get<model::StateSpace>(model::build(known.model->model, step)));
  }
  for (const auto& warning : found.warnings) std::cerr << "warning: " << log.file << ": " << warning << '\n';
  const bool rejected = found.verdict == identification::Verdict::reject;
  int code = kExitDone;
  if (!rejected) {
    if (known.model && known.model->has_diagnosis) {
      std::cerr << "warning: " << known.file
                << ": its diagnosis belongs to the old noise and is left out; calibrate anew\n";
    }
    const ModelJson provenance = provenance_of(found, {survey, ticks}, signals, arguments);
    ModelJson diagnosis;
    // States of time series are no parts of a machine, and nothing acts on them: no fault of one has a meaning.
    if (settings.inputs.empty() && !known.is_template) diagnosis["isolation"]["enabled"] = false;
    code = write_model_file(arguments.output_file, config::model_file_text(settings, diagnosis, provenance));
  }
  if (arguments.report_file) {
    const IdentifyPage page{found,      std::get<model::StateSpace>(built),   cut.value(), report, range_of(survey),
                            ticks.hash, rejected ? "" : arguments.output_file};
    const int written = write_identify_page(*arguments.report_file, page);
    if (code == kExitDone) code = written;
  }
  if (!rejected) return code;
  for (const auto& reason : found.reasons) told(log.file + ": " + reason, kExitBadData);
  return told(log.file + ": no model is written: " +
                  (arguments.from_file ? *arguments.from_file + " stays" : "none describes these rows"),
              kExitBadData);
}

}  // namespace twinkeeper::app
