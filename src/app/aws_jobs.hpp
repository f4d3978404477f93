// What a job can ask of the gateway. The document is one JSON object with `operation` and what it needs, nothing else:
//
//   reload-config   loads the configuration anew, like SIGHUP
//   update-model    twin, model (the text of a model file), sha256 (of that text): the text takes the place of the
//                   twin's model file if the whole configuration is right with it, and everything starts anew; the file
//                   before is kept beside as FILE.before
//   recalibrate     twin, log (a file below the state directory, as `record` writes them), and if wanted rows (A:B) and
//                   false_alarms_per_day: calibrate over these rows, which were healthy; the twin's model file takes the
//                   limits and the next version, as by update-model. Takes its time on a thread of its own
//   collect-logs    lines (200 unless given, at most 500): the newest lines of the log, the newest metrics, the overlay
//                   in force, the effective configuration, as one message on P/logs of at most kMostCollectedBytes
//
// Anything else is answered REJECTED with the reason, and so is what the configuration's checks refuse. What is under
// way is kept in the state directory (job.json) before it begins and before its outcome is told; each operation can be
// begun again.
// Thread rule: one thread. Waits for the disk when a job begins and ends.
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "app/plan.hpp"
#include "app/reload_requests.hpp"
#include "aws/job_client.hpp"
#include "telemetry/metrics_encoder.hpp"
#include "twinkeeper/signals/event.hpp"
#include "twinkeeper/signals/message.hpp"

namespace twinkeeper::app {

inline constexpr std::size_t kMostCollectedBytes = 120 * 1024;  // the service takes 128 KiB

// What collect-logs can tell of the effective configuration: its text as `check` prints it, without the values of user
// names and passwords, its first lines if it is long (a comment says so). Empty where there are no jobs.
[[nodiscard]] std::string configuration_to_collect(const config::Config& config);

class AwsJobs {
 public:
  struct Outside {
    std::function<std::vector<std::string>(std::size_t)> log_lines;  // the newest, oldest first
    std::function<void(signals::Message)> publish;
  };
  // What is referred to outlives the object. The plan's `expanded` is what configuration_to_collect() gave.
  AwsJobs(const Plan& plan, ReloadRequests& requests, signals::EventSink& events, const std::string& token,
          Outside outside);
  ~AwsJobs();
  AwsJobs(const AwsJobs&) = delete;
  AwsJobs& operator=(const AwsJobs&) = delete;

  [[nodiscard]] aws::JobClient& client() { return client_; }
  // `metrics`: the newest, nullptr if there are none yet.
  void run(const telemetry::MetricsReport* metrics, base::Instant now);

 private:
  void begin(const aws::Job& job, const telemetry::MetricsReport* metrics, base::Instant now);
  void update_model(const aws::Json& document);
  void recalibrate(const aws::Json& document);
  void take_recalibrated();
  // The twin whose model file can be replaced; nothing after the job was rejected.
  [[nodiscard]] std::optional<std::size_t> twin_with_file(const aws::Json& document);
  void collect_logs(const aws::Json& document, const telemetry::MetricsReport* metrics, base::Instant now);
  void reject(const std::string& why);
  void end(aws::JobStatus status, aws::JobDetails details);
  void keep();

  struct Recalibrated {
    std::string model;  // the text
    std::string fault;
    std::vector<std::string> told;
  };

  const Plan& plan_;
  ReloadRequests& requests_;
  signals::EventSink& events_;
  const Outside outside_;
  const std::string file_;
  std::string kept_;
  bool keeping_failed_ = false;
  aws::JobClient client_;
  std::atomic<bool> stop_{false};
  std::string model_file_;  // of the twin that is recalibrated
  std::future<Recalibrated> recalibrated_;
};

}  // namespace twinkeeper::app
