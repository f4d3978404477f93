// One request and its reply over a Transport, bounded as a whole by one absolute deadline. Framing is an exchange's
// business and nobody else's: what a frame is, which reply belongs to a request, when the line must be silent.
//
//   mbap   Modbus TCP. A transaction goes with every request, the next one each time, also over reconnects: an old
//          reply can't pass for a new one. A reply that breaks off and is followed by silence (no byte in the second half of
//          the time-out) is a short frame; one whose bytes still drip at the deadline is late.
//   rtu    Modbus RTU, on a serial line or through a TCP connection. Before a request the line is silent for 3.5
//          characters and what has come unasked is discarded. Frames of other slaves and noise are passed over while
//          the time-out lasts; if a whole frame of another slave was among it, a read is sent once more, as the two
//          may have collided. A reply of the right size with a wrong checksum, followed by silence, ends the
//          exchange early.
// A late RTU reply could pass for that of a later request to the same slave: `may_come_late` says that one may be on
// its way, whatever the result, so the caller lets that slave rest. A lost connection doesn't end that: a serial server
// hands the reply to whoever is connected when it comes. Of a repeated request it is not known which one was answered;
// `sent` is the first. Thread rule: one thread. Allocation: none but for the text of a
// transport's error. Source: MODBUS over Serial Line V1.02 §2.5.1 (silences).
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "drivers/device_statistics.hpp"
#include "drivers/pdu.hpp"
#include "drivers/serial_timing.hpp"
#include "drivers/transport.hpp"
#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::drivers {

struct ExchangeResult {
  DeviceError error = DeviceError::none;
  Mismatch mismatch = Mismatch::none;  // with DeviceError::mismatch
  std::uint8_t exception_code = 0;     // with DeviceError::exception
  bool may_come_late = false;          // RTU: a reply to this request may still come, whatever came so far
  base::Instant asked_last;            // RTU: when the request was sent the last time; later than `sent` if repeated
  base::Instant sent;                  // just before the request was handed to the kernel
  base::Instant finished;              // last byte of the reply, or the failure
  std::span<const std::uint8_t> data;  // valid until the next exchange
};

// The device asks for patience.
[[nodiscard]] inline bool is_busy(const ExchangeResult& result) noexcept {
  return result.error == DeviceError::exception &&
         (result.exception_code == static_cast<std::uint8_t>(ExceptionCode::acknowledge) ||
          result.exception_code == static_cast<std::uint8_t>(ExceptionCode::server_device_busy));
}
// The gateway in between answered, the device behind it did not.
[[nodiscard]] inline bool is_from_gateway(const ExchangeResult& result) noexcept {
  return result.error == DeviceError::exception &&
         (result.exception_code == static_cast<std::uint8_t>(ExceptionCode::gateway_path_unavailable) ||
          result.exception_code == static_cast<std::uint8_t>(ExceptionCode::gateway_target_failed_to_respond));
}

class Exchange {
 public:
  virtual ~Exchange() = default;
  [[nodiscard]] virtual ExchangeResult run(ReadRequest request, base::Duration timeout) = 0;
  // How much longer than its time-out run() may take.
  [[nodiscard]] virtual base::Duration longest_extra(base::Duration timeout) const noexcept = 0;
};

// `transport` and `clock` outlive the exchange.
// The one that speaks `settings.transmission_mode`.
[[nodiscard]] std::unique_ptr<Exchange> make_exchange(const DeviceSettings& settings, Transport& transport,
                                                      const base::Clock& clock);
[[nodiscard]] std::unique_ptr<Exchange> make_mbap_exchange(Transport& transport, const base::Clock& clock);
[[nodiscard]] std::unique_ptr<Exchange> make_rtu_exchange(Transport& transport, const base::Clock& clock,
                                                          const SerialTiming& timing);

}  // namespace twinkeeper::drivers
