// What the configuration calls the values of settings.hpp. Thread rule: free functions.
#pragma once

#include <string_view>

#include "drivers/settings.hpp"

namespace twinkeeper::drivers {

[[nodiscard]] std::string_view to_string(ValueType type) noexcept;
[[nodiscard]] std::string_view to_string(ByteOrder order) noexcept;
[[nodiscard]] std::string_view to_string(RegisterKind kind) noexcept;
[[nodiscard]] std::string_view to_string(TransmissionMode mode) noexcept;

}  // namespace twinkeeper::drivers
