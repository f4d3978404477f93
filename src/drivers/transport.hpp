// One connection to one controller that carries bytes; knows nothing of what they mean.
//
// Errors: timeout (the deadline passed), unavailable (refused, unreachable, name not resolved, no usable descriptor),
// connection_lost (the peer closed or reset it). After any error the caller closes.
// Thread rule: one thread. Deadlines are absolute, so a peer that drips bytes can't move them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::drivers {

class Transport {
 public:
  virtual ~Transport() = default;
  // Closes what is open first. The time-out holds for each address that the host's name resolves to.
  virtual base::Status connect(base::Duration timeout) = 0;
  virtual base::Status send(std::span<const std::uint8_t> frame, base::Instant deadline) = 0;
  // At least one byte and at most into.size(); what has arrived is returned even when the deadline has passed.
  virtual base::Result<std::size_t> receive(std::span<std::uint8_t> into, base::Instant deadline) = 0;
  // Whether the connection is open with nothing unread in it: bytes that nobody asked for, or the peer's closing,
  // make the next reply doubtful. Doesn't wait.
  [[nodiscard]] virtual bool quiet() noexcept = 0;
  // Reads and drops what is unread; false if there was nothing. Doesn't wait.
  virtual bool discard_input() noexcept = 0;
  // Whether a new connection leaves behind what was on its way on the old one: true of TCP, not of a serial line.
  [[nodiscard]] virtual bool reopening_discards() const noexcept = 0;
  virtual void close() noexcept = 0;
  [[nodiscard]] virtual bool connected() const noexcept = 0;
  // For poll(2): readable when receive() has something, an end of the connection included. −1: closed, or none.
  [[nodiscard]] virtual int descriptor() const noexcept { return -1; }
};

}  // namespace twinkeeper::drivers
