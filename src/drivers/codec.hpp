// Modbus TCP frames as bytes, both sides: the client encodes requests and checks replies, a server parses requests and
// encodes replies. Pure functions on spans, no I/O; shared with the simulator, so the two can't drift apart.
//
// Frame   transaction (2) | protocol = 0 (2) | length (2) | unit (1) | function (1) | …, all big-endian;
//         length counts unit and what follows it, so a frame has 6 + length bytes, at most 260.
// Request function 1..4 | address (2) | count (2)
// Reply   function | byte count (1) | data            or   function + 0x80 | exception code (1)
//
// Accepted as data is only a reply in which every one of these fields is what the request leads one to expect; also
// the unused bits of the last byte of a bit reply must be zero. Everything else is an exception or a mismatch that
// names its field. After a mismatch the stream can't be trusted any more: the caller closes the connection.
// Thread rule: free functions. Allocation: only append_* may grow `out`.
// Source: MODBUS Application Protocol V1.1b3 §4, §6, §7; MODBUS Messaging on TCP/IP Implementation Guide V1.0b §3.1.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "drivers/settings.hpp"

namespace twinkeeper::drivers {

inline constexpr std::size_t kMbapSize = 7;  // up to and including the unit
inline constexpr std::size_t kRequestSize = 12;
inline constexpr std::size_t kMaxFrameSize = 260;
inline constexpr int kMaxWordsPerRequest = 125;
inline constexpr int kMaxBitsPerRequest = 2000;

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
  std::uint16_t transaction = 0;
  std::uint8_t unit = 1;
  std::uint8_t function = 3;
  std::uint16_t address = 0;
  std::uint16_t count = 1;  // words, or bits with functions 1 and 2
};

// ---- client ----

[[nodiscard]] std::array<std::uint8_t, kRequestSize> encode_request(const ReadRequest& request) noexcept;

// Bytes of the whole frame that answers `request` with data.
[[nodiscard]] std::size_t reply_size(const ReadRequest& request) noexcept;

enum class Mismatch : std::uint8_t {
  none,
  short_frame,
  transaction,
  protocol,
  length,
  unit,
  function,
  byte_count,
  padding
};
[[nodiscard]] std::string_view to_string(Mismatch mismatch) noexcept;

struct HeaderCheck {
  Mismatch mismatch = Mismatch::none;
  std::size_t frame_size = 0;  // of the whole frame, when nothing mismatches: reply_size(request) or an exception's 9
};
// Looks at the first kMbapSize bytes, so that a receiver never waits for a length that can't be right.
[[nodiscard]] HeaderCheck check_header(const ReadRequest& request, std::span<const std::uint8_t> header) noexcept;

struct Reply {
  Mismatch mismatch = Mismatch::none;
  std::uint8_t exception_code = 0;     // not 0: a well-formed refusal
  std::span<const std::uint8_t> data;  // into `frame`; empty unless ok()
  [[nodiscard]] bool ok() const noexcept { return mismatch == Mismatch::none && exception_code == 0; }
};
// `frame` is exactly one frame; fewer bytes are a short_frame, more a length mismatch.
[[nodiscard]] Reply check_reply(const ReadRequest& request, std::span<const std::uint8_t> frame) noexcept;

// The i-th word or bit of Reply::data; `i` below the request's count.
[[nodiscard]] std::uint16_t reply_word(std::span<const std::uint8_t> data, std::size_t i) noexcept;
[[nodiscard]] bool reply_bit(std::span<const std::uint8_t> data, std::size_t i) noexcept;

// ---- server ----

enum class RequestState : std::uint8_t {
  incomplete,  // more bytes are needed
  complete,    // `frame_size` bytes are one request
  garbage,     // not Modbus TCP: close the connection
};
struct ParsedRequest {
  RequestState state = RequestState::incomplete;
  std::size_t frame_size = 0;       // bytes to take off the stream, when complete
  std::uint8_t exception_code = 0;  // not 0: refuse with it (1 function, 2 address range, 3 count or length)
  ReadRequest request;              // `function` is as received, also when refused
};
// Looks at the front of what has been received so far.
[[nodiscard]] ParsedRequest parse_request(std::span<const std::uint8_t> received) noexcept;

// Appends one reply frame; `words` or `bits` has request.count elements.
void append_word_reply(const ReadRequest& request, std::span<const std::uint16_t> words,
                       std::vector<std::uint8_t>& out);
void append_bit_reply(const ReadRequest& request, std::span<const bool> bits, std::vector<std::uint8_t>& out);
void append_exception_reply(const ReadRequest& request, std::uint8_t code, std::vector<std::uint8_t>& out);

}  // namespace twinkeeper::drivers
