#include <iostream>
#include <sstream>

#include "app/check_report.hpp"
#include "app/commands.hpp"
#include "app/exit_codes.hpp"

namespace twinkeeper::app {
namespace {

using nlohmann::ordered_json;

// A value as a person reads it: six significant digits, no quotes, lists in brackets.
std::string value_text(const ordered_json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "none";
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number_float()) {
    std::ostringstream out;
    out.precision(6);
    out << value.get<double>();
    return out.str();
  }
  if (!value.is_array()) return value.dump();
  std::string out = "[";
  for (const auto& element : value) out += (out.size() > 1 ? ", " : "") + value_text(element);
  return out + "]";
}

// Nested objects and lists of objects as an indented outline.
void print_report(const ordered_json& value, int indent, std::ostream& out) {
  const std::string margin(static_cast<std::size_t>(indent), ' ');
  for (const auto& [key, item] : value.items()) {
    if (item.is_object()) {
      out << margin << key << ":\n";
      print_report(item, indent + 2, out);
    } else if (item.is_array() && !item.empty() && item.front().is_object()) {
      out << margin << key << ":\n";
      for (const auto& element : item) {
        out << margin << "  -\n";
        print_report(element, indent + 4, out);
      }
    } else {
      out << margin << key << ": " << value_text(item) << '\n';
    }
  }
}

ordered_json list_of(const std::vector<config::Diagnostic>& diagnostics) {
  ordered_json list = ordered_json::array();
  for (const auto& diagnostic : diagnostics) {
    list.push_back({{"file", diagnostic.file},
                    {"line", diagnostic.line},
                    {"column", diagnostic.column},
                    {"path", diagnostic.path},
                    {"what", diagnostic.what},
                    {"accepted", diagnostic.accepted.empty() ? ordered_json(nullptr) : diagnostic.accepted}});
  }
  return list;
}

}  // namespace

int check_command(const std::string& config_file, bool json) {
  auto loaded = load_or_report(config_file, true);
  if (const int* code = std::get_if<int>(&loaded)) return *code;
  const Plan& plan = std::get<Plan>(loaded);

  Findings findings(plan.config);
  ordered_json result = check_plan(plan, findings);
  if (json) {
    std::vector<config::Diagnostic> warnings = plan.config.warnings;  // those are on stderr already
    warnings.insert(warnings.end(), findings.warnings().begin(), findings.warnings().end());
    result["warnings"] = list_of(warnings);
    result["errors"] = list_of(findings.errors());
    result["config"] = plan.config.expanded;
    std::cout << result.dump(2, ' ', false, ordered_json::error_handler_t::replace) << '\n';
  } else {
    std::cout << "# effective configuration\n" << plan.config.expanded << "\n# plan\n";
    print_report(result, 0, std::cout);
  }
  for (const auto& warning : findings.warnings()) std::cerr << "warning: " << warning.text() << '\n';
  return findings.errors().empty() ? kExitDone : report(findings.errors(), std::cerr);
}

}  // namespace twinkeeper::app
