#include "drivers/rtu.hpp"

#include <algorithm>
#include <random>

#include "random_frames.hpp"
#include "support/catch.hpp"

using namespace twinkeeper::drivers;
using namespace twinkeeper::drivers::rtu;
using namespace twinkeeper;

namespace {

using Bytes = std::vector<std::uint8_t>;

// Bit by bit, as the specification describes it: another way than the table's.
std::uint16_t crc_by_bits(const Bytes& bytes) {
  unsigned crc = 0xFFFF;
  for (const std::uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1U) != 0 ? (crc >> 1) ^ 0xA001U : crc >> 1;
  }
  return static_cast<std::uint16_t>(crc);
}

Bytes good_reply(const ReadRequest& request, std::mt19937& random) {
  return test::random_reply(request, random, append_word_reply, append_bit_reply);
}

}  // namespace

TEST_CASE("The RTU checksum is that of the specification's example and of the definition bit by bit") {
  CHECK(crc16(Bytes{0x02, 0x07}) == 0x1241);
  std::mt19937 random(11);
  for (int i = 0; i < 1000; ++i) {
    Bytes bytes(random() % 256);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    REQUIRE(crc16(bytes) == crc_by_bits(bytes));
  }
}

TEST_CASE("An RTU request is the unit and the PDU with their checksum, the low byte first") {
  const auto frame = encode_request({0, 0x11, 3, 0x006B, 3});
  CHECK(Bytes(frame.begin(), frame.end()) == Bytes{0x11, 3, 0, 0x6B, 0, 3, 0x76, 0x87});
}

TEST_CASE("An RTU mismatch names its field, and the checksum comes before all others") {
  const ReadRequest request{0, 1, 3, 0, 1};
  const auto mismatch = [&](Bytes body) {
    const std::uint16_t crc = crc_by_bits(body);
    body.push_back(static_cast<std::uint8_t>(crc));
    body.push_back(static_cast<std::uint8_t>(crc >> 8));
    return check_reply(request, body).mismatch;
  };
  CHECK(mismatch({1, 3, 2, 0x12, 0x34}) == Mismatch::none);
  CHECK(mismatch({2, 3, 2, 0x12, 0x34}) == Mismatch::unit);
  CHECK(mismatch({1, 4, 2, 0x12, 0x34}) == Mismatch::function);
  CHECK(mismatch({1, 3, 4, 0x12, 0x34}) == Mismatch::byte_count);
  CHECK(mismatch({1, 3, 2, 0x12}) == Mismatch::short_frame);
  CHECK(mismatch({1, 3, 4, 0x12, 0x34, 0x56, 0x78}) == Mismatch::length);
  CHECK(check_reply(request, Bytes{2, 4, 9, 0, 0, 0, 0}).mismatch == Mismatch::checksum);
  CHECK(check_reply(request, Bytes{1, 3, 2}).mismatch == Mismatch::short_frame);
}

TEST_CASE("An RTU exception reply gives its code") {
  const ReadRequest request{0, 9, 4, 0, 5};
  Bytes frame;
  append_exception_reply(request, 2, frame);
  CHECK(frame.size() == kLeastFrameSize);
  const Reply reply = check_reply(request, frame);
  CHECK(reply.mismatch == Mismatch::none);
  CHECK(reply.exception_code == 2);
}

TEST_CASE("An RTU reply altered in one byte, or cut, or longer is never accepted") {
  std::mt19937 random(5);
  std::size_t replies = 0;
  while (replies < 100'000) {
    const ReadRequest request = test::random_request(random);
    const Bytes good = good_reply(request, random);
    REQUIRE(good.size() == reply_size(request));
    REQUIRE(check_reply(request, good).ok());
    CHECK(reply_frame_size(good) == good.size());
    std::size_t accepted = 0;
    for (std::size_t at = 0; at < good.size(); ++at, ++replies) {
      Bytes frame = good;
      frame[at] = static_cast<std::uint8_t>(frame[at] ^ (1 + random() % 255));
      accepted += check_reply(request, frame).ok() ? 1 : 0;
      accepted += check_reply(request, std::span{good}.first(at)).ok() ? 1 : 0;
    }
    Bytes longer = good;
    longer.push_back(0);
    accepted += check_reply(request, longer).ok() ? 1 : 0;
    if (accepted != 0) FAIL("accepted with count " << request.count << " and function " << int{request.function});
  }
}

TEST_CASE("The size of an RTU reply is known from its first bytes") {
  CHECK_FALSE(reply_frame_size(Bytes{1}));
  CHECK_FALSE(reply_frame_size(Bytes{1, 3}));
  CHECK(reply_frame_size(Bytes{1, 3, 250}) == 255u);
  CHECK(reply_frame_size(Bytes{1, 3, 252}) == 0u);
  CHECK(reply_frame_size(Bytes{1, 0x83}) == 5u);
  CHECK(reply_frame_size(Bytes{1, 16}) == 8u);
  CHECK(reply_frame_size(Bytes{1, 7}) == 0u);
}

TEST_CASE("An RTU request that was encoded is parsed back whole and from pieces") {
  std::mt19937 random(3);
  for (int i = 0; i < 1000; ++i) {
    const ReadRequest request = test::random_request(random);
    const auto frame = encode_request(request);
    for (std::size_t size = 0; size < frame.size(); ++size) {
      REQUIRE(parse_request(std::span{frame}.first(size), false).state == RequestState::incomplete);
      if (size > 0) REQUIRE(parse_request(std::span{frame}.first(size), true).state == RequestState::garbage);
    }
    const ParsedRequest parsed = parse_request(frame, false);
    REQUIRE(parsed.state == RequestState::complete);
    CHECK(parsed.exception_code == 0);
    CHECK(parsed.frame_size == kRequestSize);
    CHECK(parsed.request.unit == request.unit);
    CHECK(parsed.request.function == request.function);
    CHECK(parsed.request.address == request.address);
    CHECK(parsed.request.count == request.count);
  }
}

TEST_CASE("An RTU server refuses other functions and discards what is no request") {
  const auto with_checksum = [](Bytes body) {
    const std::uint16_t crc = crc_by_bits(body);
    body.push_back(static_cast<std::uint8_t>(crc));
    body.push_back(static_cast<std::uint8_t>(crc >> 8));
    return body;
  };
  const Bytes other = with_checksum({1, 0x2B, 0x0E, 1, 0});
  CHECK(parse_request(other, false).state == RequestState::incomplete);
  CHECK(parse_request(other, true).state == RequestState::complete);
  CHECK(parse_request(other, true).exception_code == 1);
  CHECK(parse_request(with_checksum({1, 6, 0, 0, 0, 1}), false).exception_code == 1);
  CHECK(parse_request(with_checksum({1, 16, 0, 0, 0, 1, 2, 0, 7}), false).exception_code == 1);
  CHECK(parse_request(with_checksum({1, 3, 0, 0, 0, 126}), false).exception_code == 3);
  CHECK(parse_request(with_checksum({1, 3, 0xFF, 0xFF, 0, 2}), false).exception_code == 2);
  CHECK(parse_request(Bytes{1, 3, 0, 0, 0, 1, 0, 0}, false).state == RequestState::garbage);
  CHECK(parse_request(Bytes(256, 0x55), false).state == RequestState::garbage);
}
