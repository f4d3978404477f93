// Decides on commands, hands the orders out (writes to the devices' threads, all else to the OrderDesk), and answers and
// records what became of each.
//
// Refused are commands that are malformed, retained, not allowed, expired, older than max_age, from the future, known
// already by their correlation id (ReplayWindow; if nothing is known of the past: from before this start of the service),
// or more than per_minute; writes also outside of the register's limits or more often than its own per_minute. While the
// wall clock is not synchronised everything is refused, unless the configuration says otherwise: no age can be told. Each
// decision is one line of the audit trail, one event and, if there is a correlation id, one answer on
// P/response/<correlation id>; of a reload there are two, the second by the gateway that comes after it.
//
// Who may give commands at all is the broker's business: its certificates and its topic rules.
// Thread rule: arrived() may come from any thread; everything else belongs to the spool thread. Bounded: 32 commands
// wait unread, and 60 a minute more are read than are obeyed at most; what comes beyond is dropped and counted, which
// the trail tells once a minute.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "app/order_desk.hpp"
#include "app/replay_window.hpp"
#include "config/config.hpp"
#include "drivers/write_queue.hpp"
#include "telemetry/command.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/event.hpp"
#include "twinkeeper/signals/message.hpp"
#include "uplink/inbox.hpp"

namespace twinkeeper::app {

class CommandDesk final : public uplink::Inbox {
 public:
  // `wake` brings the spool thread to run(); `respond` sends an answer. What is referred to outlives the desk.
  CommandDesk(const config::Config& config, const base::Clock& clock, signals::EventSink& events, OrderDesk& orders,
              std::function<void()> wake, std::function<void(signals::Message)> respond);

  // The writable registers of `device` are written through `queue`, whose poller has it as number `place`. Before
  // run().
  void connect(const drivers::DeviceSettings& device, drivers::WriteQueue& queue, std::size_t place);

  [[nodiscard]] std::vector<std::string> topics() const override;
  void connected(const std::vector<std::string>&) override {}
  void arrived(std::string topic, std::string payload, bool retained) override;
  // Decides on what has arrived and concludes what was carried out.
  void run();
  // Before the OrderDesk stops. Orders that no poller has taken by then are never carried out; of one that a poller still
  // has, nobody will hear.
  void stop();

 private:
  struct Arrival {
    std::string verb;
    std::string payload;
    bool retained = false;
  };
  struct Writable {
    drivers::WriteQueue* queue = nullptr;
    std::size_t place = 0;
    std::size_t writable = 0;
    drivers::WritableSettings settings;
    drivers::RegisterSettings reg;
    std::deque<base::Instant> writes;  // of the last minute
  };

  void decide(const Arrival& arrival);
  // Why the command is not obeyed; empty: it is.
  [[nodiscard]] std::string objection(const telemetry::Command& command, bool retained);
  [[nodiscard]] std::string order_write(const telemetry::Command& command);
  void tell_unread(base::Instant now);
  void conclude(const drivers::WriteOutcome& outcome);
  void settle(const telemetry::CommandAnswer& answer);  // one that has come to its end

  const base::Clock& clock_;
  OrderDesk& orders_;
  const telemetry::CommandSettings settings_;
  const std::string topic_;  // of a command, without its verb
  const std::function<void()> wake_;
  const std::function<void(signals::Message)> respond_;
  const base::Instant started_;
  ReplayWindow seen_;

  std::map<std::string, Writable> writables_;  // by tag
  std::vector<drivers::WriteQueue*> queues_;
  std::map<std::uint64_t, telemetry::CommandAnswer> under_way_;  // by the order's number
  std::deque<base::Instant> commands_;                           // of the last minute, obeyed or not
  // Ordered; numbers that no desk before had.
  std::uint64_t writes_ = static_cast<std::uint64_t>(started_.time_since_epoch().count());
  std::deque<base::Instant> reads_;  // of the last minute
  std::uint64_t unread_ = 0;         // not told yet
  std::optional<base::Instant> unread_told_;

  std::mutex arrivals_mutex_;
  std::deque<Arrival> arrivals_;
  std::uint64_t dropped_ = 0;
};

}  // namespace twinkeeper::app
