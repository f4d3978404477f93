// The whole configuration as plain structs, after every check that needs no network.
//
// load() never stops at the first fault: it returns either a Config or all diagnostics, each with file, line and
// column. Faults that only linear algebra can see (a covariance that is not PSD) come from LoadOptions::examine_model,
// those that need the whole (a twin that can't start) are turned into the same diagnostics by locate().
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "acquisition/settings.hpp"
#include "drivers/settings.hpp"
#include "telemetry/settings.hpp"
#include "twinkeeper/base/issue.hpp"
#include "twinkeeper/diagnosis/settings.hpp"
#include "twinkeeper/model/settings.hpp"
#include "twinkeeper/signals/event.hpp"
#include "uplink/settings.hpp"

namespace twinkeeper::config {

struct Diagnostic {
  std::string file;  // as the user named it (or relative to the including file)
  int line = 0;      // 1-based; 0: the file as a whole
  int column = 0;    // 1-based
  std::string path;  // devices[0].registers[2].address
  std::string what;
  std::string accepted;
  bool permission = false;  // the fault is only a key file's mode (exit 77 instead of 78)
  bool no_input = false;    // the file given to load() can't be read (exit 66 instead of 78)

  // "file:line:column: path: what; accepted: …", without the parts that are unknown
  [[nodiscard]] std::string text() const;
};

struct RegisterOptions {  // beside drivers::RegisterSettings, by TagIndex
  acquisition::ValidationSettings validation;
  bool publish = true;
};

struct DeviceConfig {
  drivers::DeviceSettings driver;
  std::vector<RegisterOptions> registers;  // same order as driver.registers
  telemetry::SamplePublishing publish;
};

struct TwinConfig {
  std::string name;
  std::string hash;  // "sha256:…" over everything of the twin but what is published how often
  base::Duration period{};
  model::ModelSettings model;
  std::vector<acquisition::InputSource> inputs;    // model's order
  std::vector<acquisition::OutputSource> outputs;  // model's order
  acquisition::LateSettings late;
  std::vector<acquisition::RegimeSettings> regimes;  // none: always tested
  telemetry::StatePublishing publish;
  diagnosis::DiagnosisSettings diagnosis;  // defaults, then the model's, then the config's
  bool diagnosis_is_default = false;       // neither model nor config has a diagnosis section
};

struct GatewayConfig {
  std::string id;
  std::string state_directory;
  std::string control_socket;
  signals::EventLevel log_level = signals::EventLevel::info;  // the least that is written
};

// Where the value of a path stands, and what it is called there: a model of its own file is "model…" in that file and
// "twins[0].model…" here.
struct Position {
  std::string file;
  int line = 0;
  int column = 0;
  std::string path;
  std::string note;  // for a value that stands in another place than where it is used: where that is
};
using SourceMap = std::map<std::string, Position>;

// What was laid over the configuration file from outside (docs/aws.md).
struct Overlay {
  std::string file;
  std::string text;  // JSON: the overlay itself
  std::uint64_t version = 0;
};
// Where it is kept.
[[nodiscard]] std::string overlay_file(const std::string& state_directory);

struct Config {
  GatewayConfig gateway;
  std::vector<DeviceConfig> devices;
  std::vector<TwinConfig> twins;
  std::optional<uplink::UplinkSettings> uplink;  // absent: nothing is published, `run` refuses, `simulate` works
  uplink::SpoolSettings spool;
  telemetry::CommandSettings commands;
  std::string hash;        // "sha256:…" over the expanded text of all files, without secrets
  std::string plant_hash;  // the same of devices and twins alone
  std::string expanded;    // every effective value as YAML, without secrets: what `check` prints
  std::optional<Overlay> overlay;
  std::vector<Diagnostic> warnings;
  SourceMap sources;
  std::map<std::string, std::string> texts;  // of the files that it was read from, the overlay aside

  // A fault found later, placed as well as the path allows: the longest known
  // prefix of issue.path decides.
  [[nodiscard]] Diagnostic locate(const base::Issue& issue) const;
};

using Environment = std::map<std::string, std::string>;  // for ${NAME}; the process's own plus HOSTNAME by default
[[nodiscard]] Environment process_environment();

using Loaded = std::variant<Config, std::vector<Diagnostic>>;
struct LoadOptions {
  // Whether the files of `uplink` (certificate, key, CA) must exist with proper modes. `simulate` leaves them alone.
  bool check_files = true;
  Environment environment = process_environment();
  // What else is wrong with a model whose text is right, at the twin's period; paths begin with "model". Optional.
  std::function<base::Issues(const model::ModelSettings&, base::Duration period)> examine_model = {};
  // Whether the overlay that the state directory may hold is laid over the file.
  bool overlay = true;
  // Texts that count as the content of these files, overlay and model files; an empty one: there is no such file.
  std::map<std::string, std::string> replaced = {};
  // A file with a diagnosis that is laid over that of every twin, key by key.
  std::optional<std::string> diagnosis_file = {};
  // What is wrong with a LINE device's pattern and groups, by paths within the device. Optional.
  std::function<base::Issues(const drivers::DeviceSettings&)> examine_line = {};
};
[[nodiscard]] Loaded load(const std::string& file, const LoadOptions& options = {});

// A model file by itself, without a configuration around it.
struct ModelFile {
  model::ModelSettings model;
  diagnosis::DiagnosisSettings diagnosis;  // defaults, then the model's, then LoadOptions::diagnosis_file
  bool has_diagnosis = false;              // any of the two had one
  base::Duration period{};
  std::string provenance;  // as JSON; empty: none
  std::vector<Diagnostic> warnings;
};
// `sample_time`: of a continuous model, before its own.
[[nodiscard]] std::variant<ModelFile, std::vector<Diagnostic>> load_model(const std::string& file,
                                                                          std::optional<base::Duration> sample_time,
                                                                          const LoadOptions& options);

// JSON Schema (draft-07) of the configuration and of a model file, generated from the table that load() reads by.
[[nodiscard]] std::string configuration_schema();
[[nodiscard]] std::string model_schema();

}  // namespace twinkeeper::config
