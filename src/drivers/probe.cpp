#include "drivers/probe.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace twinkeeper::drivers {
namespace {

constexpr std::array kOrders{ByteOrder::ABCD,     ByteOrder::BADC,     ByteOrder::CDAB,     ByteOrder::DCBA,
                             ByteOrder::CDABGHEF, ByteOrder::DCBAHGFE, ByteOrder::EFGHABCD, ByteOrder::FEHGBADC};
constexpr std::array kNumbers{ValueType::INT16, ValueType::UINT16, ValueType::BCD16,  ValueType::FLOAT16,
                              ValueType::INT32, ValueType::UINT32, ValueType::BCD32,  ValueType::FLOAT32,
                              ValueType::INT64, ValueType::UINT64, ValueType::FLOAT64};
constexpr std::array kScales{0.1, 0.01, 0.001, 10.0, 100.0, 1000.0};
constexpr double kNearEnough = 0.05;  // for a scale to be thought of
constexpr std::size_t kLeastText = 2;

bool printable(char c) noexcept { return c >= 0x20 && c < 0x7F; }

bool plausible(ValueType type, double value) noexcept {
  if (value == 0.0) return true;
  if (!std::isfinite(value)) return false;
  const double size = std::fabs(value);
  if (type == ValueType::FLOAT16) return size >= std::ldexp(1.0, -14);  // no denormal
  return size >= 1e-9 && size <= 1e12;
}

double distance_from(double expected, double value) noexcept {
  const double distance = std::fabs(value - expected) / (expected == 0.0 ? 1.0 : std::fabs(expected));
  return std::isnan(distance) ? std::numeric_limits<double>::infinity() : distance;
}

bool is_integer(ValueType type) noexcept {
  return type != ValueType::FLOAT16 && type != ValueType::FLOAT32 && type != ValueType::FLOAT64;
}

void add_numbers(std::uint16_t address, std::span<const std::uint16_t> rest, std::optional<double> expected,
                 std::vector<Decoding>& out) {
  for (const ValueType type : kNumbers) {
    RegisterSettings settings;
    settings.type = type;
    const std::size_t words = word_count(settings);
    if (words > rest.size()) continue;
    // Two orders make a difference to one word, four to two, eight to four.
    for (const ByteOrder order : std::span{kOrders}.first(2 * words)) {
      settings.byte_order = order;
      Decoded decoded = decode_words(settings, rest.first(words));
      Decoding found;
      found.address = address;
      found.type = type;
      found.byte_order = order;
      found.raw = std::move(decoded.raw);
      found.value = decoded.value;
      found.plausible = plausible(type, found.value);
      if (expected) found.distance = distance_from(*expected, found.value);
      if (expected && *found.distance <= kNearEnough) found.plausible = true;
      out.push_back(found);
      if (!expected || !is_integer(type)) continue;
      for (const double scale : kScales) {
        Decoding scaled = found;
        scaled.scale = scale;
        scaled.value = found.value * scale;
        scaled.distance = distance_from(*expected, scaled.value);
        scaled.plausible = true;
        if (found.value != 0.0 && *scaled.distance <= kNearEnough) out.push_back(std::move(scaled));
      }
    }
  }
}

void add_bits(std::uint16_t address, std::uint16_t word, std::vector<Decoding>& out) {
  for (const ByteOrder order : {ByteOrder::ABCD, ByteOrder::BADC}) {
    RegisterSettings settings;  // UINT16: all sixteen at once
    settings.byte_order = order;
    Decoding found;
    found.address = address;
    found.type = ValueType::BIT;
    found.byte_order = order;
    found.raw = decode_words(settings, std::span{&word, 1}).raw;
    out.push_back(std::move(found));
  }
}

// Text that begins at `address` and not before it: at the first word, or behind one that holds none.
void add_text(std::uint16_t address, std::span<const std::uint16_t> words, std::size_t at, std::vector<Decoding>& out) {
  for (const ByteOrder order : {ByteOrder::ABCD, ByteOrder::BADC}) {
    const auto text_of = [&](std::size_t from, std::size_t count) {
      RegisterSettings settings;
      settings.type = ValueType::STRING;
      settings.byte_order = order;
      settings.length = static_cast<int>(2 * count);
      return decode_words(settings, words.subspan(from, count)).raw;
    };
    const auto all_printable = [](const std::string& text) { return std::all_of(text.begin(), text.end(), printable); };
    const auto whole_word = [&](std::size_t word) {
      const std::string text = text_of(word, 1).text;
      return text.size() == 2 && all_printable(text);
    };
    if (at > 0 && whole_word(at - 1)) continue;
    std::size_t count = 0;
    while (at + count < words.size() && whole_word(at + count)) ++count;
    // The last character may stand alone before its NUL.
    if (at + count < words.size()) {
      const std::string last = text_of(at + count, 1).text;
      if (last.size() == 1 && printable(last[0])) ++count;
    }
    const bool first = at == 0;
    const std::size_t taken = count > 0 ? count : words.size() - at;
    signals::RawValue raw = text_of(at, taken);
    const bool good = count > 0 && raw.text.size() >= kLeastText;
    if (!good && !first) continue;  // no text begins in the middle of what is none
    Decoding found;
    found.address = address;
    found.type = ValueType::STRING;
    found.byte_order = order;
    found.length = static_cast<int>(2 * taken);
    found.raw = std::move(raw);
    found.plausible = good;
    out.push_back(std::move(found));
  }
}

// Text of one character to a register, the other byte being zero, that begins at `address` and not before it.
void add_spread_text(std::uint16_t address, std::span<const std::uint16_t> words, std::size_t at,
                     std::vector<Decoding>& out) {
  for (const StringLocation location : {StringLocation::upper, StringLocation::lower}) {
    const auto holds_one = [&](std::size_t i) {
      const int shift = location == StringLocation::upper ? 8 : 0;
      return printable(static_cast<char>(words[i] >> shift & 0xFF)) && (words[i] >> (8 - shift) & 0xFF) == 0;
    };
    if (at > 0 && holds_one(at - 1)) continue;
    std::size_t count = 0;
    while (at + count < words.size() && holds_one(at + count)) ++count;
    if (count < kLeastText) continue;
    RegisterSettings settings;
    settings.type = ValueType::STRING;
    settings.string_location = location;
    settings.length = static_cast<int>(count);
    Decoding found;
    found.address = address;
    found.type = ValueType::STRING;
    found.length = static_cast<int>(count);
    found.location = location;
    found.raw = decode_words(settings, words.subspan(at, count)).raw;
    out.push_back(std::move(found));
  }
}

}  // namespace

std::vector<Decoding> decodings(std::uint16_t address, std::span<const std::uint16_t> words,
                                std::optional<double> expected) {
  std::vector<Decoding> out;
  for (std::size_t at = 0; at < words.size(); ++at) {
    const auto here = static_cast<std::uint16_t>(address + at);
    add_numbers(here, words.subspan(at), expected, out);
    add_bits(here, words[at], out);
    add_text(here, words, at, out);
    add_spread_text(here, words, at, out);
  }
  const auto after = [](const Decoding& decoding) {
    const double distance = decoding.distance.value_or(std::numeric_limits<double>::infinity());
    return std::pair{distance, decoding.scale != 1.0};
  };
  // Stable: what ties keeps the order of address, type and byte order.
  std::stable_sort(out.begin(), out.end(), [&](const Decoding& a, const Decoding& b) {
    if (expected && a.distance.has_value() != b.distance.has_value()) return a.distance.has_value();
    if (a.plausible != b.plausible) return a.plausible;
    return expected && after(a) < after(b);
  });
  return out;
}

}  // namespace twinkeeper::drivers
