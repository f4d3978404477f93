#include <charconv>
#include <cmath>
#include <cstdio>
#include <iostream>

#include "app/commands.hpp"
#include "app/exit_codes.hpp"
#include "app/log_columns.hpp"
#include "app/replay_csv.hpp"
#include "identification/compare.hpp"

namespace twinkeeper::app {
namespace {

template <class Number>
bool parse(std::string_view text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

// "A:B", "A:" or ":B".
std::optional<logs::RowRange> rows_of(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) return std::nullopt;
  logs::RowRange rows;
  const std::string_view begin = std::string_view(text).substr(0, colon);
  const std::string_view end = std::string_view(text).substr(colon + 1);
  if (!begin.empty() && !parse(begin, rows.begin)) return std::nullopt;
  if (!end.empty() && !parse(end, rows.end.emplace())) return std::nullopt;
  if (rows.end && *rows.end <= rows.begin) return std::nullopt;
  return rows;
}

identification::Record record_of(const logs::LogTable& log, const Plan& plan, const TagsOfColumns& tags) {
  const config::TwinConfig& twin = plan.config.twins[0];
  identification::Record record;
  const auto rows = static_cast<Eigen::Index>(log.rows());
  const double missing = std::numeric_limits<double>::quiet_NaN();
  record.u = Eigen::MatrixXd::Constant(rows, static_cast<Eigen::Index>(twin.inputs.size()), missing);
  record.y = Eigen::MatrixXd::Constant(rows, static_cast<Eigen::Index>(twin.outputs.size()), missing);
  for (const auto time : log.times) {
    const base::Instant instant{time - log.times.front()};
    const std::int64_t tick = base::nearest_grid_point(base::Instant{}, twin.period, instant);
    record.tick.push_back(record.tick.empty() ? tick : std::max(tick, record.tick.back()));
  }
  const auto fill = [&](Eigen::MatrixXd& into, std::size_t column, const std::optional<signals::TagIndex>& tag) {
    for (std::size_t c = 0; c < tags.size(); ++c) {
      if (!tag || tags[c] != tag) continue;
      for (std::size_t row = 0; row < log.rows(); ++row) {
        const double value = log.values[c][row];
        if (std::isfinite(value)) into(static_cast<Eigen::Index>(row), static_cast<Eigen::Index>(column)) = value;
      }
    }
  };
  for (std::size_t i = 0; i < twin.inputs.size(); ++i) fill(record.u, i, twin.inputs[i].tag);
  for (std::size_t i = 0; i < twin.outputs.size(); ++i) fill(record.y, i, twin.outputs[i].tag);
  return record;
}

std::string percent(double value) {
  if (std::isnan(value)) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.2f %%", value);
  return text;
}

void print_scores(const model::StateSpace& model, const identification::Comparison& result,
                  const std::optional<std::int64_t>& horizon, std::size_t rows) {
  std::cout << (horizon ? "predicted " + std::to_string(*horizon) + " rows ahead" : std::string("simulated freely"))
            << ", " << rows << " rows";
  if (result.experiments > 1) std::cout << " in " << result.experiments << " experiments";
  std::cout << '\n';
  for (std::size_t i = 0; i < result.scores.size(); ++i) {
    const auto& score = result.scores[i];
    std::cout << "  " << model.outputs[i].name << ": ";
    if (score.rows == 0) {
      std::cout << "no row to score\n";
      continue;
    }
    std::cout << "fit " << percent(score.fit) << "  RMSE " << score.rmse
              << (model.outputs[i].unit.empty() ? "" : " " + model.outputs[i].unit) << "  persistence "
              << percent(score.persistence) << "  rows " << score.rows << '\n';
  }
}

base::Status write(const std::string& name, const logs::LogTable& log, const model::StateSpace& model,
                   const identification::Record& record, const identification::Comparison& result) {
  auto file = CsvFile::open(name);
  if (!file.ok()) return file.error();
  std::string line = "time";
  for (const auto& output : model.outputs) line += ",y." + output.name + ",yhat." + output.name;
  file.value().row(line);
  for (std::size_t row = 0; row < log.rows(); ++row) {
    line = log.time_texts[row];
    for (Eigen::Index i = 0; i < model.n_y(); ++i) {
      line += ',';
      append_shortest(line, record.y(static_cast<Eigen::Index>(row), i));
      line += ',';
      append_shortest(line, result.predicted(static_cast<Eigen::Index>(row), i));
    }
    file.value().row(line);
  }
  return file.value().close();
}

}  // namespace

int compare_command(const CompareArguments& arguments) {
  logs::RowRange rows;
  if (arguments.rows) {
    const auto parsed = rows_of(*arguments.rows);
    if (!parsed) {
      return told("compare: --rows: " + *arguments.rows + "; accepted: A:B, zero-based, the row B not included",
                  kExitUsage);
    }
    rows = *parsed;
  }
  std::optional<std::int64_t> horizon;
  if (arguments.horizon != "inf" && (!parse(arguments.horizon, horizon.emplace()) || *horizon < 1)) {
    return told("compare: --horizon: " + arguments.horizon + "; accepted: a number of rows from 1, or inf", kExitUsage);
  }
  if (arguments.start != "zero" && arguments.start != "estimate") {
    return told("compare: --x0: " + arguments.start + "; accepted: zero | estimate", kExitUsage);
  }
  const auto log = logs::read_log(arguments.input_file, rows);
  if (!log.ok()) return told(log.error().message(), exit_code_of_log(log.error()));
  const logs::LogTable& table = log.value();

  const auto loaded = load_model_or_report(arguments.model_file, arguments.sample_time);
  if (const int* code = std::get_if<int>(&loaded)) return *code;
  const auto& file = std::get<config::ModelFile>(loaded);
  const Plan plan = plan_of_model(file, names_of(table.columns));
  std::vector<std::string> names;
  for (const auto& reg : plan.config.devices[0].driver.registers) names.push_back(reg.name);
  const auto tags = match_columns({table.file, table.columns}, plan, 0, names, InputsNeeded::all);
  if (!tags) return kExitBadData;

  const identification::Record record = record_of(table, plan, *tags);
  const auto start = arguments.start == "zero" ? identification::Start::zero : identification::Start::estimate;
  const auto result = identification::compare(plan.models[0], record, horizon, start);
  if (!result.ok()) return told(arguments.model_file + ": " + result.error().message(), kExitConfig);
  print_scores(plan.models[0], result.value(), horizon, table.rows());
  if (arguments.output_file) {
    const auto written = write(*arguments.output_file, table, plan.models[0], record, result.value());
    if (!written.ok()) return told(written.error().message(), kExitIo);
  }
  return kExitDone;
}

}  // namespace twinkeeper::app
