// Registers written by order: what goes over the wire, and what is told of it.
#include <map>
#include <random>

#include "drivers/decoder.hpp"
#include "drivers/rtu.hpp"
#include "drivers/write_request.hpp"
#include "poller_bench.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::drivers;
using namespace std::chrono_literals;

namespace {

using Bytes = std::vector<std::uint8_t>;

// A device with memory behind Modbus TCP, which also writes; it looks at the bytes by itself.
class MemoryTransport final : public Transport {
 public:
  explicit MemoryTransport(test::FakeClock& clock) : clock_(clock) {}

  base::Status connect(base::Duration) override {
    connected_ = true;
    return base::Success{};
  }
  base::Status send(std::span<const std::uint8_t> frame, base::Instant) override {
    functions.push_back(frame[7]);
    clock_.advance(2ms);
    const bool write = frame[7] >= 5;
    if (write) ++writes;
    if (write && mute) return base::Success{};
    Bytes pdu = write && refuse != 0 ? Bytes{static_cast<std::uint8_t>(frame[7] | 0x80), refuse} : answer(frame);
    if (write && alter && pdu.size() == 5) pdu[4] ^= 1;
    pending_ = {frame[0], frame[1], 0, 0, 0, static_cast<std::uint8_t>(pdu.size() + 1), frame[6]};
    pending_.insert(pending_.end(), pdu.begin(), pdu.end());
    return base::Success{};
  }
  base::Result<std::size_t> receive(std::span<std::uint8_t> into, base::Instant deadline) override {
    if (pending_.empty()) {
      clock_.sleep_until(deadline);
      return base::Error{base::ErrorCode::timeout, "no complete reply in time", true};
    }
    const std::size_t size = std::min(into.size(), pending_.size());
    std::copy_n(pending_.begin(), size, into.begin());
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(size));
    return size;
  }
  bool quiet() noexcept override { return connected_ && pending_.empty(); }
  bool discard_input() noexcept override { return false; }
  bool reopening_discards() const noexcept override { return true; }
  void close() noexcept override {
    connected_ = false;
    pending_.clear();
  }
  bool connected() const noexcept override { return connected_; }

  std::map<int, std::uint16_t> words;
  std::map<int, bool> coils;
  Bytes functions;
  int writes = 0;
  bool mute = false;
  bool alter = false;   // the echo
  bool forget = false;  // acknowledges without writing
  std::uint8_t refuse = 0;

 private:
  Bytes answer(std::span<const std::uint8_t> frame) {
    const auto word = [&](std::size_t at) { return static_cast<std::uint16_t>(frame[at] << 8 | frame[at + 1]); };
    const int address = word(8);
    const int third = word(10);
    Bytes out{frame[7]};
    switch (frame[7]) {
      case 1:
        out.push_back(1);
        out.push_back(coils[address] ? 1 : 0);
        return out;
      case 3:
        out.push_back(static_cast<std::uint8_t>(2 * third));
        for (int i = 0; i < third; ++i) {
          out.push_back(static_cast<std::uint8_t>(words[address + i] >> 8));
          out.push_back(static_cast<std::uint8_t>(words[address + i]));
        }
        return out;
      case 5:
        if (!forget) coils[address] = third == 0xFF00;
        break;
      case 6:
        if (!forget) words[address] = static_cast<std::uint16_t>(third);
        break;
      case 15:
        if (!forget) coils[address] = (frame[13] & 1) != 0;
        break;
      case 16:
        for (int i = 0; i < third && !forget; ++i) words[address + i] = word(static_cast<std::size_t>(13 + 2 * i));
        break;
      default: return {static_cast<std::uint8_t>(frame[7] | 0x80), 1};
    }
    out.insert(out.end(), frame.begin() + 8, frame.begin() + 12);
    return out;
  }

  test::FakeClock& clock_;
  bool connected_ = false;
  Bytes pending_;
};

struct WriteBench {
  explicit WriteBench(DeviceSettings settings, bool with_queue = true)
      : transport(new MemoryTransport(clock)),
        poller({std::move(settings)}, clock.now(), clock, samples, events, std::unique_ptr<Transport>(transport),
               with_queue ? &queue : nullptr) {
    poller.poll_due({});
    samples.take();
    transport->functions.clear();
  }

  WriteOutcome write(double value, std::size_t writable = 0) {
    REQUIRE(queue.give({7, 0, writable, value, clock.now() + 10s}));
    poller.poll_due({});
    const auto taken = queue.take_outcomes();
    REQUIRE(taken.size() == 1);
    CHECK(taken[0].number == 7);
    return taken[0];
  }

  test::FakeClock clock;
  test::RememberingSamples samples;
  test::RememberingEvents events;
  int orders = 0;
  int outcomes = 0;
  WriteQueue queue{[this] { ++orders; }, [this] { ++outcomes; }};
  MemoryTransport* transport;
  EndpointPoller poller;
};

DeviceSettings plc() {
  RegisterSettings speed = test::word(0, 10);
  speed.type = ValueType::INT16;
  speed.scale = 0.1;
  RegisterSettings level = test::word(1, 20);
  level.type = ValueType::FLOAT32;
  level.byte_order = ByteOrder::CDAB;
  DeviceSettings device = test::device({speed, level, test::word(2, 5, RegisterKind::coil)});
  device.writable = {
      {0, -100.0, 100.0, 20.0, 6, false}, {1, 0.0, 2.0, std::nullopt, 6, false}, {2, 0.0, 1.0, std::nullopt, 6, false}};
  return device;
}

}  // namespace

TEST_CASE("A word, a float and a coil are read, written by functions 6, 16 and 5, and read back") {
  WriteBench bench(plc());
  bench.transport->words[10] = 50;
  WriteOutcome outcome = bench.write(12.34);
  CHECK(outcome.done);
  CHECK(outcome.reason.empty());
  CHECK(outcome.before == 5.0);
  CHECK(outcome.after == 123 * 0.1);
  CHECK(bench.transport->words[10] == 123);
  CHECK(bench.transport->functions == Bytes{3, 6, 3});
  bench.transport->functions.clear();
  outcome = bench.write(1.5, 1);
  CHECK(outcome.done);
  CHECK(outcome.after == 1.5);
  CHECK(bench.transport->words[21] == 0x3FC0);
  CHECK(bench.transport->words[20] == 0);
  CHECK(bench.transport->functions == Bytes{3, 16, 3});
  bench.transport->functions.clear();
  outcome = bench.write(1.0, 2);
  CHECK(outcome.done);
  CHECK(bench.transport->coils[5]);
  CHECK(bench.transport->functions == Bytes{1, 5, 1});
  CHECK(bench.orders == 3);
  CHECK(bench.outcomes == 3);
  CHECK(bench.samples.samples.empty());
}

TEST_CASE("On demand one word and one coil are written by functions 16 and 15") {
  DeviceSettings device = plc();
  for (WritableSettings& writable : device.writable) writable.multiple = true;
  WriteBench bench(device);
  CHECK(bench.write(3.0).done);
  CHECK(bench.write(1.0, 2).done);
  CHECK(bench.transport->words[10] == 30);
  CHECK(bench.transport->coils[5]);
  CHECK(bench.transport->functions == Bytes{3, 16, 3, 1, 15, 1});
}

TEST_CASE("A step that is too large, an expired order and a device that can't be read are not written") {
  WriteBench bench(plc());
  WriteOutcome outcome = bench.write(20.5);
  CHECK_FALSE(outcome.done);
  CHECK(outcome.reason == "not written: too large a step from the present value");
  CHECK(outcome.before == 0.0);
  REQUIRE(bench.queue.give({8, 0, 0, 1.0, bench.clock.now() - 1ms}));
  bench.poller.poll_due({});
  CHECK(bench.queue.take_outcomes().at(0).reason == "expired before its turn came");
  CHECK(bench.transport->writes == 0);
}

TEST_CASE("A refused write is told as refused, a lost one as unknown, and neither is repeated") {
  WriteBench bench(plc());
  bench.transport->refuse = 2;
  WriteOutcome outcome = bench.write(1.0);
  CHECK_FALSE(outcome.done);
  CHECK(outcome.reason == "illegal data address: refused by the device");
  bench.transport->refuse = 0;
  bench.transport->mute = true;
  outcome = bench.write(1.0);
  CHECK_FALSE(outcome.done);
  CHECK(outcome.reason.find("whether it was written is not known") != std::string::npos);
  CHECK(bench.transport->writes == 2);
}

TEST_CASE("An echo that differs is no acknowledgement, and a value that did not stay is told") {
  WriteBench bench(plc());
  bench.transport->alter = true;
  const WriteOutcome altered = bench.write(1.0);
  CHECK_FALSE(altered.done);
  CHECK(altered.reason.find("not known") != std::string::npos);
  bench.transport->alter = false;
  bench.transport->forget = true;
  const WriteOutcome forgotten = bench.write(2.0);
  CHECK(forgotten.done);
  CHECK(forgotten.reason == "acknowledged, but another value is read back");
}

TEST_CASE("A poller without a queue never writes") {
  WriteBench bench(plc(), false);
  REQUIRE(bench.queue.give({1, 0, 0, 1.0, bench.clock.now() + 10s}));
  for (int i = 0; i < 10; ++i) {
    bench.clock.advance(100ms);
    bench.poller.poll_due({});
  }
  CHECK(bench.transport->writes == 0);
  CHECK(bench.queue.take_outcomes().empty());
}

TEST_CASE("More orders than there is room for are refused") {
  WriteQueue queue([] {}, [] {});
  for (std::size_t i = 0; i < WriteQueue::kMost; ++i) REQUIRE(queue.give({i, 0, 0, 1.0, {}}));
  CHECK_FALSE(queue.give({99, 0, 0, 1.0, {}}));
  CHECK(queue.take()->number == 0);
  CHECK(queue.give({99, 0, 0, 1.0, {}}));
}

// The specification's own examples, §6.5, §6.6, §6.11, §6.12.
TEST_CASE("Writes are on the wire what the specification shows, and only their echo acknowledges them") {
  const auto pdu = [](const ReadRequest& request) {
    Bytes out(request_pdu_size(request));
    encode_request_pdu(request, out);
    return out;
  };
  ReadRequest coil;
  coil.function = 5;
  coil.address = 0xAC;
  coil.count = 0xFF00;
  CHECK(pdu(coil) == Bytes{0x05, 0x00, 0xAC, 0xFF, 0x00});
  ReadRequest word;
  word.function = 6;
  word.address = 1;
  word.count = 3;
  CHECK(pdu(word) == Bytes{0x06, 0x00, 0x01, 0x00, 0x03});
  const Bytes bits{0xCD, 0x01};
  ReadRequest coils;
  coils.function = 15;
  coils.address = 0x13;
  coils.count = 10;
  coils.data = bits;
  CHECK(pdu(coils) == Bytes{0x0F, 0x00, 0x13, 0x00, 0x0A, 0x02, 0xCD, 0x01});
  const Bytes values{0x00, 0x0A, 0x01, 0x02};
  ReadRequest words;
  words.function = 16;
  words.address = 1;
  words.count = 2;
  words.data = values;
  CHECK(pdu(words) == Bytes{0x10, 0x00, 0x01, 0x00, 0x02, 0x04, 0x00, 0x0A, 0x01, 0x02});
  for (const ReadRequest& request : {coil, word, coils, words}) {
    Bytes echo = pdu(request);
    echo.resize(5);
    CHECK(check_reply_pdu(request, echo).ok());
    for (std::size_t at = 0; at < echo.size(); ++at) {
      Bytes other = echo;
      other[at] ^= 4;
      CHECK_FALSE(check_reply_pdu(request, other).ok());
    }
    const Bytes refusal{static_cast<std::uint8_t>(request.function | 0x80), 3};
    CHECK(check_reply_pdu(request, refusal).exception_code == 3);
  }
}

TEST_CASE("What is written decodes to the value that was ordered, for every number in every order") {
  std::mt19937 random(3);
  WriteEncoder encoder;
  for (const ValueType type : {ValueType::INT16, ValueType::UINT16, ValueType::INT32, ValueType::UINT32,
                               ValueType::INT64, ValueType::FLOAT32, ValueType::FLOAT64, ValueType::BCD32}) {
    for (const ByteOrder order : {ByteOrder::ABCD, ByteOrder::DCBA, ByteOrder::BADC, ByteOrder::CDAB}) {
      RegisterSettings reg = test::word(0, 100);
      reg.type = type;
      reg.byte_order = order;
      const double value = static_cast<double>(random() % 30'000);
      const ReadRequest request = encoder.encode(reg, value, true);
      REQUIRE(request.data.size() == 2 * word_count(reg));
      std::vector<std::uint16_t> words;
      for (std::size_t i = 0; i < word_count(reg); ++i) words.push_back(reply_word(request.data, i));
      CHECK(decode_words(reg, words).value == value);
    }
  }
}
