#include "simulation/modbus_tcp_server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>

namespace twinkeeper::simulation {
namespace {

constexpr std::size_t kMaxClients = 128;
constexpr std::size_t kMaxPending = 4096;

std::string describe(const sockaddr_storage& storage, std::uint16_t& port) {
  std::array<char, INET6_ADDRSTRLEN> host{};
  if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    port = ntohs(v6.sin6_port);
    inet_ntop(AF_INET6, &v6.sin6_addr, host.data(), host.size());
    return "[" + std::string(host.data()) + "]:" + std::to_string(port);
  }
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
  port = ntohs(v4.sin_port);
  inet_ntop(AF_INET, &v4.sin_addr, host.data(), host.size());
  return std::string(host.data()) + ":" + std::to_string(port);
}

base::Error failure(const std::string& what, int number) {
  auto code = base::ErrorCode::io;
  if (number == EACCES || number == EPERM) code = base::ErrorCode::permission_denied;
  if (number == EADDRINUSE || number == EADDRNOTAVAIL) code = base::ErrorCode::unavailable;
  return {code, what + ": " + std::generic_category().message(number), code == base::ErrorCode::unavailable};
}

}  // namespace

ModbusTcpServer::ModbusTcpServer(drivers::TcpAddress address, std::unique_ptr<Responder> responder)
    : address_(std::move(address)), responder_(std::move(responder)) {}

base::Result<ModbusTcpServer> ModbusTcpServer::listen(const drivers::TcpAddress& address, std::vector<Unit> units,
                                                      Framing framing) {
  return listen(address, std::make_unique<ModbusResponder>(framing, std::move(units)));
}

base::Result<ModbusTcpServer> ModbusTcpServer::listen(const drivers::TcpAddress& address,
                                                      std::unique_ptr<Responder> responder) {
  ModbusTcpServer server(address, std::move(responder));
  if (auto status = server.settle(); !status) return std::move(status).error();
  return server;
}

base::Status ModbusTcpServer::settle() {
  if (!responder_->all_out()) return listener_.open() ? base::Status(base::Success{}) : open();
  listener_.close();
  clients_.clear();
  return base::Success{};
}

base::Status ModbusTcpServer::open() {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string place = address_.host + ":" + std::to_string(address_.port);
  if (const int code = getaddrinfo(address_.host.c_str(), std::to_string(address_.port).c_str(), &hints, &found);
      code != 0) {
    return base::Error(base::ErrorCode::unavailable, "cannot listen on " + place + ": " + gai_strerror(code));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> guard(found, &freeaddrinfo);
  int last = EADDRNOTAVAIL;
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    Descriptor socket(::socket(info->ai_family, info->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, info->ai_protocol));
    const int on = 1;
    if (socket.open()) setsockopt(socket.number(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (socket.open() && bind(socket.number(), info->ai_addr, info->ai_addrlen) == 0 &&
        ::listen(socket.number(), SOMAXCONN) == 0) {
      return adopt(std::move(socket));
    }
    last = errno;
  }
  return failure("cannot listen on " + place, last);
}

base::Status ModbusTcpServer::adopt(Descriptor listener) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getsockname(listener.number(), reinterpret_cast<sockaddr*>(&storage), &size) != 0) {
    return failure("cannot tell the bound address", errno);
  }
  text_ = describe(storage, address_.port);
  listener_ = std::move(listener);
  return base::Success{};
}

void ModbusTcpServer::watch(std::vector<pollfd>& set) {
  set.push_back({listener_.number(), POLLIN, 0});  // poll ignores a descriptor of −1
  for (const Client& client : clients_) {
    const bool full = client.pending.size() >= kMaxPending;
    const int events = (full ? 0 : POLLIN) | (client.pending.empty() ? 0 : POLLOUT);
    set.push_back({client.socket.number(), static_cast<short>(events), 0});
  }
}

void ModbusTcpServer::serve(std::span<const pollfd> ready) {
  for (std::size_t i = 0; i < clients_.size() && i + 1 < ready.size(); ++i) {
    const short events = ready[i + 1].revents;
    if (events & (POLLERR | POLLNVAL)) clients_[i].closed = true;
    if (!clients_[i].closed && (events & POLLOUT)) {
      send_pending(clients_[i]);
      answer_received(clients_[i]);
    }
    if (!clients_[i].closed && (events & (POLLIN | POLLHUP))) receive(clients_[i]);
  }
  std::erase_if(clients_, [](const Client& client) { return client.closed; });
  if (!ready.empty() && (ready[0].revents & POLLIN)) accept_clients();
}

void ModbusTcpServer::speak(base::Instant now) {
  std::vector<std::uint8_t> said;
  responder_->speak(now, said);
  for (Client& client : clients_) {
    if (client.closed || said.empty() || !client.pending.empty()) continue;
    client.pending = said;
    send_pending(client);
  }
  std::erase_if(clients_, [](const Client& client) { return client.closed; });
}

void ModbusTcpServer::accept_clients() {
  for (;;) {
    Descriptor socket(accept4(listener_.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket.open()) return;  // nobody is left, or out of descriptors: tried again at the next round
    if (clients_.size() >= kMaxClients) continue;
    const int on = 1;
    setsockopt(socket.number(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    clients_.push_back({std::move(socket), {}, {}, false});
  }
}

void ModbusTcpServer::receive(Client& client) {
  std::array<std::uint8_t, 1024> buffer;  // NOLINT: filled by recv
  const ssize_t count = recv(client.socket.number(), buffer.data(), buffer.size(), 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) {
    client.closed = true;
    return;
  }
  client.received.insert(client.received.end(), buffer.begin(), buffer.begin() + count);
  answer_received(client);
}

void ModbusTcpServer::answer_received(Client& client) {
  // As long as replies leave: a client may send many requests at once.
  for (std::size_t before = client.received.size() + 1; !client.closed && client.received.size() < before;) {
    before = client.received.size();
    client.closed = !responder_->answer(client.received, client.pending, kMaxPending);
    if (!client.closed && !client.pending.empty()) send_pending(client);
  }
}

void ModbusTcpServer::send_pending(Client& client) {
  const ssize_t count = send(client.socket.number(), client.pending.data(), client.pending.size(), MSG_NOSIGNAL);
  if (count > 0) {
    client.pending.erase(client.pending.begin(), client.pending.begin() + count);
  } else if (count < 0 && errno != EAGAIN && errno != EINTR) {
    client.closed = true;
  }
}

}  // namespace twinkeeper::simulation
