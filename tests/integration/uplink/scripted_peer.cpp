#include "integration/uplink/scripted_peer.hpp"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <utility>

#include "support/loopback.hpp"

namespace twinkeeper::test {

std::uint16_t Packet::number_at(std::size_t offset) const {
  return static_cast<std::uint16_t>((static_cast<std::uint8_t>(body.at(offset)) << 8U) |
                                    static_cast<std::uint8_t>(body.at(offset + 1)));
}
std::string Packet::topic() const { return body.substr(2, number_at(0)); }
std::uint16_t Packet::id() const { return number_at(type == PacketType::publish ? 2U + number_at(0) : 0U); }

ScriptedPeer::ScriptedPeer(const std::string& pki, bool v5, Script script) : v5_(v5), script_(std::move(script)) {
  ::signal(SIGPIPE, SIG_IGN);
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  context_ = context;
  if (SSL_CTX_use_certificate_chain_file(context, (pki + "/server.crt").c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, (pki + "/server.key").c_str(), SSL_FILETYPE_PEM) != 1) {
    throw std::runtime_error("the server's certificate can't be loaded");
  }
  const LoopbackListener listener = listen_on_loopback();
  listener_ = listener.descriptor;
  port_ = listener.port;
  thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
}

ScriptedPeer::~ScriptedPeer() {
  thread_.request_stop();
  thread_.join();
  ::close(listener_);
  SSL_CTX_free(static_cast<SSL_CTX*>(context_));
}

std::vector<Packet> ScriptedPeer::packets() const {
  const std::lock_guard lock(mutex_);
  return packets_;
}
std::vector<Packet> ScriptedPeer::packets(PacketType type) const {
  std::vector<Packet> found = packets();
  std::erase_if(found, [&](const Packet& packet) { return packet.type != type; });
  return found;
}
std::vector<base::Instant> ScriptedPeer::accepted() const {
  const std::lock_guard lock(mutex_);
  return accepted_;
}

void ScriptedPeer::serve(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    pollfd entry{listener_, POLLIN, 0};
    if (::poll(&entry, 1, 50) <= 0) continue;
    const int descriptor = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (descriptor < 0) continue;
    serve_connection(stop, descriptor);
    ::close(descriptor);
  }
}

// False: the peer is to stop, or the client has gone meanwhile.
bool ScriptedPeer::waits_before_tls(const std::stop_token& stop, int descriptor) const {
  const base::SystemClock clock;
  const base::Instant until = clock.now() + before_tls_.load();
  for (base::Instant now = clock.now(); now < until; now = clock.now()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now).count();
    pollfd entry{descriptor, POLLRDHUP, 0};
    if (::poll(&entry, 1, static_cast<int>(std::min<std::int64_t>(left, 50))) > 0 || stop.stop_requested())
      return false;
  }
  return true;
}

void ScriptedPeer::serve_connection(const std::stop_token& stop, int descriptor) {
  const timeval soon{5, 0};
  ::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
  SSL* tls = SSL_new(static_cast<SSL_CTX*>(context_));
  tls_ = tls;
  socket_ = descriptor;
  SSL_set_fd(tls, descriptor);
  if (waits_before_tls(stop, descriptor) && SSL_accept(tls) == 1) {
    std::size_t connection = 0;
    {
      const std::lock_guard lock(mutex_);
      accepted_.push_back(base::SystemClock{}.now());
      connection = accepted_.size();
    }
    std::string head;
    while (read(stop, head, 1)) {
      std::size_t length = 0;
      std::string byte;
      for (unsigned shift = 0; shift < 28 && read(stop, byte, 1); shift += 7) {
        length |= static_cast<std::size_t>(static_cast<std::uint8_t>(byte[0]) & 0x7FU) << shift;
        if ((static_cast<std::uint8_t>(byte[0]) & 0x80U) == 0) break;
      }
      Packet packet;
      packet.type = static_cast<PacketType>(static_cast<std::uint8_t>(head[0]) >> 4U);
      packet.flags = static_cast<std::uint8_t>(head[0]) & 0x0FU;
      packet.connection = connection;
      packet.time = base::SystemClock{}.now();
      if (!read(stop, packet.body, length)) break;
      {
        const std::lock_guard lock(mutex_);
        packets_.push_back(packet);
      }
      if (!script_(*this, packet)) break;
    }
  }
  SSL_free(tls);
  tls_ = nullptr;
}

bool ScriptedPeer::read(const std::stop_token& stop, std::string& into, std::size_t count) {
  into.assign(count, '\0');
  auto* tls = static_cast<SSL*>(tls_);
  for (std::size_t have = 0; have < count;) {
    if (SSL_pending(tls) == 0) {
      pollfd entry{socket_, POLLIN, 0};
      if (stop.stop_requested()) return false;
      if (::poll(&entry, 1, 50) == 0) continue;
    }
    const int got = SSL_read(tls, into.data() + have, static_cast<int>(count - have));
    if (got <= 0) return false;
    have += static_cast<std::size_t>(got);
  }
  return true;
}

void ScriptedPeer::write(const std::string& bytes) {
  SSL_write(static_cast<SSL*>(tls_), bytes.data(), static_cast<int>(bytes.size()));
}

void ScriptedPeer::connack(bool session_present, std::uint8_t code, const std::string& properties) {
  std::string body{static_cast<char>(session_present ? 1 : 0), static_cast<char>(code)};
  if (v5_) body += static_cast<char>(properties.size()) + properties;
  write(std::string{0x20} + static_cast<char>(body.size()) + body);
}
void ScriptedPeer::puback(const Packet& publish) {
  write({0x40, 2, static_cast<char>(publish.id() >> 8U), static_cast<char>(publish.id() & 0xFFU)});
}
void ScriptedPeer::suback(const Packet& subscribe, std::uint8_t code) {
  std::size_t topics = 0;
  for (std::size_t at = v5_ ? 3 : 2; at + 2 < subscribe.body.size(); at += 3U + subscribe.number_at(at)) ++topics;
  std::string body = subscribe.body.substr(0, 2);
  if (v5_) body += '\0';
  body.append(topics, static_cast<char>(code));
  write(std::string{static_cast<char>(0x90)} + static_cast<char>(body.size()) + body);
}
void ScriptedPeer::pingresp() { write({static_cast<char>(0xD0), 0}); }
void ScriptedPeer::disconnect(std::uint8_t reason) { write({static_cast<char>(0xE0), 1, static_cast<char>(reason)}); }

bool ScriptedPeer::behave(const Packet& packet) {
  switch (packet.type) {
    case PacketType::connect: connack(); break;
    case PacketType::publish: puback(packet); break;
    case PacketType::subscribe: suback(packet); break;
    case PacketType::pingreq: pingresp(); break;
    case PacketType::disconnect: return false;
    default: break;
  }
  return true;
}

}  // namespace twinkeeper::test
