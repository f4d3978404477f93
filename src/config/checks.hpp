// What follows the reading of single values: references between them, files they name, values that exclude each other.
// Each function reports to the reader and fills in what a person may leave out.
#pragma once

#include <array>
#include <map>
#include <string>

#include "config/tables.hpp"

namespace twinkeeper::config {

// Register sets and files are put in place, every register is checked, defaults come from its device.
void resolve_devices(Reader& reader, ConfigText& text, const LoadOptions& options);
// Completes the buses; before settle_link.
void settle_buses(Reader& reader, ConfigText& text);
// That a device says at all how it is reached.
void check_reached(Reader& reader, DeviceText& device);
// What the device or its bus says, before either is completed.
[[nodiscard]] std::optional<drivers::TransmissionMode> written_mode(const DeviceText& device, const ConfigText& text);
// The connection of a device, from its bus or its own keys; false after an error that leaves it without one.
[[nodiscard]] bool settle_link(Reader& reader, DeviceText& device, const ConfigText& text);
void check_shared_connections(Reader& reader, const ConfigText& text);
// Type, table, address, bit, length, scale, limits of one register.
// What a raw value of the register can be; 64-bit limits as far as a double can say them.
struct RawRange {
  double least;
  double most;
  bool whole;
};
[[nodiscard]] RawRange raw_range(const drivers::RegisterSettings& reg);
void check_register(Reader& reader, RegisterText& entry, drivers::StringLocation location);
// The same of a LINE instrument's register.
void check_line_register(Reader& reader, RegisterText& entry);

inline constexpr const char* kAddressForm = "the zero-based protocol address, an integer from 0 to 65535";
// What of `workarounds` means something to a LINE instrument.
inline constexpr std::array kLineWorkarounds{"pause_after_connect", "pause_between_requests"};
// Keys that do not go with LINE, the pattern and the groups; what is left out is filled in.
void settle_line_instrument(Reader& reader, DeviceText& device, const LoadOptions& options);

struct TagReference {
  signals::TagIndex index = 0;
  const RegisterText* entry = nullptr;
};
using Tags = std::map<std::string, TagReference>;  // "<device>.<register>"
// Which registers commands may write, and whether any command may.
void resolve_commands(Reader& reader, ConfigText& text);
[[nodiscard]] Tags number_tags(ConfigText& text);

// Models are read, inputs and outputs mapped to tags.
void resolve_twins(Reader& reader, ConfigText& text, const Tags& tags, const LoadOptions& options);
// Whether a value of the model file or inline map could be read and is of the right shape.
[[nodiscard]] ModelText read_model(Reader& reader, const Cursor& at);
// Lays the diagnosis of a file over `out`. False: it could not be read.
bool overlay_diagnosis(Reader& reader, const std::string& file, diagnosis::DiagnosisSettings& out);
[[nodiscard]] std::vector<std::string> names_of_outputs(const model::ModelSettings& model);
// Limits that were calibrated for another step, window or drift than the one in use are errors. `path`: of the diagnosis.
void check_calibration(Reader& reader, const std::string& path, const diagnosis::DiagnosisSettings& settings,
                       base::Duration period, const std::vector<std::string>& outputs);
// Names, shapes, limits, and values given twice. `path` is that of the model, such as twins[0].model.
[[nodiscard]] bool check_model(Reader& reader, const std::string& path, const model::ModelSettings& settings);

// What only AWS IoT Core has: refused elsewhere, decided by the profile where a person left it out.
void resolve_aws(Reader& reader, uplink::UplinkSettings& settings);
void resolve_uplink(Reader& reader, ConfigText& text, bool check_files);

}  // namespace twinkeeper::config
