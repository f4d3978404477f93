// The files of report/ as the build has put them into the library.
#pragma once

#include <string_view>

namespace twinkeeper::logs {

extern const std::string_view kReportPage, kReportStyle, kReportAxis, kReportPlots, kReportCharts, kReportScript;

}  // namespace twinkeeper::logs
