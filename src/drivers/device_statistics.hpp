// What a poller knows about one device, readable from any thread while it runs: relaxed atomics, each exact by itself,
// and one text behind a lock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace twinkeeper::drivers {

inline constexpr auto kRelaxed = std::memory_order_relaxed;  // of counters, which order nothing

enum class DeviceState : std::uint8_t {
  unknown,   // no cycle has ended yet
  up,        // every request of the newest cycle was answered with data
  degraded,  // some were
  down,      // none was, or the device was left alone by the back-off
};
[[nodiscard]] std::string_view to_string(DeviceState state) noexcept;

enum class DeviceError : std::uint8_t {
  none,
  no_answer,    // connected, but the reply was not complete in time
  unavailable,  // refused, unreachable, name not resolved, connecting timed out
  closed,       // the peer closed or reset the connection
  mismatch,     // the reply did not match the request
  exception,    // Modbus exception
};
[[nodiscard]] std::string_view to_string(DeviceError error) noexcept;
inline constexpr std::size_t kDeviceErrors = 6;

class SharedText {
 public:
  void set(std::string text) {
    const std::lock_guard lock(mutex_);
    text_ = std::move(text);
  }
  [[nodiscard]] std::string get() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  mutable std::mutex mutex_;
  std::string text_;
};

struct DeviceStatistics {
  std::atomic<std::uint64_t> cycles_total{0};         // run, those skipped by the back-off included
  std::atomic<std::uint64_t> missed_cycles_total{0};  // their time passed while something else was running
  std::atomic<std::uint64_t> requests_total{0};       // sent, repeats after "busy" included
  std::array<std::atomic<std::uint64_t>, kDeviceErrors> failures_total{};  // by DeviceError; [0] stays 0
  std::atomic<std::uint64_t> exceptions_total{0};  // exception replies, "busy" that a repeat cured included
  std::atomic<std::uint64_t> reconnects_total{0};  // connections opened for this device, the first one excluded
  std::atomic<std::int64_t> last_round_trip_ns{0};
  std::atomic<std::int64_t> last_sent_ns{0};           // Instant of the newest request that was answered …
  std::atomic<std::int64_t> last_received_ns{0};       // … and of the last byte of its reply
  std::atomic<std::int64_t> busy_ns_total{0};          // time spent in this device's cycles: bus utilisation
  std::atomic<std::uint64_t> consecutive_failures{0};  // requests without a reply that matched
  std::atomic<bool> connected{false};                  // the connection was open at the end of its newest cycle
  std::atomic<DeviceState> state{DeviceState::unknown};
  std::atomic<DeviceError> last_error{DeviceError::none};  // the newest failure, kept after recovery
  std::atomic<std::uint8_t> last_exception_code{0};
  std::atomic<std::uint64_t> splits_total{0};       // refused requests that were made smaller
  std::atomic<std::uint64_t> refused_registers{0};  // now, asked again only from time to time
  SharedText suggested_configuration;               // with which no request is refused; empty: the present one
  SharedText last_failure;                          // the same for a person; empty: none so far

  [[nodiscard]] std::uint64_t failures(DeviceError error) const noexcept {
    return failures_total[static_cast<std::size_t>(error)].load(std::memory_order_relaxed);
  }
};

}  // namespace twinkeeper::drivers
