// Transport over a serial line: libmodbus opens and sets it, its descriptor is read and written here (its own reads
// accept replies of any slave and length).
//
// The line is this process's alone: TIOCEXCL keeps other programs out (but those of root), flock those that ask. A name
// below /dev/serial/by-id finds an adapter again that was unplugged, whatever number its node gets then.
// `rs485` is handed to the kernel's driver each time the line is opened; a driver without that mode is an error
// (unavailable), as the slaves would get no answer heard.
// Thread rule: as Transport.
#pragma once

#include <linux/serial.h>

#include <memory>

#include "drivers/settings.hpp"
#include "drivers/transport.hpp"

namespace twinkeeper::drivers {

// `clock` must be the monotonic system clock (or count like it) and outlive the transport.
[[nodiscard]] std::unique_ptr<Transport> make_serial_transport(const SerialSettings& line, const base::Clock& clock);

// As the kernel takes it.
[[nodiscard]] serial_rs485 kernel_rs485(const Rs485Settings& settings) noexcept;

}  // namespace twinkeeper::drivers
