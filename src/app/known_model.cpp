#include "app/known_model.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iostream>
#include <numeric>
#include <sstream>

#include "app/exit_codes.hpp"
#include "app/log_columns.hpp"
#include "app/model_refit.hpp"
#include "identification/dead_time.hpp"
#include "twinkeeper/base/quantity.hpp"
#include "twinkeeper/model/analysis.hpp"
#include "twinkeeper/model/templates.hpp"

namespace twinkeeper::app {
namespace {

template <class Settings>
std::vector<std::string> names_in(const std::vector<Settings>& list) {
  std::vector<std::string> out;
  for (const auto& one : list) out.push_back(one.name);
  return out;
}

// For each name asked for, its position in `names`; nothing where neither names nor positions tell: a name that agrees
// stands at its place.
std::optional<std::vector<std::size_t>> positions_of(const std::vector<std::string>& asked,
                                                     const std::vector<std::string>& names, bool by_position) {
  std::vector<std::size_t> out;
  by_position = by_position && asked.size() == names.size();
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const auto known = std::find(names.begin(), names.end(), as_identifier(asked[i]));
    if (known == names.end()) continue;
    out.push_back(static_cast<std::size_t>(known - names.begin()));
    by_position = by_position && out.back() == i;
  }
  if (out.size() == asked.size()) return out;
  if (!by_position) return std::nullopt;
  out.resize(names.size());
  std::iota(out.begin(), out.end(), std::size_t{0});
  return out;
}

template <class List>
List picked(const List& list, const std::vector<std::size_t>& order) {
  List out;
  for (const std::size_t i : order) out.push_back(list[i]);
  return out;
}

template <class Settings>
bool take_units(std::vector<Settings>& list, const ColumnsOfLog& log, const ColumnOfSignal& columns,
                const std::string& file) {
  bool good = true;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string& unit = log.columns[*columns[i]].unit;
    if (list[i].unit.empty()) list[i].unit = unit;
    if (base::units_agree(list[i].unit, unit)) continue;
    told(log.file + ": " + list[i].name + " is in " + unit + ", in " + file + " in " + list[i].unit +
             "; accepted: equal units",
         kExitBadData);
    good = false;
  }
  return good;
}

int no_such_signals(const char* option, const std::string& file, const std::vector<std::string>& names,
                    bool template_) {
  return told(std::string("identify: ") + option + ": " + file + " has " + (names.empty() ? "none" : join(names)) +
                  "; accepted: these names" + (template_ ? ", or a column for each of them in this order" : ""),
              kExitUsage);
}

}  // namespace

std::variant<config::ModelFile, int> known_model_of(const std::string& file, const ColumnsOfLog& log,
                                                    IdentifySignals& signals, double sample_time) {
  auto loaded = load_model_file(file, base::Duration{std::llround(sample_time * 1e9)}, {});
  if (const auto* faults = std::get_if<Faults>(&loaded)) return report(*faults, std::cerr);
  auto& read = std::get<config::ModelFile>(loaded);
  for (const auto& warning : read.warnings) std::cerr << "warning: " << warning.text() << '\n';
  model::ModelSettings& model = read.model;
  const bool template_ = model.type != model::kStateSpace;
  // A model keeps its inputs in its own order: the record follows it.
  const auto inputs = positions_of(signals.inputs, names_in(model.inputs), template_);
  if (!inputs || inputs->size() != model.inputs.size()) {
    return no_such_signals("--inputs", file, names_in(model.inputs), template_);
  }
  std::vector<std::size_t> order(inputs->size());
  for (std::size_t i = 0; i < inputs->size(); ++i) order[(*inputs)[i]] = i;
  signals.inputs = picked(signals.inputs, order);
  signals.input_columns = picked(signals.input_columns, order);
  const auto outputs = positions_of(signals.outputs, names_in(model.outputs), template_);
  if (!outputs || (!template_ && outputs->size() != model.outputs.size())) {
    return no_such_signals("--outputs", file, names_in(model.outputs), template_);
  }
  if (template_) {
    model.outputs = picked(model.outputs, *outputs);
  } else {
    std::vector<std::size_t> as_in_model(outputs->size());
    for (std::size_t i = 0; i < outputs->size(); ++i) as_in_model[(*outputs)[i]] = i;
    signals.outputs = picked(signals.outputs, as_in_model);
    signals.output_columns = picked(signals.output_columns, as_in_model);
  }
  const bool good = take_units(model.inputs, log, signals.input_columns, file);
  if (!take_units(model.outputs, log, signals.output_columns, file) || !good) return kExitBadData;
  if (template_) model.sample_time = sample_time;
  return std::move(read);
}

void tell_positions(const IdentifySignals& signals, const model::ModelSettings& model) {
  const auto tell = [](const std::vector<std::string>& columns, const auto& settings) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (as_identifier(columns[i]) == settings[i].name) continue;
      std::cout << "by position: column " << columns[i] << " is " << settings[i].name << '\n';
    }
  };
  tell(signals.inputs, model.inputs);
  tell(signals.outputs, model.outputs);
}

std::variant<identification::WarmStart, int> warm_start_of(const std::string& file, const model::StateSpace& model,
                                                           const std::string& provenance) {
  const auto steady = model::steady_state(model);
  if (!steady.ok()) return told(file + ": it has no steady gain: " + steady.error().message(), kExitConfig);
  return identification::without_waiting_states(model, steady.value().K,
                                                delays_noted(provenance, static_cast<std::size_t>(model.n_u())));
}

std::optional<std::vector<identification::SoughtParameter>> sought_of(const std::string& text,
                                                                      std::vector<std::string>& faults) {
  std::vector<identification::SoughtParameter> out;
  for (const std::string& one : split_names(text)) {
    const std::size_t equals = one.find('=');
    identification::SoughtParameter& sought = out.emplace_back();
    sought.name = one.substr(0, equals);
    if (equals == std::string::npos) continue;
    const std::string range = one.substr(equals + 1);
    const std::size_t colon = range.find(':');
    const auto number = [&](const std::string& part) -> std::optional<double> {
      double value = 0.0;
      const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
      if (error != std::errc{} || end != part.data() + part.size() || !std::isfinite(value)) return std::nullopt;
      return value;
    };
    const auto low = number(range.substr(0, colon));
    const auto high = colon == std::string::npos ? std::nullopt : number(range.substr(colon + 1));
    if (low && high && *low < *high) {
      sought.min = low;
      sought.max = high;
      continue;
    }
    faults.push_back("--fit: " + one + "; accepted: NAME, or NAME=MIN:MAX");
  }
  if (out.empty()) faults.emplace_back("--fit: none; accepted: parameters of the template, NAME or NAME=MIN:MAX");
  if (!faults.empty()) return std::nullopt;
  return out;
}

std::vector<std::string> split_names(const std::string& text) {
  std::vector<std::string> out;
  std::stringstream in(text);
  for (std::string one; std::getline(in, one, ',');) {
    const std::size_t begin = one.find_first_not_of(' ');
    if (begin != std::string::npos) out.push_back(one.substr(begin, one.find_last_not_of(' ') - begin + 1));
  }
  return out;
}

}  // namespace twinkeeper::app
