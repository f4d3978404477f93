// A serial line in time of its own, for tests of RTU.
#pragma once

#include <algorithm>
#include <functional>
#include <span>
#include <vector>

#include "drivers/rtu.hpp"
#include "drivers/transport.hpp"
#include "scheduled_bytes.hpp"
#include "support/catch.hpp"
#include "support/fake_clock.hpp"

namespace twinkeeper::test {

// Bytes arrive when the script says.
class FakeLine final : public drivers::Transport {
 public:
  explicit FakeLine(support::FakeClock& clock) : clock_(clock) {}

  base::Status connect(base::Duration) override {
    ++connects;
    open_ = true;
    lost_ = base::Instant::max();
    return base::Success{};
  }
  base::Status send(std::span<const std::uint8_t> frame, base::Instant) override {
    if (bytes_.next() <= clock_.now()) talked_over = true;
    const drivers::ParsedRequest parsed = drivers::rtu::parse_request(frame, true);
    REQUIRE(parsed.state == drivers::RequestState::complete);
    sent.push_back(clock_.now());
    if (answer) answer(parsed.request);
    return base::Success{};
  }
  base::Result<std::size_t> receive(std::span<std::uint8_t> into, base::Instant deadline) override {
    if (bytes_.next() > clock_.now()) clock_.sleep_until(std::min({bytes_.next(), lost_, deadline}));
    if (lost_ <= clock_.now()) return base::Error{base::ErrorCode::connection_lost, "the line has gone", true};
    if (bytes_.next() > clock_.now()) return base::Error{base::ErrorCode::timeout, "no complete reply in time", true};
    return bytes_.take(clock_.now(), into);
  }
  bool quiet() noexcept override { return true; }
  bool discard_input() noexcept override { return bytes_.drop(clock_.now()); }
  bool reopening_discards() const noexcept override { return false; }
  void close() noexcept override { open_ = false; }
  bool connected() const noexcept override { return open_; }

  // `bytes` arrive one by one, the first after `delay`.
  void arrive(const Bytes& bytes, base::Duration delay, base::Duration apart = std::chrono::milliseconds{1}) {
    bytes_.add(bytes, clock_.now() + delay, apart);
  }

  void lose_after(base::Duration delay) { lost_ = clock_.now() + delay; }

  std::function<void(const drivers::ReadRequest&)> answer;
  std::vector<base::Instant> sent;
  int connects = 0;
  bool talked_over = false;  // a request went out although bytes were waiting

 private:
  support::FakeClock& clock_;
  bool open_ = false;
  base::Instant lost_ = base::Instant::max();
  ScheduledBytes bytes_;
};

inline Bytes reply_to(const drivers::ReadRequest& request, std::uint16_t first) {
  std::vector<std::uint16_t> words(request.count);
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = static_cast<std::uint16_t>(first + i);
  Bytes frame;
  drivers::rtu::append_word_reply(request, words, frame);
  return frame;
}

}  // namespace twinkeeper::test
