// Exit codes of every command (sysexits.h), as the documentation promises them, and how a command ends with one.
#pragma once

#include <string>

#include "twinkeeper/base/result.hpp"

namespace twinkeeper::app {

enum ExitCode : int {
  kExitDone = 0,
  kExitUsage = 64,
  kExitBadData = 65,
  kExitNoInput = 66,      // a file named on the command line
  kExitUnavailable = 69,  // device or broker; never from `run`
  kExitInternal = 70,
  kExitIo = 74,
  kExitPermission = 77,  // key file modes are the sole fault
  kExitConfig = 78,      // any fault in the configuration, or in a model or file it names
};

// Says it on standard error and returns `code`.
int told(const std::string& what, int code);
// Of files, locks and folders that can't be used as they are: not permitted, held by another process, or I/O.
[[nodiscard]] int exit_code_of_files(const base::Error& error);

}  // namespace twinkeeper::app
