// A configuration with its models built: everything the service needs, checked whole before anything starts.
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <variant>
#include <vector>

#include "config/config.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/issue.hpp"
#include "twinkeeper/estimation/twin.hpp"
#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::app {

using Faults = std::vector<config::Diagnostic>;

struct Plan {
  config::Config config;
  std::vector<model::StateSpace> models;  // one per twin, discretised with the twin's period

  [[nodiscard]] std::size_t tag_count() const;
};

inline constexpr base::Duration kMetricsInterval = std::chrono::seconds{60};

// Steps between two published states, at least one: the twin steps on its own grid and can publish only what it has.
[[nodiscard]] std::int64_t steps_per_state(const config::TwinConfig& twin);

// How far back a twin looks, in ticks.
struct Watermark {
  std::int64_t history = 0;   // late samples are fused
  std::int64_t lateness = 0;  // alarms are decided, ≤ history
};
[[nodiscard]] Watermark watermark_of(const config::TwinConfig& twin);

struct TagOrigin {
  std::size_t device;
  std::size_t reg;  // position in the device
};
// By TagIndex: where the tag comes from. Tags count through the devices in order.
[[nodiscard]] std::vector<TagOrigin> tag_origins(const config::Config& config);
// "<device>.<register>" by TagIndex.
[[nodiscard]] std::vector<std::string> tag_names(const config::Config& config);

// The twins as they start, one per configured twin; or what stands in their way, all of it, by paths of the
// configuration.
[[nodiscard]] std::variant<std::vector<estimation::Twin>, base::Issues> make_twins(const Plan& plan);

// Reads, checks and builds: every fault at once, those of the models included. Twins that can't start come after them.
// An overlay that is in the way of a file that is right by itself is left out, with a warning; not so one in
// `options.replaced`.
[[nodiscard]] std::variant<Plan, Faults> make_plan(const std::string& file, config::LoadOptions options);

// A plan with one twin and nothing else: the model, fed by a device `log` with one register for each input and for each
// output that `columns` has. Without a diagnosis in the model or in `options`, all tests are off.
[[nodiscard]] Plan plan_of_model(const config::ModelFile& file, const std::vector<std::string>& columns);
// Reads, checks and builds the model; `sample_time` of a continuous one.
[[nodiscard]] std::variant<config::ModelFile, Faults> load_model_file(const std::string& file,
                                                                      std::optional<base::Duration> sample_time,
                                                                      config::LoadOptions options);

// After the settings of its model have changed in a way that needs no checks.
void rebuild_model(Plan& plan, std::size_t twin);

// One line per fault; returns the exit code they stand for (78; 77 if key modes are the sole fault, 66 if `file` itself
// can't be read).
int report(const Faults& faults, std::ostream& out);

// For commands: loads `file` or reports on stderr and gives the exit code.
[[nodiscard]] std::variant<Plan, int> load_or_report(const std::string& file, bool check_files,
                                                     const std::optional<std::string>& diagnosis_file = {});
// The same for a model file; `sample_time` as a person wrote it.
[[nodiscard]] std::variant<config::ModelFile, int> load_model_or_report(
    const std::string& file, const std::optional<std::string>& sample_time,
    const std::optional<std::string>& diagnosis_file = {});

}  // namespace twinkeeper::app
