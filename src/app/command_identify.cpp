#include <unistd.h>

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
#include "app/log_columns.hpp"
#include "app/log_record.hpp"
#include "app/replay_csv.hpp"
#include "app/version.hpp"
#include "config/model_writer.hpp"
#include "identification/identify.hpp"
#include "twinkeeper/base/quantity.hpp"
#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::app {
namespace {

using ModelJson = nlohmann::ordered_json;
using identification::Identified;
using identification::Method;

constexpr std::size_t kThreads = 2;
constexpr int kMostOrder = 50;

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> out;
  std::stringstream in(text);
  for (std::string one; std::getline(in, one, ',');) {
    const std::size_t begin = one.find_first_not_of(' ');
    if (begin != std::string::npos) out.push_back(one.substr(begin, one.find_last_not_of(' ') - begin + 1));
  }
  return out;
}

// Runs independent jobs on two threads, and tells on a terminal how far it is.
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
  void end() const {
    if (terminal_) std::cerr << "\r\033[K";
  }

 private:
  void tell(std::size_t count) {
    if (!terminal_) return;
    const std::lock_guard lock(mutex_);
    std::cerr << "\ridentify: stage " << stage_ << ", " << ++done_ << " of " << count << "\033[K" << std::flush;
  }

  const bool terminal_ = isatty(STDERR_FILENO) == 1;
  std::mutex mutex_;
  std::size_t stage_ = 0, done_ = 0;
};

// The columns of some names; what the log lacks is added to `faults`.
ColumnOfSignal find_columns(const logs::LogTable& log, const std::vector<std::string>& names, const char* option,
                            std::vector<std::string>& faults) {
  ColumnOfSignal out;
  for (const auto& name : names) {
    out.emplace_back();
    for (std::size_t c = 0; c < log.columns.size(); ++c) {
      const std::string& column = log.columns[c].name;
      if (column == name || (!out.back() && as_identifier(column) == name)) out.back() = c;
    }
    if (out.back()) continue;
    std::vector<std::string> there;
    for (const auto& column : log.columns) there.push_back(column.name);
    faults.push_back(std::string("identify: ") + option + ": " + log.file + " has no column " + name +
                     "; accepted: " + join(there));
  }
  return out;
}

// The usual time between two rows, without the last digits of jitter.
double usual_step(const logs::LogTable& log) {
  std::vector<double> steps;
  for (std::size_t i = 1; i < log.times.size(); ++i) {
    const double step = std::chrono::duration<double>(log.times[i] - log.times[i - 1]).count();
    if (step > 0.0) steps.push_back(step);
  }
  if (steps.empty()) return 0.0;
  std::nth_element(steps.begin(), steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2), steps.end());
  const double median = steps[steps.size() / 2];
  for (double unit = 1e-9; unit < 1e6; unit *= 10.0) {  // the coarsest decimal that is near enough
    const double round = std::round(median / (unit * 1e3)) * unit * 1e3;
    if (std::abs(round - median) > 2e-3 * median) return std::round(median / (unit * 1e2)) * unit * 1e2;
  }
  return median;
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

model::Rows rows_of(const Eigen::MatrixXd& matrix) {
  model::Rows rows;
  for (Eigen::Index i = 0; i < matrix.rows(); ++i) {
    rows.emplace_back();
    for (Eigen::Index j = 0; j < matrix.cols(); ++j) rows.back().push_back(matrix(i, j));
  }
  return rows;
}

std::vector<double> list_of(const Eigen::VectorXd& values) { return {values.begin(), values.end()}; }

struct Signals {
  std::vector<std::string> inputs, outputs;  // names in the log
  ColumnOfSignal input_columns, output_columns;
};

model::ModelSettings settings_of(const Identified& found, const logs::LogTable& log, const Signals& signals,
                                 double sample_time, const std::string& output_file) {
  model::ModelSettings out;
  out.name = as_identifier(std::filesystem::path(output_file).stem().string()).substr(0, 64);
  out.sample_time = sample_time;
  for (Eigen::Index i = 0; i < found.A.rows(); ++i) {
    out.states.emplace_back().name = "x" + std::to_string(i + 1);
  }
  for (std::size_t i = 0; i < signals.inputs.size(); ++i) {
    auto& input = out.inputs.emplace_back();
    input.name = as_identifier(signals.inputs[i]);
    input.unit = log.columns[*signals.input_columns[i]].unit;
  }
  for (std::size_t i = 0; i < signals.outputs.size(); ++i) {
    auto& output = out.outputs.emplace_back();
    output.name = as_identifier(signals.outputs[i]);
    output.unit = log.columns[*signals.output_columns[i]].unit;
    output.resolution = step_of(log.values[*signals.output_columns[i]]);
  }
  out.A = rows_of(found.A);
  out.C = rows_of(found.C);
  if (!signals.inputs.empty()) {
    out.B = rows_of(found.B);
    out.D = rows_of(found.D);
  }
  out.noise = {rows_of(found.Q), rows_of(found.R), rows_of(found.S), rows_of(found.K), rows_of(found.Ry)};
  out.operating_point.x.assign(static_cast<std::size_t>(found.A.rows()), 0.0);
  out.operating_point.u = list_of(found.u_op);
  out.operating_point.y = list_of(found.y_op);
  return out;
}

ModelJson provenance_of(const Identified& found, const logs::LogTable& log, const Signals& signals,
                        const IdentifyArguments& arguments, const logs::RowRange& rows) {
  const auto rounded = [](double value) {
    return std::isfinite(value) ? ModelJson(std::round(value * 100.0) / 100.0) : ModelJson();
  };
  ModelJson out;
  out["command"] = "identify";
  out["version"] = kVersion;
  out["date"] = base::format_rfc3339(std::chrono::time_point_cast<base::Duration>(std::chrono::system_clock::now()));
  ModelJson data;
  data["log"] = std::filesystem::path(arguments.input_file).filename().string();
  data["rows"] = std::to_string(rows.begin) + ":" + std::to_string(rows.begin + log.rows());
  data["hash"] = hash_of_rows(log, signals.input_columns, signals.output_columns);
  data["inputs"] = signals.inputs;
  data["outputs"] = signals.outputs;
  out["data"] = data;
  out["method"] = found.kind;
  out["order"] = found.order;
  out["delays"] = found.delays;
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
  Signals signals;
};

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
  if (arguments.inputs) out.signals.inputs = split(*arguments.inputs);
  out.signals.outputs = split(arguments.outputs);
  if (out.signals.outputs.empty()) faults.emplace_back("--outputs: none; accepted: columns of the log, y,z,…");
  static const std::vector<std::pair<std::string, Method>> kMethods{
      {"auto", Method::automatic}, {"n4sid", Method::n4sid}, {"arx", Method::arx}, {"var", Method::var}};
  const auto method =
      std::find_if(kMethods.begin(), kMethods.end(), [&](const auto& one) { return one.first == arguments.method; });
  if (method == kMethods.end()) {
    faults.push_back("--method: " + arguments.method + "; accepted: auto | n4sid | arx | var");
  } else {
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

}  // namespace

int identify_command(const IdentifyArguments& arguments) {
  auto wished = wishes_of(arguments);
  if (!wished) return kExitUsage;
  Signals& signals = wished->signals;
  const auto read = logs::read_log(arguments.input_file, wished->rows);
  if (!read.ok()) return told(read.error().message(), exit_code_of_log(read.error()));
  const logs::LogTable& log = read.value();
  std::vector<std::string> faults;
  signals.input_columns = find_columns(log, signals.inputs, "--inputs", faults);
  signals.output_columns = find_columns(log, signals.outputs, "--outputs", faults);
  for (const auto& fault : faults) told(fault, kExitUsage);
  if (!faults.empty()) return kExitUsage;

  const double step = wished->sample_time.value_or(usual_step(log));
  if (!(step > 0.0)) {
    return told(log.file + ": no two rows with times that rise; accepted: a log of several rows", kExitBadData);
  }
  const base::Duration period{std::llround(step * 1e9)};
  const auto record = record_of(log, period, signals.input_columns, signals.output_columns);
  const auto cut = identification::cut_into_experiments(record, signals.inputs, signals.outputs);
  if (!cut.ok()) return told(log.file + ": " + cut.error().message() + ", or a longer --sample-time", kExitBadData);
  if (cut.value().ticks_lost > 0) {
    std::cerr << "warning: " << log.file << ": " << cut.value().ticks_lost << " of " << cut.value().ticks
              << " samples are lost at gaps; " << cut.value().experiments.size() << " experiments are left\n";
  }

  Workers workers;
  wished->settings.for_each = [&](std::size_t count, const std::function<void(std::size_t)>& job) {
    workers.run(count, job);
  };
  const auto result =
      identification::identify(cut.value().experiments, signals.inputs, signals.outputs, wished->settings);
  workers.end();
  if (!result.ok()) {
    std::stringstream reasons(result.error().message());
    for (std::string reason; std::getline(reasons, reason);) told(log.file + ": " + reason, kExitBadData);
    return kExitBadData;
  }
  const Identified& found = result.value();
  model::ModelSettings settings = settings_of(found, log, signals, step, arguments.output_file);
  auto built = model::build(settings, step);
  if (const auto* issues = std::get_if<base::Issues>(&built)) {
    for (const auto& issue : *issues) told("identify: " + issue.path + ": " + issue.what, kExitInternal);
    return kExitInternal;
  }
  print_identification(std::cout, found, std::get<model::StateSpace>(built), cut.value());
  for (const auto& warning : found.warnings) std::cerr << "warning: " << log.file << ": " << warning << '\n';
  if (found.verdict == identification::Verdict::reject) {
    for (const auto& reason : found.reasons) told(log.file + ": " + reason, kExitBadData);
    return told(log.file + ": no model is written: none describes these rows", kExitBadData);
  }
  const ModelJson provenance = provenance_of(found, log, signals, arguments, wished->rows);
  return write_file(arguments.output_file, config::model_file_text(settings, ModelJson(), provenance));
}

}  // namespace twinkeeper::app
