#include "app/north.hpp"

#include <utility>

#include "app/real_time.hpp"

namespace twinkeeper::app {

North::North(const config::Config& config, const Surroundings& surroundings, uplink::Inbox* inbox)
    : clock_(surroundings.clock),
      statistics_(surroundings.statistics),
      courier_(surroundings.spool, surroundings.link, statistics_, *config.uplink, config.gateway.id, clock_,
               surroundings.events),
      connection_(surroundings.link, statistics_, *config.uplink, config.gateway.id, surroundings.boot_id,
                  surroundings.status, clock_, surroundings.events,
                  uplink::ConnectionTiming::for_profile(config.uplink->profile), surroundings.connect_times, inbox) {
  statistics_.endpoint = 0;  // of its own list
}

void North::start() {
  uplink::Statistics::beat(statistics_.connection_heartbeat_ns, clock_.now());
  thread_ = std::jthread([this](std::stop_token stop) {
    begin_ordinary_thread("uplink");
    connection_.run(std::move(stop));
  });
}

}  // namespace twinkeeper::app
