// A real Mosquitto that requires client certificates, and a mosquitto_sub that collects what arrives.
//
// The broker keeps its sessions and queues on disk at every change and its window towards subscribers is unlimited, so
// that what it acknowledged to us is not lost by its own death.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "support/eventually.hpp"
#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::test {

[[nodiscard]] std::uint16_t free_port();

// A child process; killed at the latest with the object.
class ChildProcess {
 public:
  ChildProcess(std::vector<std::string> arguments, const std::string& output);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  void end(int signal);
  void send(int signal) const;

 private:
  pid_t pid_ = -1;
};

struct MosquittoOptions {
  std::string server = "server";  // NAME of NAME.crt and NAME.key in the folder of certificates
  std::string access_rules;       // lines of an ACL file; empty: everything is allowed
  bool client_certificates = true;
  int max_queued_messages = 1000000;  // with 0, no limit, Mosquitto 2.0.11 hangs up after it has refused a publication
  std::string lines;  // more of mosquitto.conf, each ended
};

class Mosquitto {
 public:
  Mosquitto(std::string folder, std::string pki, MosquittoOptions options = {});
  ~Mosquitto();
  Mosquitto(const Mosquitto&) = delete;
  Mosquitto& operator=(const Mosquitto&) = delete;

  void start();
  void stop();
  void kill();
  void freeze(bool frozen);  // SIGSTOP: a link that is half open
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string log() const;

 private:
  std::string folder_;
  std::uint16_t port_;
  ChildProcess* process_ = nullptr;
};

// mosquitto_sub with a lasting session on `#`.
class Subscriber {
 public:
  struct Arrival {
    bool retained = false;
    std::string topic;
    std::string payload;
  };
  Subscriber(const std::string& folder, const std::string& pki, std::uint16_t port, const std::string& topic);
  // After the broker was away: mosquitto_sub ends with its connection. The session and its queue are the broker's.
  void restart();
  [[nodiscard]] std::vector<Arrival> arrivals() const;

 private:
  std::vector<std::string> command_;
  std::string output_;
  std::optional<ChildProcess> process_;
};

}  // namespace twinkeeper::test
