// A peer that speaks just enough MQTT over TLS to misbehave on purpose: what it does with each packet is the test's.
//
// Connections are served one after the other on a thread of the object's own.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::test {

enum class PacketType : std::uint8_t {
  connect = 1,
  publish = 3,
  puback = 4,
  subscribe = 8,
  pingreq = 12,
  disconnect = 14,
};

struct Packet {
  PacketType type{};
  std::uint8_t flags = 0;
  std::string body;
  std::size_t connection = 0;  // from 1
  base::Instant time{};

  [[nodiscard]] std::uint16_t number_at(std::size_t offset) const;
  [[nodiscard]] bool dup() const { return (flags & 8U) != 0; }
  [[nodiscard]] std::string topic() const;                                 // of a PUBLISH
  [[nodiscard]] std::uint16_t id() const;                                  // of a PUBLISH or SUBSCRIBE
  [[nodiscard]] std::uint16_t keep_alive() const { return number_at(8); }  // of a CONNECT
  [[nodiscard]] bool clean() const { return (static_cast<std::uint8_t>(body[7]) & 2U) != 0; }
};

class ScriptedPeer {
 public:
  // Returns whether to go on with the connection; false closes it.
  using Script = std::function<bool(ScriptedPeer&, const Packet&)>;

  ScriptedPeer(const std::string& pki, bool v5, Script script);
  ~ScriptedPeer();
  ScriptedPeer(const ScriptedPeer&) = delete;
  ScriptedPeer& operator=(const ScriptedPeer&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::vector<Packet> packets() const;
  [[nodiscard]] std::vector<Packet> packets(PacketType type) const;
  // Moments at which a connection was accepted.
  [[nodiscard]] std::vector<base::Instant> accepted() const;

  // From the next connection on: how long after its TCP the handshake begins.
  void wait_before_tls(base::Duration time) { before_tls_ = time; }

  // For the script: `properties` are those of MQTT 5, encoded.
  void connack(bool session_present = false, std::uint8_t code = 0, const std::string& properties = {});
  void puback(const Packet& publish);
  void suback(const Packet& subscribe, std::uint8_t code = 1);
  void pingresp();
  void disconnect(std::uint8_t reason);
  // Answers as a broker should.
  bool behave(const Packet& packet);

 private:
  void serve(const std::stop_token& stop);
  [[nodiscard]] bool waits_before_tls(const std::stop_token& stop, int descriptor) const;
  void serve_connection(const std::stop_token& stop, int descriptor);
  bool read(const std::stop_token& stop, std::string& into, std::size_t count);
  void write(const std::string& bytes);

  const bool v5_;
  const Script script_;
  std::atomic<base::Duration> before_tls_{base::Duration::zero()};
  int listener_ = -1;
  std::uint16_t port_ = 0;
  void* context_ = nullptr;  // SSL_CTX
  void* tls_ = nullptr;      // SSL of the connection under way
  int socket_ = -1;
  mutable std::mutex mutex_;
  std::vector<Packet> packets_;
  std::vector<base::Instant> accepted_;
  std::jthread thread_;
};

}  // namespace twinkeeper::test
