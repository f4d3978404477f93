#include "app/model_refit.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

#include "app/log_columns.hpp"
#include "app/log_record.hpp"
#include "identification/dead_time.hpp"
#include "identification/identified_model.hpp"
#include "identification/identify.hpp"

namespace twinkeeper::app {
namespace {

using Json = nlohmann::json;
using identification::Identified;
using identification::Recipe;

std::optional<Recipe> recipe_of(const Json& tree, std::size_t inputs) {
  const auto number = [](const Json& value) { return value.is_number_integer() ? value.get<Eigen::Index>() : -1; };
  if (!tree.contains("method") || !tree["method"].is_string() || !tree.contains("order")) return std::nullopt;
  if (tree.contains("closed_loop")) return std::nullopt;  // its subspaces would be biased
  const auto method = tree["method"].get<std::string>();
  Recipe out;
  out.lags = method == "ARX" || method == "VAR";
  const bool subspace = method.rfind("subspace, ", 0) == 0;
  if (!out.lags && !subspace) return std::nullopt;
  if (method == "subspace, simulation focus") out.focus = identification::Focus::simulation;
  out.order = number(tree["order"]);
  out.delays = delays_noted(tree, inputs);
  if (out.order < 1) return std::nullopt;
  return out;
}

std::optional<std::vector<std::string>> names_at(const Json& data, const char* key) {
  std::vector<std::string> out;
  if (!data.contains(key) || !data[key].is_array()) return std::nullopt;
  for (const Json& name : data[key]) {
    if (!name.is_string()) return std::nullopt;
    out.push_back(name.get<std::string>());
  }
  return out;
}

model::ModelSettings with_matrices(model::ModelSettings model, const Identified& found) {
  identification::take_matrices(found, model);
  // Where a person has written the operating point or the noise of single signals, those of the rows hold here.
  for (auto& input : model.inputs) input.nominal.reset();
  for (auto& output : model.outputs) {
    output.nominal.reset();
    output.noise_std.reset();
  }
  return model;
}

base::Result<ColumnOfSignal> columns_in(const logs::LogReader& log, const std::vector<std::string>& names) {
  ColumnOfSignal out;
  for (const auto& name : names) {
    if (!out.emplace_back(column_named(log.columns(), name))) {
      return base::Error(base::ErrorCode::corrupt, log.file() + " has no column " + name);
    }
  }
  return out;
}

}  // namespace

std::vector<Eigen::Index> delays_noted(const Json& provenance, std::size_t inputs) {
  std::vector<Eigen::Index> out(inputs, 0);
  if (!provenance.is_object() || !provenance.contains("delays")) return out;
  const Json& noted = provenance["delays"];
  if (!noted.is_array() || noted.size() != inputs) return out;
  for (std::size_t j = 0; j < inputs; ++j) {
    if (!noted[j].is_number_integer()) continue;
    out[j] = std::clamp<Eigen::Index>(noted[j].get<Eigen::Index>(), 0, identification::kLongestDelay);
  }
  return out;
}

ModelOfRows refit_of(const std::string& provenance, const model::ModelSettings& model, const std::string& log_file) {
  const Json tree = Json::parse(provenance.empty() ? "{}" : provenance, nullptr, false);
  if (!tree.is_object() || !tree.contains("data") || !tree["data"].is_object() || !model.sample_time) return nullptr;
  const auto inputs = names_at(tree["data"], "inputs");
  const auto outputs = names_at(tree["data"], "outputs");
  if (!inputs || !outputs || inputs->size() != model.inputs.size() || outputs->size() != model.outputs.size() ||
      !model.augment.empty()) {
    return nullptr;
  }
  const auto recipe = recipe_of(tree, inputs->size());
  if (!recipe) return nullptr;
  const base::Duration period{std::llround(*model.sample_time * 1e9)};
  return [=, u = *inputs, y = *outputs,
          how = *recipe](const std::vector<logs::RowRange>& ranges) -> base::Result<model::ModelSettings> {
    const auto log = logs::LogReader::open(log_file);
    if (!log.ok()) return log.error();
    const auto u_columns = columns_in(log.value(), u);
    if (!u_columns.ok()) return u_columns.error();
    const auto y_columns = columns_in(log.value(), y);
    if (!y_columns.ok()) return y_columns.error();
    const auto ticks = read_ticks(log_file, ranges, period, u_columns.value(), y_columns.value());
    if (!ticks.ok()) return ticks.error();
    const auto cut = identification::cut_into_experiments(ticks.value().resampled.record, u, y);
    if (!cut.ok()) return cut.error();
    const auto found = identification::identify_again(cut.value().experiments, how);
    if (!found.ok()) return found.error();
    return with_matrices(model, found.value());
  };
}

}  // namespace twinkeeper::app
