// Pace: when the next publication may go, by the limits on messages and bytes per second.
//
// No second sees more than a limit and a quarter (AWS IoT Core's own limits are a quarter above ours). Live messages may use
// all of it. The backlog gets what they leave: it stops while a part of the burst is still there,
// so that a live message never waits behind it. Behind a connect its own rate grows from a tenth or so to the limits within
// ten seconds, behind a reconnect after a random pause, as a whole fleet may have lost the same broker; where answers come
// late it starts again from the bottom. Without limits the window alone governs.
// Thread rule: one thread. No allocation.
#pragma once

#include <cstdint>
#include <optional>
#include <random>

#include "uplink/token_bucket.hpp"

namespace twinkeeper::uplink {

class Pace {
 public:
  Pace(std::optional<double> messages_per_second, std::optional<std::uint64_t> bytes_per_second, base::Instant now,
       std::uint64_t seed);

  void connected(base::Instant now);
  // Answers are late.
  void slow_down(base::Instant now) { ramp_from_ = now; }

  [[nodiscard]] bool live(base::Instant now) { return wait_live(now) == base::Duration::zero(); }
  [[nodiscard]] bool backlog(base::Instant now) { return wait_backlog(now) == base::Duration::zero(); }
  // Time until then; zero if it is now.
  [[nodiscard]] base::Duration wait_live(base::Instant now);
  [[nodiscard]] base::Duration wait_backlog(base::Instant now);
  void take(std::size_t bytes, bool of_backlog, base::Instant now);

  // The largest packet behind which a live message need not wait.
  [[nodiscard]] std::size_t packet_bytes() const;

  static constexpr base::Duration kRamp = std::chrono::seconds{10};
  static constexpr base::Duration kMostPause = std::chrono::seconds{5};

 private:
  [[nodiscard]] bool limited() const { return message_limit_ || byte_limit_; }

  std::optional<double> message_limit_;
  std::optional<double> byte_limit_;
  TokenBucket messages_;
  TokenBucket bytes_;
  TokenBucket backlog_messages_;
  TokenBucket backlog_bytes_;
  std::mt19937_64 random_;
  bool connected_before_ = false;
  base::Instant ramp_from_{};
};

}  // namespace twinkeeper::uplink
