#include "support/scripted_modbus_server.hpp"

#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "support/loopback.hpp"

namespace twinkeeper::test {
namespace {

constexpr std::size_t kRequestBytes = 12;

Bytes good_reply(const Bytes& request) {
  const int function = request[7];
  const int address = request[8] * 256 + request[9];
  const int count = request[10] * 256 + request[11];
  Bytes data;
  if (function <= 2) {
    data.assign(static_cast<std::size_t>((count + 7) / 8), 0);
    for (int i = 0; i < count; ++i) {
      if ((address + i) % 2 == 1) data[static_cast<std::size_t>(i / 8)] |= static_cast<std::uint8_t>(1 << (i % 8));
    }
  } else {
    for (int i = 0; i < count; ++i) {
      data.push_back(static_cast<std::uint8_t>((100 + address + i) / 256));
      data.push_back(static_cast<std::uint8_t>((100 + address + i) % 256));
    }
  }
  Bytes reply(request.begin(), request.begin() + 8);
  reply[4] = 0;
  reply[5] = static_cast<std::uint8_t>(3 + data.size());
  reply.push_back(static_cast<std::uint8_t>(data.size()));
  reply.insert(reply.end(), data.begin(), data.end());
  return reply;
}

}  // namespace

ScriptedModbusServer::ScriptedModbusServer() { plug(); }

ScriptedModbusServer::~ScriptedModbusServer() { unplug(); }

Step ScriptedModbusServer::exception(std::uint8_t code) {
  Step step;
  step.alter = [code](Bytes& reply) {
    reply.resize(9);
    reply[5] = 3;
    reply[7] |= 0x80;
    reply[8] = code;
  };
  return step;
}

void ScriptedModbusServer::next(Step step) {
  const std::lock_guard lock(mutex_);
  script_.push_back(std::move(step));
}

std::vector<Bytes> ScriptedModbusServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void ScriptedModbusServer::unplug() {
  if (!thread_.joinable()) return;
  ::eventfd_write(stop_event_, 1);
  thread_.join();
  ::close(listener_);
  ::close(stop_event_);
}

void ScriptedModbusServer::plug() {
  const LoopbackListener listener = listen_on_loopback(port_);
  listener_ = listener.descriptor;
  port_ = listener.port;
  stop_event_ = ::eventfd(0, EFD_CLOEXEC);
  thread_ = std::thread([this] { serve(); });
}

bool ScriptedModbusServer::readable(int descriptor, int timeout_ms) const {
  pollfd entries[2] = {{descriptor, POLLIN, 0}, {stop_event_, POLLIN, 0}};
  ::poll(entries, 2, timeout_ms);
  return entries[1].revents == 0 && entries[0].revents != 0;
}

void ScriptedModbusServer::serve() {
  while (readable(listener_, -1)) {
    const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    const int on = 1;
    ::setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ++connections_;
    serve_connection(connection);
    ::close(connection);
  }
}

void ScriptedModbusServer::serve_connection(int connection) {
  Bytes received;
  while (readable(connection, -1)) {
    std::uint8_t chunk[64];
    const ssize_t size = ::recv(connection, chunk, sizeof chunk, 0);
    if (size <= 0) return;
    received.insert(received.end(), chunk, chunk + size);
    while (received.size() >= kRequestBytes) {
      const Bytes request(received.begin(), received.begin() + kRequestBytes);
      received.erase(received.begin(), received.begin() + kRequestBytes);
      if (!obey(connection, request)) return;
    }
  }
}

// False: the connection is to be closed.
bool ScriptedModbusServer::obey(int connection, const Bytes& request) {
  Step step;
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
    if (!script_.empty()) {
      step = std::move(script_.front());
      script_.pop_front();
    }
  }
  Bytes reply = good_reply(request);
  if (step.alter) step.alter(reply);
  if (step.send_first >= 0) reply.resize(static_cast<std::size_t>(step.send_first));
  // Waiting on the stop event instead of sleeping; a client that hangs up ends the wait too.
  if (step.delay_ms > 0) readable(connection, step.delay_ms);
  const std::size_t piece = step.drip ? 1 : reply.size();
  for (std::size_t sent = 0; sent < reply.size(); sent += piece) {
    if (::send(connection, reply.data() + sent, piece, MSG_NOSIGNAL) < 0) return false;
    if (step.drip && readable(connection, 2)) return false;
  }
  return !step.close_after;
}

}  // namespace twinkeeper::test
