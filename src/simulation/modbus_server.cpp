#include "simulation/modbus_server.hpp"

#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "base/timespec.hpp"

namespace twinkeeper::simulation {

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    close();
    number_ = std::exchange(other.number_, -1);
  }
  return *this;
}

void Descriptor::close() noexcept {
  if (number_ >= 0) ::close(number_);
  number_ = -1;
}

base::Status ModbusServer::run_once(base::Duration timeout) {
  std::vector<pollfd> set;
  watch(set);
  const timespec limit = base::to_timespec(timeout);
  if (ppoll(set.data(), set.size(), &limit, nullptr) < 0 && errno != EINTR) {
    return base::Error(base::ErrorCode::io, "cannot wait: " + std::generic_category().message(errno));
  }
  serve(set);
  return base::Success{};
}

}  // namespace twinkeeper::simulation
