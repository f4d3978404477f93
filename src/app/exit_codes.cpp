#include "app/exit_codes.hpp"

#include <iostream>

namespace twinkeeper::app {

int told(const std::string& what, int code) {
  std::cerr << "twinkeeper: " << what << '\n';
  return code;
}

int exit_code_of_files(const base::Error& error) {
  switch (error.code()) {
    case base::ErrorCode::permission_denied: return kExitPermission;
    case base::ErrorCode::unavailable: return kExitUnavailable;
    default: return kExitIo;
  }
}

}  // namespace twinkeeper::app
