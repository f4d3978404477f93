#include "drivers/codec.hpp"

namespace twinkeeper::drivers {
namespace {

constexpr std::uint8_t kExceptionBit = 0x80;
constexpr std::size_t kExceptionFrameSize = 9;
constexpr std::size_t kLengthOffset = 6;  // the length field counts from here

std::uint16_t get_word(std::span<const std::uint8_t> bytes, std::size_t at) noexcept {
  return static_cast<std::uint16_t>((bytes[at] << 8) | bytes[at + 1]);
}

void put_word(std::span<std::uint8_t> bytes, std::size_t at, std::size_t value) noexcept {
  bytes[at] = static_cast<std::uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(value);
}

bool reads_bits(std::uint8_t function) noexcept { return function == 1 || function == 2; }

std::size_t data_bytes(const ReadRequest& request) noexcept {
  return reads_bits(request.function) ? (request.count + std::size_t{7}) / 8 : request.count * std::size_t{2};
}

// Room for a reply frame of `pdu_bytes` after the function, header and function filled in; returns that room.
std::span<std::uint8_t> append_frame(const ReadRequest& request, std::uint8_t function, std::size_t pdu_bytes,
                                     std::vector<std::uint8_t>& out) {
  const std::size_t start = out.size();
  out.resize(start + kMbapSize + 1 + pdu_bytes);
  const std::span<std::uint8_t> frame = std::span{out}.subspan(start);
  put_word(frame, 0, request.transaction);
  put_word(frame, 2, 0);
  put_word(frame, 4, frame.size() - kLengthOffset);
  frame[6] = request.unit;
  frame[7] = function;
  return frame.subspan(kMbapSize + 1);
}

}  // namespace

std::string_view exception_name(std::uint8_t code) noexcept {
  switch (static_cast<ExceptionCode>(code)) {
    case ExceptionCode::illegal_function: return "illegal function";
    case ExceptionCode::illegal_data_address: return "illegal data address";
    case ExceptionCode::illegal_data_value: return "illegal data value";
    case ExceptionCode::server_device_failure: return "server device failure";
    case ExceptionCode::acknowledge: return "acknowledge";
    case ExceptionCode::server_device_busy: return "server device busy";
    case ExceptionCode::gateway_path_unavailable: return "gateway path unavailable";
    case ExceptionCode::gateway_target_failed_to_respond: return "gateway target device failed to respond";
  }
  return "unknown exception";
}

std::uint8_t function_code(RegisterKind kind) noexcept {
  switch (kind) {
    case RegisterKind::coil: return 1;
    case RegisterKind::discrete: return 2;
    case RegisterKind::holding: return 3;
    case RegisterKind::input: return 4;
  }
  return 0;
}

bool is_bit_kind(RegisterKind kind) noexcept { return kind == RegisterKind::coil || kind == RegisterKind::discrete; }

std::array<std::uint8_t, kRequestSize> encode_request(const ReadRequest& request) noexcept {
  std::array<std::uint8_t, kRequestSize> frame{};
  put_word(frame, 0, request.transaction);
  put_word(frame, 4, kRequestSize - kLengthOffset);
  frame[6] = request.unit;
  frame[7] = request.function;
  put_word(frame, 8, request.address);
  put_word(frame, 10, request.count);
  return frame;
}

std::size_t reply_size(const ReadRequest& request) noexcept { return kMbapSize + 2 + data_bytes(request); }

std::string_view to_string(Mismatch mismatch) noexcept {
  switch (mismatch) {
    case Mismatch::none: return "none";
    case Mismatch::short_frame: return "short frame";
    case Mismatch::transaction: return "transaction identifier";
    case Mismatch::protocol: return "protocol identifier";
    case Mismatch::length: return "length";
    case Mismatch::unit: return "unit identifier";
    case Mismatch::function: return "function code";
    case Mismatch::byte_count: return "byte count";
    case Mismatch::padding: return "unused bits";
  }
  return "unknown";
}

HeaderCheck check_header(const ReadRequest& request, std::span<const std::uint8_t> header) noexcept {
  if (header.size() < kMbapSize) return {Mismatch::short_frame, 0};
  if (get_word(header, 0) != request.transaction) return {Mismatch::transaction, 0};
  if (get_word(header, 2) != 0) return {Mismatch::protocol, 0};
  const std::size_t frame_size = kLengthOffset + get_word(header, 4);
  if (frame_size != reply_size(request) && frame_size != kExceptionFrameSize) return {Mismatch::length, 0};
  if (frame_size > kMaxFrameSize) return {Mismatch::length, 0};
  if (header[6] != request.unit) return {Mismatch::unit, 0};
  return {Mismatch::none, frame_size};
}

Reply check_reply(const ReadRequest& request, std::span<const std::uint8_t> frame) noexcept {
  const HeaderCheck header = check_header(request, frame);
  if (header.mismatch != Mismatch::none) return {header.mismatch, 0, {}};
  if (frame.size() < header.frame_size) return {Mismatch::short_frame, 0, {}};
  if (frame.size() > header.frame_size) return {Mismatch::length, 0, {}};
  if (frame[7] == (request.function | kExceptionBit)) {
    if (frame.size() != kExceptionFrameSize) return {Mismatch::length, 0, {}};
    if (frame[8] == 0) return {Mismatch::byte_count, 0, {}};  // no such exception: it would read as success
    return {Mismatch::none, frame[8], {}};
  }
  if (frame[7] != request.function) return {Mismatch::function, 0, {}};
  const std::size_t bytes = data_bytes(request);
  if (frame.size() != reply_size(request)) return {Mismatch::length, 0, {}};
  if (frame[8] != bytes) return {Mismatch::byte_count, 0, {}};
  const std::span<const std::uint8_t> data = frame.subspan(kMbapSize + 2);
  if (reads_bits(request.function) && request.count % 8 != 0 && (data.back() >> (request.count % 8)) != 0) {
    return {Mismatch::padding, 0, {}};
  }
  return {Mismatch::none, 0, data};
}

std::uint16_t reply_word(std::span<const std::uint8_t> data, std::size_t i) noexcept { return get_word(data, 2 * i); }

bool reply_bit(std::span<const std::uint8_t> data, std::size_t i) noexcept { return (data[i / 8] >> (i % 8)) & 1; }

ParsedRequest parse_request(std::span<const std::uint8_t> received) noexcept {
  ParsedRequest parsed;
  if (received.size() < kMbapSize + 1) return parsed;
  const std::size_t frame_size = kLengthOffset + get_word(received, 4);
  if (get_word(received, 2) != 0 || frame_size < kMbapSize + 1 || frame_size > kMaxFrameSize) {
    parsed.state = RequestState::garbage;
    return parsed;
  }
  if (received.size() < frame_size) return parsed;
  parsed.state = RequestState::complete;
  parsed.frame_size = frame_size;
  parsed.request.transaction = get_word(received, 0);
  parsed.request.unit = received[6];
  parsed.request.function = received[7];
  if (parsed.request.function < 1 || parsed.request.function > 4) {
    parsed.exception_code = static_cast<std::uint8_t>(ExceptionCode::illegal_function);
    return parsed;
  }
  if (frame_size != kRequestSize) {
    parsed.exception_code = static_cast<std::uint8_t>(ExceptionCode::illegal_data_value);
    return parsed;
  }
  parsed.request.address = get_word(received, 8);
  parsed.request.count = get_word(received, 10);
  const int limit = reads_bits(parsed.request.function) ? kMaxBitsPerRequest : kMaxWordsPerRequest;
  if (parsed.request.count < 1 || parsed.request.count > limit) {
    parsed.exception_code = static_cast<std::uint8_t>(ExceptionCode::illegal_data_value);
  } else if (parsed.request.address + parsed.request.count > 0x10000) {
    parsed.exception_code = static_cast<std::uint8_t>(ExceptionCode::illegal_data_address);
  }
  return parsed;
}

void append_word_reply(const ReadRequest& request, std::span<const std::uint16_t> words,
                       std::vector<std::uint8_t>& out) {
  const std::span<std::uint8_t> body = append_frame(request, request.function, 1 + 2 * words.size(), out);
  body[0] = static_cast<std::uint8_t>(2 * words.size());
  for (std::size_t i = 0; i < words.size(); ++i) put_word(body, 1 + 2 * i, words[i]);
}

void append_bit_reply(const ReadRequest& request, std::span<const bool> bits, std::vector<std::uint8_t>& out) {
  const std::size_t bytes = (bits.size() + 7) / 8;
  const std::span<std::uint8_t> body = append_frame(request, request.function, 1 + bytes, out);
  body[0] = static_cast<std::uint8_t>(bytes);
  for (std::size_t i = 0; i < bits.size(); ++i) {
    if (bits[i]) body[1 + i / 8] = static_cast<std::uint8_t>(body[1 + i / 8] | (1U << (i % 8)));
  }
}

void append_exception_reply(const ReadRequest& request, std::uint8_t code, std::vector<std::uint8_t>& out) {
  append_frame(request, request.function | kExceptionBit, 1, out)[0] = code;
}

}  // namespace twinkeeper::drivers
