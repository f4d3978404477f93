// What `check` prints: one section each as JSON (the text form is written from the same values), and what it found on
// the way. Nothing here touches the network, a device or the state directory.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/plan.hpp"

namespace twinkeeper::app {

// Faults and warnings that only the whole plan shows, each at the key a person would change.
class Findings {
 public:
  // `config` outlives the findings.
  explicit Findings(const config::Config& config) : config_(config) {}

  void error(const std::string& path, const std::string& what, const std::string& accepted);
  void warn(const std::string& path, const std::string& what);

  [[nodiscard]] const std::vector<config::Diagnostic>& errors() const { return errors_; }
  [[nodiscard]] const std::vector<config::Diagnostic>& warnings() const { return warnings_; }

 private:
  const config::Config& config_;
  std::vector<config::Diagnostic> errors_, warnings_;
};

// "devices[0].poll_interval" of ("devices", 0, "poll_interval")
[[nodiscard]] std::string path_of(const std::string& list, std::size_t index, const std::string& key);
// Four significant digits.
[[nodiscard]] std::string short_number(double value);

// All sections below in one object; judge_plan: but for the files.
[[nodiscard]] nlohmann::ordered_json judge_plan(const Plan& plan, Findings& findings);
[[nodiscard]] nlohmann::ordered_json check_plan(const Plan& plan, Findings& findings);

// What makes `run` refuse a plan, before a start as before a reload: the errors of check_bus and check_uplink. Those of
// the files stay with the connection, which tells them and goes on trying.
[[nodiscard]] Faults refusals(const Plan& plan);

// Requests, bytes and time of one polling cycle of one controller against its poll intervals.
[[nodiscard]] nlohmann::ordered_json check_bus(const Plan& plan, const std::vector<std::size_t>& devices,
                                               Findings& findings);

// Order, poles as time constants, stability, steady-state gain; of the measured outputs: detectability, standard
// deviations and which faults they cannot tell apart (model::ambiguity).
[[nodiscard]] nlohmann::ordered_json check_twin(const Plan& plan, std::size_t twin, Findings& findings);

// Streams: message size, rates, topic, billing units of 5 KiB per 30 days, against the broker's limits. Commands: their
// topics, with * for what only the sender knows; null unless there are any. Outage: how long one the spool holds, and
// how long it takes to drain.
[[nodiscard]] nlohmann::ordered_json check_uplink(const Plan& plan, Findings& findings);

// Shadows, jobs and Device Defender: topics, sizes and operations per 30 days; null unless any is used.
[[nodiscard]] nlohmann::ordered_json check_aws(const Plan& plan, Findings& findings);

// Owner, mode and end of validity of certificate, key and CA, and the faults of the three together.
[[nodiscard]] nlohmann::ordered_json check_files(const Plan& plan, Findings& findings);

}  // namespace twinkeeper::app
