#include <algorithm>
#include <array>
#include <charconv>

#include "config/checks.hpp"
#include "config/tables.hpp"
#include "config/yaml_text.hpp"

namespace twinkeeper::config {
namespace {

using namespace std::chrono_literals;
using drivers::ByteOrder;
using drivers::RegisterKind;
using drivers::ValueType;

constexpr base::Duration kDay = 24h;

Type<ByteOrder> byte_order() {
  return choice<ByteOrder>(
      {{"ABCD", ByteOrder::ABCD}, {"DCBA", ByteOrder::DCBA}, {"BADC", ByteOrder::BADC}, {"CDAB", ByteOrder::CDAB}});
}

// With those of eight bytes only; where four letters mean the same they come first and are what is written.
Type<ByteOrder> register_byte_order() {
  return choice<ByteOrder>({{"ABCD", ByteOrder::ABCD},
                            {"DCBA", ByteOrder::DCBA},
                            {"BADC", ByteOrder::BADC},
                            {"CDAB", ByteOrder::CDAB},
                            {"CDABGHEF", ByteOrder::CDABGHEF},
                            {"DCBAHGFE", ByteOrder::DCBAHGFE},
                            {"EFGHABCD", ByteOrder::EFGHABCD},
                            {"FEHGBADC", ByteOrder::FEHGBADC}});
}

Type<ValueType> value_type() {
  return choice<ValueType>({{"BIT", ValueType::BIT},
                            {"INT16", ValueType::INT16},
                            {"UINT16", ValueType::UINT16},
                            {"INT32", ValueType::INT32},
                            {"UINT32", ValueType::UINT32},
                            {"INT64", ValueType::INT64},
                            {"UINT64", ValueType::UINT64},
                            {"FLOAT16", ValueType::FLOAT16},
                            {"FLOAT32", ValueType::FLOAT32},
                            {"FLOAT64", ValueType::FLOAT64},
                            {"BCD16", ValueType::BCD16},
                            {"BCD32", ValueType::BCD32},
                            {"STRING", ValueType::STRING}});
}

// 1-based numbers of the old notation: 40001 and 400001 for holding register 0, and so on.
std::optional<std::int64_t> meant_address(RegisterKind kind, std::int64_t written) {
  std::int64_t leading = 0;
  switch (kind) {
    case RegisterKind::coil: return std::nullopt;
    case RegisterKind::discrete: leading = 1; break;
    case RegisterKind::input: leading = 3; break;
    case RegisterKind::holding: leading = 4; break;
  }
  for (const auto& [base, count] : {std::pair<std::int64_t, std::int64_t>{10'000, 9'999}, {100'000, 65'536}}) {
    const std::int64_t address = written - leading * base - 1;
    if (address >= 0 && address < count) return address;
  }
  return std::nullopt;
}

Key<RegisterText> address() {
  static constexpr const char* kAccepted = kAddressForm;
  Key<RegisterText> out;
  out.name = "address";
  out.description =
      "Modbus: zero-based protocol address, required; in hexadecimal it is taken as it is, in decimal 40001-style is "
      "refused";
  out.accepted = kAccepted;
  out.schema = substitutable({{"type", "integer"}, {"minimum", 0}, {"maximum", 65535}});
  const Type<std::int64_t> wide = integer_in(0, 999'999, kAccepted);
  out.read = [wide](Reader& reader, const Cursor& at, RegisterText& target) {
    std::int64_t value = 0;
    if (!wide.read(reader, at, value)) return false;
    const bool hexadecimal = at.node->text.find('x') != std::string::npos;
    const auto meant = meant_address(target.settings.kind, value);
    if (!hexadecimal && meant) {
      reader.error(
          at, at.node->text + " looks like a 1-based register number of the 40001 style",
          "the zero-based protocol address, here " + std::to_string(*meant) +
              (value <= 65535 ? " (or in hexadecimal, if " + at.node->text + " is the protocol address)" : ""));
      return false;
    }
    if (value > 65535) {
      reader.error(at, at.node->text + " is out of range", kAccepted);
      return false;
    }
    target.settings.address = static_cast<std::uint16_t>(value);
    return true;
  };
  out.write = [](const RegisterText& source) -> std::optional<Json> {
    const int value = source.settings.address;
    if (!meant_address(source.settings.kind, value)) return Json(value);
    std::array<char, 8> digits{};
    const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16);
    return verbatim("0x" + std::string(digits.data(), error == std::errc{} ? end : digits.data()));
  };
  return out;
}

// What goes over a wire byte by byte, control characters included.
Type<std::string> wire_text(std::size_t least, std::size_t most) {
  const std::string accepted = (least > 0 ? std::to_string(least) + " to " : "at most ") + std::to_string(most) +
                               " ASCII characters, control characters as \"\\r\\n\" in double quotes";
  return {accepted, substitutable({{"type", "string"}, {"minLength", least}, {"maxLength", most}}),
          [=](Reader& reader, const Cursor& at, std::string& value) {
            if (!read_text(reader, at, accepted, value)) return false;
            const bool ascii = std::all_of(value.begin(), value.end(), [](unsigned char c) { return c < 0x80; });
            if (ascii && value.size() >= least && value.size() <= most) return true;
            reader.error(at, ascii ? "has " + std::to_string(value.size()) + " characters" : "is not ASCII", accepted);
            return false;
          },
          [](const std::string& value) { return Json(value); }};
}

const Table<drivers::LineSettings>& line_table() {
  using drivers::LineChecksum;
  using drivers::LineSettings;
  static const Table<LineSettings> table(
      "a mapping with pattern, and request unless the instrument speaks by itself",
      {
          key<LineSettings>("request", wire_text(0, 256), &LineSettings::request,
                            "Sent once per poll_interval; none: the instrument speaks by itself"),
          key<LineSettings>("terminator", wire_text(1, 8), &LineSettings::terminator, "What ends a line"),
          key<LineSettings>("pattern", text(1024, "a regular expression (RE2) with named groups (?P<name>…)"),
                            &LineSettings::pattern, "Regular expression (RE2); its named groups are the values",
                            Need::required),
          key<LineSettings>("max_line", integer<int>(1, 4096), &LineSettings::max_line,
                            "Longest line in bytes, without its terminator; longer ones are dropped"),
          key<LineSettings>("checksum",
                            choice<LineChecksum>({{"none", LineChecksum::none},
                                                  {"xor", LineChecksum::xor8},
                                                  {"sum8", LineChecksum::sum8},
                                                  {"crc16", LineChecksum::crc16}}),
                            &LineSettings::checksum,
                            "At the end of each line: *HH as in NMEA 0183, HH as in DCON, HHHH as CRC-16/MODBUS"),
      });
  return table;
}

// A key that LINE does not know is not written back for one of its registers or instruments.
template <class T, class IsLine>
Key<T> modbus_only(Key<T> key, IsLine is_line) {
  key.write = [write = std::move(key.write), is_line](const T& source) -> std::optional<Json> {
    return is_line(source) ? std::nullopt : write(source);
  };
  return key;
}
Key<RegisterText> modbus_only(Key<RegisterText> key) {
  return modbus_only(std::move(key), [](const RegisterText& entry) { return entry.group.has_value(); });
}
Key<DeviceText> modbus_only(Key<DeviceText> key) {
  return modbus_only(std::move(key),
                     [](const DeviceText& device) { return device.mode == drivers::TransmissionMode::LINE; });
}

Type<acquisition::ValidationSettings> stuck_after() {
  const Type<base::Duration> time = duration(1ms, 30 * kDay, " | auto | off");
  const std::string& accepted = time.accepted;
  return {accepted,
          {{"anyOf", Json::array({{{"enum", {"auto", "off"}}}, time.schema})}},
          [time](Reader& reader, const Cursor& at, acquisition::ValidationSettings& value) {
            using acquisition::StuckRule;
            const Node& node = *at.node;
            if (node.kind == NodeKind::scalar && (node.text == "auto" || node.text == "off")) {
              value.stuck_rule = node.text == "auto" ? StuckRule::automatic : StuckRule::off;
              return true;
            }
            value.stuck_rule = StuckRule::fixed;
            return time.read(reader, at, value.stuck_after);
          },
          [time](const acquisition::ValidationSettings& value) {
            using acquisition::StuckRule;
            if (value.stuck_rule == StuckRule::fixed) return time.write(value.stuck_after);
            return Json(value.stuck_rule == StuckRule::automatic ? "auto" : "off");
          }};
}

Type<std::vector<double>> one_or_more_numbers() {
  const Type<double> one = number();
  const Type<std::vector<double>> many = list(one, 1);
  return {"a number or a list of numbers",
          {{"anyOf", Json::array({one.schema, many.schema})}},
          [one, many](Reader& reader, const Cursor& at, std::vector<double>& values) {
            if (at.node->kind == NodeKind::sequence) return many.read(reader, at, values);
            values.assign(1, 0.0);
            return one.read(reader, at, values.front());
          },
          many.write};
}

const Table<drivers::Workarounds>& workarounds_table() {
  using drivers::StringLocation;
  using drivers::Workarounds;
  static const Table<Workarounds> table(
      "a mapping of workarounds",
      {
          key<Workarounds>("pause_after_connect", duration(0ms, 1min), &Workarounds::pause_after_connect,
                           "Silence after a connection was opened"),
          key<Workarounds>("pause_between_requests", duration(0ms, 1min), &Workarounds::pause_between_requests,
                           "Silence between two requests"),
          key<Workarounds>("one_request_per_field", boolean(), &Workarounds::one_request_per_field,
                           "Read each register by a request of its own"),
          key<Workarounds>("max_word_registers_per_request", integer<int>(1, 125),
                           &Workarounds::max_word_registers_per_request,
                           "Largest request for holding or input registers"),
          key<Workarounds>("max_bit_registers_per_request", integer<int>(1, 2000),
                           &Workarounds::max_bit_registers_per_request, "Largest request for coils or discrete inputs"),
          key<Workarounds>(
              "string_register_location",
              choice<StringLocation>(
                  {{"both", StringLocation::both}, {"upper", StringLocation::upper}, {"lower", StringLocation::lower}}),
              &Workarounds::string_register_location, "Which byte of a register holds a character of a STRING"),
          key<Workarounds>("close_connection_after_gather", boolean(), &Workarounds::close_connection_after_gather,
                           "Close the connection after each round of requests"),
      });
  return table;
}

Key<DeviceText> workarounds() {
  auto out = key<DeviceText>(
      "workarounds", mapping(workarounds_table()), [](auto& t) -> auto& { return t.config.driver.workarounds; },
      "For devices that need care");
  out.write = [write = std::move(out.write)](const DeviceText& device) {
    std::optional<Json> written = write(device);
    if (device.mode == drivers::TransmissionMode::LINE) {
      Json pauses = Json::object();
      for (const char* name : kLineWorkarounds) {
        if (written->contains(name)) pauses[name] = (*written)[name];
      }
      written = std::move(pauses);
    }
    return written;
  };
  return out;
}

const Table<telemetry::SamplePublishing>& sample_publishing_table() {
  using telemetry::SamplePublishing;
  static const Table<SamplePublishing> table(
      "a mapping with interval",
      {
          key<SamplePublishing>("interval", duration(10ms, kDay), &SamplePublishing::interval,
                                "How often the samples of the device are published"),
      });
  return table;
}

std::optional<Json> write_registers(const DeviceText& device) {
  Json out = Json::array();
  for (const RegisterText& entry : device.registers) out.push_back(register_table().write(entry));
  return out;
}

}  // namespace

const Table<RegisterText>& register_table() {
  using T = RegisterText;
  static const Table<T> table(
      "a mapping with name, type, and register and address or (LINE) group",
      {
          key<T>(
              "name", identifier(), [](auto& t) -> auto& { return t.settings.name; },
              "Name of the register, unique in its device", Need::required),
          modbus_only(key<T>(
              "register",
              choice<RegisterKind>({{"coil", RegisterKind::coil},
                                    {"discrete", RegisterKind::discrete},
                                    {"input", RegisterKind::input},
                                    {"holding", RegisterKind::holding}}),
              [](auto& t) -> auto& { return t.settings.kind; }, "Modbus: which of the four tables")),
          modbus_only(address()),
          key<T>("group", identifier(), &T::group,
                 "LINE: the named group of the pattern that holds the value; the register's name unless given"),
          key<T>("type", value_type(), &T::type, "Type of the raw value; coils and discrete inputs are BIT"),
          key<T>("byte_order", register_byte_order(), &T::byte_order,
                 "Order of the bytes; the device's unless given; eight letters for values of eight bytes whose halves "
                 "are ordered otherwise"),
          key<T>(
              "bit", integer<int>(0, 63), [](auto& t) -> auto& { return t.settings.bit; },
              "Which bit of a word is the BIT (0 to 15), or the lowest of `bits`; 0 is the least significant"),
          key<T>(
              "bits", integer<int>(1, 64), [](auto& t) -> auto& { return t.settings.bits; },
              "Integers: only that many bits of the value, from `bit` (0) on"),
          key<T>(
              "length", integer<int>(1, 250), [](auto& t) -> auto& { return t.settings.length; }, "Bytes of a STRING"),
          key<T>(
              "unit", text(32, "a unit"), [](auto& t) -> auto& { return t.settings.unit; }, "Unit of the scaled value"),
          key<T>("scale", number(), &T::scale, "value = raw × scale + offset"),
          key<T>("offset", number(), &T::offset, "value = raw × scale + offset"),
          key<T>(
              "min_value", number(), [](auto& t) -> auto& { return t.options.validation.min_value; },
              "Scaled values below are bad (out_of_range)"),
          key<T>(
              "max_value", number(), [](auto& t) -> auto& { return t.options.validation.max_value; },
              "Scaled values above are bad (out_of_range)"),
          key<T>(
              "max_rate", number({.least = 0.0, .above_least = true}),
              [](auto& t) -> auto& { return t.options.validation.max_rate; },
              "Faster changes, per second, are bad (rate_of_change)"),
          key<T>(
              "error_value", one_or_more_numbers(), [](auto& t) -> auto& { return t.options.validation.error_values; },
              "Raw values by which the device says that it has no value"),
          modbus_only(
              key<T>("poll_interval", duration(10ms, kDay), &T::poll_interval, "Modbus: the device's unless given")),
          key<T>("max_age", duration(10ms, 30 * kDay), &T::max_age,
                 "Older values are stale; 3 times the poll interval unless given"),
          key<T>(
              "stuck_after", stuck_after(), [](auto& t) -> auto& { return t.options.validation; },
              "After how long without any change a value is bad (stuck); auto: for outputs with noise only"),
          key<T>(
              "publish", boolean(), [](auto& t) -> auto& { return t.options.publish; },
              "Whether the register is part of the published samples"),
      });
  return table;
}

namespace {

Table<DeviceText> make_device_table() {
  using T = DeviceText;
  static const Json registers_schema = {
      {"anyOf",
       Json::array({{{"type", "string"}},
                    {{"type", "array"},
                     {"minItems", 1},
                     {"items", {{"anyOf", Json::array({register_table().schema(), {{"type", "string"}}})}}}}})}};
  std::vector<Key<T>> keys{
      key<T>(
          "name", identifier(), [](auto& t) -> auto& { return t.config.driver.name; },
          "Name of the device, unique among devices and twins", Need::required),
      key<T>("bus", identifier(), &T::bus, "Name of the bus that the device is on, instead of a controller"),
  };
  for (const Key<LinkText>& link : link_keys()) keys.push_back(of_link<T>(link));
  const std::vector<Key<T>> others{
      key<T>("line", mapping(line_table()), &T::instrument, "LINE: what the instrument is asked and what it says"),
      modbus_only(key<T>(
          "slave_id", integer<int>(0, 255), [](auto& t) -> auto& { return t.config.driver.slave_id; },
          "Unit identifier: 1 to 247, on tcp:// also 0 and 255")),
      key<T>(
          "poll_interval", duration(10ms, kDay), [](auto& t) -> auto& { return t.config.driver.poll_interval; },
          "How often the registers are read", Need::required),
      key<T>(
          "timeout", duration(10ms, 1min), [](auto& t) -> auto& { return t.config.driver.timeout; },
          "How long a reply may take, from the request to its last byte"),
      key<T>(
          "collection_offset", duration(0ms, kDay), [](auto& t) -> auto& { return t.config.driver.collection_offset; },
          "Shifts the polls of this device within the poll interval"),
      key<T>(
          "collection_jitter", duration(0ms, kDay), [](auto& t) -> auto& { return t.config.driver.collection_jitter; },
          "Spreads devices: shifts the polls further by a share of this that the device's name decides"),
      modbus_only(key<T>(
          "byte_order", byte_order(), [](auto& t) -> auto& { return t.config.driver.byte_order; },
          "Order of the bytes of values of more than one register")),
      modbus_only(key<T>(
          "optimization",
          choice<drivers::Optimization>(
              {{"none", drivers::Optimization::none}, {"max_insert", drivers::Optimization::max_insert}}),
          [](auto& t) -> auto& { return t.config.driver.optimization; },
          "Whether requests may span registers nobody asked for")),
      modbus_only(key<T>(
          "optimization_max_register_fill", integer<int>(0, 125),
          [](auto& t) -> auto& { return t.config.driver.optimization_max_register_fill; },
          "Longest gap that max_insert reads over, in registers; of coils and discrete inputs 16 times as many")),
      modbus_only(key<T>(
          "busy_retries", integer<int>(0, 10), [](auto& t) -> auto& { return t.config.driver.busy_retries; },
          "Repetitions after a device answered that it is busy")),
      workarounds(),
      key<T>(
          "publish", mapping(sample_publishing_table()), [](auto& t) -> auto& { return t.config.publish; },
          "Publishing of raw samples, off unless given"),
      key<T>("writable", list(tracked(writable_table())), &T::writable,
             "Registers that commands may write, with limits; none unless given"),
      deferred<T>("registers", "a list of registers, a register set or a file", registers_schema, &T::registers_at,
                  write_registers, "Registers, names of register sets or files with a list of registers",
                  Need::required),
  };
  keys.insert(keys.end(), others.begin(), others.end());
  return {"a mapping with name, controller or bus, poll_interval and registers", std::move(keys)};
}

}  // namespace

const Table<DeviceText>& device_table() {
  static const Table<DeviceText> table = make_device_table();
  return table;
}

}  // namespace twinkeeper::config
