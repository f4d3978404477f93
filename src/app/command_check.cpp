#include <iostream>

#include "app/check_report.hpp"
#include "app/commands.hpp"
#include "app/endpoints.hpp"
#include "app/exit_codes.hpp"

namespace twinkeeper::app {
namespace {

using nlohmann::ordered_json;

// A value as a person reads it: six significant digits, no quotes, lists in brackets.
std::string text_of(const ordered_json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "none";
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number_float()) {
    std::ostringstream out;
    out.precision(6);
    out << value.get<double>();
    return out.str();
  }
  return value.dump();
}

// Nested objects and lists of objects as an indented outline.
void print(const ordered_json& value, int indent, std::ostream& out) {
  const std::string margin(static_cast<std::size_t>(indent), ' ');
  for (const auto& [key, item] : value.items()) {
    if (item.is_object()) {
      out << margin << key << ":\n";
      print(item, indent + 2, out);
    } else if (item.is_array() && !item.empty() && item.front().is_object()) {
      out << margin << key << ":\n";
      for (const auto& element : item) {
        out << margin << "  -\n";
        print(element, indent + 4, out);
      }
    } else {
      out << margin << key << ": " << text_of(item) << '\n';
    }
  }
}

}  // namespace

int check_command(const std::string& config_file, bool json) {
  auto loaded = load_or_report(config_file, true);
  if (const int* code = std::get_if<int>(&loaded)) return *code;
  const Plan& plan = std::get<Plan>(loaded);

  std::vector<std::string> warnings;
  std::vector<std::string> errors;
  ordered_json report;
  report["config_hash"] = plan.config.hash;
  report["buses"] = ordered_json::array();
  for (const auto& devices : group_by_controller(plan.config)) {
    report["buses"].push_back(check_bus(plan, devices, warnings, errors));
  }
  report["twins"] = ordered_json::array();
  for (std::size_t i = 0; i < plan.config.twins.size(); ++i) {
    report["twins"].push_back(check_twin(plan.config.twins[i], plan.models[i], warnings));
  }
  report["streams"] = check_streams(plan, warnings, errors);
  report["spool"] = check_spool(plan, report["streams"], warnings);
  report["files"] = check_files(plan, warnings);
  report["warnings"] = warnings;
  report["errors"] = errors;

  if (json) {
    report["config"] = plan.config.expanded;
    std::cout << report.dump(2, ' ', false, ordered_json::error_handler_t::replace) << '\n';
  } else {
    std::cout << "# effective configuration\n" << plan.config.expanded << "\n# plan\n";
    report.erase("warnings");
    report.erase("errors");
    print(report, 0, std::cout);
  }
  for (const auto& warning : warnings) std::cerr << "warning: " << warning << '\n';
  for (const auto& error : errors) std::cerr << config_file << ": " << error << '\n';
  return errors.empty() ? kExitDone : kExitConfig;
}

}  // namespace twinkeeper::app
