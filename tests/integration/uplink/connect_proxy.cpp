#include "integration/uplink/connect_proxy.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "support/loopback.hpp"

namespace twinkeeper::test {
namespace {

int connect_to(std::uint16_t port) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return descriptor;
  ::close(descriptor);
  return -1;
}

void say(int descriptor, const std::string& text) {
  static_cast<void>(::send(descriptor, text.data(), text.size(), MSG_NOSIGNAL));
}

// False: the one that was read from is at its end.
bool pass(int from, int to) {
  std::array<char, 4096> bytes{};
  const ssize_t got = ::recv(from, bytes.data(), bytes.size(), 0);
  if (got <= 0) return false;
  for (ssize_t sent = 0; sent < got;) {
    const ssize_t now = ::send(to, bytes.data() + sent, static_cast<std::size_t>(got - sent), MSG_NOSIGNAL);
    if (now <= 0) return false;
    sent += now;
  }
  return true;
}

}  // namespace

ConnectProxy::ConnectProxy(bool denies) : denies_(denies) {
  const LoopbackListener listener = listen_on_loopback();
  listener_ = listener.descriptor;
  port_ = listener.port;
  thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
}

ConnectProxy::~ConnectProxy() {
  thread_.request_stop();
  thread_.join();
  tunnels_.clear();
  ::close(listener_);
}

void ConnectProxy::serve(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    pollfd entry{listener_, POLLIN, 0};
    if (::poll(&entry, 1, 50) <= 0) continue;
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client >= 0) tunnels_.emplace_back([this, client](const std::stop_token& ends) { tunnel(ends, client); });
  }
}

void ConnectProxy::tunnel(const std::stop_token& stop, int client) {
  std::string head;
  char byte = 0;
  while (head.find("\r\n\r\n") == std::string::npos && ::recv(client, &byte, 1, 0) == 1) head += byte;
  ++requests_;
  const auto colon = head.find(':');
  const bool valid = head.rfind("CONNECT ", 0) == 0 && colon != std::string::npos;
  const int server = valid && !denies_ ? connect_to(static_cast<std::uint16_t>(std::stoi(head.substr(colon + 1)))) : -1;
  if (server < 0) {
    say(client, denies_ ? "HTTP/1.1 403 Forbidden\r\n\r\n" : "HTTP/1.1 502 Bad Gateway\r\n\r\n");
  } else {
    say(client, "HTTP/1.1 200 Connection established\r\n\r\n");
    bool open = true;
    while (open && !stop.stop_requested()) {
      std::array<pollfd, 2> ends{{{client, POLLIN, 0}, {server, POLLIN, 0}}};
      if (::poll(ends.data(), ends.size(), 50) <= 0) continue;
      if (ends[0].revents != 0) open = pass(client, server);
      if (open && ends[1].revents != 0) open = pass(server, client);
    }
    ::close(server);
  }
  ::close(client);
}

}  // namespace twinkeeper::test
