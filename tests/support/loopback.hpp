// A listener on a loopback port, for servers that a test plays.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <stdexcept>

namespace twinkeeper::test {

struct LoopbackListener {
  int descriptor;
  std::uint16_t port;
};

// `port` 0: any that is free. Whoever calls closes.
inline LoopbackListener listen_on_loopback(std::uint16_t port = 0) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), size) != 0 || ::listen(descriptor, 8) != 0 ||
      ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("no port to listen on");
  }
  return {descriptor, ntohs(address.sin_port)};
}

}  // namespace twinkeeper::test
