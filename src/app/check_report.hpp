// The sections of what `check` prints, each as JSON; the text form is written from the same values.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/plan.hpp"

namespace twinkeeper::app {

// Requests, bytes and time of one polling cycle of one controller against its poll intervals.
[[nodiscard]] nlohmann::ordered_json check_bus(const Plan& plan, const std::vector<std::size_t>& devices,
                                               std::vector<std::string>& warnings, std::vector<std::string>& errors);

// Order, poles as time constants, stability, detectability, steady-state gain and standard deviations.
[[nodiscard]] nlohmann::ordered_json check_twin(const config::TwinConfig& twin, const model::StateSpace& model,
                                                std::vector<std::string>& warnings);

// Every stream that is published on its own: message size, rates, topic, billing units of 5 KiB per 30 days.
[[nodiscard]] nlohmann::ordered_json check_streams(const Plan& plan, std::vector<std::string>& warnings,
                                                   std::vector<std::string>& errors);

// How long an outage the spool holds and how long it takes to drain, from the streams' bytes per second.
[[nodiscard]] nlohmann::ordered_json check_spool(const Plan& plan, const nlohmann::ordered_json& streams,
                                                 std::vector<std::string>& warnings);

// Modes of key and certificates, faults of the files, days until the certificate expires.
[[nodiscard]] nlohmann::ordered_json check_files(const Plan& plan, std::vector<std::string>& warnings);

}  // namespace twinkeeper::app
