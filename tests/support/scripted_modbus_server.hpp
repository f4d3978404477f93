// A Modbus TCP peer that behaves as badly as a script tells it, on a free port of 127.0.0.1 and a thread of its own.
//
// Each request takes the next step of the script (a good answer once the script is used up). Registers: word a holds
// 100 + a, bit a is set if a is odd. Written with sockets alone: it shares no code with what it tests.
// Thread rule: every member may be called from the test's thread while the server's own runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace twinkeeper::test {

using Bytes = std::vector<std::uint8_t>;

struct Step {
  std::function<void(Bytes&)> alter = {};  // changes the good reply before it is sent
  int send_first = -1;                     // send only so many bytes of it; -1: all
  bool drip = false;                       // a byte every 2 ms
  bool close_after = false;                // close the connection afterwards
  int delay_ms = 0;                        // before the reply
};

class ScriptedModbusServer {
 public:
  ScriptedModbusServer();
  ~ScriptedModbusServer();
  ScriptedModbusServer(const ScriptedModbusServer&) = delete;
  ScriptedModbusServer& operator=(const ScriptedModbusServer&) = delete;

  void next(Step step);
  // Stops listening and drops the connection; plug() listens again on the same port.
  void unplug();
  void plug();

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] int connections() const { return connections_.load(); }
  [[nodiscard]] std::vector<Bytes> requests() const;

  [[nodiscard]] static Step exception(std::uint8_t code);

 private:
  void serve();
  void serve_connection(int connection);
  bool obey(int connection, const Bytes& request);
  bool readable(int descriptor, int timeout_ms) const;

  std::uint16_t port_ = 0;
  int listener_ = -1;
  int stop_event_ = -1;
  std::atomic<int> connections_{0};
  mutable std::mutex mutex_;
  std::deque<Step> script_;
  std::vector<Bytes> requests_;
  std::thread thread_;
};

}  // namespace twinkeeper::test
