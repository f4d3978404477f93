// A doorbell between threads (Linux eventfd): ring() never blocks, locks or allocates, wait() sleeps until it rang or
// the time is over. Rings between two waits count once.
#pragma once

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::base {

class WakeUp {
 public:
  WakeUp();
  ~WakeUp();
  WakeUp(const WakeUp&) = delete;
  WakeUp& operator=(const WakeUp&) = delete;

  void ring() noexcept;
  // True if it rang since the last wait.
  bool wait_for(Duration timeout) noexcept;
  // For poll(2) beside other descriptors; readable once it rang.
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

 private:
  int descriptor_;
};

}  // namespace twinkeeper::base
