// Which of the configured endpoints is tried next.
//
// They are tried in the order given; a failure passes on to the next at once, and when all have failed in a row it is
// time to pause. A connection that stood for a while and broke leads back to the first one, so that no connection that
// works is ever broken for the sake of another endpoint. One that broke sooner counts as a failure of its endpoint.
// Thread rule: one thread. No allocation.
#pragma once

#include <cstddef>

namespace twinkeeper::uplink {

class EndpointTurn {
 public:
  // `count` is at least 1.
  explicit EndpointTurn(std::size_t count) : count_(count) {}

  [[nodiscard]] std::size_t index() const noexcept { return index_; }

  // True: all have failed since the last connection that stood; time to pause.
  [[nodiscard]] bool failed() noexcept {
    index_ = (index_ + 1) % count_;
    if (++failures_ < count_) return false;
    failures_ = 0;
    return true;
  }
  void lost_after_standing() noexcept {
    index_ = 0;
    failures_ = 0;
  }

 private:
  std::size_t count_;
  std::size_t index_ = 0;
  std::size_t failures_ = 0;
};

}  // namespace twinkeeper::uplink
