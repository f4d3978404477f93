// The spool thread with what it carries out: it publishes what the south tells and decides on what is asked of the gateway,
// and so is made anew with either side. Between two of them, for a moment, the outbox waits.
//
// Thread rule: one thread (main) calls all functions; Publisher's own rule holds.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "app/aws_desk.hpp"
#include "app/command_desk.hpp"
#include "app/event_log.hpp"
#include "app/heartbeat.hpp"
#include "app/inbox_router.hpp"
#include "app/north.hpp"
#include "app/plan.hpp"
#include "app/publisher.hpp"
#include "app/reload_requests.hpp"
#include "app/south.hpp"

namespace twinkeeper::app {

class SpoolLoop {
 public:
  // All of it outlives it.
  struct Surroundings {
    South& south;
    North& north;
    InboxRouter& inboxes;
    const uplink::Statistics& statistics;
    const base::Clock& clock;
    EventLog& log;
    ReloadRequests& requests;
    std::function<void()> wake;
  };
  // `connects_seen`: connects_total of the newest connect that was followed by descriptions.
  SpoolLoop(std::shared_ptr<const Plan> plan, const Surroundings& surroundings, std::uint64_t connects_seen);
  ~SpoolLoop();
  SpoolLoop(const SpoolLoop&) = delete;
  SpoolLoop& operator=(const SpoolLoop&) = delete;

  // Whether anything is subscribed to for the desks.
  [[nodiscard]] static bool listens(const config::Config& config);

  void start();
  // Joins the thread: all that was told by then is with the courier. `drain`: how long the courier then tries to get rid
  // of it and what is in flight, before it ends, too; absent: it goes on.
  void stop(std::optional<base::Duration> drain);

  [[nodiscard]] Publisher& publisher() { return publisher_; }
  void add_hung(base::Instant now, std::vector<std::string>& hung) const;

 private:
  [[nodiscard]] std::unique_ptr<CommandDesk> make_desk(const Surroundings& surroundings) const;
  [[nodiscard]] std::unique_ptr<AwsDesk> make_aws_desk(const Surroundings& surroundings) const;

  const std::shared_ptr<const Plan> plan_;
  const base::Clock& clock_;
  uplink::Courier& courier_;
  std::unique_ptr<CommandDesk> desk_;  // none unless commands are enabled
  std::unique_ptr<AwsDesk> aws_desk_;  // none unless the uplink is AWS IoT Core
  InboxRouter& inboxes_;
  Publisher publisher_;
  Heartbeat heartbeat_;
  std::optional<base::Duration> drain_;  // set before the thread is asked to stop
  std::jthread thread_;
};

}  // namespace twinkeeper::app
