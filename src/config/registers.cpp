#include <cmath>

#include "config/checks.hpp"

namespace twinkeeper::config {
namespace {

using drivers::RegisterKind;
using drivers::ValueType;

constexpr const char* kTypes =
    "BIT | INT16 | UINT16 | INT32 | UINT32 | INT64 | UINT64 | FLOAT16 | FLOAT32 | FLOAT64 | BCD16 | BCD32 | STRING";

int words_of(const RegisterText& entry) { return static_cast<int>(drivers::word_count(entry.settings)); }

bool is_integer(ValueType type) {
  switch (type) {
    case ValueType::INT16:
    case ValueType::UINT16:
    case ValueType::INT32:
    case ValueType::UINT32:
    case ValueType::INT64:
    case ValueType::UINT64: return true;
    default: return false;
  }
}

// `bits`, with `bit` as the lowest of them.
void check_bits(Reader& reader, const RegisterText& entry) {
  if (!entry.settings.bits) return;
  const std::string path = child_path(entry.path, "bits");
  if (!is_integer(*entry.type)) {
    reader.error(path, "given for a type that is no integer", "bits with INT16 to UINT64 only");
    return;
  }
  const int width = 16 * words_of(entry);
  const int lowest = entry.settings.bit.value_or(0);
  if (lowest + *entry.settings.bits > width) {
    reader.error(path,
                 std::to_string(*entry.settings.bits) + " bits from bit " + std::to_string(lowest) +
                     " on do not fit into " + std::to_string(width),
                 "bit + bits of at most " + std::to_string(width));
  }
}

void check_type(Reader& reader, RegisterText& entry) {
  const bool one_bit = entry.settings.kind == RegisterKind::coil || entry.settings.kind == RegisterKind::discrete;
  const std::string kind = entry.settings.kind == RegisterKind::coil ? "coil" : "discrete";
  if (one_bit) {
    if (entry.type && *entry.type != ValueType::BIT) {
      reader.error(child_path(entry.path, "type"), "a " + kind + " register holds one bit", "BIT");
      return;
    }
    entry.type = ValueType::BIT;
    if (entry.settings.bit)
      reader.error(child_path(entry.path, "bit"), "a " + kind + " register is a bit already", "no bit");
  } else if (!entry.type) {
    reader.error(child_path(entry.path, "type"), "missing", kTypes);
    entry.type = ValueType::UINT16;
    return;
  } else if (*entry.type == ValueType::BIT && !entry.settings.bit) {
    reader.error(child_path(entry.path, "bit"), "missing: a BIT in a word needs it", "an integer from 0 to 15");
  } else if (*entry.type == ValueType::BIT && *entry.settings.bit > 15) {
    reader.error(child_path(entry.path, "bit"), "a word has no bit " + std::to_string(*entry.settings.bit),
                 "an integer from 0 to 15");
  } else if (*entry.type != ValueType::BIT && entry.settings.bit && !entry.settings.bits) {
    reader.error(child_path(entry.path, "bit"), "given for a type that is not BIT",
                 "bit with type BIT, or together with bits");
  }
  entry.settings.type = *entry.type;
  check_bits(reader, entry);
  if (*entry.type == ValueType::STRING && !entry.settings.length) {
    reader.error(child_path(entry.path, "length"), "missing: a STRING needs it", "an integer from 1 to 250, in bytes");
  } else if (*entry.type != ValueType::STRING && entry.settings.length) {
    reader.error(child_path(entry.path, "length"), "given for a type that is not STRING",
                 "length with type STRING only");
  }
}

void check_values(Reader& reader, RegisterText& entry) {
  const acquisition::ValidationSettings& limits = entry.options.validation;
  const bool is_text = *entry.type == ValueType::STRING;
  const bool is_number = !is_text && *entry.type != ValueType::BIT;
  const auto only = [&](bool given, const char* name, bool allowed, const char* where) {
    if (given && !allowed) reader.error(child_path(entry.path, name), "has no meaning here", where);
  };
  only(entry.scale.has_value(), "scale", is_number, "scale of integers and floats");
  only(entry.offset.has_value(), "offset", is_number, "offset of integers and floats");
  only(limits.max_rate.has_value(), "max_rate", is_number, "max_rate of integers and floats");
  only(limits.min_value.has_value(), "min_value", is_number, "min_value of integers and floats");
  only(limits.max_value.has_value(), "max_value", is_number, "max_value of integers and floats");
  only(!limits.error_values.empty(), "error_value", !is_text, "error_value of numbers");
  if (entry.scale && *entry.scale == 0.0) {
    reader.error(child_path(entry.path, "scale"), "0 makes every value the same", "a number other than 0");
  }
  if (limits.min_value && limits.max_value && *limits.min_value >= *limits.max_value) {
    reader.error(child_path(entry.path, "min_value"),
                 format_number(*limits.min_value) + " is not below max_value " + format_number(*limits.max_value),
                 "min_value below max_value");
  }
  const RawRange range = raw_range(entry.settings);
  for (const double value : limits.error_values) {
    if (value >= range.least && value <= range.most && (!range.whole || std::trunc(value) == value)) continue;
    reader.error(child_path(entry.path, "error_value"), format_number(value) + " can never be the raw value",
                 "a raw value of the register's type, before scale and offset");
  }
}

}  // namespace

RawRange raw_range(const drivers::RegisterSettings& reg) {
  const ValueType type = reg.type;
  if (reg.bits) {
    const double many = std::ldexp(1.0, *reg.bits);
    const bool has_sign = type == ValueType::INT16 || type == ValueType::INT32 || type == ValueType::INT64;
    return has_sign ? RawRange{-many / 2, many / 2 - 1, true} : RawRange{0, many - 1, true};
  }
  switch (type) {
    case ValueType::BIT: return {0, 1, true};
    case ValueType::INT16: return {-32768.0, 32767.0, true};
    case ValueType::UINT16: return {0, 65535.0, true};
    case ValueType::INT32: return {-2147483648.0, 2147483647.0, true};
    case ValueType::UINT32: return {0, 4294967295.0, true};
    case ValueType::INT64: return {-9223372036854775808.0, 9223372036854775807.0, true};
    case ValueType::UINT64: return {0, 18446744073709551615.0, true};
    case ValueType::FLOAT16: return {-65504.0, 65504.0, false};
    case ValueType::FLOAT32: return {-3.4028234663852886e38, 3.4028234663852886e38, false};
    case ValueType::BCD16: return {0, 9999.0, true};
    case ValueType::BCD32: return {0, 99999999.0, true};
    case ValueType::FLOAT64:
    case ValueType::STRING: break;
  }
  return {-INFINITY, INFINITY, false};
}

void check_register(Reader& reader, RegisterText& entry, drivers::StringLocation location) {
  if (!reader.has(child_path(entry.path, "address"))) {
    reader.error(child_path(entry.path, "address"), "missing", kAddressForm);
    entry.good = false;
    return;
  }
  entry.settings.string_location = location;
  check_type(reader, entry);
  check_values(reader, entry);
  if (entry.byte_order && *entry.byte_order > drivers::ByteOrder::CDAB && words_of(entry) != 4) {
    reader.error(child_path(entry.path, "byte_order"), "is for values of eight bytes", "ABCD | DCBA | BADC | CDAB");
  }
  if (words_of(entry) > 125) {
    reader.error(
        child_path(entry.path, "length"),
        std::to_string(words_of(entry)) + " registers, one for each character, are more than one request takes",
        "at most 125 with string_register_location upper or lower");
  }
  const int last = entry.settings.address + words_of(entry) - 1;
  if (last > 65535) {
    reader.error(child_path(entry.path, "address"),
                 std::to_string(words_of(entry)) + " registers from " + std::to_string(entry.settings.address) +
                     " on end beyond 65535",
                 "an address of at most " + std::to_string(65536 - words_of(entry)));
  }
}

void check_line_register(Reader& reader, RegisterText& entry) {
  static constexpr const char* kTextTypes =
      "INT16 | UINT16 | INT32 | UINT32 | INT64 | UINT64 | FLOAT16 | FLOAT32 | FLOAT64 | STRING";
  for (const char* name : {"register", "address", "byte_order", "bit", "bits", "length", "poll_interval"}) {
    if (!reader.has(child_path(entry.path, name))) continue;
    reader.error(child_path(entry.path, name), "has no meaning in a line of text",
                 "name, group, type, unit, scale, offset and limits");
  }
  if (!entry.type) {
    reader.error(child_path(entry.path, "type"), "missing", kTextTypes);
    entry.good = false;
    return;
  }
  if (*entry.type == ValueType::BIT || *entry.type == ValueType::BCD16 || *entry.type == ValueType::BCD32) {
    reader.error(child_path(entry.path, "type"), "is no type of a text", kTextTypes);
  }
  entry.settings.type = *entry.type;
  check_values(reader, entry);
}

}  // namespace twinkeeper::config
