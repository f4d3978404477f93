// Devices and registers as the drivers use them, in std types only (Telegraf's names where it has them).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/sample.hpp"

namespace twinkeeper::drivers {

enum class RegisterKind { coil, discrete, input, holding };

enum class ValueType { BIT, INT16, UINT16, INT32, UINT32, INT64, UINT64, FLOAT16, FLOAT32, FLOAT64, STRING };

// Order of the bytes on the wire, A being the most significant: word and byte swaps of big-endian registers.
enum class ByteOrder { ABCD, DCBA, BADC, CDAB };

struct RegisterSettings {
  std::string name;
  std::string unit;
  signals::TagIndex tag = 0;  // filled in by config: position over all devices
  RegisterKind kind = RegisterKind::holding;
  std::uint16_t address = 0;  // zero-based protocol address
  ValueType type = ValueType::UINT16;
  ByteOrder byte_order = ByteOrder::ABCD;  // the device's unless given
  std::optional<int> bit;                  // BIT in a word: 0 = least significant
  std::optional<int> length;               // STRING: bytes
  double scale = 1.0;
  double offset = 0.0;
  bool scaled = false;             // scale or offset was given
  base::Duration poll_interval{};  // the device's unless given
};

enum class Optimization { none, max_insert };

struct Workarounds {
  base::Duration pause_after_connect{};
  base::Duration pause_between_requests{};
  bool one_request_per_field = false;
  int max_word_registers_per_request = 125;
  int max_bit_registers_per_request = 2000;
  bool close_connection_after_gather = false;
};

// HOST and port of "tcp://HOST:PORT".
struct TcpAddress {
  std::string host;
  std::uint16_t port = 502;
};

enum class TransmissionMode { TCP, RTUoverTCP, RTU };

enum class Parity { none, even, odd };

// libmodbus would take 9600 for any other.
inline constexpr std::array kBaudRates{1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600};

// The serial line behind "file:///dev/…".
struct SerialSettings {
  std::string device;    // as written: a name below /dev/serial/by-id finds the adapter again
  std::string identity;  // the same with its links resolved, filled in by config
  int baud_rate = 9600;
  int data_bits = 8;
  Parity parity = Parity::none;
  int stop_bits = 1;
};

struct DeviceSettings {
  std::string name;
  std::string controller;  // as written
  TransmissionMode transmission_mode = TransmissionMode::TCP;
  TcpAddress address;   // TCP, RTUoverTCP
  SerialSettings line;  // RTU
  int slave_id = 1;     // 1..247, over TCP also 0 and 255
  base::Duration poll_interval{};
  base::Duration timeout = std::chrono::seconds{1};
  base::Duration collection_offset{};
  ByteOrder byte_order = ByteOrder::ABCD;
  Optimization optimization = Optimization::max_insert;
  int optimization_max_register_fill = 50;
  int busy_retries = 0;
  Workarounds workarounds;
  std::vector<RegisterSettings> registers;
};

// Devices with equal keys are reached through one connection.
[[nodiscard]] inline std::string endpoint_key(const DeviceSettings& device) {
  if (device.transmission_mode == TransmissionMode::RTU) {
    return device.line.identity.empty() ? device.line.device : device.line.identity;
  }
  return device.address.host + ":" + std::to_string(device.address.port);
}

}  // namespace twinkeeper::drivers
