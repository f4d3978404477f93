// What the tests of captures share: a clock that never stands still, a slave with every fault, a sink that remembers.
#pragma once

#include <deque>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "drivers/capture.hpp"
#include "drivers/mbap.hpp"
#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::test {

// Every reading costs some time, as on a real machine, but always the same with the same seed.
class RestlessClock final : public base::Clock {
 public:
  RestlessClock(base::Instant start, unsigned seed) : now_(start), random_(seed) {}
  [[nodiscard]] base::Instant now() const override {
    now_ += base::Duration{random_() % 40'000};
    return now_;
  }
  [[nodiscard]] base::WallTime wall_now() const override { return base::WallTime{now_.time_since_epoch()}; }
  [[nodiscard]] bool synchronised() const override { return true; }
  void sleep_until(base::Instant deadline) const override {
    if (deadline > now_) now_ = deadline;
    now_ += base::Duration{random_() % 200'000};
  }

 private:
  mutable base::Instant now_;
  mutable std::mt19937 random_;
};

// A Modbus TCP slave that answers a third of all requests wrongly: late, in pieces, cut, spoilt, with exceptions, not
// at all, by closing. Words hold the time, so that every value is another.
class FaultySlave final : public drivers::Transport {
 public:
  FaultySlave(const base::Clock& clock, unsigned seed) : clock_(clock), random_(seed) {}

  base::Status connect(base::Duration timeout) override {
    bytes_.clear();
    open_ = random_() % 5 != 0;
    if (open_) return base::Success{};
    if (random_() % 2 == 0) return base::Error{base::ErrorCode::unavailable, "slave: Connection refused", true};
    clock_.sleep_until(clock_.now() + timeout);
    return base::Error{base::ErrorCode::timeout, "slave: no answer to the connection attempt", true};
  }
  base::Status send(std::span<const std::uint8_t> frame, base::Instant) override {
    if (random_() % 100 == 0) return base::Error{base::ErrorCode::connection_lost, "slave: Broken pipe", true};
    const drivers::ReadRequest request = drivers::mbap::parse_request(frame).request;
    const base::Instant now = clock_.now();
    base::Instant at = now + std::chrono::microseconds{300 + random_() % 2000};
    std::vector<std::uint16_t> words(request.count);
    for (auto& word : words) word = static_cast<std::uint16_t>(random_());
    std::vector<std::uint8_t> reply;
    drivers::mbap::append_word_reply(request, words, reply);
    base::Duration apart{};
    switch (random_() % 27) {
      case 0: reply.resize(reply.size() - 1 - random_() % 5); break;        // cut
      case 1: reply[random_() % reply.size()] ^= 0x41; break;               // spoilt
      case 2: at += std::chrono::milliseconds{30 + random_() % 60}; break;  // late
      case 3: apart = std::chrono::milliseconds{3}; break;                  // drips
      case 4: reply.clear(); break;                                         // nothing
      case 5: reply.push_back(0x55); break;                                 // padded
      case 6: closes_ = true; break;
      case 7:
        reply.clear();
        drivers::mbap::append_exception_reply(request, static_cast<std::uint8_t>(1 + random_() % 11), reply);
        break;
      default: break;
    }
    for (const std::uint8_t byte : reply) {
      bytes_.emplace_back(at, byte);
      at += apart;
    }
    return base::Success{};
  }
  base::Result<std::size_t> receive(std::span<std::uint8_t> into, base::Instant deadline) override {
    if (std::exchange(closes_, false)) return base::Error{base::ErrorCode::connection_lost, "slave: closed", true};
    if (bytes_.empty() || bytes_.front().first > deadline) {
      clock_.sleep_until(deadline);
      return base::Error{base::ErrorCode::timeout, "slave: no complete reply in time", true};
    }
    clock_.sleep_until(bytes_.front().first);
    std::size_t size = 0;
    const base::Instant now = clock_.now();
    for (; size < into.size() && !bytes_.empty() && bytes_.front().first <= now; ++size) {
      into[size] = bytes_.front().second;
      bytes_.pop_front();
    }
    return size;
  }
  bool quiet() noexcept override { return bytes_.empty(); }
  bool discard_input() noexcept override { return !std::exchange(bytes_, {}).empty(); }
  bool reopening_discards() const noexcept override { return true; }
  void close() noexcept override {
    open_ = false;
    bytes_.clear();
  }
  bool connected() const noexcept override { return open_; }

 private:
  const base::Clock& clock_;
  std::mt19937 random_;
  std::deque<std::pair<base::Instant, std::uint8_t>> bytes_;
  bool open_ = false;
  bool closes_ = false;
};

// Takes every block, unless told to refuse.
class RememberingCapture final : public drivers::CaptureSink {
 public:
  bool take(std::string&& block) override {
    if (refuse) return false;
    text += block;
    return true;
  }
  std::string text;
  bool refuse = false;
};

}  // namespace twinkeeper::test
