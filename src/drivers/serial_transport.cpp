#include "drivers/serial_transport.hpp"

#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>

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

char letter_of(Parity parity) {
  switch (parity) {
    case Parity::none: break;
    case Parity::even: return 'E';
    case Parity::odd: return 'O';
  }
  return 'N';
}

std::uint32_t whole_milliseconds(base::Duration duration) {
  return static_cast<std::uint32_t>(duration / std::chrono::milliseconds{1});
}

class SerialTransport final : public Transport {
 public:
  SerialTransport(const SerialSettings& line, const base::Clock& clock)
      : clock_(clock),
        device_(line.device),
        rs485_(line.rs485),
        context_(modbus_new_rtu(line.device.c_str(), line.baud_rate, letter_of(line.parity), line.data_bits,
                                line.stop_bits)) {
    if (context_) modbus_set_error_recovery(context_.get(), MODBUS_ERROR_RECOVERY_NONE);
  }

  base::Status connect(base::Duration) override {
    close();
    if (!context_) return failure("no line that libmodbus takes", 0);
    if (modbus_connect(context_.get()) != 0) return failure("can't be opened", errno);
    line_ = modbus_get_socket(context_.get());
    if (::flock(line_, LOCK_EX | LOCK_NB) != 0 || ::ioctl(line_, TIOCEXCL) != 0) {
      const int cause = errno;
      close();
      return failure(cause == EWOULDBLOCK ? "is in use by another program" : "can't be had alone", cause);
    }
    if (rs485_) {
      serial_rs485 wanted = kernel_rs485(*rs485_);
      if (::ioctl(line_, TIOCSRS485, &wanted) != 0) {
        const int cause = errno;
        close();
        return failure(
            "can't switch RS-485 (its driver has no such mode; adapters that switch by themselves need no "
            "rs485)",
            cause);
      }
    }
    discard_input();
    return base::Success{};
  }

  base::Status send(std::span<const std::uint8_t> frame, base::Instant deadline) override {
    while (!frame.empty()) {
      const ssize_t sent = ::write(line_, frame.data(), frame.size());
      if (sent >= 0) {
        frame = frame.subspan(static_cast<std::size_t>(sent));
      } else if (errno == EAGAIN) {
        if (!wait_for(line_, POLLOUT, clock_, deadline)) {
          return Error{ErrorCode::timeout, device_ + ": the request can't be sent", true};
        }
      } else if (errno != EINTR) {
        return lost(errno);
      }
    }
    return base::Success{};
  }

  base::Result<std::size_t> receive(std::span<std::uint8_t> into, base::Instant deadline) override {
    while (true) {
      const ssize_t received = ::read(line_, into.data(), into.size());
      if (received > 0) return static_cast<std::size_t>(received);
      if (received < 0 && errno != EAGAIN && errno != EINTR) return lost(errno);
      // A terminal that has nothing gives 0 as well as one that has been hung up: only the latter is ready at once.
      const bool ready = wait_for(line_, POLLIN, clock_, deadline);
      if (received == 0 && hung_up()) return lost(EIO);
      if (!ready) return Error{ErrorCode::timeout, device_ + ": no complete reply in time", true};
    }
  }

  bool quiet() noexcept override { return line_ >= 0 && !hung_up(); }

  bool discard_input() noexcept override {
    std::array<std::uint8_t, 512> dropped;  // NOLINT: filled by read
    bool any = false;
    while (line_ >= 0 && ::read(line_, dropped.data(), dropped.size()) > 0) any = true;
    return any;
  }

  bool reopening_discards() const noexcept override { return false; }

  void close() noexcept override {
    if (line_ < 0) return;
    modbus_close(context_.get());  // also gives up the lock
    line_ = -1;
  }

  bool connected() const noexcept override { return line_ >= 0; }
  int descriptor() const noexcept override { return line_; }

 private:
  [[nodiscard]] bool hung_up() const noexcept {
    pollfd entry{.fd = line_, .events = 0, .revents = 0};
    return ::poll(&entry, 1, 0) > 0 && (entry.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
  }
  [[nodiscard]] Error lost(int cause) const {
    return {ErrorCode::connection_lost, device_ + ": " + std::strerror(cause), true};
  }
  [[nodiscard]] Error failure(const std::string& what, int cause) const {
    return {ErrorCode::unavailable, device_ + " " + what + (cause != 0 ? std::string(": ") + std::strerror(cause) : ""),
            true};
  }

  const base::Clock& clock_;
  const std::string device_;
  const std::optional<Rs485Settings> rs485_;
  ModbusContext context_;
  int line_ = -1;
};

}  // namespace

serial_rs485 kernel_rs485(const Rs485Settings& settings) noexcept {
  serial_rs485 out{};
  out.flags = SER_RS485_ENABLED;
  if (settings.rts_high_during_send) out.flags |= SER_RS485_RTS_ON_SEND;
  if (settings.rts_high_after_send) out.flags |= SER_RS485_RTS_AFTER_SEND;
  if (settings.rx_during_tx) out.flags |= SER_RS485_RX_DURING_TX;
  out.delay_rts_before_send = whole_milliseconds(settings.delay_rts_before_send);
  out.delay_rts_after_send = whole_milliseconds(settings.delay_rts_after_send);
  return out;
}

std::unique_ptr<Transport> make_serial_transport(const SerialSettings& line, const base::Clock& clock) {
  return std::make_unique<SerialTransport>(line, clock);
}

}  // namespace twinkeeper::drivers
