// Modbus frames as they come from a wire, as a client and as a server reads them, and words as every type in every
// order.
//
// Input   mode (1) | mode 0, 1 (MBAP, RTU): transaction (2), unit, function (1 each), address, count (2 each), a frame
//                  | mode 2: type, byte order, bit, bits, length, string location (1 each), words
#include <array>
#include <cmath>
#include <vector>

#include "drivers/decoder.hpp"
#include "drivers/mbap.hpp"
#include "drivers/rtu.hpp"
#include "fuzz_input.hpp"

namespace {

using namespace twinkeeper;
using drivers::Mismatch;
using drivers::RequestState;
using drivers::ValueType;
using fuzz::demand;

drivers::ReadRequest request_of(fuzz::Input& input) {
  drivers::ReadRequest request;
  request.transaction = input.word();
  request.unit = input.byte();
  request.function = static_cast<std::uint8_t>(1 + input.byte() % 4);
  request.address = input.word();
  const int most = request.function <= 2 ? drivers::kMaxBitsPerRequest : drivers::kMaxWordsPerRequest;
  request.count = static_cast<std::uint16_t>(1 + input.word() % most);
  return request;
}

void read_data(const drivers::ReadRequest& request, const drivers::Reply& reply) {
  demand(reply.mismatch == Mismatch::none || reply.data.empty(), "what does not fit has no data");
  if (!reply.ok()) return;
  for (std::size_t i = 0; i < request.count; ++i) {
    if (request.function <= 2) {
      static_cast<void>(drivers::reply_bit(reply.data, i));
    } else {
      static_cast<void>(drivers::reply_word(reply.data, i));
    }
  }
}

void check_request(const drivers::ParsedRequest& parsed, std::span<const std::uint8_t> bytes) {
  if (parsed.state != RequestState::complete) return;
  demand(parsed.frame_size > 0 && parsed.frame_size <= bytes.size(), "a request is no longer than what came");
  if (parsed.exception_code != 0) return;
  demand(parsed.request.function >= 1 && parsed.request.function <= 4, "only reading is answered");
  demand(parsed.request.address + parsed.request.count <= 65536, "no request leaves the addresses");
}

void read_mbap(fuzz::Input& input) {
  namespace mbap = drivers::mbap;
  const auto request = request_of(input);
  const auto frame = input.bytes(SIZE_MAX);
  check_request(mbap::parse_request(frame), frame);
  if (frame.size() >= mbap::kHeaderSize) {
    const auto header = mbap::check_header(request, frame.first(mbap::kHeaderSize));
    demand(header.mismatch != Mismatch::none || header.frame_size <= mbap::kMaxFrameSize, "a frame has its bounds");
  }
  read_data(request, mbap::check_reply(request, frame));
}

void read_rtu(fuzz::Input& input) {
  namespace rtu = drivers::rtu;
  const auto request = request_of(input);
  const auto frame = input.bytes(SIZE_MAX);
  for (const bool silent : {false, true}) check_request(rtu::parse_request(frame, silent), frame);
  const auto size = rtu::reply_frame_size(frame);
  demand(!size || *size <= rtu::kMaxFrameSize, "a frame has its bounds");
  if (frame.size() < rtu::kLeastFrameSize) return;
  const auto reply = rtu::check_reply(request, frame);
  demand(reply.mismatch != Mismatch::none || rtu::checksum_fits(frame), "without checksum nothing fits");
  read_data(request, reply);
  // The same bytes with the right checksum, or no input would ever come this far.
  std::vector<std::uint8_t> repaired(frame.begin(), frame.end());
  const std::uint16_t crc = rtu::crc16(frame.first(frame.size() - 2));
  repaired[repaired.size() - 2] = static_cast<std::uint8_t>(crc);
  repaired[repaired.size() - 1] = static_cast<std::uint8_t>(crc >> 8);
  demand(rtu::checksum_fits(repaired), "its checksum is right");
  read_data(request, rtu::check_reply(request, repaired));
}

bool same(const signals::RawValue& a, const signals::RawValue& b) {
  const bool both_nan = std::isnan(a.real) && std::isnan(b.real);
  return a.kind == b.kind && a.integer == b.integer && a.natural == b.natural && (both_nan || a.real == b.real) &&
         a.text == b.text;
}

bool is_integer(ValueType type) { return type >= ValueType::INT16 && type <= ValueType::UINT64; }

void read_words(fuzz::Input& input) {
  drivers::RegisterSettings settings;
  settings.type = static_cast<ValueType>(input.byte() % (static_cast<int>(ValueType::STRING) + 1));
  settings.byte_order = static_cast<drivers::ByteOrder>(input.byte() % 8);
  const int bit = input.byte(), bits = input.byte();
  settings.length = 1 + input.byte() % 250;
  settings.string_location = static_cast<drivers::StringLocation>(input.byte() % 3);
  if (drivers::word_count(settings) != 4) {  // as the configuration allows it
    settings.byte_order = static_cast<drivers::ByteOrder>(static_cast<int>(settings.byte_order) % 4);
  }
  const int width = static_cast<int>(16 * drivers::word_count(settings));
  if (settings.type == ValueType::BIT) settings.bit = bit % 16;
  if (is_integer(settings.type) && bits % 2 == 1) {
    settings.bit = bit % width;
    settings.bits = 1 + bits / 2 % (width - *settings.bit);
  }
  std::vector<std::uint16_t> words(drivers::word_count(settings));
  for (std::uint16_t& word : words) word = input.word();
  const drivers::Decoded decoded = drivers::decode_words(settings, words);
  demand(decoded.raw.text.size() <= 250, "a text is no longer than its registers");
  if (settings.type == ValueType::BCD16 || settings.type == ValueType::BCD32) {
    demand(std::isnan(decoded.value) || decoded.value < 1e8, "decimal digits are decimal");
    if (std::isnan(decoded.value)) return;
  }
  std::vector<std::uint16_t> written(words);
  drivers::encode_words(settings, decoded.raw, written);
  demand(same(drivers::decode_words(settings, written).raw, decoded.raw), "what is written reads back");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  switch (input.byte() % 3) {
    case 0: read_mbap(input); break;
    case 1: read_rtu(input); break;
    default: read_words(input);
  }
  return 0;
}
