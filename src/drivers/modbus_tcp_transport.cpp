#include "drivers/modbus_tcp_transport.hpp"

#include <fcntl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "drivers/modbus_context.hpp"
#include "drivers/wait_for_descriptor.hpp"

namespace twinkeeper::drivers {
namespace {

using base::Error;
using base::ErrorCode;

// libmodbus waits for the connection with select(), which aborts the process on descriptors of FD_SETSIZE and above.
// The kernel hands out the lowest free one, so a probe tells what the socket will be.
bool descriptor_usable_by_select() noexcept {
  const int probe = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (probe < 0) return false;
  ::close(probe);
  return probe < FD_SETSIZE;
}

class ModbusTcpTransport final : public Transport {
 public:
  ModbusTcpTransport(const TcpAddress& address, const base::Clock& clock)
      : clock_(clock),
        peer_(address.host + ":" + std::to_string(address.port)),
        context_(modbus_new_tcp_pi(address.host.c_str(), std::to_string(address.port).c_str())) {
    if (context_) modbus_set_error_recovery(context_.get(), MODBUS_ERROR_RECOVERY_NONE);
  }

  base::Status connect(base::Duration timeout) override {
    close();  // libmodbus forgets an open descriptor when it connects again
    if (!context_) return Error{ErrorCode::unavailable, peer_ + ": not an address that libmodbus takes", true};
    if (!descriptor_usable_by_select()) {
      return Error{ErrorCode::unavailable, peer_ + ": too many open descriptors for a connection", true};
    }
    // libmodbus waits for the connection as long as for a response.
    const auto microseconds = std::max<std::int64_t>(1, timeout / std::chrono::microseconds{1});
    modbus_set_response_timeout(context_.get(), static_cast<std::uint32_t>(microseconds / 1'000'000),
                                static_cast<std::uint32_t>(microseconds % 1'000'000));
    errno = 0;
    if (modbus_connect(context_.get()) != 0) {
      const int cause = errno;
      modbus_close(context_.get());
      if (cause == EINPROGRESS || cause == ETIMEDOUT) {
        return Error{ErrorCode::timeout, peer_ + ": no answer to the connection attempt", true};
      }
      return Error{ErrorCode::unavailable, peer_ + ": " + modbus_strerror(cause), true};
    }
    socket_ = modbus_get_socket(context_.get());
    if (socket_ < 0 || socket_ >= FD_SETSIZE) {
      close();
      return Error{ErrorCode::unavailable, peer_ + ": too many open descriptors for a connection", true};
    }
    return base::Success{};
  }

  base::Status send(std::span<const std::uint8_t> frame, base::Instant deadline) override {
    while (!frame.empty()) {
      const ssize_t sent = ::send(socket_, frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent >= 0) {
        frame = frame.subspan(static_cast<std::size_t>(sent));
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        if (!wait_for(socket_, POLLOUT, clock_, deadline))
          return Error{ErrorCode::timeout, peer_ + ": the request can't be sent", true};
      } else if (errno != EINTR) {
        return Error{ErrorCode::connection_lost, peer_ + ": " + std::strerror(errno), true};
      }
    }
    return base::Success{};
  }

  base::Result<std::size_t> receive(std::span<std::uint8_t> into, base::Instant deadline) override {
    while (true) {
      const ssize_t received = ::recv(socket_, into.data(), into.size(), MSG_DONTWAIT);
      if (received > 0) return static_cast<std::size_t>(received);
      if (received == 0) return Error{ErrorCode::connection_lost, peer_ + ": closed the connection", true};
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        if (!wait_for(socket_, POLLIN, clock_, deadline))
          return Error{ErrorCode::timeout, peer_ + ": no complete reply in time", true};
      } else if (errno != EINTR) {
        return Error{ErrorCode::connection_lost, peer_ + ": " + std::strerror(errno), true};
      }
    }
  }

  bool quiet() noexcept override {
    if (socket_ < 0) return false;
    std::uint8_t byte = 0;
    const ssize_t peeked = ::recv(socket_, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return peeked < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }

  bool discard_input() noexcept override {
    std::array<std::uint8_t, 512> dropped;  // NOLINT: filled by recv
    bool any = false;
    while (socket_ >= 0 && ::recv(socket_, dropped.data(), dropped.size(), MSG_DONTWAIT) > 0) any = true;
    return any;
  }

  bool reopening_discards() const noexcept override { return true; }

  void close() noexcept override {
    if (socket_ < 0) return;
    modbus_close(context_.get());
    socket_ = -1;
  }

  bool connected() const noexcept override { return socket_ >= 0; }
  int descriptor() const noexcept override { return socket_; }

 private:
  const base::Clock& clock_;
  std::string peer_;
  ModbusContext context_;
  int socket_ = -1;
};

}  // namespace

std::unique_ptr<Transport> make_modbus_tcp_transport(const TcpAddress& address, const base::Clock& clock) {
  return std::make_unique<ModbusTcpTransport>(address, clock);
}

}  // namespace twinkeeper::drivers
