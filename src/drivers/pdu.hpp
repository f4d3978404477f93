// Modbus requests and replies without a frame around them (the PDU), both sides: what Modbus TCP and RTU share.
// The frames are in mbap.hpp and rtu.hpp. Pure functions on spans, no I/O; shared with the simulator, so that the two
// can't drift apart.
//
// Read    function 1..4 | address (2) | count (2), big-endian
//         → function | byte count (1) | data          or   function + 0x80 | exception code (1)
// Write   function 5, 6 | address (2) | value (2), a coil being 0xFF00 or 0
//         function 15, 16 | address (2) | count (2) | byte count (1) | data
//         → the first five bytes again                or   function + 0x80 | exception code (1)
//
// Accepted as data is only a reply in which every one of these fields is what the request leads one to expect; also
// the unused bits of the last byte of a bit reply must be zero. Everything else is an exception or a mismatch that
// names its field.
// Thread rule: free functions. Allocation: only append_* may grow `out`.
// Source: MODBUS Application Protocol V1.1b3 §4, §6, §7.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "drivers/settings.hpp"

namespace twinkeeper::drivers {

inline constexpr int kMaxWordsPerRequest = 125;
inline constexpr int kMaxBitsPerRequest = 2000;
inline constexpr std::size_t kReadPduSize = 5;  // also of functions 5 and 6, and of the reply to any write
inline constexpr std::size_t kExceptionPduSize = 2;
inline constexpr std::size_t kMaxPduSize = 253;

enum class ExceptionCode : std::uint8_t {
  illegal_function = 1,
  illegal_data_address = 2,
  illegal_data_value = 3,
  server_device_failure = 4,
  acknowledge = 5,
  server_device_busy = 6,
  gateway_path_unavailable = 0x0A,
  gateway_target_failed_to_respond = 0x0B,
};

// "illegal data address" and so on; "unknown exception" for a code that the specification doesn't name.
[[nodiscard]] std::string_view exception_name(std::uint8_t code) noexcept;

// 1 coil, 2 discrete input, 3 holding register, 4 input register.
[[nodiscard]] std::uint8_t function_code(RegisterKind kind) noexcept;
[[nodiscard]] bool is_bit_kind(RegisterKind kind) noexcept;

struct ReadRequest {
  std::uint16_t transaction = 0;  // Modbus TCP only
  std::uint8_t unit = 1;
  std::uint8_t function = 3;
  std::uint16_t address = 0;
  std::uint16_t count = 1;  // words, or bits with functions 1, 2 and 15; with 5 and 6 what is written itself
  std::span<const std::uint8_t> data{};  // with functions 15 and 16 what is written, as it goes over the wire
};
[[nodiscard]] constexpr bool is_write(std::uint8_t function) noexcept {
  return function == 5 || function == 6 || function == 15 || function == 16;
}

enum class Mismatch : std::uint8_t {
  none,
  short_frame,
  transaction,  // Modbus TCP
  protocol,     // Modbus TCP
  length,
  unit,
  function,
  byte_count,
  padding,
  checksum,  // RTU
  echo,      // of what was written
};
[[nodiscard]] std::string_view to_string(Mismatch mismatch) noexcept;

struct Reply {
  Mismatch mismatch = Mismatch::none;
  std::uint8_t exception_code = 0;     // not 0: a well-formed refusal
  std::span<const std::uint8_t> data;  // into what was checked; empty unless ok()
  [[nodiscard]] bool ok() const noexcept { return mismatch == Mismatch::none && exception_code == 0; }
};

// ---- client ----

// `out` has kReadPduSize bytes.
void encode_read_pdu(const ReadRequest& request, std::span<std::uint8_t> out) noexcept;
[[nodiscard]] std::size_t request_pdu_size(const ReadRequest& request) noexcept;
// A read or a write; `out` has request_pdu_size bytes.
void encode_request_pdu(const ReadRequest& request, std::span<std::uint8_t> out) noexcept;
// Bytes of the PDU that answers `request`, unless it is refused.
[[nodiscard]] std::size_t reply_pdu_size(const ReadRequest& request) noexcept;
// `pdu` is exactly one; fewer bytes are a short_frame, more a length mismatch.
[[nodiscard]] Reply check_reply_pdu(const ReadRequest& request, std::span<const std::uint8_t> pdu) noexcept;
// The i-th word or bit of Reply::data; `i` below the request's count.
[[nodiscard]] std::uint16_t reply_word(std::span<const std::uint8_t> data, std::size_t i) noexcept;
[[nodiscard]] bool reply_bit(std::span<const std::uint8_t> data, std::size_t i) noexcept;

// ---- server ----

enum class RequestState : std::uint8_t {
  incomplete,  // more bytes are needed, or (RTU) the silence that ends a frame of unknown length
  complete,    // `frame_size` bytes are one request
  garbage,     // no request: Modbus TCP closes the connection, RTU discards all that has been received
};
// What the front of received bytes is, by mbap::parse_request or rtu::parse_request.
struct ParsedRequest {
  RequestState state = RequestState::incomplete;
  std::size_t frame_size = 0;       // bytes to take off the stream, when complete
  std::uint8_t exception_code = 0;  // not 0: refuse with it (see parse_read_pdu)
  ReadRequest request;              // `function` is as received, also when refused
};

// Fills in function, address and count; `pdu` has at least the function. Returns the exception to refuse with (1
// function, 2 address range, 3 count or length), or 0.
[[nodiscard]] std::uint8_t parse_read_pdu(std::span<const std::uint8_t> pdu, ReadRequest& request) noexcept;
// Append one reply; `words` or `bits` has request.count elements.
void append_word_pdu(const ReadRequest& request, std::span<const std::uint16_t> words, std::vector<std::uint8_t>& out);
void append_bit_pdu(const ReadRequest& request, std::span<const bool> bits, std::vector<std::uint8_t>& out);
void append_exception_pdu(const ReadRequest& request, std::uint8_t code, std::vector<std::uint8_t>& out);

}  // namespace twinkeeper::drivers
