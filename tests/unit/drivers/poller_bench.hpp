// A poller on a clock that moves only when it is told to, against a device in memory.
#pragma once

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "drivers/mbap.hpp"
#include "poller_rig.hpp"

namespace twinkeeper::test {

class FakeClock final : public base::Clock {
 public:
  [[nodiscard]] base::Instant now() const override { return now_; }
  [[nodiscard]] base::WallTime wall_now() const override { return base::WallTime{now_.time_since_epoch()}; }
  [[nodiscard]] bool synchronised() const override { return true; }
  void sleep_until(base::Instant deadline) const override { now_ = std::max(now_, deadline); }
  void advance(base::Duration by) { now_ += by; }

 private:
  mutable base::Instant now_{std::chrono::seconds{1000}};
};

// Word a is 100 + a, bit a is set if 3 divides a; a reply takes `round_trip`, a silent unit the whole time-out.
class FakeTransport final : public drivers::Transport {
 public:
  explicit FakeTransport(FakeClock& clock) : clock_(clock) {}

  base::Status connect(base::Duration) override {
    ++connects;
    connected_ = reachable;
    pending_.clear();
    if (!reachable) return base::Error{base::ErrorCode::unavailable, "plc:502: connection refused", true};
    return base::Success{};
  }
  base::Status send(std::span<const std::uint8_t> frame, base::Instant) override {
    const drivers::ParsedRequest parsed = drivers::mbap::parse_request(frame);
    requests.push_back(parsed.request);
    std::vector<std::uint8_t> reply;
    if (silent && silent(parsed.request)) return base::Success{};
    if (const std::uint8_t code = refuse ? refuse(parsed.request) : std::uint8_t{0}; code != 0) {
      drivers::mbap::append_exception_reply(parsed.request, code, reply);
    } else {
      if (parsed.request.function <= 2) {
        const std::unique_ptr<bool[]> bits(new bool[parsed.request.count]);
        for (std::size_t i = 0; i < parsed.request.count; ++i) bits[i] = (parsed.request.address + i) % 3 == 0;
        drivers::mbap::append_bit_reply(parsed.request, {bits.get(), parsed.request.count}, reply);
      } else {
        std::vector<std::uint16_t> words(parsed.request.count);
        for (std::size_t i = 0; i < words.size(); ++i)
          words[i] = static_cast<std::uint16_t>(100 + parsed.request.address + i);
        drivers::mbap::append_word_reply(parsed.request, words, reply);
      }
    }
    clock_.advance(round_trip);
    pending_.assign(reply.begin(), reply.end());
    return base::Success{};
  }
  base::Result<std::size_t> receive(std::span<std::uint8_t> into, base::Instant deadline) override {
    if (pending_.empty()) {
      clock_.sleep_until(deadline);
      return base::Error{base::ErrorCode::timeout, "plc:502: no complete reply in time", true};
    }
    std::size_t size = 0;
    for (; size < into.size() && !pending_.empty(); ++size, pending_.pop_front()) into[size] = pending_.front();
    return size;
  }
  bool quiet() noexcept override { return connected_ && pending_.empty(); }
  bool discard_input() noexcept override {
    const bool any = !pending_.empty();
    pending_.clear();
    return any;
  }
  bool reopening_discards() const noexcept override { return true; }
  void close() noexcept override { connected_ = false; }
  bool connected() const noexcept override { return connected_; }

  bool reachable = true;
  int connects = 0;
  base::Duration round_trip = std::chrono::milliseconds{2};
  std::function<bool(const drivers::ReadRequest&)> silent;
  std::function<std::uint8_t(const drivers::ReadRequest&)> refuse;
  std::vector<drivers::ReadRequest> requests;

 private:
  FakeClock& clock_;
  bool connected_ = false;
  std::deque<std::uint8_t> pending_;
};

struct Bench {
  explicit Bench(std::vector<drivers::DeviceSettings> devices)
      : origin(clock.now()),
        transport(new FakeTransport(clock)),
        poller(std::move(devices), origin, clock, samples, events, std::unique_ptr<drivers::Transport>(transport)) {}

  // Sleeps to the next due cycle and runs it.
  void turn() {
    clock.sleep_until(next);
    next = poller.poll_due(std::stop_token{});
  }

  FakeClock clock;
  base::Instant origin;
  RememberingSamples samples;
  RememberingEvents events;
  FakeTransport* transport;
  drivers::EndpointPoller poller;
  base::Instant next = base::Instant::min();
};

inline drivers::DeviceSettings device(std::vector<drivers::RegisterSettings> registers, int unit = 1) {
  drivers::DeviceSettings settings;
  settings.name = "plc" + std::to_string(unit);
  settings.controller = "tcp://plc";
  settings.slave_id = unit;
  settings.poll_interval = std::chrono::milliseconds{100};
  settings.timeout = std::chrono::milliseconds{50};
  settings.registers = std::move(registers);
  return settings;
}

}  // namespace twinkeeper::test
