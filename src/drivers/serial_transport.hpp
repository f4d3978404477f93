// Transport over a serial line: libmodbus opens and sets it, its descriptor is read and written here (its own reads
// accept replies of any slave and length).
//
// The line is this process's alone: TIOCEXCL keeps other programs out (but those of root), flock those that ask. A name
// below /dev/serial/by-id finds an adapter again that was unplugged, whatever number its node gets then.
// Thread rule: as Transport.
#pragma once

#include <memory>

#include "drivers/settings.hpp"
#include "drivers/transport.hpp"

namespace twinkeeper::drivers {

// `clock` must be the monotonic system clock (or count like it) and outlive the transport.
[[nodiscard]] std::unique_ptr<Transport> make_serial_transport(const SerialSettings& line, const base::Clock& clock);

}  // namespace twinkeeper::drivers
