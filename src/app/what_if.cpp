#include "app/what_if.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "app/twin_run.hpp"
#include "telemetry/json_writer.hpp"
#include "twinkeeper/base/archive.hpp"
#include "twinkeeper/base/quantity.hpp"
#include "twinkeeper/prediction/forecast.hpp"

namespace twinkeeper::app {
namespace {

using telemetry::JsonWriter;
using telemetry::PlannedInput;

std::int64_t steps_of(const Plan& plan, std::size_t twin, base::Duration horizon) {
  const base::Duration period = plan.config.twins[twin].period;
  return (horizon + period - base::Duration{1}) / period;
}

std::vector<std::string> input_names(const model::StateSpace& model) {
  std::vector<std::string> names;
  for (const auto& input : model.inputs) names.push_back(input.name);
  return names;
}

// Inputs in the model's order, as forecast() asks for them.
class Plans {
 public:
  Plans(const std::vector<PlannedInput>& inputs, const std::vector<std::string>& names, base::Duration period)
      : period_(period) {
    for (const PlannedInput& input : inputs) {
      const auto found = std::find(names.begin(), names.end(), input.name);
      if (found != names.end()) plans_.push_back({static_cast<std::size_t>(found - names.begin()), &input, 0});
    }
  }
  void operator()(std::int64_t step, std::span<double> u) {
    const base::Duration time = (step + 1) * period_;
    for (Course& course : plans_) {
      const auto& values = course.input->values;
      while (course.next < values.size() && values[course.next].first <= time) ++course.next;
      if (course.next > 0) u[course.place] = values[course.next - 1].second;
    }
  }

 private:
  struct Course {
    std::size_t place;
    const PlannedInput* input;
    std::size_t next;
  };
  base::Duration period_;
  std::vector<Course> plans_;
};

struct Column {
  std::string name, unit;
  std::vector<double> value, low, high;
};

void add(Column& column, double value, const prediction::Band& band) {
  column.value.push_back(value);
  column.low.push_back(band.low);
  column.high.push_back(band.high);
}

void write_list(JsonWriter& writer, const char* name, const std::vector<double>& values, std::size_t stride) {
  writer.open_array(name);
  for (std::size_t i = stride - 1; i < values.size(); i += stride) {
    writer.comma();
    telemetry::append_number(writer.out(), values[i], writer.digits());
  }
  writer.close_array();
}

void write_columns(JsonWriter& writer, const char* name, const std::vector<Column>& columns, bool banded,
                   std::size_t stride) {
  writer.open_object(name);
  for (const Column& column : columns) {
    writer.open_object(column.name);
    writer.text_or_null("unit", column.unit);
    write_list(writer, "value", column.value, stride);
    if (banded) {
      write_list(writer, "low", column.low, stride);
      write_list(writer, "high", column.high, stride);
    }
    writer.close_object();
  }
  writer.close_object();
}

template <class Signals>
std::vector<Column> columns_of(const Signals& signals) {
  std::vector<Column> columns;
  for (const auto& signal : signals) columns.push_back({signal.name, signal.unit, {}, {}, {}});
  return columns;
}

}  // namespace

std::string what_if_objection(const Plan& plan, std::size_t twin, const telemetry::CommandArguments& asked) {
  const auto names = input_names(plan.models[twin]);
  for (const PlannedInput& input : asked.inputs) {
    if (std::find(names.begin(), names.end(), input.name) != names.end()) continue;
    std::string accepted;
    for (const std::string& name : names) accepted += (accepted.empty() ? "" : ", ") + name;
    return "the twin has no input " + input.name + "; accepted: " + accepted;
  }
  const double n = std::max<double>(10.0, static_cast<double>(plan.models[twin].n_x()));
  const auto most = std::min(static_cast<double>(kMostForecastSteps), kMostForecastWork / (n * n * n));
  const std::int64_t steps = steps_of(plan, twin, asked.duration);
  if (static_cast<double>(steps) <= most) return {};
  const auto longest = static_cast<std::int64_t>(most) * plan.config.twins[twin].period;
  return std::to_string(steps) + " steps are too many; accepted: a horizon of at most " +
         base::format_duration(std::chrono::floor<std::chrono::seconds>(longest));
}

base::Result<std::string> what_if(const Plan& plan, std::size_t twin, const CheckpointRecord& record,
                                  const telemetry::CommandArguments& asked, const base::Clock& clock) {
  const base::Instant from = record.step.time;
  TwinRun run = make_twin_run(plan, twin, base::Instant{});
  acquisition::Validator validator(tag_rules(plan));
  base::ArchiveReader reader(record.archive);
  archive(tags_of_twins(plan)[twin], validator, reader);
  reader(run);
  if (!reader.done()) return base::Error(base::ErrorCode::internal, "the twin's memory could not be read");
  if (run.newest().mode == estimation::Mode::initializing) {
    return base::Error(base::ErrorCode::invalid_argument, "the twin is still initializing, its state is not known");
  }

  const model::StateSpace& model = plan.models[twin];
  const base::Duration period = plan.config.twins[twin].period;
  const std::int64_t steps = steps_of(plan, twin, asked.duration);
  const std::int64_t stride = std::max<std::int64_t>(1, (steps + asked.points - 1) / asked.points);
  std::vector<double> seconds;
  auto states = columns_of(model.states);
  auto inputs = columns_of(model.inputs);
  auto outputs = columns_of(model.outputs);
  Plans plans(asked.inputs, input_names(model), period);
  prediction::forecast(
      std::move(run.twin()), [&](std::int64_t step, std::span<double> u) { plans(step, u); }, steps, asked.band / 100.0,
      [&](const prediction::ForecastStep& step) {
        if ((step.step + 1) % stride != 0) return;
        seconds.push_back(std::chrono::duration<double>((step.step + 1) * period).count());
        for (std::size_t i = 0; i < states.size(); ++i) add(states[i], step.x[i], step.x_band[i]);
        for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i].value.push_back(step.u[i]);
        for (std::size_t i = 0; i < outputs.size(); ++i) add(outputs[i], step.y[i], step.y_band[i]);
      });

  std::string content;
  for (std::size_t thinned = 1;; thinned *= 2) {
    content.clear();
    JsonWriter writer(content);
    writer.open_object("forecast");
    writer.text("twin", plan.config.twins[twin].name);
    writer.timestamp("from", clock.to_wall(from));
    writer.text("mode", estimation::to_string(record.step.mode));
    writer.milliseconds("period_ms", period);
    writer.integer("steps", steps);
    writer.number("band", asked.band);
    write_list(writer, "seconds", seconds, thinned);
    write_columns(writer, "inputs", inputs, false, thinned);
    write_columns(writer, "states", states, true, thinned);
    write_columns(writer, "outputs", outputs, true, thinned);
    writer.close_object();
    if (content.size() <= kMostForecastBytes || thinned >= seconds.size()) return content;
  }
}

}  // namespace twinkeeper::app
