#include "drivers/pdu.hpp"

#include <algorithm>
#include <array>

#include "drivers/big_endian.hpp"

namespace twinkeeper::drivers {
namespace {

constexpr std::uint8_t kExceptionBit = 0x80;

bool reads_bits(std::uint8_t function) noexcept { return function == 1 || function == 2; }

std::size_t data_bytes(const ReadRequest& request) noexcept {
  return reads_bits(request.function) ? (request.count + std::size_t{7}) / 8 : request.count * std::size_t{2};
}

// Room for a reply's data behind its function and byte count.
std::span<std::uint8_t> append_data(const ReadRequest& request, std::size_t bytes, std::vector<std::uint8_t>& out) {
  const std::size_t start = out.size();
  out.resize(start + 2 + bytes);
  out[start] = request.function;
  out[start + 1] = static_cast<std::uint8_t>(bytes);
  return std::span{out}.subspan(start + 2);
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
    case Mismatch::checksum: return "checksum";
    case Mismatch::echo: return "echo of what was written";
  }
  return "unknown";
}

void encode_read_pdu(const ReadRequest& request, std::span<std::uint8_t> out) noexcept {
  out[0] = request.function;
  put_word(out, 1, request.address);
  put_word(out, 3, request.count);
}

std::size_t request_pdu_size(const ReadRequest& request) noexcept {
  return request.data.empty() ? kReadPduSize : kReadPduSize + 1 + request.data.size();
}

void encode_request_pdu(const ReadRequest& request, std::span<std::uint8_t> out) noexcept {
  encode_read_pdu(request, out);
  if (request.data.empty()) return;
  out[kReadPduSize] = static_cast<std::uint8_t>(request.data.size());
  std::copy(request.data.begin(), request.data.end(), out.begin() + kReadPduSize + 1);
}

std::size_t reply_pdu_size(const ReadRequest& request) noexcept {
  return is_write(request.function) ? kReadPduSize : 2 + data_bytes(request);
}

Reply check_reply_pdu(const ReadRequest& request, std::span<const std::uint8_t> pdu) noexcept {
  if (pdu.size() < kExceptionPduSize) return {Mismatch::short_frame, 0, {}};
  if (pdu[0] == (request.function | kExceptionBit)) {
    if (pdu.size() != kExceptionPduSize) return {Mismatch::length, 0, {}};
    if (pdu[1] == 0) return {Mismatch::byte_count, 0, {}};  // no such exception: it would read as success
    return {Mismatch::none, pdu[1], {}};
  }
  if (pdu[0] != request.function) return {Mismatch::function, 0, {}};
  if (pdu.size() != reply_pdu_size(request)) {
    return {pdu.size() < reply_pdu_size(request) ? Mismatch::short_frame : Mismatch::length, 0, {}};
  }
  if (is_write(request.function)) {
    std::array<std::uint8_t, kReadPduSize> echo{};
    encode_read_pdu(request, echo);
    const bool same = std::equal(pdu.begin(), pdu.end(), echo.begin(), echo.end());
    return {same ? Mismatch::none : Mismatch::echo, 0, {}};
  }
  if (pdu[1] != data_bytes(request)) return {Mismatch::byte_count, 0, {}};
  const std::span<const std::uint8_t> data = pdu.subspan(2);
  if (reads_bits(request.function) && request.count % 8 != 0 && (data.back() >> (request.count % 8)) != 0) {
    return {Mismatch::padding, 0, {}};
  }
  return {Mismatch::none, 0, data};
}

std::uint16_t reply_word(std::span<const std::uint8_t> data, std::size_t i) noexcept { return get_word(data, 2 * i); }

bool reply_bit(std::span<const std::uint8_t> data, std::size_t i) noexcept { return (data[i / 8] >> (i % 8)) & 1; }

std::uint8_t parse_read_pdu(std::span<const std::uint8_t> pdu, ReadRequest& request) noexcept {
  request.function = pdu[0];
  if (request.function < 1 || request.function > 4) return static_cast<std::uint8_t>(ExceptionCode::illegal_function);
  if (pdu.size() != kReadPduSize) return static_cast<std::uint8_t>(ExceptionCode::illegal_data_value);
  request.address = get_word(pdu, 1);
  request.count = get_word(pdu, 3);
  const int limit = reads_bits(request.function) ? kMaxBitsPerRequest : kMaxWordsPerRequest;
  if (request.count < 1 || request.count > limit) return static_cast<std::uint8_t>(ExceptionCode::illegal_data_value);
  if (request.address + request.count > 0x10000) return static_cast<std::uint8_t>(ExceptionCode::illegal_data_address);
  return 0;
}

void append_word_pdu(const ReadRequest& request, std::span<const std::uint16_t> words, std::vector<std::uint8_t>& out) {
  const std::span<std::uint8_t> data = append_data(request, 2 * words.size(), out);
  for (std::size_t i = 0; i < words.size(); ++i) put_word(data, 2 * i, words[i]);
}

void append_bit_pdu(const ReadRequest& request, std::span<const bool> bits, std::vector<std::uint8_t>& out) {
  const std::span<std::uint8_t> data = append_data(request, (bits.size() + 7) / 8, out);
  for (std::size_t i = 0; i < bits.size(); ++i) {
    if (bits[i]) data[i / 8] = static_cast<std::uint8_t>(data[i / 8] | (1U << (i % 8)));
  }
}

void append_exception_pdu(const ReadRequest& request, std::uint8_t code, std::vector<std::uint8_t>& out) {
  out.push_back(request.function | kExceptionBit);
  out.push_back(code);
}

}  // namespace twinkeeper::drivers
