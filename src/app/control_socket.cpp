#include "app/control_socket.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "app/user_name.hpp"
#include "base/durable_file.hpp"

namespace twinkeeper::app {
namespace {

using base::Error;
using base::ErrorCode;

constexpr mode_t kMode = 0660;
constexpr int kWaiting = 8;

bool address_of(const std::string& path, sockaddr_un& address) {
  address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return true;
}

Error too_long(const std::string& path) {
  return {ErrorCode::invalid_argument, path + " is longer than the path of a socket can be; accepted: at most " +
                                           std::to_string(sizeof(sockaddr_un::sun_path) - 1) + " bytes"};
}

SocketDescriptor new_socket(int flags) {
  return SocketDescriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
}

const sockaddr* as_address(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

}  // namespace

SocketDescriptor::~SocketDescriptor() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::string control_socket_path(const std::string& configured) {
  const char* directory = std::getenv("RUNTIME_DIRECTORY");
  if (configured != kUsualControlSocket || directory == nullptr || *directory == '\0') return configured;
  const std::string all(directory);  // several are separated by colons
  return all.substr(0, all.find(':')) + "/control";
}

base::Result<SocketDescriptor> listen_at(const std::string& path) {
  sockaddr_un address;
  if (!address_of(path, address)) return too_long(path);
  SocketDescriptor made = new_socket(SOCK_NONBLOCK);
  if (made.get() < 0) return base::system_error(path, errno);
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) return Error(ErrorCode::io, path + " is there and no socket");
    // A full backlog says "try again": somebody listens.
    const SocketDescriptor probe = new_socket(SOCK_NONBLOCK);
    if (::connect(probe.get(), as_address(address), sizeof address) == 0 || errno == EAGAIN) {
      return Error(ErrorCode::full, path + " is in use by another process");
    }
    if (errno == ECONNREFUSED) ::unlink(path.c_str());
  }
  // Linux gives the socket in the folder the mode of the descriptor, less the umask: it is never wider than it should be.
  ::fchmod(made.get(), kMode);
  if (::bind(made.get(), as_address(address), sizeof address) != 0 || ::chmod(path.c_str(), kMode) != 0 ||
      ::listen(made.get(), kWaiting) != 0) {
    return base::system_error(path, errno);
  }
  return made;
}

base::Result<SocketDescriptor> connect_to(const std::string& path) {
  sockaddr_un address;
  if (!address_of(path, address)) return too_long(path);
  SocketDescriptor made = new_socket(0);
  if (made.get() < 0) return base::system_error(path, errno);
  if (::connect(made.get(), as_address(address), sizeof address) == 0) return made;
  if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR) {
    return Error(ErrorCode::unavailable, "no service listens at " + path);
  }
  return base::system_error(path, errno);
}

void say(const SocketDescriptor& socket, const std::string& line) {
  const std::string text = line + "\n";
  static_cast<void>(::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
}

std::string peer_name(int descriptor) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return "unknown";
  return user_name(peer.uid);
}

}  // namespace twinkeeper::app
