// Transport over TCP: libmodbus opens the connection, its socket is read and written here. libmodbus' own reads accept
// a wrong unit, length and protocol, and modbus_send_raw_request always sends transaction 0, so neither is used.
// Host names are resolved in connect(), blocking as long as the system's resolver does; numeric addresses aren't.
#pragma once

#include <memory>

#include "drivers/settings.hpp"
#include "drivers/transport.hpp"

namespace twinkeeper::drivers {

// `clock` must be the monotonic system clock (or count like it) and outlive the transport.
[[nodiscard]] std::unique_ptr<Transport> make_modbus_tcp_transport(const TcpAddress& address, const base::Clock& clock);

}  // namespace twinkeeper::drivers
