// Slaves 1 to 3 that misbehave in every way a test names, and the judge of what a poller makes of it.
//
// What they hold tells where and when it was read: an even address holds which register it is, the odd one behind it
// the number of the request; coils hold the number's bits, stirred. So a value of another register, another slave or
// another request shows. Frames are built by hand here, not by the codec under test.
// A good sample is right if a request that covers its register was sent within the time that the sample claims (its
// time is the middle of that) and the value is what the slave held then.
#pragma once

#include <array>
#include <cmath>
#include <deque>
#include <map>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "drivers/endpoint_poller.hpp"
#include "drivers/rtu.hpp"
#include "poller_rig.hpp"
#include "scheduled_bytes.hpp"
#include "support/fake_clock.hpp"

namespace twinkeeper::test {

using namespace std::chrono_literals;

enum class Framing { tcp, rtu, rtu_over_tcp };

struct Reply {
  Bytes before;  // comes after 5 ms
  Bytes bytes;
  base::Duration delay = 5ms;
  base::Duration apart = 1ms;
  int close_after_bytes = -1;  // TCP connections only
  // Nothing else may come behind it: what fills up a frame that was cut short is data to Modbus TCP, which has no
  // checksum.
  bool alone = false;
};

class FaultySlaves {
 public:
  static constexpr base::Duration kTimeout = 200ms;
  static constexpr int kSlaves = 3;

  FaultySlaves(Framing framing, std::uint64_t seed, support::FakeClock& clock)
      : framing_(framing), engine_(seed), clock_(clock) {}

  // `frame` is a request as it came.
  Reply answer(std::span<const std::uint8_t> frame) {
    const std::size_t pdu = framing_ == Framing::tcp ? 7 : 1;
    Request request;
    if (framing_ == Framing::tcp) request.transaction = word(frame, 0);
    request.unit = frame[pdu - 1];
    request.function = frame[pdu];
    request.address = word(frame, pdu + 1);
    request.count = word(frame, pdu + 3);
    request.number = static_cast<std::uint16_t>(++requests);
    request.sent = clock_.now();
    log_.push_back(request);
    if (log_.size() > 64) log_.pop_front();
    Reply reply;
    reply.bytes = good_frame(request);
    misbehave(request, reply);
    all_through_ =
        std::max(all_through_, clock_.now() + reply.delay + static_cast<int>(reply.bytes.size()) * reply.apart);
    previous_ = good_frame(request);
    return reply;
  }

  [[nodiscard]] std::vector<drivers::DeviceSettings> devices() const {
    std::vector<drivers::DeviceSettings> all;
    for (int slave = 1; slave <= kSlaves; ++slave) {
      drivers::DeviceSettings device;
      device.name = "slave_" + std::to_string(slave);
      device.transmission_mode = framing_ == Framing::tcp   ? drivers::TransmissionMode::TCP
                                 : framing_ == Framing::rtu ? drivers::TransmissionMode::RTU
                                                            : drivers::TransmissionMode::RTUoverTCP;
      device.slave_id = slave;
      device.poll_interval = 250ms;
      device.timeout = kTimeout;
      device.busy_retries = 1;
      const auto add = [&](drivers::RegisterKind kind, int address, drivers::ValueType type, base::Duration interval) {
        drivers::RegisterSettings reg;
        reg.tag = static_cast<signals::TagIndex>(256 * slave + static_cast<int>(device.registers.size()));
        reg.kind = kind;
        reg.address = static_cast<std::uint16_t>(address);
        reg.type = type;
        reg.poll_interval = interval;
        device.registers.push_back(reg);
      };
      // Two ranges of one size, which only the request's number tells apart in a late reply.
      for (const int base : {0, 400}) {
        for (int i = 0; i < 4; ++i) {
          add(drivers::RegisterKind::holding, base + 2 * i, drivers::ValueType::UINT32, 250ms);
        }
      }
      for (int i = 0; i < 3; ++i) add(drivers::RegisterKind::input, 2 * i, drivers::ValueType::UINT32, 1s);
      for (int i = 0; i < 16; ++i) add(drivers::RegisterKind::coil, i, drivers::ValueType::BIT, 500ms);
      all.push_back(device);
    }
    return all;
  }

  // Whether a good sample is of the request that it claims to be of.
  [[nodiscard]] bool right(const signals::Sample& sample, base::Instant finished) const {
    const base::Instant claimed = sample.time - (finished - sample.time) - 2ns;
    const int unit = static_cast<int>(sample.tag) / 256;
    const drivers::RegisterSettings reg = devices_[static_cast<std::size_t>(unit - 1)].registers[sample.tag % 256];
    const auto function = static_cast<std::uint8_t>(reg.kind == drivers::RegisterKind::coil      ? 1
                                                    : reg.kind == drivers::RegisterKind::holding ? 3
                                                                                                 : 4);
    for (const Request& request : log_) {
      if (request.unit != unit || request.function != function || request.sent < claimed) continue;
      if (reg.address < request.address || reg.address >= request.address + request.count) continue;
      const double value = function == 1 ? static_cast<double>(bit_of(request.number, reg.address))
                                         : 65536.0 * place_of(request, reg.address) + request.number;
      if (sample.value == value) return true;
    }
    return false;
  }

  std::uint64_t requests = 0;
  std::map<std::string, int> injected;

 private:
  struct Request {
    std::uint16_t transaction = 0;
    std::uint8_t unit = 0;
    std::uint8_t function = 0;
    std::uint16_t address = 0;
    std::uint16_t count = 0;
    std::uint16_t number = 0;
    base::Instant sent;
  };

  std::uint64_t below(std::uint64_t limit) { return engine_() % limit; }
  base::Duration between(base::Duration least, base::Duration most) {
    return least + base::Duration{static_cast<std::int64_t>(below(static_cast<std::uint64_t>((most - least).count())))};
  }
  static std::uint16_t word(std::span<const std::uint8_t> bytes, std::size_t at) {
    return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
  }
  static void put(Bytes& out, int value) {
    out.push_back(static_cast<std::uint8_t>(value >> 8));
    out.push_back(static_cast<std::uint8_t>(value));
  }
  static int place_of(const Request& request, int address) {
    return request.unit << 12 | request.function << 9 | (address / 2 & 0x1FF);
  }
  static int bit_of(std::uint16_t number, int address) {
    return static_cast<int>(number * 2654435761U >> (8 + address % 16) & 1U);
  }

  [[nodiscard]] static Bytes data_of(const Request& request) {
    Bytes data;
    if (request.function == 1) {
      data.assign(static_cast<std::size_t>(request.count + 7) / 8, 0);
      for (int i = 0; i < request.count; ++i) {
        if (bit_of(request.number, request.address + i) != 0) {
          data[static_cast<std::size_t>(i / 8)] |= static_cast<std::uint8_t>(1 << i % 8);
        }
      }
      return data;
    }
    for (int address = request.address; address < request.address + request.count; ++address) {
      put(data, address % 2 == 0 ? place_of(request, address) : request.number);
    }
    return data;
  }
  [[nodiscard]] Bytes good_frame(const Request& request) const {
    const Bytes data = data_of(request);
    Bytes pdu{request.function, static_cast<std::uint8_t>(data.size())};
    pdu.insert(pdu.end(), data.begin(), data.end());
    return framed(request, pdu);
  }
  [[nodiscard]] Bytes framed(const Request& request, const Bytes& pdu) const {
    Bytes frame;
    if (framing_ == Framing::tcp) {
      put(frame, request.transaction);
      put(frame, 0);
      put(frame, static_cast<int>(pdu.size()) + 1);
    }
    frame.push_back(request.unit);
    frame.insert(frame.end(), pdu.begin(), pdu.end());
    if (framing_ != Framing::tcp) {
      const std::uint16_t sum = drivers::rtu::crc16(frame);
      frame.push_back(static_cast<std::uint8_t>(sum));
      frame.push_back(static_cast<std::uint8_t>(sum >> 8));
    }
    return frame;
  }
  Bytes noise(std::uint64_t most) {
    Bytes bytes(1 + below(most));
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(engine_());
    return bytes;
  }
  static Bytes twice(Bytes bytes) {
    const std::size_t size = bytes.size();
    bytes.resize(2 * size);
    std::copy_n(bytes.begin(), size, bytes.begin() + static_cast<std::ptrdiff_t>(size));
    return bytes;
  }
  Bytes exception(const Request& request) {
    constexpr std::array<std::uint8_t, 9> kCodes{1, 2, 3, 4, 5, 6, 8, 0x0A, 0x0B};
    return framed(request, {static_cast<std::uint8_t>(request.function | 0x80), kCodes[below(kCodes.size())]});
  }

  void misbehave(const Request& request, Reply& reply) {
    if (storm_ > 0) {
      --storm_;
      ++injected["exception storm"];
      reply.bytes = exception(request);
      return;
    }
    if (below(5) >= 2) return;
    const bool tcp = framing_ == Framing::tcp;
    Request other = request;
    switch (below(14)) {
      case 0:
        ++injected["late"];
        reply.delay = between(kTimeout / 2, 3 * kTimeout);
        break;
      case 1:
        ++injected["dripping"];
        reply.apart = between(1ms, 3 * kTimeout / static_cast<int>(reply.bytes.size()));
        break;
      case 2: {
        ++injected["padded"];
        const Bytes more = noise(4);
        reply.bytes.insert(reply.bytes.end(), more.begin(), more.end());
        break;
      }
      case 3:
        ++injected["truncated"];
        reply.bytes.resize(below(reply.bytes.size()));
        reply.alone = true;
        break;
      case 4:
        // Modbus TCP has nothing that protects the data, so only what is before them is spoilt there.
        ++injected[tcp ? "spoilt header" : "wrong checksum"];
        reply.bytes[below(tcp ? 9 : reply.bytes.size())] ^= static_cast<std::uint8_t>(1 + below(255));
        break;
      case 5:
        ++injected["wrong slave id"];
        other.unit = static_cast<std::uint8_t>(request.unit % kSlaves + 1);
        // A slave that answers under another's id while a reply that counts is still to come: the poller has gone on to
        // that other by the time the answer comes, and RTU can't tell. So then it is the id of nobody.
        if (clock_.now() < all_through_ || below(2) == 0) other.unit = static_cast<std::uint8_t>(4 + below(240));
        reply.bytes = good_frame(other);
        break;
      case 6:
        ++injected["wrong length"];
        if (tcp) {
          reply.bytes[5] = static_cast<std::uint8_t>(engine_());
        } else {
          other.count = static_cast<std::uint16_t>(request.count + 1 + below(20));
          reply.bytes = good_frame(other);
        }
        break;
      case 7:
        ++injected["wrong function"];
        other.function = request.function == 3 ? 4 : 3;
        reply.bytes = good_frame(other);
        break;
      case 8: {
        ++injected["garbage between frames"];
        // An old reply of the same slave in front of the new one is what RTU can't tell from an answer: it names
        // neither address nor request. Modbus TCP can.
        const bool old_reply = !previous_.empty() && (tcp || previous_[0] != request.unit) && below(2) == 0;
        const Bytes garbage = old_reply ? previous_ : noise(30);
        reply.bytes.insert(reply.bytes.begin(), garbage.begin(), garbage.end());
        break;
      }
      case 9:
        ++injected["silence"];
        reply.bytes.clear();
        break;
      case 10: storm_ = static_cast<int>(below(30)); break;
      case 11:
        ++injected["reply twice"];
        reply.bytes = twice(reply.bytes);
        if (framing_ == Framing::rtu_over_tcp) reply.apart = 0ms;  // else the second could answer the next request
        break;
      case 12:
        // The poller asks again; then both may be answered.
        ++injected["late behind another slave's frame"];
        other.unit = static_cast<std::uint8_t>(4 + below(240));
        reply.before = good_frame(other);
        reply.delay = between(kTimeout / 2, 5 * kTimeout / 2);
        break;
      default:
        if (tcp) {
          ++injected["wrong transaction"];
          other.transaction = static_cast<std::uint16_t>(request.transaction - 1 - below(3));
          other.number = static_cast<std::uint16_t>(request.number - 1);
          reply.bytes = good_frame(other);
        } else {
          ++injected["exception"];
          reply.bytes = exception(request);
        }
        break;
    }
    if (framing_ != Framing::rtu && below(4) == 0) {
      reply.close_after_bytes = static_cast<int>(below(reply.bytes.size() + 1));
      ++injected["closed at byte " + std::to_string(reply.close_after_bytes)];
    }
  }

  Framing framing_;
  std::mt19937_64 engine_;
  support::FakeClock& clock_;
  std::deque<Request> log_;
  Bytes previous_;
  base::Instant all_through_ = base::Instant::min();  // of what is on its way
  int storm_ = 0;
  std::vector<drivers::DeviceSettings> devices_ = devices();
};

// Counts right and wrong good samples as they come, when the clock still shows the end of their request.
class Judge final : public drivers::SampleSink {
 public:
  Judge(const FaultySlaves& slaves, const support::FakeClock& clock) : slaves_(slaves), clock_(clock) {}
  void accept(signals::Sample&& sample) override {
    if (sample.quality != signals::Quality::good) {
      ++bad;
    } else if (slaves_.right(sample, clock_.now())) {
      ++good;
    } else {
      ++wrong;
    }
    // The request and its one repetition, no more.
    const base::Duration claimed = 2 * (clock_.now() - sample.time);
    if (sample.quality == signals::Quality::good) longest_claim = std::max(longest_claim, claimed);
  }

  int good = 0;
  int wrong = 0;
  int bad = 0;
  base::Duration longest_claim{};

 private:
  const FaultySlaves& slaves_;
  const support::FakeClock& clock_;
};

}  // namespace twinkeeper::test
