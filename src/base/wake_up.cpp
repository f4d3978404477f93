#include "twinkeeper/base/wake_up.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>

#include "base/timespec.hpp"

namespace twinkeeper::base {

WakeUp::WakeUp() : descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (descriptor_ < 0) std::abort();  // out of descriptors at start: nothing sensible can go on
}

WakeUp::~WakeUp() { close(descriptor_); }

void WakeUp::ring() noexcept {
  const std::uint64_t one = 1;
  // A full counter (EAGAIN) has rung already.
  [[maybe_unused]] const auto written = write(descriptor_, &one, sizeof one);
}

bool WakeUp::wait_for(Duration timeout) noexcept {
  if (timeout < Duration::zero()) timeout = Duration::zero();
  const timespec ts = to_timespec(timeout);
  pollfd descriptor{descriptor_, POLLIN, 0};
  ppoll(&descriptor, 1, &ts, nullptr);
  std::uint64_t rings = 0;
  return read(descriptor_, &rings, sizeof rings) == static_cast<ssize_t>(sizeof rings);
}

}  // namespace twinkeeper::base
