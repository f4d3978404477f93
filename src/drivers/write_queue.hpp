// Orders to write a register on their way from whoever decided on them to the poller that owns the connection, and what
// became of them on their way back. A gateway without writable registers or with commands switched off has none, and so
// no poller that could write.
//
// An order is carried out at most once, between two requests of the poller: its register is read, its step from there
// checked, the value written with function 5, 6, 15 or 16, and the register read again.
// Thread rule: any; the bells are rung on the thread that put something in. Bounded: 16 orders wait at most.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::drivers {

struct WriteOrder {
  std::uint64_t number = 0;   // the giver's
  std::size_t device = 0;     // among those of the poller
  std::size_t writable = 0;   // position in DeviceSettings::writable
  double value = 0.0;         // scaled
  base::Instant valid_until;  // not carried out later
};

struct WriteOutcome {
  std::uint64_t number = 0;
  bool done = false;                                         // acknowledged by the device
  std::string reason;                                        // why not, or what is odd about it
  double before = std::numeric_limits<double>::quiet_NaN();  // NaN: not read
  double after = std::numeric_limits<double>::quiet_NaN();   // read back, NaN: not read
};

class WriteQueue {
 public:
  static constexpr std::size_t kMost = 16;

  // `order_bell` wakes the poller's thread, `outcome_bell` the giver's.
  WriteQueue(std::function<void()> order_bell, std::function<void()> outcome_bell)
      : order_bell_(std::move(order_bell)), outcome_bell_(std::move(outcome_bell)) {}

  // False: too many wait.
  [[nodiscard]] bool give(const WriteOrder& order) {
    {
      const std::lock_guard lock(mutex_);
      if (orders_.size() >= kMost) return false;
      orders_.push_back(order);
    }
    order_bell_();
    return true;
  }
  [[nodiscard]] std::optional<WriteOrder> take() {
    const std::lock_guard lock(mutex_);
    if (orders_.empty()) return std::nullopt;
    const WriteOrder order = orders_.front();
    orders_.pop_front();
    return order;
  }
  void settle(WriteOutcome outcome) {
    {
      const std::lock_guard lock(mutex_);
      outcomes_.push_back(std::move(outcome));
    }
    outcome_bell_();
  }
  // Orders that nobody has taken are carried out no more: their numbers.
  [[nodiscard]] std::vector<std::uint64_t> withdraw() {
    const std::lock_guard lock(mutex_);
    std::vector<std::uint64_t> numbers;
    for (const WriteOrder& order : std::exchange(orders_, {})) numbers.push_back(order.number);
    return numbers;
  }
  [[nodiscard]] std::vector<WriteOutcome> take_outcomes() {
    const std::lock_guard lock(mutex_);
    return std::exchange(outcomes_, {});
  }

 private:
  const std::function<void()> order_bell_, outcome_bell_;
  std::mutex mutex_;
  std::deque<WriteOrder> orders_;
  std::vector<WriteOutcome> outcomes_;
};

}  // namespace twinkeeper::drivers
