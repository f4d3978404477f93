#include "app/model_refit.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

#include "app/log_columns.hpp"
#include "app/log_record.hpp"
#include "identification/dead_time.hpp"
#include "identification/grey_box.hpp"
#include "identification/identified_model.hpp"
#include "identification/identify.hpp"

namespace twinkeeper::app {
namespace {

using Json = nlohmann::json;
using identification::Identified;
using identification::Recipe;

Json tree_of(const std::string& provenance) {
  return Json::parse(provenance.empty() ? "{}" : provenance, nullptr, false);
}

std::string method_of(const Json& provenance) {
  if (!provenance.contains("method") || !provenance["method"].is_string()) return "";
  return provenance["method"].get<std::string>();
}

std::optional<Recipe> recipe_of(const Json& tree, std::vector<Eigen::Index> delays) {
  const auto number = [](const Json& value) { return value.is_number_integer() ? value.get<Eigen::Index>() : -1; };
  if (!tree.contains("order") || tree.contains("closed_loop")) return std::nullopt;  // its subspaces would be biased
  const std::string method = method_of(tree);
  Recipe out;
  out.lags = method == "ARX" || method == "VAR";
  const bool subspace = method.rfind("subspace, ", 0) == 0;
  if (!out.lags && !subspace) return std::nullopt;
  if (method == "subspace, simulation focus") out.focus = identification::Focus::simulation;
  out.order = number(tree["order"]);
  out.delays = std::move(delays);
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

base::Result<identification::Experiments> experiments_in(const std::string& file,
                                                         const std::vector<logs::RowRange>& ranges,
                                                         const std::vector<std::string>& inputs,
                                                         const std::vector<std::string>& outputs,
                                                         base::Duration period) {
  auto log = logs::LogReader::open(file);
  if (!log.ok()) return log.error();
  const auto u = columns_in(log.value(), inputs);
  if (!u.ok()) return u.error();
  const auto y = columns_in(log.value(), outputs);
  if (!y.ok()) return y.error();
  const auto resampled = resample_rows(log.value(), ranges, period, u.value(), y.value());
  if (!resampled.ok()) return resampled.error();
  auto cut = identification::cut_into_experiments(resampled.value().record, inputs, outputs);
  if (!cut.ok()) return cut.error();
  return std::move(cut.value().experiments);
}

}  // namespace

std::vector<Eigen::Index> delays_noted(const std::string& provenance, std::size_t inputs) {
  std::vector<Eigen::Index> out(inputs, 0);
  const Json tree = tree_of(provenance);
  if (!tree.is_object() || !tree.contains("delays")) return out;
  const Json& noted = tree["delays"];
  if (!noted.is_array() || noted.size() != inputs) return out;
  for (std::size_t j = 0; j < inputs; ++j) {
    if (!noted[j].is_number_integer()) continue;
    out[j] = std::clamp<Eigen::Index>(noted[j].get<Eigen::Index>(), 0, identification::kLongestDelay);
  }
  return out;
}

std::vector<identification::SoughtParameter> sought_noted(const std::string& provenance,
                                                          const model::ModelSettings& model) {
  std::vector<identification::SoughtParameter> out;
  const Json tree = tree_of(provenance);
  if (!tree.is_object() || !tree.contains("parameters") || !tree["parameters"].is_object()) return out;
  const Json& noted = tree["parameters"];
  for (const auto& parameter : model.parameters) {
    const auto one = noted.find(parameter.name);
    if (one == noted.end()) continue;
    const auto bound = [&](const char* key) -> std::optional<double> {
      if (!one->is_object() || !one->contains(key) || !(*one)[key].is_number()) return std::nullopt;
      return (*one)[key].get<double>();
    };
    identification::SoughtParameter sought{parameter.name, bound("min"), bound("max")};
    // A value that a person has written since may lie beyond.
    if (sought.min && *sought.min > parameter.value) sought.min.reset();
    if (sought.max && *sought.max < parameter.value) sought.max.reset();
    out.push_back(std::move(sought));
  }
  return out;
}

ModelOfRows refit_of(const std::string& provenance, const model::ModelSettings& model, const std::string& log_file) {
  const Json tree = tree_of(provenance);
  if (!tree.is_object() || !tree.contains("data") || !tree["data"].is_object() || !model.sample_time) return nullptr;
  const auto inputs = names_at(tree["data"], "inputs");
  const auto outputs = names_at(tree["data"], "outputs");
  if (!inputs || !outputs || inputs->size() != model.inputs.size() || outputs->size() != model.outputs.size()) {
    return nullptr;
  }
  const base::Duration period{std::llround(*model.sample_time * 1e9)};
  const auto experiments_of = [=, u = *inputs, y = *outputs](const std::vector<logs::RowRange>& ranges) {
    return experiments_in(log_file, ranges, u, y, period);
  };
  if (model.type != model::kStateSpace) {
    identification::GreyBoxSettings how;
    how.sample_time = *model.sample_time;
    how.sought = sought_noted(provenance, model);
    if (how.sought.empty() || method_of(tree) != "template " + model.type) return nullptr;
    return [=](const std::vector<logs::RowRange>& ranges) -> base::Result<model::ModelSettings> {
      const auto rows = experiments_of(ranges);
      if (!rows.ok()) return rows.error();
      return identification::identify_template_again(rows.value(), model, how);
    };
  }
  const auto recipe = recipe_of(tree, delays_noted(provenance, inputs->size()));
  if (!recipe || !model.augment.empty()) return nullptr;
  return [=, how = *recipe](const std::vector<logs::RowRange>& ranges) -> base::Result<model::ModelSettings> {
    const auto rows = experiments_of(ranges);
    if (!rows.ok()) return rows.error();
    const auto found = identification::identify_again(rows.value(), how);
    if (!found.ok()) return found.error();
    return with_matrices(model, found.value());
  };
}

}  // namespace twinkeeper::app
