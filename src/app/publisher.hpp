// The spool thread: takes what the twin thread left in the outbox, encodes it, and gives it to the courier, which
// stores and sends it, and tells alarms and modes in the log as well. It never waits for the network. Commands, shadows and jobs are decided on here, too.
//
// Thread rule: run() is the body of one thread; post() may come from any.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/aws_desk.hpp"
#include "app/command_desk.hpp"
#include "app/heartbeat.hpp"
#include "app/inbox_router.hpp"
#include "app/outbox.hpp"
#include "app/plan.hpp"
#include "telemetry/anomaly_encoder.hpp"
#include "telemetry/metrics_encoder.hpp"
#include "telemetry/samples_encoder.hpp"
#include "telemetry/state_encoder.hpp"
#include "uplink/courier.hpp"

namespace twinkeeper::app {

class Publisher {
 public:
  Publisher(const Plan& plan, Outbox& outbox, uplink::Courier& courier, const uplink::Statistics& statistics,
            const base::Clock& clock, signals::EventSink& events, OrderDesk& orders, CommandDesk* desk,
            AwsDesk* aws_desk, InboxRouter& inboxes, std::uint64_t connects_seen);

  // Until `stop` is requested; then everything left is with the courier.
  void run(std::stop_token stop, Heartbeat& heartbeat);
  // While it runs: what is asked of the gateway ends, with an answer; measured streams go on. Returns once it is so.
  void end_desks();

  void post(telemetry::MetricsReport report);
  void post(diagnosis::AnomalyEvent event);

 private:
  void stop_desks(const std::string& reason);
  void take_posts();
  void publish_outbox();
  void skip(const std::string& stream, const Unsent& unsent);
  void publish_infos_after_connect();
  void publish_infos();
  void publish(const diagnosis::AnomalyEvent& event);
  // In the log, with the words of the messages.
  void tell(const ModeChange& change);
  void tell(const diagnosis::AnomalyEvent& event);

  const Plan& plan_;
  Outbox& outbox_;
  uplink::Courier& courier_;
  const uplink::Statistics& statistics_;
  const base::Clock& clock_;
  signals::EventSink& events_;
  OrderDesk& orders_;
  CommandDesk* const desk_;  // nullptr: no commands
  AwsDesk* const aws_desk_;  // nullptr: not AWS IoT Core
  InboxRouter& inboxes_;     // to the desks

  std::vector<telemetry::TagSource> tags_;
  std::vector<telemetry::TwinDescription> twins_;
  std::vector<telemetry::DeviceDescription> devices_;
  std::vector<telemetry::StateEncoder> state_encoders_;
  std::vector<telemetry::SamplesEncoder> samples_encoders_;
  std::uint64_t connects_seen_;  // descriptions were published behind that one
  std::atomic<bool> desks_end_{false};
  std::atomic<bool> desks_ended_{false};

  std::mutex posts_mutex_;
  std::vector<telemetry::MetricsReport> posted_metrics_;
  std::vector<diagnosis::AnomalyEvent> posted_anomalies_;
};

}  // namespace twinkeeper::app
