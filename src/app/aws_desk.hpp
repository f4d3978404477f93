// What AWS IoT Core and the gateway say to each other beside the measured streams: shadows of the twins and of the
// configuration, jobs, reports to Device Defender. The documents are of the layer `aws`; here they meet the plan, the
// newest steps and the disk.
//
// Each shadow subscribes to four topics (`config` to five), jobs to five, Device Defender to two; a connection may have
// 50, so that only so many twins have one, the first ones of the configuration (`check` warns).
// Not more than four requests wait for their answer at a time (the service takes ten).
// Thread rule: topics(), connected() and arrived() may come from any thread; everything else belongs to the spool
// thread. Bounded: 256 messages wait unread; what comes beyond is lost, and asked for again after a time-out.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "app/aws_configuration.hpp"
#include "app/aws_jobs.hpp"
#include "app/plan.hpp"
#include "app/reload_requests.hpp"
#include "aws/defender_report.hpp"
#include "aws/shadow_client.hpp"
#include "telemetry/metrics_encoder.hpp"
#include "telemetry/state_encoder.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/estimation/twin_step.hpp"
#include "twinkeeper/signals/event.hpp"
#include "uplink/inbox.hpp"
#include "uplink/statistics.hpp"

namespace twinkeeper::app {

// Of one connection under AWS IoT Core.
inline constexpr std::size_t kMostTopics = 50;
inline constexpr std::size_t kTopicsOfShadow = 4;
inline constexpr std::size_t kLongestShadowName = 64;

// These twins have a shadow: the first ones, as far as there are subscriptions, but for those whose shadow would have a
// longer name than the service allows.
[[nodiscard]] std::vector<std::size_t> twins_with_shadow(const config::Config& config);
// How the configured parts would subscribe; empty where none is configured.
[[nodiscard]] std::vector<std::string> aws_topics(const config::Config& config);
// What they ask on, with * for what only the service knows: the id of a job.
[[nodiscard]] std::vector<std::string> aws_topics_published(const config::Config& config);

// For Device Defender, beside what the metrics tell.
struct GatewayHealth {
  std::size_t devices_down = 0;
  std::size_t twins_tracking = 0;
  bool operator==(const GatewayHealth&) const = default;
};

class AwsDesk final : public uplink::Inbox {
 public:
  struct Outside {
    std::function<void()> wake;  // brings the spool thread to run()
    std::function<void(std::string topic, std::string payload)> send;
    AwsJobs::Outside jobs{};
    std::function<GatewayHealth()> health{};
  };
  // Whether there is anything for it to do.
  [[nodiscard]] static bool is_wanted(const config::Config& config);
  // What is referred to outlives the desk.
  AwsDesk(const Plan& plan, const base::Clock& clock, signals::EventSink& events, const uplink::Statistics& statistics,
          ReloadRequests& requests, Outside outside);

  [[nodiscard]] std::vector<std::string> topics() const override { return topics_; }
  void connected(const std::vector<std::string>& refused) override;
  void arrived(std::string topic, std::string payload, bool retained) override;

  // The newest step of a twin.
  void note(std::size_t twin, const estimation::TwinStep& step, const telemetry::AnomalySummary& anomalies);
  // The newest metrics.
  void note(const telemetry::MetricsReport& metrics) { metrics_ = metrics; }
  void run();

 private:
  struct Arrival {
    std::string topic;  // empty: a connection stands
    std::string payload;
    std::vector<std::string> refused;
  };
  struct Twin {
    std::size_t index = 0;
    telemetry::TwinDescription description;
    aws::ShadowClient shadow;
    estimation::TwinStep step;
    telemetry::AnomalySummary anomalies;
    bool fresh = false;
    base::Instant looked_at{};
  };

  void take(const Arrival& arrival, base::Instant now);
  void connect(const std::vector<std::string>& refused, base::Instant now);
  void disconnect();
  void publish(base::Instant now);
  void report_to_defender(base::Instant now);
  void tell(std::vector<aws::Notice> notices);
  template <class Use>
  void each_client(Use use);

  const Plan& plan_;
  const base::Clock& clock_;
  signals::EventSink& events_;
  const uplink::Statistics& statistics_;
  const Outside outside_;
  const std::vector<std::string> topics_;
  bool connected_ = false;
  std::vector<Twin> twins_;
  std::unique_ptr<AwsConfiguration> configuration_;
  std::unique_ptr<AwsJobs> jobs_;
  std::optional<aws::DefenderReport> defender_;
  std::optional<telemetry::MetricsReport> metrics_;
  std::size_t first_ = 0;  // whose turn it is to send first

  std::mutex arrivals_mutex_;
  std::deque<Arrival> arrivals_;
};

}  // namespace twinkeeper::app
