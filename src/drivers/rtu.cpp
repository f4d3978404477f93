#include "drivers/rtu.hpp"

namespace twinkeeper::drivers::rtu {
namespace {

constexpr std::array<std::uint16_t, 256> make_table() {
  std::array<std::uint16_t, 256> table{};
  for (std::size_t byte = 0; byte < table.size(); ++byte) {
    auto value = static_cast<std::uint16_t>(byte);
    for (int bit = 0; bit < 8; ++bit) {
      const bool low = (value & 1U) != 0;
      value = static_cast<std::uint16_t>(value >> 1);
      if (low) value ^= 0xA001;
    }
    table[byte] = value;
  }
  return table;
}
constexpr std::array<std::uint16_t, 256> kTable = make_table();

void append_checksum(std::vector<std::uint8_t>& out, std::size_t start) {
  const std::uint16_t crc = crc16(std::span{out}.subspan(start));
  out.push_back(static_cast<std::uint8_t>(crc));
  out.push_back(static_cast<std::uint8_t>(crc >> 8));
}

template <class AppendPdu>
void append_frame(const ReadRequest& request, std::vector<std::uint8_t>& out, AppendPdu&& append_pdu) {
  const std::size_t start = out.size();
  out.push_back(request.unit);
  append_pdu();
  append_checksum(out, start);
}

// Bytes of the request that begins like this; 0: it can't be told.
std::size_t request_frame_size(std::span<const std::uint8_t> received) noexcept {
  if (received.size() < 2) return 0;
  switch (received[1]) {
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
    case 6: return kRequestSize;
    case 15:
    case 16: return received.size() < 7 ? 0 : std::size_t{9} + received[6];
    default: return 0;
  }
}

}  // namespace

std::uint16_t crc16(std::span<const std::uint8_t> bytes) noexcept {
  std::uint16_t crc = 0xFFFF;
  for (const std::uint8_t byte : bytes) crc = static_cast<std::uint16_t>((crc >> 8) ^ kTable[(crc ^ byte) & 0xFFU]);
  return crc;
}

bool checksum_fits(std::span<const std::uint8_t> frame) noexcept {
  if (frame.size() < 2) return false;
  const std::uint16_t crc = crc16(frame.first(frame.size() - 2));
  return frame[frame.size() - 2] == (crc & 0xFFU) && frame[frame.size() - 1] == crc >> 8;
}

std::array<std::uint8_t, kRequestSize> encode_request(const ReadRequest& request) noexcept {
  std::array<std::uint8_t, kRequestSize> frame{};
  static_cast<void>(encode_request(request, frame));
  return frame;
}

std::span<const std::uint8_t> encode_request(const ReadRequest& request, std::span<std::uint8_t> buffer) noexcept {
  const std::size_t size = 1 + request_pdu_size(request) + 2;
  buffer[0] = request.unit;
  encode_request_pdu(request, buffer.subspan(1));
  const std::uint16_t crc = crc16(buffer.first(size - 2));
  buffer[size - 2] = static_cast<std::uint8_t>(crc);
  buffer[size - 1] = static_cast<std::uint8_t>(crc >> 8);
  return buffer.first(size);
}

std::size_t reply_size(const ReadRequest& request) noexcept { return 1 + reply_pdu_size(request) + 2; }

std::optional<std::size_t> reply_frame_size(std::span<const std::uint8_t> received) noexcept {
  if (received.size() < 2) return std::nullopt;
  const std::uint8_t function = received[1];
  if ((function & 0x80U) != 0) return kLeastFrameSize;
  switch (function) {
    case 1:
    case 2:
    case 3:
    case 4: {
      if (received.size() < 3) return std::nullopt;
      const std::size_t size = std::size_t{5} + received[2];
      return size <= kMaxFrameSize ? size : 0;
    }
    case 5:
    case 6:
    case 15:
    case 16: return 8;
    default: return 0;
  }
}

Reply check_reply(const ReadRequest& request, std::span<const std::uint8_t> frame) noexcept {
  if (frame.size() < kLeastFrameSize) return {Mismatch::short_frame, 0, {}};
  if (!checksum_fits(frame)) return {Mismatch::checksum, 0, {}};
  if (frame[0] != request.unit) return {Mismatch::unit, 0, {}};
  return check_reply_pdu(request, frame.subspan(1, frame.size() - 3));
}

ParsedRequest parse_request(std::span<const std::uint8_t> received, bool silent) noexcept {
  ParsedRequest parsed;
  const std::size_t known = request_frame_size(received);
  if (known == 0 && !silent && received.size() < kMaxFrameSize) return parsed;
  const std::size_t size = known == 0 ? received.size() : known;
  if (received.size() < size) {
    if (silent) parsed.state = RequestState::garbage;
    return parsed;
  }
  const std::span<const std::uint8_t> frame = received.first(size);
  if (size < 4 || !checksum_fits(frame)) {
    parsed.state = RequestState::garbage;
    return parsed;
  }
  parsed.state = RequestState::complete;
  parsed.frame_size = size;
  parsed.request.unit = frame[0];
  parsed.exception_code = parse_read_pdu(frame.subspan(1, size - 3), parsed.request);
  return parsed;
}

void append_word_reply(const ReadRequest& request, std::span<const std::uint16_t> words,
                       std::vector<std::uint8_t>& out) {
  append_frame(request, out, [&] { append_word_pdu(request, words, out); });
}

void append_bit_reply(const ReadRequest& request, std::span<const bool> bits, std::vector<std::uint8_t>& out) {
  append_frame(request, out, [&] { append_bit_pdu(request, bits, out); });
}

void append_exception_reply(const ReadRequest& request, std::uint8_t code, std::vector<std::uint8_t>& out) {
  append_frame(request, out, [&] { append_exception_pdu(request, code, out); });
}

}  // namespace twinkeeper::drivers::rtu
