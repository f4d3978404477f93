#include "drivers/mbap.hpp"

#include "drivers/big_endian.hpp"

namespace twinkeeper::drivers::mbap {
namespace {

constexpr std::size_t kExceptionFrameSize = kHeaderSize + kExceptionPduSize;
constexpr std::size_t kLengthOffset = 6;  // the length field counts from here

// A frame around the PDU that `append_pdu` appends.
template <class AppendPdu>
void append_frame(const ReadRequest& request, std::vector<std::uint8_t>& out, AppendPdu&& append_pdu) {
  const std::size_t start = out.size();
  out.resize(start + kHeaderSize);
  append_pdu();
  const std::span<std::uint8_t> frame = std::span{out}.subspan(start);
  put_word(frame, 0, request.transaction);
  put_word(frame, 2, 0);
  put_word(frame, 4, frame.size() - kLengthOffset);
  frame[6] = request.unit;
}

}  // namespace

std::array<std::uint8_t, kRequestSize> encode_request(const ReadRequest& request) noexcept {
  std::array<std::uint8_t, kRequestSize> frame{};
  static_cast<void>(encode_request(request, frame));
  return frame;
}

std::span<const std::uint8_t> encode_request(const ReadRequest& request, std::span<std::uint8_t> buffer) noexcept {
  const std::size_t size = kHeaderSize + request_pdu_size(request);
  put_word(buffer, 0, request.transaction);
  put_word(buffer, 2, 0);
  put_word(buffer, 4, size - kLengthOffset);
  buffer[6] = request.unit;
  encode_request_pdu(request, buffer.subspan(kHeaderSize));
  return buffer.first(size);
}

std::size_t reply_size(const ReadRequest& request) noexcept { return kHeaderSize + reply_pdu_size(request); }

HeaderCheck check_header(const ReadRequest& request, std::span<const std::uint8_t> header) noexcept {
  if (header.size() < kHeaderSize) return {Mismatch::short_frame, 0};
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
  Reply reply = check_reply_pdu(request, frame.subspan(kHeaderSize));
  // The header has promised this size, so a PDU too short for its function is a wrong length.
  if (reply.mismatch == Mismatch::short_frame) reply.mismatch = Mismatch::length;
  return reply;
}

ParsedRequest parse_request(std::span<const std::uint8_t> received) noexcept {
  ParsedRequest parsed;
  if (received.size() < kHeaderSize + 1) return parsed;
  const std::size_t frame_size = kLengthOffset + get_word(received, 4);
  if (get_word(received, 2) != 0 || frame_size < kHeaderSize + 1 || frame_size > kMaxFrameSize) {
    parsed.state = RequestState::garbage;
    return parsed;
  }
  if (received.size() < frame_size) return parsed;
  parsed.state = RequestState::complete;
  parsed.frame_size = frame_size;
  parsed.request.transaction = get_word(received, 0);
  parsed.request.unit = received[6];
  parsed.exception_code = parse_read_pdu(received.subspan(kHeaderSize, frame_size - kHeaderSize), parsed.request);
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

}  // namespace twinkeeper::drivers::mbap
