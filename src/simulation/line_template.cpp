#include "simulation/line_template.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "drivers/decoder.hpp"
#include "drivers/text_decoder.hpp"
#include "simulation/pattern_reader.hpp"

namespace twinkeeper::simulation {
namespace {

using signals::RawKind;
using signals::RawValue;

constexpr int kMostDecimals = 6;
constexpr std::size_t kWidest = 12;

// Digits of the value without its sign: the shortest that read back, then fewer and fewer decimals.
std::vector<std::string> magnitudes(const RawValue& raw) {
  std::array<char, 64> text{};
  const auto written = [&](auto... arguments) -> std::optional<std::string> {
    const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), arguments...);
    if (error != std::errc{}) return std::nullopt;
    return std::string(text.data(), end);
  };
  std::vector<std::string> out;
  const auto add = [&](std::optional<std::string> digits) {
    if (digits) out.push_back(std::move(*digits));
  };
  if (raw.kind == RawKind::signed_integer) {
    add(written(raw.integer < 0 ? 0 - static_cast<std::uint64_t>(raw.integer)
                                : static_cast<std::uint64_t>(raw.integer)));
  } else if (raw.kind == RawKind::unsigned_integer) {
    add(written(raw.natural));
  } else {
    const double value = std::fabs(raw.real);
    if (raw.kind == RawKind::float64) {
      add(written(value, std::chars_format::fixed));
    } else {
      add(written(static_cast<float>(value), std::chars_format::fixed));
    }
    for (int decimals = kMostDecimals; decimals >= 0; --decimals) {
      add(written(value, std::chars_format::fixed, decimals));
    }
  }
  return out;
}

bool is_negative(const RawValue& raw) {
  return raw.kind == RawKind::signed_integer ? raw.integer < 0
                                             : raw.kind != RawKind::unsigned_integer && raw.real < 0.0;
}

// The most exact form that `form` matches; the most exact of all if it matches none.
std::string number_text(const RawValue& raw, drivers::LinePattern& form, std::vector<std::string_view>& scratch) {
  const bool negative = is_negative(raw);
  const std::vector<std::string> all = magnitudes(raw);
  for (const std::string& digits : all) {
    for (const std::string sign : {negative ? "-" : "", negative ? "-" : "+"}) {
      for (std::size_t width = 0; width <= kWidest; ++width) {
        const std::size_t size = sign.size() + digits.size();
        const std::string text = sign + std::string(width > size ? width - size : 0, '0') + digits;
        if (form.match(text, scratch)) return text;
      }
    }
  }
  return all.empty() ? "" : (negative ? "-" : "") + all.front();
}

// Values that one instrument or the other can show.
std::vector<RawValue> probe(const drivers::DeviceSettings& device, double value) {
  std::vector<RawValue> values;
  for (drivers::RegisterSettings reg : device.registers) {
    reg.scale = 1.0;
    reg.offset = 0.0;
    values.push_back(drivers::raw_from_value(reg, value));
  }
  return values;
}

// Whether the pattern finds in the line what was written into it.
bool reads_back(const drivers::DeviceSettings& device, drivers::LinePattern& pattern, const std::string& line,
                std::span<const RawValue> values) {
  std::vector<std::string_view> texts;
  if (line.size() > static_cast<std::size_t>(device.instrument.max_line) || !pattern.match(line, texts)) return false;
  const auto& groups = pattern.groups();
  for (std::size_t r = 0; r < device.registers.size(); ++r) {
    const auto place = std::find(groups.begin(), groups.end(), device.registers[r].group) - groups.begin();
    const std::string_view text = texts[static_cast<std::size_t>(place)];
    if (text.data() == nullptr) return false;
    const auto decoded = drivers::decode_text(device.registers[r], text);
    if (!decoded) return false;
    if (device.registers[r].type == drivers::ValueType::STRING) continue;
    drivers::RegisterSettings plain = device.registers[r];
    plain.scale = 1.0;
    plain.offset = 0.0;
    const RawValue& raw = values[r];
    const double written = raw.kind == RawKind::signed_integer     ? static_cast<double>(raw.integer)
                           : raw.kind == RawKind::unsigned_integer ? static_cast<double>(raw.natural)
                                                                   : raw.real;
    const auto read = drivers::decode_text(plain, text);
    if (!read || std::fabs(read->value - written) > 0.5) return false;
  }
  return true;
}

}  // namespace

base::Result<LineTemplate> LineTemplate::create(const drivers::DeviceSettings& device) {
  std::vector<std::string> kept;
  for (const auto& reg : device.registers) {
    if (reg.type != drivers::ValueType::STRING) kept.push_back(reg.group);
  }
  std::vector<Piece> pieces;
  std::vector<Number> numbers;
  for (PatternPiece& piece : shortest_line(device.instrument.pattern, kept)) {
    if (piece.group.empty()) {
      pieces.push_back({std::move(piece.text), std::nullopt});
      continue;
    }
    auto form = drivers::LinePattern::compile("^(?:" + piece.expression + ")$");
    if (!form) break;
    Number number{piece.group, std::move(form).value(), {}};
    for (std::size_t r = 0; r < device.registers.size(); ++r) {
      if (device.registers[r].group == piece.group) number.registers.push_back(r);
    }
    pieces.push_back({{}, numbers.size()});
    numbers.push_back(std::move(number));
  }
  LineTemplate made(std::move(pieces), std::move(numbers));
  auto pattern = drivers::LinePattern::compile(device.instrument.pattern);
  for (const double value : {1.5, 0.0, 1.0, 12.0, 123.0, 12345.0, -1.0}) {
    const auto values = probe(device, value);
    if (pattern.ok() && reads_back(device, pattern.value(), made.line(values), values)) return made;
  }
  return base::Error{
      base::ErrorCode::invalid_argument,
      "line.pattern: the simulation finds no line that matches and reads back; it knows literals, classes, "
      "repetitions and groups, and takes the shortest way through them"};
}

std::string LineTemplate::line(std::span<const RawValue> values) {
  std::string out;
  for (const Piece& piece : pieces_) {
    if (!piece.group) {
      out += piece.text;
      continue;
    }
    Number& number = numbers_[*piece.group];
    out += number_text(values[number.registers.front()], number.form, texts_);
  }
  return out;
}

}  // namespace twinkeeper::simulation
