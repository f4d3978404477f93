// Numbers as the messages of alarms show them.
#pragma once

#include <string>

namespace twinkeeper::diagnosis {

// Three significant digits, with the unit if there is one.
[[nodiscard]] std::string quantity(double value, const std::string& unit = {});

}  // namespace twinkeeper::diagnosis
