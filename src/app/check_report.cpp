#include "app/check_report.hpp"

#include <sstream>

#include "app/endpoints.hpp"

namespace twinkeeper::app {

void Findings::error(const std::string& path, const std::string& what, const std::string& accepted) {
  errors_.push_back(config_.locate({path, what, accepted}));
}

void Findings::warn(const std::string& path, const std::string& what) {
  warnings_.push_back(config_.locate({path, what, ""}));
}

std::string path_of(const std::string& list, std::size_t index, const std::string& key) {
  return list + "[" + std::to_string(index) + "]." + key;
}

std::string short_number(double value) {
  std::ostringstream out;
  out.precision(4);
  out << value;
  return out.str();
}

nlohmann::ordered_json judge_plan(const Plan& plan, Findings& findings) {
  using nlohmann::ordered_json;
  ordered_json report;
  report["config_hash"] = plan.config.hash;
  report["buses"] = ordered_json::array();
  for (const auto& devices : group_by_controller(plan.config)) {
    report["buses"].push_back(check_bus(plan, devices, findings));
  }
  report["twins"] = ordered_json::array();
  for (std::size_t i = 0; i < plan.config.twins.size(); ++i) {
    report["twins"].push_back(check_twin(plan, i, findings));
  }
  report.update(check_uplink(plan, findings));
  report["aws"] = check_aws(plan, findings);
  return report;
}

nlohmann::ordered_json check_plan(const Plan& plan, Findings& findings) {
  nlohmann::ordered_json report = judge_plan(plan, findings);
  report["files"] = check_files(plan, findings);
  return report;
}

Faults refusals(const Plan& plan) {
  Findings findings(plan.config);
  for (const auto& devices : group_by_controller(plan.config)) {
    [[maybe_unused]] const auto section = check_bus(plan, devices, findings);
  }
  [[maybe_unused]] const auto section = check_uplink(plan, findings);
  return findings.errors();
}

}  // namespace twinkeeper::app
