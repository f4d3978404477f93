// The tables of the configuration and of a model file, and the structs they fill. These stand between the text and the
// settings of the layers: what a person left out is still absent here, and names of tags are still names.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/types.hpp"

namespace twinkeeper::config {

struct RegisterText {
  std::string path;
  bool good = true;  // every value could be read; checks of several values together need that
  drivers::RegisterSettings settings;
  RegisterOptions options;
  std::optional<drivers::ValueType> type;
  std::optional<drivers::ByteOrder> byte_order;
  std::optional<double> scale;
  std::optional<double> offset;
  std::optional<std::string> group;  // LINE
  std::optional<base::Duration> poll_interval;
  std::optional<base::Duration> max_age;
};

// The keys of a connection, which stand in a device or in a bus.
struct LinkText {
  drivers::LinkSettings settings;
  bool has_controller = false;                                 // written, right or wrong
  std::optional<drivers::TransmissionMode> transmission_mode;  // that of the controller's scheme unless given
  std::optional<int> baud_rate, data_bits, stop_bits;          // of a serial line
  std::optional<drivers::Parity> parity;
};

struct BusText {
  std::string path;
  bool good = true;
  std::string name;
  LinkText link;
};

// A register that commands may write.
struct WritableText {
  std::string path;
  bool good = true;
  std::string name;
  std::optional<double> min_value, max_value;
  drivers::WritableSettings settings;
};

struct DeviceText {
  std::string path;
  bool good = true;
  DeviceConfig config;
  std::optional<std::string> bus;
  LinkText link;                                    // empty if `bus` is given
  const LinkText* at = nullptr;                     // the bus's, or its own
  std::optional<drivers::TransmissionMode> mode;    // as written, by itself or its bus
  std::optional<drivers::LineSettings> instrument;  // LINE
  Deferred registers_at;
  std::vector<RegisterText> registers;
  std::vector<WritableText> writable;
};

struct ModelText {
  bool good = false;
  model::ModelSettings settings;
  diagnosis::DiagnosisSettings diagnosis;
  bool has_diagnosis = false;
};

// `inputs: {pump: {tag, max_age, on_stale}}`
struct InputText {
  std::string path;
  std::string tag;  // empty: the constant
  acquisition::InputSource source;
};

// `outputs: {level: plc.level}` or `{level: {tag, combine}}`
struct OutputText {
  std::string path;
  std::string tag;  // empty: virtual
  acquisition::OutputSource source;
};

// `{name: running, when: 'plc.speed > 10', settle: 30s}`
struct RegimeText {
  std::string path;
  bool good = true;
  std::string when;
  acquisition::RegimeSettings settings;
};

struct TwinText {
  std::string path;
  bool good = true;
  std::string name;
  std::optional<base::Duration> period;
  Deferred model_at, inputs_at, outputs_at, diagnosis_at;
  ModelText model;
  std::vector<InputText> inputs;    // the model's order
  std::vector<OutputText> outputs;  // the model's order
  std::vector<RegimeText> regimes;
  acquisition::LateSettings late;
  telemetry::StatePublishing publish;
  diagnosis::DiagnosisSettings diagnosis;
};

struct UplinkText {
  uplink::UplinkSettings settings;
  std::optional<std::string> thing_name;
  std::optional<std::string> topic_prefix;
  std::optional<base::Duration> session_expiry;
  std::optional<std::string> crl;
  std::optional<std::string> username;
  std::optional<std::string> password_file;
};

struct ConfigText {
  GatewayConfig gateway{"", "/var/lib/twinkeeper", "/run/twinkeeper/control"};
  Deferred register_sets_at;
  std::vector<BusText> buses;
  std::vector<DeviceText> devices;
  std::vector<TwinText> twins;
  std::optional<UplinkText> uplink;
  uplink::SpoolSettings spool;
  telemetry::CommandSettings commands;
};

struct ModelFileText {
  Deferred model_at, diagnosis_at, provenance_at;
};

[[nodiscard]] const Table<ConfigText>& configuration_table();
[[nodiscard]] const Table<BusText>& bus_table();
[[nodiscard]] const Table<DeviceText>& device_table();
[[nodiscard]] const Table<RegisterText>& register_table();
[[nodiscard]] const Table<WritableText>& writable_table();
[[nodiscard]] const Table<telemetry::CommandSettings>& commands_table();
[[nodiscard]] const Table<RegimeText>& regime_table();
[[nodiscard]] const Table<TwinText>& twin_table();
[[nodiscard]] const Table<InputText>& input_table();
[[nodiscard]] const Table<OutputText>& output_table();
[[nodiscard]] const Table<uplink::BasicIngest>& basic_ingest_table();
[[nodiscard]] const Table<UplinkText>& uplink_table();
[[nodiscard]] const Table<uplink::SpoolSettings>& spool_table();
[[nodiscard]] const Table<model::ModelSettings>& model_table();
[[nodiscard]] const Table<model::ValiditySettings>& validity_table();
[[nodiscard]] const Table<ModelFileText>& model_file_table();
[[nodiscard]] const Table<diagnosis::DiagnosisSettings>& diagnosis_table();

inline constexpr const char* kControllerForm =
    "tcp://HOST[:PORT], the port being 502 unless given, HOST a name, an IPv4 address or an IPv6 address in brackets; "
    "or file:///dev/… for a serial line";

// The keys of a connection, for a T that holds them in its `link`.
[[nodiscard]] std::vector<Key<LinkText>> link_keys();
template <class T>
Key<T> of_link(const Key<LinkText>& key) {
  return {key.name,
          key.description,
          key.need,
          key.accepted,
          key.schema,
          [read = key.read](Reader& reader, const Cursor& at, T& target) { return read(reader, at, target.link); },
          [write = key.write](const T& source) { return write(source.link); }};
}

// A mapping that remembers its path and whether all of it could be read.
template <class T>
Type<T> tracked(const Table<T>& table) {
  Type<T> type = mapping(table);
  type.read = [&table](Reader& reader, const Cursor& at, T& value) {
    value.path = at.path;
    value.good = table.read(reader, at, value);
    return value.good;
  };
  return type;
}

}  // namespace twinkeeper::config
