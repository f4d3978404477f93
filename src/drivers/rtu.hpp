// Modbus RTU frames as bytes, both sides: unit (1) | PDU (pdu.hpp) | checksum (2, the less significant byte first), at
// most 256 bytes. A frame has no length and no transaction: its end follows from its function, or from silence.
// Thread rule: free functions. Allocation: only append_* may grow `out`.
// Source: MODBUS over Serial Line Specification and Implementation Guide V1.02 §2.5.1, §6.2.2 (CRC-16, polynomial
// 0xA001 reflected, start 0xFFFF).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "drivers/pdu.hpp"

namespace twinkeeper::drivers::rtu {

inline constexpr std::size_t kRequestSize = 1 + kReadPduSize + 2;
inline constexpr std::size_t kLeastFrameSize = 1 + kExceptionPduSize + 2;
inline constexpr std::size_t kMaxFrameSize = 256;

[[nodiscard]] std::uint16_t crc16(std::span<const std::uint8_t> bytes) noexcept;
// Whether the last two bytes are the checksum of those before them.
[[nodiscard]] bool checksum_fits(std::span<const std::uint8_t> frame) noexcept;

// ---- client ----

[[nodiscard]] std::array<std::uint8_t, kRequestSize> encode_request(const ReadRequest& request) noexcept;  // of a read
// Of any request: the frame is the front of `buffer`, which has kMaxFrameSize bytes.
[[nodiscard]] std::span<const std::uint8_t> encode_request(const ReadRequest& request,
                                                           std::span<std::uint8_t> buffer) noexcept;

// Bytes of the whole frame that answers `request` with data.
[[nodiscard]] std::size_t reply_size(const ReadRequest& request) noexcept;

// Bytes of the reply that `received` begins with, whoever it is from. Absent: more bytes are needed to tell. 0: nothing
// that begins like this is a reply.
[[nodiscard]] std::optional<std::size_t> reply_frame_size(std::span<const std::uint8_t> received) noexcept;

// `frame` is exactly one frame. The checksum is looked at first: without it no other field means anything.
[[nodiscard]] Reply check_reply(const ReadRequest& request, std::span<const std::uint8_t> frame) noexcept;

// ---- server ----

// Looks at what has been received so far; `silent`: nothing has come for as long as it takes to end a frame.
[[nodiscard]] ParsedRequest parse_request(std::span<const std::uint8_t> received, bool silent) noexcept;

// Append one reply frame; `words` or `bits` has request.count elements.
void append_word_reply(const ReadRequest& request, std::span<const std::uint16_t> words,
                       std::vector<std::uint8_t>& out);
void append_bit_reply(const ReadRequest& request, std::span<const bool> bits, std::vector<std::uint8_t>& out);
void append_exception_reply(const ReadRequest& request, std::uint8_t code, std::vector<std::uint8_t>& out);

}  // namespace twinkeeper::drivers::rtu
