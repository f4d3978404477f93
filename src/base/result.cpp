#include "twinkeeper/base/result.hpp"

namespace twinkeeper::base {

const char* to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument: return "invalid argument";
    case ErrorCode::not_found: return "not found";
    case ErrorCode::permission_denied: return "permission denied";
    case ErrorCode::timeout: return "timeout";
    case ErrorCode::unavailable: return "unavailable";
    case ErrorCode::connection_lost: return "connection lost";
    case ErrorCode::protocol: return "protocol error";
    case ErrorCode::exception: return "exception";
    case ErrorCode::io: return "I/O error";
    case ErrorCode::corrupt: return "corrupt";
    case ErrorCode::newer_version: return "newer version";
    case ErrorCode::full: return "full";
    case ErrorCode::cancelled: return "cancelled";
    case ErrorCode::internal: return "internal error";
  }
  return "unknown";
}

}  // namespace twinkeeper::base
