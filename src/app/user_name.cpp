#include "app/user_name.hpp"

#include <pwd.h>

#include <array>

namespace twinkeeper::app {

std::string user_name(uid_t user) {
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr ? found->pw_name : "uid " + std::to_string(user);
}

}  // namespace twinkeeper::app
