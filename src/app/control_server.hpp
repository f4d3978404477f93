// The control socket's side of the service: lines of JSON in, lines of JSON out (telemetry/command.hpp), on a thread of
// its own.
//
// A client asks one thing at a time. `record` is answered with the tags and then, until the client hangs up, with lines
// {"samples":[[tag, monotonic ns, value or null], …], "lost": how many found no room}. `reload` is answered `accepted`,
// and on the same connection, which goes from server to server for it, with what became of it.
// No client can hold the service: 8 at most, lines of 64 KiB, an answer that is not taken within 10 s or a minute
// without a question ends the connection, and what a recording client does not take is dropped and counted.
// Errors: what keeps the socket from being opened is told once, and the service runs without. Thread rule: run() is the
// body of one thread; the constructor opens the socket.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/control_socket.hpp"
#include "app/heartbeat.hpp"
#include "app/order_desk.hpp"
#include "app/plan.hpp"
#include "app/sample_tap.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/wake_up.hpp"
#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::app {

class ControlServer {
 public:
  // `grid_origin`: from which all polls are counted.
  ControlServer(const Plan& plan, OrderDesk& orders, SampleTap& tap, base::Instant grid_origin,
                const base::Clock& clock, signals::EventSink& events);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  [[nodiscard]] bool listens() const { return listener_.get() >= 0; }
  void run(const std::stop_token& stop, Heartbeat& heartbeat);

 private:
  struct Client {
    std::uint64_t number = 0;
    SocketDescriptor socket;
    std::string by;
    std::string in, out;
    bool asking = false;  // an answer is awaited
    bool recording = false;
    bool ends = false;       // once `out` is sent
    base::Instant moved;     // when something was last read or sent
    std::uint64_t lost = 0;  // samples, not told yet
  };
  struct Answer {
    std::uint64_t client;
    std::string line;
  };

  void accept_clients();
  // False: the connection is over.
  [[nodiscard]] bool read_from(Client& client);
  [[nodiscard]] bool write_to(Client& client);
  [[nodiscard]] bool too_slow(const Client& client, base::Instant now) const;
  void take_line(Client& client);
  void begin_record(Client& client);
  void hand_over(Client& client, telemetry::CommandAnswer asked);
  void deliver_answers();
  void deliver_samples();
  void answer(std::uint64_t client, std::string line);

  const Plan& plan_;
  OrderDesk& orders_;
  SampleTap& tap_;
  const base::Instant grid_origin_;
  const base::Clock& clock_;
  signals::EventSink& events_;
  const std::string path_;
  SocketDescriptor listener_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::uint64_t clients_so_far_ = 0;
  std::uint64_t dropped_before_ = 0;

  base::WakeUp bell_;
  std::mutex answers_mutex_;
  std::vector<Answer> answers_;
};

}  // namespace twinkeeper::app
