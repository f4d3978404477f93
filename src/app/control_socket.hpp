// The control socket as a thing of the system: where it is, how it is made, and who is at its other end.
//
// A stream socket of mode 0660 and the group of the process, in a folder that must be there already (systemd makes it).
// A socket that a dead process left is replaced, one at which somebody listens is not.
// Errors: unavailable if nobody listens; permission_denied; full if somebody else listens already; not_found for a folder
// that is not there; invalid_argument for a path that is too long for a socket; io. Thread rule: free functions.
#pragma once

#include <string>
#include <utility>

#include "twinkeeper/base/result.hpp"

namespace twinkeeper::app {

inline constexpr const char* kUsualControlSocket = "/run/twinkeeper/control";

// Closes what it owns.
class SocketDescriptor {
 public:
  explicit SocketDescriptor(int descriptor = -1) : descriptor_(descriptor) {}
  SocketDescriptor(SocketDescriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  SocketDescriptor& operator=(SocketDescriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~SocketDescriptor();
  [[nodiscard]] int get() const { return descriptor_; }

 private:
  int descriptor_;
};

// What is configured; the usual place is that in $RUNTIME_DIRECTORY if there is one.
[[nodiscard]] std::string control_socket_path(const std::string& configured);

[[nodiscard]] base::Result<SocketDescriptor> listen_at(const std::string& path);
[[nodiscard]] base::Result<SocketDescriptor> connect_to(const std::string& path);
// One line, as far as it can be taken at once.
void say(const SocketDescriptor& socket, const std::string& line);
// The user at the other end; "uid 1001" if it has no name.
[[nodiscard]] std::string peer_name(int descriptor);

}  // namespace twinkeeper::app
