// Modbus TCP frames as bytes, both sides: the PDU (pdu.hpp) behind the MBAP header.
//
// Frame   transaction (2) | protocol = 0 (2) | length (2) | unit (1) | PDU, all big-endian;
//         length counts the unit and what follows it, so a frame has 6 + length bytes, at most 260.
// After a mismatch the stream can't be trusted any more: the caller closes the connection.
// Thread rule: free functions. Allocation: only append_* may grow `out`.
// Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b §3.1.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "drivers/pdu.hpp"

namespace twinkeeper::drivers::mbap {

inline constexpr std::size_t kHeaderSize = 7;  // up to and including the unit
inline constexpr std::size_t kRequestSize = kHeaderSize + kReadPduSize;
inline constexpr std::size_t kMaxFrameSize = kHeaderSize + kMaxPduSize;

// ---- client ----

[[nodiscard]] std::array<std::uint8_t, kRequestSize> encode_request(const ReadRequest& request) noexcept;  // of a read
// Of any request: the frame is the front of `buffer`, which has kMaxFrameSize bytes.
[[nodiscard]] std::span<const std::uint8_t> encode_request(const ReadRequest& request,
                                                           std::span<std::uint8_t> buffer) noexcept;

// Bytes of the whole frame that answers `request` with data.
[[nodiscard]] std::size_t reply_size(const ReadRequest& request) noexcept;

struct HeaderCheck {
  Mismatch mismatch = Mismatch::none;
  std::size_t frame_size = 0;  // of the whole frame, when nothing mismatches: reply_size(request) or an exception's 9
};
// Looks at the first kHeaderSize bytes, so that a receiver never waits for a length that can't be right.
[[nodiscard]] HeaderCheck check_header(const ReadRequest& request, std::span<const std::uint8_t> header) noexcept;

// `frame` is exactly one frame; fewer bytes are a short_frame, more a length mismatch.
[[nodiscard]] Reply check_reply(const ReadRequest& request, std::span<const std::uint8_t> frame) noexcept;

// ---- server ----

// Looks at the front of what has been received so far.
[[nodiscard]] ParsedRequest parse_request(std::span<const std::uint8_t> received) noexcept;

// Append one reply frame; `words` or `bits` has request.count elements.
void append_word_reply(const ReadRequest& request, std::span<const std::uint16_t> words,
                       std::vector<std::uint8_t>& out);
void append_bit_reply(const ReadRequest& request, std::span<const bool> bits, std::vector<std::uint8_t>& out);
void append_exception_reply(const ReadRequest& request, std::uint8_t code, std::vector<std::uint8_t>& out);

}  // namespace twinkeeper::drivers::mbap
