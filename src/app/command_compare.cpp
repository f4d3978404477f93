#include <charconv>
#include <cmath>
#include <deque>
#include <iostream>

#include "app/commands.hpp"
#include "app/exit_codes.hpp"
#include "app/log_columns.hpp"
#include "app/log_record.hpp"
#include "app/replay_csv.hpp"
#include "base/formatted.hpp"
#include "identification/compare.hpp"

namespace twinkeeper::app {
namespace {

template <class Number>
bool parse(std::string_view text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

// The last column of a signal counts.
template <class Sources>
ColumnOfSignal columns_of(const Sources& sources, const TagsOfColumns& tags) {
  ColumnOfSignal columns(sources.size());
  for (std::size_t i = 0; i < sources.size(); ++i) {
    for (std::size_t c = 0; c < tags.size(); ++c) {
      if (sources[i].tag && tags[c] == sources[i].tag) columns[i] = c;
    }
  }
  return columns;
}

std::string percent(double value) { return std::isnan(value) ? "-" : base::formatted("%.2f %%", value); }

void print_scores(const model::StateSpace& model, const identification::StreamedComparison::Result& result,
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

std::string header_of(const model::StateSpace& model) {
  std::string line = "time";
  for (const auto& output : model.outputs) line += ",y." + output.name + ",yhat." + output.name;
  return line;
}

}  // namespace

int compare_command(const CompareArguments& arguments) {
  const auto asked = rows_asked("compare", arguments.rows);
  if (!asked) return kExitUsage;
  const logs::RowRange& rows = *asked;
  std::optional<std::int64_t> horizon;
  if (arguments.horizon != "inf" && (!parse(arguments.horizon, horizon.emplace()) || *horizon < 1)) {
    return told("compare: --horizon: " + arguments.horizon + "; accepted: a number of rows from 1, or inf", kExitUsage);
  }
  if (arguments.start != "zero" && arguments.start != "estimate") {
    return told("compare: --x0: " + arguments.start + "; accepted: zero | estimate", kExitUsage);
  }
  auto log = logs::LogReader::open(arguments.input_file);
  if (!log.ok()) return told(log.error().message(), exit_code_of_log(log.error()));
  const auto& columns = log.value().columns();

  const auto loaded = load_model_or_report(arguments.model_file, arguments.sample_time);
  if (const int* code = std::get_if<int>(&loaded)) return *code;
  const auto& file = std::get<config::ModelFile>(loaded);
  const Plan plan = plan_of_model(file, names_of(columns));
  std::vector<std::string> names;
  for (const auto& reg : plan.config.devices[0].driver.registers) names.push_back(reg.name);
  const auto tags = match_columns({arguments.input_file, columns}, plan, 0, names, InputsNeeded::all);
  if (!tags) return kExitBadData;

  const config::TwinConfig& twin = plan.config.twins[0];
  const auto start = arguments.start == "zero" ? identification::Start::zero : identification::Start::estimate;
  std::optional<CsvFile> written;
  std::deque<std::string> times;  // of the rows that are still to be predicted, as they stand in the log
  std::string line;
  auto opened = identification::StreamedComparison::of(
      plan.models[0], horizon, start, [&](const Eigen::VectorXd& y, const Eigen::VectorXd& predicted, bool) {
        if (!written) return;
        line = times.front();
        times.pop_front();
        for (Eigen::Index i = 0; i < y.size(); ++i) {
          line += ',';
          append_shortest(line, y(i));
          line += ',';
          append_shortest(line, predicted(i));
        }
        written->row(line);
      });
  if (!opened.ok()) return told(arguments.model_file + ": " + opened.error().message(), kExitConfig);
  if (arguments.output_file) {
    if (is_same_file(*arguments.output_file, arguments.input_file)) {
      return told("compare: --output is the log that is read; accepted: another file", kExitUsage);
    }
    auto created = CsvFile::open(*arguments.output_file);
    if (!created.ok()) return told(created.error().message(), kExitIo);
    written.emplace(std::move(created).value());
    written->row(header_of(plan.models[0]));
  }
  std::size_t count = 0;
  const auto read = each_grid_row(log.value(), rows, twin.period, columns_of(twin.inputs, *tags),
                                  columns_of(twin.outputs, *tags), [&](const GridRow& row) {
                                    if (written) times.emplace_back(row.time_text);
                                    opened.value().add(row.tick, row.u, row.y);
                                    ++count;
                                  });
  if (!read.ok()) return told(read.error().message(), exit_code_of_log(read.error()));
  print_scores(plan.models[0], opened.value().finish(), horizon, count);
  if (written) {
    const auto closed = written->close();
    if (!closed.ok()) return told(closed.error().message(), kExitIo);
  }
  return kExitDone;
}

}  // namespace twinkeeper::app
