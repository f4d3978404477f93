// The name of a user for a trail or a message; "uid 1000" if he has none. Thread rule: any.
#pragma once

#include <sys/types.h>

#include <string>

namespace twinkeeper::app {

[[nodiscard]] std::string user_name(uid_t user);

}  // namespace twinkeeper::app
