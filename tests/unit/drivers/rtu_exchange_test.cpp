#include <functional>
#include <random>

#include "drivers/exchange.hpp"
#include "fake_line.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::drivers;
using namespace std::chrono_literals;

namespace {

using test::Bytes;
using test::FakeLine;
using test::reply_to;

struct RtuExchangeRig {
  support::FakeClock clock{base::Instant{1000s}};
  FakeLine line{clock};
  std::unique_ptr<Exchange> exchange = make_rtu_exchange(line, clock, SerialTiming{1ms});
  ReadRequest request{0, 5, 3, 100, 4};
  static constexpr base::Duration kTimeout = 200ms;

  ExchangeResult run() { return exchange->run(request, kTimeout); }
};

}  // namespace

TEST_CASE("an RTU reply gives its data and the instants of request and last byte") {
  RtuExchangeRig rig;
  rig.line.answer = [&](const ReadRequest& request) { rig.line.arrive(reply_to(request, 7), 20ms); };
  const base::Instant begin = rig.clock.now();
  const ExchangeResult result = rig.run();
  REQUIRE(result.error == DeviceError::none);
  CHECK(reply_word(result.data, 0) == 7);
  CHECK(reply_word(result.data, 3) == 10);
  CHECK(result.sent == begin);
  CHECK(result.finished == begin + 20ms + 12ms);  // 13 bytes
  CHECK_FALSE(result.may_come_late);
}

TEST_CASE("an RTU request waits for 3.5 characters of silence and discards what came unasked") {
  RtuExchangeRig rig;
  rig.line.answer = [&](const ReadRequest& request) { rig.line.arrive(reply_to(request, 7), 20ms); };
  REQUIRE(rig.run().error == DeviceError::none);
  const base::Instant end = rig.clock.now();
  rig.line.arrive({1, 2, 3}, 1ms);
  rig.clock.advance(2ms);
  REQUIRE(rig.run().error == DeviceError::none);
  CHECK_FALSE(rig.line.talked_over);
  CHECK(rig.line.sent.back() >= end + 3ms + 3500us);
}

TEST_CASE("noise and another slave's frame before an RTU reply are passed over") {
  RtuExchangeRig rig;
  for (const bool foreign : {false, true}) {
    CAPTURE(foreign);
    rig.line.answer = [&](const ReadRequest& request) {
      ReadRequest other = request;
      other.unit = 9;
      rig.line.arrive(foreign ? reply_to(other, 1) : Bytes{0xFF, 0x00, 0x05}, 1ms);
      rig.line.arrive(reply_to(request, 7), 40ms);
    };
    const ExchangeResult result = rig.run();
    REQUIRE(result.error == DeviceError::none);
    CHECK(reply_word(result.data, 0) == 7);
    CHECK_FALSE(result.may_come_late);
  }
  CHECK(rig.line.sent.size() == 2);
}

TEST_CASE("a frame of another slave alone costs one repetition, and then a late reply is reckoned with") {
  RtuExchangeRig rig;
  int requests = 0;
  rig.line.answer = [&](const ReadRequest& request) {
    ReadRequest other = request;
    other.unit = 9;
    if (++requests == 1) rig.line.arrive(reply_to(other, 1), 10ms);
    if (requests == 2) rig.line.arrive(reply_to(request, 7), 10ms);
  };
  const ExchangeResult result = rig.run();
  REQUIRE(result.error == DeviceError::none);
  CHECK(reply_word(result.data, 0) == 7);
  CHECK(result.may_come_late);
  CHECK(requests == 2);
  CHECK(rig.exchange->longest_extra(RtuExchangeRig::kTimeout) >= RtuExchangeRig::kTimeout);
}

TEST_CASE("what comes instead of an RTU reply is told by its kind") {
  struct Case {
    const char* name;
    std::function<Bytes(const ReadRequest&)> bytes;
    DeviceError error;
    Mismatch mismatch;
    bool may_come_late;
  };
  const auto changed = [](std::size_t at, std::uint8_t by) {
    return [=](const ReadRequest& request) {
      Bytes frame = reply_to(request, 7);
      frame[at] = static_cast<std::uint8_t>(frame[at] ^ by);
      return frame;
    };
  };
  const std::vector<Case> cases{
      {"nothing", [](const auto&) { return Bytes{}; }, DeviceError::no_answer, Mismatch::none, true},
      {"wrong checksum", changed(5, 1), DeviceError::mismatch, Mismatch::checksum, false},
      {"cut short",
       [](const auto& request) {
         Bytes frame = reply_to(request, 7);
         frame.resize(6);
         return frame;
       },
       DeviceError::mismatch, Mismatch::short_frame, true},
      {"an exception",
       [](const auto& request) {
         Bytes frame;
         rtu::append_exception_reply(request, 2, frame);
         return frame;
       },
       DeviceError::exception, Mismatch::none, false},
      {"more registers than asked for",
       [](ReadRequest request) {
         ++request.count;
         return reply_to(request, 7);
       },
       DeviceError::mismatch, Mismatch::length, true},
      {"another function",
       [](ReadRequest request) {
         request.function = 4;
         return reply_to(request, 7);
       },
       DeviceError::mismatch, Mismatch::function, true},
  };
  for (const Case& one : cases) {
    CAPTURE(one.name);
    RtuExchangeRig rig;
    rig.line.answer = [&](const ReadRequest& request) { rig.line.arrive(one.bytes(request), 10ms); };
    const base::Instant begin = rig.clock.now();
    const ExchangeResult result = rig.run();
    CHECK(result.error == one.error);
    CHECK(result.mismatch == one.mismatch);
    CHECK(result.may_come_late == one.may_come_late);
    CHECK(result.exception_code == (one.error == DeviceError::exception ? 2 : 0));
    CHECK(rig.clock.now() <= begin + RtuExchangeRig::kTimeout);
    // A reply of the right size that is spoilt is over; nothing is gained by waiting.
    if (one.mismatch == Mismatch::checksum) CHECK(rig.clock.now() < begin + RtuExchangeRig::kTimeout / 2);
  }
}

TEST_CASE("bytes with pauses between them are no spoilt reply that ends the waiting") {
  RtuExchangeRig rig;
  rig.line.answer = [&](const ReadRequest&) { rig.line.arrive({5, 0x83, 2, 0, 0}, 10ms, 30ms); };
  const base::Instant begin = rig.clock.now();
  const ExchangeResult result = rig.run();
  CHECK(result.error != DeviceError::none);
  CHECK(result.may_come_late);  // they may be several senders' and the reply still to come
  CHECK(rig.clock.now() == begin + RtuExchangeRig::kTimeout);
}

TEST_CASE("a reply to what was asked before the connection was lost is reckoned with") {
  RtuExchangeRig rig;
  rig.line.answer = [&](const ReadRequest&) { rig.line.lose_after(10ms); };
  const ExchangeResult result = rig.run();
  CHECK(result.error == DeviceError::closed);
  CHECK(result.may_come_late);  // a serial server hands it to whoever is connected by then
}

TEST_CASE("bytes that still drip at the time-out are late and not short") {
  RtuExchangeRig rig;
  rig.line.answer = [&](const ReadRequest& request) { rig.line.arrive(reply_to(request, 7), 10ms, 30ms); };
  const ExchangeResult result = rig.run();
  CHECK(result.error == DeviceError::no_answer);
  CHECK(result.may_come_late);
}

// Every request is answered with a number of its own, so a value that belongs to another request shows.
TEST_CASE("100 000 RTU transactions with a faulty slave give no wrong value as good") {
  RtuExchangeRig rig;
  std::mt19937_64 engine(11);
  const auto below = [&](std::uint64_t limit) { return engine() % limit; };
  std::uint16_t number = 0;
  rig.line.answer = [&](const ReadRequest& request) {
    number = static_cast<std::uint16_t>(number + 7);
    Bytes frame = reply_to(request, number);
    base::Duration delay = std::chrono::milliseconds(1 + below(150));
    base::Duration apart = 1ms;
    switch (below(14)) {
      case 0: delay = std::chrono::milliseconds(100 + below(500)); break;   // late by 0.5 to 3 time-outs
      case 1: apart = std::chrono::milliseconds(1 + below(40)); break;      // dripping
      case 2: frame.push_back(static_cast<std::uint8_t>(engine())); break;  // padded
      case 3: frame.resize(below(frame.size())); break;                     // truncated
      case 4: frame[below(frame.size())] ^= static_cast<std::uint8_t>(1 + below(255)); break;
      case 5: {
        ReadRequest other = request;
        other.unit = static_cast<std::uint8_t>(1 + below(20));
        frame = reply_to(other, other.unit == request.unit ? number : 0xEEEE);
        break;
      }
      case 6: {
        ReadRequest other = request;
        other.count = static_cast<std::uint16_t>(1 + below(8));
        frame = reply_to(other, other.count == request.count ? number : 0xEEEE);
        break;
      }
      case 7:
        for (std::uint64_t i = below(30); i > 0; --i) frame.insert(frame.begin(), static_cast<std::uint8_t>(engine()));
        break;
      case 8:
        frame.clear();
        rtu::append_exception_reply(request, static_cast<std::uint8_t>(1 + below(6)), frame);
        break;
      case 9: frame.clear(); break;
      default: break;
    }
    rig.line.arrive(frame, delay, apart);
  };
  int good = 0;
  int wrong = 0;
  for (int i = 0; i < 100'000; ++i) {
    rig.request.unit = static_cast<std::uint8_t>(1 + below(3));
    const ExchangeResult result = rig.run();
    if (result.error == DeviceError::none) {
      ++good;
      for (std::uint16_t k = 0; k < rig.request.count; ++k) {
        if (reply_word(result.data, k) != static_cast<std::uint16_t>(number + k)) ++wrong;
      }
    }
    // As the poller does, though for all slaves at once: the one that may answer late is left alone.
    rig.clock.advance(result.may_come_late ? 4 * RtuExchangeRig::kTimeout : 5ms);
  }
  CHECK(wrong == 0);
  CHECK(good > 40'000);
  CHECK_FALSE(rig.line.talked_over);
}
