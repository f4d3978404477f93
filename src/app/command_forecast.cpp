#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>

#include "acquisition/validator.hpp"
#include "app/checkpoint.hpp"
#include "app/commands.hpp"
#include "app/exit_codes.hpp"
#include "app/log_columns.hpp"
#include "app/replay_csv.hpp"
#include "app/twin_run.hpp"
#include "twinkeeper/base/archive.hpp"
#include "twinkeeper/base/quantity.hpp"
#include "twinkeeper/base/timestamp.hpp"
#include "twinkeeper/prediction/forecast.hpp"

namespace twinkeeper::app {
namespace {

constexpr std::int64_t kUsualSteps = 100;
constexpr std::int64_t kMostSteps = 1'000'000;
constexpr std::int64_t kLinesTold = 10;
constexpr std::int64_t kOnStep = 100;  // a row within period / kOnStep of a step counts as at the step

// Inputs to come, by row; times from the checkpoint's newest step on.
struct Profile {
  std::vector<std::chrono::nanoseconds> times;
  std::vector<std::optional<std::size_t>> column_of_input;
  logs::LogTable log;
};

std::variant<estimation::Twin, int> twin_at(const Plan& plan, std::size_t index, const Checkpoint& checkpoint,
                                            const std::string& file) {
  const config::TwinConfig& twin = plan.config.twins[index];
  const CheckpointHeader& header = checkpoint.header;
  if (header.twin != twin.name || header.setup_hash != setup_hashes(plan)[index] ||
      header.model_hash != plan.models[index].hash) {
    return told(file + " is of another twin, model or configuration than " + twin.name +
                    "; accepted: a checkpoint that this configuration has written",
                kExitBadData);
  }
  TwinRun run = make_twin_run(plan, index, base::Instant{});
  acquisition::Validator validator(tag_rules(plan));
  base::ArchiveReader reader(checkpoint.archive);
  archive(tags_of_twins(plan)[index], validator, reader);
  reader(run);
  if (!reader.done()) return told(file + " is not what a twin of this configuration writes", kExitBadData);
  if (run.newest().mode == estimation::Mode::initializing) {
    return told(file + ": the twin was still initializing, its state is not known", kExitBadData);
  }
  return std::move(run.twin());
}

std::optional<Profile> profile_of(logs::LogTable log, const Plan& plan, std::size_t twin, base::WallTime start) {
  Profile profile;
  const auto names = tag_names(plan.config);
  const auto columns = log.columns;
  bool good = true;
  bool any = false;
  for (std::size_t i = 0; i < plan.models[twin].inputs.size(); ++i) {
    const auto& input = plan.models[twin].inputs[i];
    const auto& tag = plan.config.twins[twin].inputs[i].tag;
    const auto found = std::find_if(columns.begin(), columns.end(), [&](const logs::LogColumn& column) {
      return column.name == input.name || (tag && column.name == names[*tag]);
    });
    profile.column_of_input.emplace_back();
    if (found == columns.end()) continue;
    any = true;
    profile.column_of_input.back() = static_cast<std::size_t>(found - columns.begin());
    if (base::units_agree(found->unit, input.unit)) continue;
    good = told(log.file + ": column " + found->name + ": unit " + found->unit + " is not the unit " + input.unit +
                    "; accepted: equal units, or none on one side",
                0) != 0;
  }
  std::vector<std::string> inputs;
  for (const auto& input : plan.models[twin].inputs) inputs.push_back(input.name);
  if (!any) good = told(log.file + ": no column for any input; accepted: " + join(inputs), 0) != 0;
  if (!good) return std::nullopt;
  for (const auto time : log.times) {
    profile.times.push_back(log.time_is_date ? time - start.time_since_epoch() : time);
  }
  profile.log = std::move(log);
  return profile;
}

std::string forecast_header(const model::StateSpace& model) {
  std::string line = "time,step,mode";
  for (const auto& state : model.states) {
    line += ",x." + state.name + ",sd." + state.name + ",low." + state.name + ",high." + state.name;
  }
  for (const auto& input : model.inputs) line += ",u." + input.name;
  for (const auto& output : model.outputs) {
    line += ",yhat." + output.name + ",ylow." + output.name + ",yhigh." + output.name;
  }
  return line;
}

void write(std::string& line, const std::string& time, const prediction::ForecastStep& step) {
  line = time + "," + std::to_string(step.step + 1) + "," + std::string(estimation::to_string(step.mode));
  const auto add = [&](double value) {
    line += ',';
    append_shortest(line, value);
  };
  for (std::size_t i = 0; i < step.x.size(); ++i) {
    for (const double value : {step.x[i], step.std[i], step.x_band[i].low, step.x_band[i].high}) add(value);
  }
  for (const double value : step.u) add(value);
  for (std::size_t i = 0; i < step.y.size(); ++i) {
    for (const double value : {step.y[i], step.y_band[i].low, step.y_band[i].high}) add(value);
  }
}

void print_step(const model::StateSpace& model, const std::string& time, const prediction::ForecastStep& step) {
  std::cout << time;
  const auto show = [](const std::string& name, const std::string& unit, double value, const prediction::Band& band) {
    char text[160];
    std::snprintf(text, sizeof text, "  %s %.6g (%.6g … %.6g)%s%s", name.c_str(), value, band.low, band.high,
                  unit.empty() ? "" : " ", unit.c_str());
    std::cout << text;
  };
  for (std::size_t i = 0; i < step.y.size(); ++i) {
    show(model.outputs[i].name, model.outputs[i].unit, step.y[i], step.y_band[i]);
  }
  std::cout << '\n';
}

std::variant<std::int64_t, int> steps_of(const ForecastArguments& arguments, const std::optional<Profile>& profile,
                                         base::Duration period) {
  std::int64_t steps = kUsualSteps;
  if (arguments.horizon) {
    const auto horizon = base::parse_duration(*arguments.horizon);
    if (!horizon.ok()) return told("forecast: --horizon: " + horizon.error().message(), kExitUsage);
    steps = (horizon.value() + period - base::Duration{1}) / period;
  } else if (profile && !profile->times.empty()) {
    steps = (profile->times.back() + period - base::Duration{1}) / period;
  }
  if (steps < 1 || steps > kMostSteps) {
    return told("forecast: " + std::to_string(steps) + " steps; accepted: 1 to " + std::to_string(kMostSteps) +
                    " periods of " + base::format_duration(period) + " from the checkpoint on",
                kExitUsage);
  }
  return steps;
}

}  // namespace

int forecast_command(const ForecastArguments& arguments) {
  auto loaded = load_or_report(arguments.config_file, false);
  if (const int* code = std::get_if<int>(&loaded)) return *code;
  const Plan& plan = std::get<Plan>(loaded);
  const auto index = choose_twin(plan, "forecast", arguments.twin);
  if (!index) return kExitUsage;
  const std::string file = arguments.checkpoint_file.value_or(
      checkpoint_file(plan.config.gateway.state_directory, plan.config.twins[*index].name));
  auto checkpoint = read_checkpoint(file);
  if (checkpoint.ok() && !checkpoint.value().other_schema.empty()) {
    checkpoint = base::Error(base::ErrorCode::corrupt, file + " is of another version of twinkeeper");
  }
  if (!checkpoint.ok()) return told(checkpoint.error().message(), exit_code_of_log(checkpoint.error()));
  auto twin = twin_at(plan, *index, checkpoint.value(), file);
  if (const int* code = std::get_if<int>(&twin)) return *code;
  const base::WallTime start = checkpoint.value().header.wall;
  const base::Duration period = plan.config.twins[*index].period;
  const model::StateSpace& model = plan.models[*index];

  std::optional<Profile> profile;
  if (arguments.inputs_file) {
    auto log = logs::read_log(*arguments.inputs_file);
    if (!log.ok()) return told(log.error().message(), exit_code_of_log(log.error()));
    profile = profile_of(std::move(log).value(), plan, *index, start);
    if (!profile) return kExitBadData;
  }
  const auto steps = steps_of(arguments, profile, period);
  if (const int* code = std::get_if<int>(&steps)) return *code;
  std::optional<CsvFile> output;
  if (arguments.output_file) {
    auto opened = CsvFile::open(*arguments.output_file);
    if (!opened.ok()) return told(opened.error().message(), kExitIo);
    output.emplace(std::move(opened).value());
    output->row(forecast_header(model));
  }

  std::size_t next_row = 0;
  const auto inputs = [&](std::int64_t step, std::span<double> u) {
    if (!profile) return;
    const auto now = (step + 1) * period + period / kOnStep;
    for (; next_row < profile->times.size() && profile->times[next_row] <= now; ++next_row) {
      for (std::size_t i = 0; i < u.size(); ++i) {
        if (!profile->column_of_input[i]) continue;
        const double value = profile->log.values[*profile->column_of_input[i]][next_row];
        if (std::isfinite(value)) u[i] = value;
      }
    }
  };
  const std::int64_t count = std::get<std::int64_t>(steps);
  const std::int64_t stride = std::max<std::int64_t>(1, count / kLinesTold);
  std::cout << "from the checkpoint of " << base::format_rfc3339(start) << " (" << checkpoint.value().header.mode
            << "), " << count << " steps of " << base::format_duration(period) << ", bands of " << arguments.band
            << " %\n";
  std::string line;
  prediction::forecast(std::move(std::get<estimation::Twin>(twin)), inputs, count, arguments.band / 100.0,
                       [&](const prediction::ForecastStep& step) {
                         const std::string time = base::format_rfc3339(start + (step.step + 1) * period);
                         if ((step.step + 1) % stride == 0) print_step(model, time, step);
                         if (!output) return;
                         write(line, time, step);
                         output->row(line);
                       });
  if (output) {
    if (const auto closed = output->close(); !closed.ok()) return told(closed.error().message(), kExitIo);
  }
  return kExitDone;
}

}  // namespace twinkeeper::app
