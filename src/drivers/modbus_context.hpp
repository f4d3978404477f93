// libmodbus's context, which closes and frees itself. Only the transports include this.
#pragma once

#include <modbus/modbus.h>

#include <memory>

namespace twinkeeper::drivers {

struct ModbusContextDeleter {
  void operator()(modbus_t* context) const noexcept {
    modbus_close(context);
    modbus_free(context);
  }
};

using ModbusContext = std::unique_ptr<modbus_t, ModbusContextDeleter>;

}  // namespace twinkeeper::drivers
