// Exit codes of every command (sysexits.h), as the documentation promises them.
#pragma once

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

}  // namespace twinkeeper::app
