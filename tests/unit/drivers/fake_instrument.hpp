// An instrument that talks lines, in time of its own: bytes arrive when the script says, over a line or over TCP.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <utility>

#include "drivers/transport.hpp"
#include "support/fake_clock.hpp"

namespace twinkeeper::test {

// What may go wrong on a line, seeded.
class RandomNoise {
 public:
  explicit RandomNoise(std::uint64_t seed) : random_(seed) {}
  [[nodiscard]] std::size_t any(std::size_t below) { return random_() % below; }
  // 1 to `most` bytes of any value.
  [[nodiscard]] std::string garbage(std::size_t most) {
    std::string out;
    for (std::size_t n = 1 + any(most); n > 0; --n) out += static_cast<char>(random_());
    return out;
  }

 private:
  std::mt19937_64 random_;
};

class FakeInstrument final : public drivers::Transport {
 public:
  explicit FakeInstrument(support::FakeClock& clock, bool tcp = false) : clock_(clock), tcp_(tcp) {}

  base::Status connect(base::Duration timeout) override {
    ++connects;
    if (!there) {
      clock_.sleep_until(clock_.now() + timeout);
      return base::Error{base::ErrorCode::unavailable, "instrument: nobody there", true};
    }
    open_ = true;
    discard_input();
    return base::Success{};
  }
  base::Status send(std::span<const std::uint8_t> frame, base::Instant) override {
    sent.emplace_back(clock_.now(), std::string(frame.begin(), frame.end()));
    if (answer) answer();
    return base::Success{};
  }
  base::Result<std::size_t> receive(std::span<std::uint8_t> into, base::Instant deadline) override {
    if (!there) return base::Error{base::ErrorCode::connection_lost, "instrument: unplugged", true};
    if (next_byte() > clock_.now()) clock_.sleep_until(std::min(next_byte(), deadline));
    if (next_byte() > clock_.now()) return base::Error{base::ErrorCode::timeout, "nothing came in time", true};
    std::size_t size = 0;
    for (; size < into.size() && next_byte() <= clock_.now(); ++size) {
      into[size] = static_cast<std::uint8_t>(bytes_.front().second);
      bytes_.pop_front();
    }
    return size;
  }
  bool quiet() noexcept override { return open_ && there && (!tcp_ || next_byte() > clock_.now()); }
  bool discard_input() noexcept override {
    const std::size_t before = bytes_.size();
    while (next_byte() <= clock_.now()) bytes_.pop_front();
    return bytes_.size() < before;
  }
  bool reopening_discards() const noexcept override { return tcp_; }
  void close() noexcept override { open_ = false; }
  bool connected() const noexcept override { return open_; }
  int descriptor() const noexcept override { return open_ ? 7 : -1; }

  // The bytes arrive one by one, the first after `delay`.
  void arrive(std::string_view bytes, base::Duration delay, base::Duration apart = std::chrono::milliseconds{1}) {
    base::Instant at = clock_.now() + delay;
    for (const char byte : bytes) {
      const auto place = std::upper_bound(bytes_.begin(), bytes_.end(), at,
                                          [](base::Instant time, const auto& entry) { return time < entry.first; });
      bytes_.insert(place, {at, byte});
      at += apart;
    }
  }
  [[nodiscard]] base::Instant next_byte() const { return bytes_.empty() ? base::Instant::max() : bytes_.front().first; }

  std::function<void()> answer;  // to a request
  std::deque<std::pair<base::Instant, std::string>> sent;
  int connects = 0;
  bool there = true;

 private:
  support::FakeClock& clock_;
  const bool tcp_;
  bool open_ = false;
  std::deque<std::pair<base::Instant, char>> bytes_;
};

// The longest that one poll_due of a bench took while bytes that nobody asked for came and the far end came and went.
template <class Bench>
base::Duration longest_wait(Bench& bench, FakeInstrument& far_end, int turns) {
  base::Duration longest{};
  for (int k = 0; k < turns; ++k) {
    far_end.there = k % 7 != 0;
    if (k % 3 == 0) far_end.arrive(std::string(400, 'x'), std::chrono::milliseconds{0});
    const base::Instant before = bench.clock.now();
    const base::Instant next = bench.poller->poll_due({});
    longest = std::max(longest, bench.clock.now() - before);
    if (next > bench.clock.now()) bench.clock.sleep_until(next);
  }
  return longest;
}

}  // namespace twinkeeper::test
