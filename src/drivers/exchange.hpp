// One request and its reply over a Transport, bounded as a whole by one absolute deadline.
// Thread rule: one thread. Allocation: none but for the text of a transport's error.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "drivers/codec.hpp"
#include "drivers/device_statistics.hpp"
#include "drivers/transport.hpp"
#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::drivers {

struct ExchangeResult {
  DeviceError error = DeviceError::none;
  Mismatch mismatch = Mismatch::none;  // with DeviceError::mismatch
  std::uint8_t exception_code = 0;     // with DeviceError::exception
  base::Instant sent;                  // just before the request was handed to the kernel
  base::Instant finished;              // last byte of the reply, or the failure
  std::span<const std::uint8_t> data;  // valid until the next exchange
};

class Exchange {
 public:
  Exchange(Transport& transport, const base::Clock& clock) : transport_(transport), clock_(clock) {}

  // Sets the request's transaction, each time the next one, also over reconnects: an old reply can't pass for a new.
  [[nodiscard]] ExchangeResult run(ReadRequest request, base::Duration timeout);

 private:
  ExchangeResult receive_reply(const ReadRequest& request, base::Duration timeout, ExchangeResult result);

  Transport& transport_;
  const base::Clock& clock_;
  std::uint16_t transaction_ = 0;
  std::array<std::uint8_t, kMaxFrameSize> frame_{};
};

}  // namespace twinkeeper::drivers
