#include "drivers/mbap.hpp"

#include <algorithm>
#include <random>

#include "random_frames.hpp"
#include "support/catch.hpp"

using namespace twinkeeper::drivers;
using namespace twinkeeper::drivers::mbap;
using namespace twinkeeper;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes good_reply(const ReadRequest& request, std::mt19937& random) {
  return test::random_reply(request, random, append_word_reply, append_bit_reply);
}

}  // namespace

TEST_CASE("A read request is encoded as the specification's example with an MBAP header before it") {
  const auto frame = encode_request({0x0102, 0x11, 3, 0x006B, 3});
  CHECK(Bytes(frame.begin(), frame.end()) == Bytes{1, 2, 0, 0, 0, 6, 0x11, 3, 0, 0x6B, 0, 3});
}

TEST_CASE("A reply made by hand gives its words when every field matches") {
  const ReadRequest request{7, 1, 3, 0x6B, 3};
  const Bytes frame{0, 7, 0, 0, 0, 9, 1, 3, 6, 0x02, 0x2B, 0, 0, 0, 0x64};
  const Reply reply = check_reply(request, frame);
  REQUIRE(reply.ok());
  CHECK(reply_word(reply.data, 0) == 0x022B);
  CHECK(reply_word(reply.data, 2) == 0x0064);
}

TEST_CASE("A bit reply made by hand gives its bits from the least significant on") {
  const ReadRequest request{7, 1, 1, 0, 10};
  const Bytes frame{0, 7, 0, 0, 0, 5, 1, 1, 2, 0xCD, 0x02};
  const Reply reply = check_reply(request, frame);
  REQUIRE(reply.ok());
  const std::vector<bool> expected{true, false, true, true, false, false, true, true, false, true};
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(reply_bit(reply.data, i) == expected[i]);
}

TEST_CASE("A mismatch names its field") {
  const ReadRequest request{7, 1, 3, 0, 1};
  const Bytes good{0, 7, 0, 0, 0, 5, 1, 3, 2, 0x12, 0x34};
  REQUIRE(check_reply(request, good).ok());
  const auto altered = [&](std::size_t at, std::uint8_t value) {
    Bytes frame = good;
    frame[at] = value;
    return check_reply(request, frame).mismatch;
  };
  CHECK(altered(1, 8) == Mismatch::transaction);
  CHECK(altered(3, 1) == Mismatch::protocol);
  CHECK(altered(5, 6) == Mismatch::length);
  CHECK(altered(6, 2) == Mismatch::unit);
  CHECK(altered(7, 4) == Mismatch::function);
  CHECK(altered(8, 4) == Mismatch::byte_count);
  CHECK(check_reply(request, std::span{good}.first(10)).mismatch == Mismatch::short_frame);
  Bytes longer = good;
  longer.push_back(0);
  CHECK(check_reply(request, longer).mismatch == Mismatch::length);
  CHECK(check_reply({7, 1, 1, 0, 3}, Bytes{0, 7, 0, 0, 0, 4, 1, 1, 1, 0x08}).mismatch == Mismatch::padding);
}

TEST_CASE("An exception reply gives its code and no data") {
  const ReadRequest request{7, 1, 4, 0, 5};
  for (const std::uint8_t code : Bytes{1, 2, 3, 4, 5, 6, 8, 0x0A, 0x0B, 0xFF}) {
    Bytes frame;
    append_exception_reply(request, code, frame);
    CHECK(frame == Bytes{0, 7, 0, 0, 0, 3, 1, 0x84, code});
    const Reply reply = check_reply(request, frame);
    CHECK(reply.mismatch == Mismatch::none);
    CHECK(reply.exception_code == code);
    CHECK(reply.data.empty());
  }
  CHECK(check_reply(request, Bytes{0, 7, 0, 0, 0, 3, 1, 0x84, 0}).mismatch != Mismatch::none);
  CHECK(check_reply(request, Bytes{0, 7, 0, 0, 0, 3, 1, 0x83, 2}).mismatch == Mismatch::function);
}

TEST_CASE("A reply altered in any byte before its data or cut anywhere is never accepted as a good value") {
  std::mt19937 random(20240501);
  std::size_t replies = 0;
  while (replies < 100'000) {
    const ReadRequest request = test::random_request(random);
    const Bytes good = good_reply(request, random);
    REQUIRE(check_reply(request, good).ok());
    std::size_t accepted = 0;
    for (std::size_t at = 0; at < 9; ++at) {
      Bytes frame = good;
      frame[at] = static_cast<std::uint8_t>(frame[at] ^ (1 + random() % 255));
      accepted += check_reply(request, frame).ok();
      ++replies;
    }
    for (std::size_t size = 0; size < good.size(); ++size) {
      accepted += check_reply(request, std::span{good}.first(size)).ok();
      ++replies;
    }
    Bytes longer = good;
    longer.resize(good.size() + 1 + random() % 8);
    accepted += check_reply(request, longer).ok();
    // Altered data can't be told from other data, but they stay what was sent.
    Bytes other = good;
    const std::size_t at = 9 + random() % (good.size() - 9);
    other[at] = static_cast<std::uint8_t>(other[at] ^ 1);
    if (const Reply reply = check_reply(request, other); reply.ok()) {
      accepted += !std::equal(reply.data.begin(), reply.data.end(), other.begin() + 9, other.end());
    }
    if (accepted != 0) FAIL("accepted with count " << request.count << " and function " << int{request.function});
  }
}

TEST_CASE("Random bytes are never accepted as a reply unless they are one") {
  std::mt19937 random(7);
  for (int i = 0; i < 100'000; ++i) {
    const ReadRequest request = test::random_request(random);
    Bytes frame(random() % 300);
    for (auto& byte : frame) byte = static_cast<std::uint8_t>(random() % 4);
    const Reply reply = check_reply(request, frame);
    if (reply.ok()) CHECK(frame.size() == reply_size(request));
  }
}

TEST_CASE("A request that was encoded is parsed back whole and from pieces") {
  std::mt19937 random(3);
  for (int i = 0; i < 1000; ++i) {
    const ReadRequest request = test::random_request(random);
    const auto frame = encode_request(request);
    for (std::size_t size = 0; size < frame.size(); ++size) {
      REQUIRE(parse_request(std::span{frame}.first(size)).state == RequestState::incomplete);
    }
    const ParsedRequest parsed = parse_request(frame);
    REQUIRE(parsed.state == RequestState::complete);
    CHECK(parsed.exception_code == 0);
    CHECK(parsed.frame_size == kRequestSize);
    CHECK(parsed.request.transaction == request.transaction);
    CHECK(parsed.request.unit == request.unit);
    CHECK(parsed.request.function == request.function);
    CHECK(parsed.request.address == request.address);
    CHECK(parsed.request.count == request.count);
  }
}

TEST_CASE("A server refuses what it can't serve and gives up on what is not Modbus") {
  const auto refusal = [](const ReadRequest& request) { return parse_request(encode_request(request)).exception_code; };
  CHECK(refusal({1, 1, 6, 0, 1}) == 1);
  CHECK(refusal({1, 1, 3, 0, 0}) == 3);
  CHECK(refusal({1, 1, 3, 0, 126}) == 3);
  CHECK(refusal({1, 1, 1, 0, 2001}) == 3);
  CHECK(refusal({1, 1, 3, 65535, 2}) == 2);
  CHECK(refusal({1, 1, 3, 65535, 1}) == 0);
  CHECK(parse_request(Bytes{0, 1, 0, 1, 0, 6, 1, 3, 0, 0, 0, 1}).state == RequestState::garbage);
  CHECK(parse_request(Bytes{0, 1, 0, 0, 0, 1, 1, 3}).state == RequestState::garbage);
  CHECK(parse_request(Bytes{0, 1, 0, 0, 1, 0, 1, 3}).state == RequestState::garbage);
  CHECK(parse_request(Bytes{0, 1, 0, 0, 0, 4, 1, 3, 0, 0}).exception_code == 3);
}
