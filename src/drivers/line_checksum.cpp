#include "drivers/line_checksum.hpp"

#include <cstdint>
#include <span>

#include "drivers/rtu.hpp"

namespace twinkeeper::drivers {
namespace {

// Characters behind the text.
std::size_t size_of(LineChecksum kind) noexcept {
  switch (kind) {
    case LineChecksum::none: return 0;
    case LineChecksum::xor8: return 3;
    case LineChecksum::sum8: return 2;
    case LineChecksum::crc16: return 4;
  }
  return 0;
}

unsigned checksum_of(LineChecksum kind, std::string_view text) noexcept {
  unsigned value = 0;
  switch (kind) {
    case LineChecksum::none: break;
    case LineChecksum::xor8:
      if (!text.empty() && (text.front() == '$' || text.front() == '!')) text.remove_prefix(1);
      for (const char byte : text) value ^= static_cast<unsigned char>(byte);
      break;
    case LineChecksum::sum8:
      for (const char byte : text) value += static_cast<unsigned char>(byte);
      value &= 0xFF;
      break;
    case LineChecksum::crc16:
      value = rtu::crc16({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
      break;
  }
  return value;
}

std::optional<unsigned> from_hexadecimal(std::string_view digits) noexcept {
  unsigned value = 0;
  for (const char digit : digits) {
    value *= 16;
    if (digit >= '0' && digit <= '9') {
      value += static_cast<unsigned>(digit - '0');
    } else if (digit >= 'A' && digit <= 'F') {
      value += static_cast<unsigned>(digit - 'A' + 10);
    } else if (digit >= 'a' && digit <= 'f') {
      value += static_cast<unsigned>(digit - 'a' + 10);
    } else {
      return std::nullopt;
    }
  }
  return value;
}

}  // namespace

std::optional<std::string_view> without_checksum(LineChecksum kind, std::string_view line) noexcept {
  if (kind == LineChecksum::none) return line;
  if (line.size() < size_of(kind)) return std::nullopt;
  const std::string_view text = line.substr(0, line.size() - size_of(kind));
  std::string_view digits = line.substr(text.size());
  if (kind == LineChecksum::xor8) {
    if (digits.front() != '*') return std::nullopt;
    digits.remove_prefix(1);
  }
  if (from_hexadecimal(digits) != checksum_of(kind, text)) return std::nullopt;
  return text;
}

void append_checksum(LineChecksum kind, std::string& text) {
  static constexpr std::string_view kDigits = "0123456789ABCDEF";
  if (kind == LineChecksum::none) return;
  const unsigned value = checksum_of(kind, text);
  if (kind == LineChecksum::xor8) text += '*';
  for (int shift = kind == LineChecksum::crc16 ? 12 : 4; shift >= 0; shift -= 4)
    text += kDigits[(value >> shift) & 0xF];
}

}  // namespace twinkeeper::drivers
