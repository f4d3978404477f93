#include "app/probe_report.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <map>
#include <tuple>
#include <utility>

#include "base/formatted.hpp"
#include "drivers/names.hpp"
#include "drivers/pdu.hpp"

namespace twinkeeper::app {
namespace {

using drivers::Decoding;
using drivers::ValueType;
using nlohmann::ordered_json;

constexpr std::int64_t kExact = 1LL << 53;

template <class Number>
std::string shortest(Number value) {
  if (std::isnan(value)) return "nan";
  std::array<char, 32> digits{};
  return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr};
}

std::string padded(const std::string& text, std::size_t width) {
  return text.size() < width ? text + std::string(width - text.size(), ' ') : text;
}

std::string right(const std::string& text, std::size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

std::string hex(std::uint16_t word) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%04X", word);
  return text.data();
}

std::string bits_of(std::uint64_t word) {
  std::string text;
  for (int bit = 15; bit >= 0; --bit) {
    text += (word >> bit & 1) != 0 ? '1' : '0';
    if (bit % 4 == 0 && bit > 0) text += ' ';
  }
  return text;
}

// What is no printable ASCII as \xNN: a device's words may be anything.
std::string in_quotes(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c >= 0x20 && c < 0x7F) {
      out += c;
      continue;
    }
    std::array<char, 8> escaped{};
    std::snprintf(escaped.data(), escaped.size(), "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    out += escaped.data();
  }
  return out + '"';
}

std::string value_text(const Decoding& decoding) {
  if (decoding.type == ValueType::STRING) return in_quotes(decoding.raw.text);
  if (decoding.type == ValueType::BIT) return bits_of(decoding.raw.natural);
  if (decoding.scale != 1.0) return shortest(decoding.value);
  switch (decoding.raw.kind) {
    case signals::RawKind::signed_integer: return std::to_string(decoding.raw.integer);
    case signals::RawKind::unsigned_integer: return std::to_string(decoding.raw.natural);
    case signals::RawKind::float16:
    case signals::RawKind::float32: return shortest(static_cast<float>(decoding.raw.real));
    default: return shortest(decoding.value);
  }
}

std::string relative_percent(double relative) { return base::formatted("%.3g %%", 100.0 * relative); }

std::string name_of(const Decoding& decoding) {
  std::string name(drivers::to_string(decoding.type));
  if (decoding.type == ValueType::STRING) name += " " + std::to_string(decoding.length);
  if (decoding.location == drivers::StringLocation::upper) name += " upper";
  if (decoding.location == drivers::StringLocation::lower) name += " lower";
  return name;
}

}  // namespace

std::string failure_text(const drivers::ExchangeResult& result, const std::string& connection_error) {
  switch (result.error) {
    case drivers::DeviceError::none: return "answers";
    case drivers::DeviceError::unavailable: return connection_error;
    case drivers::DeviceError::exception: {
      std::array<char, 8> code{};
      std::snprintf(code.data(), code.size(), "0x%02X", result.exception_code);
      return std::string("exception ") + code.data() + " (" +
             std::string(drivers::exception_name(result.exception_code)) + ")";
    }
    case drivers::DeviceError::mismatch:
      return "the reply does not match the request: " + std::string(drivers::to_string(result.mismatch));
    case drivers::DeviceError::no_answer:
    case drivers::DeviceError::closed: break;
  }
  return std::string(drivers::to_string(result.error));
}

std::string milliseconds(base::Duration duration) {
  return base::formatted("%.3f ms", static_cast<double>(duration.count()) / 1e6);
}

void print_words(std::uint16_t address, std::span<const std::uint16_t> words, std::ostream& out) {
  out << "address  hex   unsigned  signed  bits 15…0\n";
  for (std::size_t i = 0; i < words.size(); ++i) {
    out << right(std::to_string(address + i), 7) << "  " << hex(words[i]) << right(std::to_string(words[i]), 10)
        << right(std::to_string(static_cast<std::int16_t>(words[i])), 8) << "  " << bits_of(words[i]) << '\n';
  }
}

void print_nearest(const std::vector<Decoding>& decodings, double expected, std::size_t most, std::ostream& out) {
  const auto numbers = static_cast<std::size_t>(
      std::count_if(decodings.begin(), decodings.end(), [](const auto& d) { return d.distance.has_value(); }));
  const std::size_t shown = std::min(most, numbers);
  out << "nearest to " << shortest(expected) << ":\n";
  for (std::size_t i = 0; i < shown; ++i) {
    const Decoding& d = decodings[i];
    std::string meaning = name_of(d) + " " + std::string(drivers::to_string(d.byte_order));
    if (d.scale != 1.0) meaning += " x " + shortest(d.scale);
    out << "  " << padded(value_text(d), 24) << " address " << padded(std::to_string(d.address), 6)
        << padded(meaning, 22) << (expected == 0.0 ? shortest(*d.distance) : relative_percent(*d.distance)) << " off"
        << (d.plausible ? "" : ", implausible") << '\n';
  }
  if (shown < numbers) out << "  … and " << numbers - shown << " farther ones (--all)\n";
  for (const auto& d : decodings) {
    if (d.type != ValueType::STRING || !d.plausible) continue;
    out << "  " << padded(value_text(d), 24) << " address " << padded(std::to_string(d.address), 6) << name_of(d) << " "
        << drivers::to_string(d.byte_order) << '\n';
  }
}

void print_table(const std::vector<Decoding>& decodings, std::ostream& out) {
  struct Row {
    std::uint16_t address;
    std::string name;
    std::map<drivers::ByteOrder, std::string> cells;
    bool plausible = false;
  };
  constexpr std::array kOrders{drivers::ByteOrder::ABCD, drivers::ByteOrder::BADC, drivers::ByteOrder::CDAB,
                               drivers::ByteOrder::DCBA};
  // The orders that eight bytes have beside those stand below them, each with its name.
  const auto column_of = [](drivers::ByteOrder order) {
    switch (order) {
      case drivers::ByteOrder::CDABGHEF: return drivers::ByteOrder::ABCD;
      case drivers::ByteOrder::DCBAHGFE: return drivers::ByteOrder::BADC;
      case drivers::ByteOrder::EFGHABCD: return drivers::ByteOrder::CDAB;
      case drivers::ByteOrder::FEHGBADC: return drivers::ByteOrder::DCBA;
      default: return order;
    }
  };
  std::map<std::tuple<std::uint16_t, ValueType, std::string, bool>, Row> rows;
  for (const auto& d : decodings) {
    const drivers::ByteOrder column = column_of(d.byte_order);
    const bool below = column != d.byte_order;
    Row& row = rows.try_emplace({d.address, d.type, name_of(d), below}, Row{d.address, name_of(d), {}}).first->second;
    std::string cell = d.plausible ? value_text(d) : "(" + value_text(d) + ")";
    if (below) cell = std::string(drivers::to_string(d.byte_order)) + " " + cell;
    row.cells[column] = std::move(cell);
    row.plausible = row.plausible || d.plausible;
  }
  const auto print_row = [&](const Row& row) {
    std::string line = right(std::to_string(row.address), 7) + "  " + padded(row.name, 10);
    for (const auto order : kOrders) {
      const auto cell = row.cells.find(order);
      line += " " + padded(cell == row.cells.end() ? std::string() : cell->second, 24);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << '\n';
  };
  out << "address  type       ABCD                     BADC                     CDAB                     DCBA\n";
  for (const auto& [key, row] : rows) {
    if (row.plausible) print_row(row);
  }
  bool any = false;
  for (const auto& [key, row] : rows) {
    if (row.plausible) continue;
    if (!std::exchange(any, true)) out << "implausible in every order:\n";
    print_row(row);
  }
}

ordered_json json_of(const Decoding& decoding) {
  ordered_json json{{"address", decoding.address},
                    {"type", drivers::to_string(decoding.type)},
                    {"byte_order", drivers::to_string(decoding.byte_order)}};
  if (decoding.type == ValueType::STRING) {
    json["length"] = decoding.length;
    if (decoding.location != drivers::StringLocation::both) {
      json["string_register_location"] = decoding.location == drivers::StringLocation::upper ? "upper" : "lower";
    }
    json["value"] = decoding.raw.text;
  } else if (decoding.type == ValueType::BIT) {
    json["set_bits"] = ordered_json::array();
    for (int bit = 0; bit < 16; ++bit) {
      if ((decoding.raw.natural >> bit & 1) != 0) json["set_bits"].push_back(bit);
    }
  } else {
    const bool exact = std::fabs(decoding.value) <= static_cast<double>(kExact);
    const bool integer = decoding.raw.kind == signals::RawKind::signed_integer ||
                         decoding.raw.kind == signals::RawKind::unsigned_integer;
    if (integer && decoding.scale == 1.0 && !exact) {
      json["value"] = value_text(decoding);  // as in messages: a number would lose digits
    } else if (integer && decoding.scale == 1.0) {
      json["value"] = static_cast<std::int64_t>(decoding.value);
    } else {
      json["value"] = std::isfinite(decoding.value) ? ordered_json(decoding.value) : ordered_json(nullptr);
    }
    json["scale"] = decoding.scale;
  }
  json["plausible"] = decoding.plausible;
  if (decoding.distance) {
    json["distance"] = std::isfinite(*decoding.distance) ? ordered_json(*decoding.distance) : ordered_json(nullptr);
  }
  return json;
}

void print(const drivers::LatencyStatistics& s, std::ostream& out) {
  out << s.requests << " requests: " << s.answered << " answered, " << s.exceptions << " exceptions, " << s.timeouts
      << " time-outs, " << s.mismatches << " replies that do not match, " << s.connection_failures
      << " connection failures\n";
  if (s.answered == 0) return;
  out << "latency: min " << milliseconds(s.min) << ", median " << milliseconds(s.median) << ", p90 "
      << milliseconds(s.p90) << ", p99 " << milliseconds(s.p99) << ", max " << milliseconds(s.max) << '\n';
}

ordered_json json_of(const drivers::LatencyStatistics& s) {
  const auto ms = [&](base::Duration duration) {
    return s.answered == 0 ? ordered_json(nullptr) : ordered_json(static_cast<double>(duration.count()) / 1e6);
  };
  return {{"requests", s.requests},
          {"answered", s.answered},
          {"exceptions", s.exceptions},
          {"timeouts", s.timeouts},
          {"mismatches", s.mismatches},
          {"connection_failures", s.connection_failures},
          {"latency_ms",
           {{"min", ms(s.min)}, {"median", ms(s.median)}, {"p90", ms(s.p90)}, {"p99", ms(s.p99)}, {"max", ms(s.max)}}}};
}

std::string ranges_text(const std::vector<drivers::AddressRange>& ranges) {
  std::string text;
  for (const auto& range : ranges) {
    text += (text.empty() ? "" : ", ") + std::to_string(range.first);
    if (range.last != range.first) text += "-" + std::to_string(range.last);
  }
  return text.empty() ? "none" : text;
}

ordered_json json_of(const std::vector<drivers::AddressRange>& ranges) {
  ordered_json list = ordered_json::array();
  for (const auto& range : ranges) list.push_back({range.first, range.last});
  return list;
}

}  // namespace twinkeeper::app
