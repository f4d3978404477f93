// What one configuration makes run towards the broker: the courier, which the spool thread drives, and the connection with
// its thread. The spool, the link between the two and their figures belong to others, as they outlive an exchange.
//
// Thread rule: one thread (main) calls start() and stop(); the courier's and the connection's own rules hold.
#pragma once

#include <string>
#include <thread>

#include "app/status_board.hpp"
#include "config/config.hpp"
#include "uplink/connection.hpp"
#include "uplink/courier.hpp"

namespace twinkeeper::app {

class North {
 public:
  // All of it outlives it.
  struct Surroundings {
    uplink::Spool& spool;
    uplink::Link& link;
    uplink::Statistics& statistics;
    StatusBoard& status;
    const base::Clock& clock;
    signals::EventSink& events;
    uplink::ConnectTimes& connect_times;
    std::string boot_id;
  };
  // `inbox`: nullptr if nothing is to be subscribed to.
  North(const config::Config& config, const Surroundings& surroundings, uplink::Inbox* inbox);

  void start();
  // Joins the connection's thread: `offline`, DISCONNECT. What is in flight then stays in the spool.
  void stop() { thread_ = {}; }

  [[nodiscard]] uplink::Courier& courier() { return courier_; }
  [[nodiscard]] uplink::Connection& connection() { return connection_; }

 private:
  const base::Clock& clock_;
  uplink::Statistics& statistics_;
  uplink::Courier courier_;
  uplink::Connection connection_;
  std::jthread thread_;
};

}  // namespace twinkeeper::app
