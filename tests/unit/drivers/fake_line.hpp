// A serial line in time of its own, for tests of RTU.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "drivers/rtu.hpp"
#include "drivers/transport.hpp"
#include "support/catch.hpp"
#include "support/fake_clock.hpp"

namespace twinkeeper::test {

using Bytes = std::vector<std::uint8_t>;

// Bytes arrive when the script says.
class FakeLine final : public drivers::Transport {
 public:
  explicit FakeLine(support::FakeClock& clock) : clock_(clock) {}

  base::Status connect(base::Duration) override {
    ++connects;
    open_ = true;
    return base::Success{};
  }
  base::Status send(std::span<const std::uint8_t> frame, base::Instant) override {
    if (next_byte() <= clock_.now()) talked_over = true;
    const drivers::ParsedRequest parsed = drivers::rtu::parse_request(frame, true);
    REQUIRE(parsed.state == drivers::RequestState::complete);
    sent.push_back(clock_.now());
    if (answer) answer(parsed.request);
    return base::Success{};
  }
  base::Result<std::size_t> receive(std::span<std::uint8_t> into, base::Instant deadline) override {
    if (next_byte() > clock_.now()) clock_.sleep_until(std::min(next_byte(), deadline));
    if (next_byte() > clock_.now()) return base::Error{base::ErrorCode::timeout, "no complete reply in time", true};
    std::size_t size = 0;
    for (; size < into.size() && next_byte() <= clock_.now(); ++size) {
      into[size] = bytes_.front().second;
      bytes_.pop_front();
    }
    return size;
  }
  bool quiet() noexcept override { return true; }
  bool discard_input() noexcept override {
    const std::size_t before = bytes_.size();
    while (next_byte() <= clock_.now()) bytes_.pop_front();
    return bytes_.size() < before;
  }
  bool reopening_discards() const noexcept override { return false; }
  void close() noexcept override { open_ = false; }
  bool connected() const noexcept override { return open_; }

  // `bytes` arrive one by one, the first after `delay`.
  void arrive(const Bytes& bytes, base::Duration delay, base::Duration apart = std::chrono::milliseconds{1}) {
    base::Instant at = clock_.now() + delay;
    for (const std::uint8_t byte : bytes) {
      const auto place = std::upper_bound(bytes_.begin(), bytes_.end(), at,
                                          [](base::Instant time, const auto& entry) { return time < entry.first; });
      bytes_.insert(place, {at, byte});
      at += apart;
    }
  }

  std::function<void(const drivers::ReadRequest&)> answer;
  std::vector<base::Instant> sent;
  int connects = 0;
  bool talked_over = false;  // a request went out although bytes were waiting

 private:
  [[nodiscard]] base::Instant next_byte() const { return bytes_.empty() ? base::Instant::max() : bytes_.front().first; }

  support::FakeClock& clock_;
  bool open_ = false;
  std::deque<std::pair<base::Instant, std::uint8_t>> bytes_;
};

inline Bytes reply_to(const drivers::ReadRequest& request, std::uint16_t first) {
  std::vector<std::uint16_t> words(request.count);
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = static_cast<std::uint16_t>(first + i);
  Bytes frame;
  drivers::rtu::append_word_reply(request, words, frame);
  return frame;
}

}  // namespace twinkeeper::test
