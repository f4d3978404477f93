#include "drivers/names.hpp"

namespace twinkeeper::drivers {

std::string_view to_string(ValueType type) noexcept {
  switch (type) {
    case ValueType::BIT: return "BIT";
    case ValueType::INT16: return "INT16";
    case ValueType::UINT16: return "UINT16";
    case ValueType::INT32: return "INT32";
    case ValueType::UINT32: return "UINT32";
    case ValueType::INT64: return "INT64";
    case ValueType::UINT64: return "UINT64";
    case ValueType::FLOAT16: return "FLOAT16";
    case ValueType::FLOAT32: return "FLOAT32";
    case ValueType::FLOAT64: return "FLOAT64";
    case ValueType::BCD16: return "BCD16";
    case ValueType::BCD32: return "BCD32";
    case ValueType::STRING: return "STRING";
  }
  return "unknown";
}

std::string_view to_string(ByteOrder order) noexcept {
  switch (order) {
    case ByteOrder::ABCD: return "ABCD";
    case ByteOrder::DCBA: return "DCBA";
    case ByteOrder::BADC: return "BADC";
    case ByteOrder::CDAB: return "CDAB";
    case ByteOrder::CDABGHEF: return "CDABGHEF";
    case ByteOrder::DCBAHGFE: return "DCBAHGFE";
    case ByteOrder::EFGHABCD: return "EFGHABCD";
    case ByteOrder::FEHGBADC: return "FEHGBADC";
  }
  return "unknown";
}

std::string_view to_string(RegisterKind kind) noexcept {
  switch (kind) {
    case RegisterKind::coil: return "coil";
    case RegisterKind::discrete: return "discrete";
    case RegisterKind::input: return "input";
    case RegisterKind::holding: return "holding";
  }
  return "unknown";
}

std::string_view to_string(TransmissionMode mode) noexcept {
  switch (mode) {
    case TransmissionMode::TCP: return "TCP";
    case TransmissionMode::RTUoverTCP: return "RTUoverTCP";
    case TransmissionMode::RTU: return "RTU";
    case TransmissionMode::LINE: return "LINE";
  }
  return "unknown";
}

}  // namespace twinkeeper::drivers
