#include "app/log_columns.hpp"

#include <algorithm>
#include <iostream>

#include "app/exit_codes.hpp"
#include "twinkeeper/base/quantity.hpp"

namespace twinkeeper::app {

std::string as_identifier(const std::string& name) {
  std::string out;
  for (const char c : name) {
    const bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
    const bool digit = c >= '0' && c <= '9';
    if (digit && out.empty()) out += '_';
    out += letter || digit ? c : '_';
  }
  return out;
}

int exit_code_of_log(const base::Error& error) {
  switch (error.code()) {
    case base::ErrorCode::not_found: return kExitNoInput;
    case base::ErrorCode::corrupt: return kExitBadData;
    case base::ErrorCode::invalid_argument: return kExitUsage;
    default: return kExitIo;
  }
}

std::string join(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

std::optional<std::size_t> choose_twin(const Plan& plan, const std::string& command,
                                       const std::optional<std::string>& name) {
  std::vector<std::string> twins;
  for (const auto& twin : plan.config.twins) twins.push_back(twin.name);
  const auto found = name ? std::find(twins.begin(), twins.end(), *name) : twins.begin();
  if (twins.empty()) {
    told(command + ": the configuration has no twin", 0);
  } else if (!name && twins.size() > 1) {
    told(command + ": give --twin; accepted: " + join(twins), 0);
  } else if (found == twins.end()) {
    told(command + ": --twin: no twin " + *name + "; accepted: " + join(twins), 0);
  } else {
    return static_cast<std::size_t>(found - twins.begin());
  }
  return std::nullopt;
}

std::optional<std::size_t> column_named(const std::vector<logs::LogColumn>& columns, const std::string& name) {
  const auto find = [&](const auto& agrees) -> std::optional<std::size_t> {
    const auto found = std::find_if(columns.begin(), columns.end(), agrees);
    if (found == columns.end()) return std::nullopt;
    return static_cast<std::size_t>(found - columns.begin());
  };
  const auto exact = find([&](const logs::LogColumn& column) { return column.name == name; });
  return exact ? exact : find([&](const logs::LogColumn& column) { return as_identifier(column.name) == name; });
}

std::vector<std::string> names_of(const std::vector<logs::LogColumn>& columns) {
  std::vector<std::string> names;
  for (const auto& column : columns) {
    names.push_back(column.name);
    names.push_back(as_identifier(column.name));
  }
  return names;
}

std::optional<TagsOfColumns> match_columns(const ColumnsOfLog& log, const Plan& plan, std::size_t index,
                                           const std::vector<std::string>& names, InputsNeeded inputs) {
  TagsOfColumns tags(log.columns.size());
  std::vector<bool> found(names.size());
  std::vector<const drivers::RegisterSettings*> registers;
  for (const auto& device : plan.config.devices) {
    for (const auto& reg : device.driver.registers) registers.push_back(&reg);
  }
  bool good = true;
  const auto fault = [&](const std::string& what) { good = told(log.file + ": " + what, 0) != 0; };
  for (std::size_t c = 0; c < tags.size(); ++c) {
    const logs::LogColumn& column = log.columns[c];
    auto name = std::find(names.begin(), names.end(), column.name);
    if (name == names.end()) name = std::find(names.begin(), names.end(), as_identifier(column.name));
    if (name == names.end() || (found[static_cast<std::size_t>(name - names.begin())] && *name != column.name))
      continue;
    const auto tag = static_cast<signals::TagIndex>(name - names.begin());
    if (!base::units_agree(column.unit, registers[tag]->unit)) {
      fault("column " + column.name + ": unit " + column.unit + " is not the unit " + registers[tag]->unit +
            "; accepted: equal units, or none on one side");
    }
    tags[c] = tag;
    found[tag] = true;
  }
  const auto& twin = plan.config.twins[index];
  const auto& outputs = plan.models[index].outputs;
  std::vector<std::string> missing;
  for (const auto& input : twin.inputs) {
    if (input.tag && !found[*input.tag]) missing.push_back(names[*input.tag]);
  }
  if (!missing.empty() && inputs == InputsNeeded::all) {
    fault("no column for " + join(missing) + "; accepted: a column of that name for every input of the model");
  }
  std::vector<std::string> wanted;
  bool any_output = false;
  for (std::size_t y = 0; y < twin.outputs.size(); ++y) {
    const auto& tag = twin.outputs[y].tag;
    any_output = any_output || (tag && found[*tag]);
    wanted.push_back(tag ? names[*tag] : outputs[y].name);
    if (!tag || !found[*tag]) missing.push_back(wanted.back());
  }
  if (!any_output) fault("no column for any output; accepted: at least one of " + join(wanted));
  if (!good) return std::nullopt;
  if (!missing.empty()) std::cerr << "warning: " << log.file << " has no column for " << join(missing) << '\n';
  return tags;
}

bool has_columns_enough(const std::string& log_file, const Plan& plan) {
  const auto twins = make_twins(plan);
  const auto* issues = std::get_if<base::Issues>(&twins);
  for (std::size_t i = 0; issues != nullptr && i < issues->size(); ++i) {
    told(log_file + ": its columns are too few: " + (*issues)[i].what, 0);
  }
  return issues == nullptr;
}

}  // namespace twinkeeper::app
