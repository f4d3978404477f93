// The shadow `config`: what is desired is laid over the configuration file, if the whole is right.
//
// The desired section is an overlay by names (docs/aws.md), at most 3500 bytes of JSON: it has to fit into the shadow
// twice. When it differs from the one in force, the main thread is
// asked to load the configuration with it: right, it is kept as a file and everything starts with it; wrong, nothing
// changes. Either way the shadow reports the overlay in force (so that the difference disappears when it is applied)
// and beside it `config_result` (applied, refused), `config_version` (of the shadow when it was desired),
// `config_error` (at most ten lines) and `config_hash`.
// Thread rule: one thread. Allocates.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/plan.hpp"
#include "app/reload_requests.hpp"
#include "aws/shadow_client.hpp"
#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::app {

class AwsConfiguration {
 public:
  // What is referred to outlives the object.
  AwsConfiguration(const Plan& plan, ReloadRequests& requests, signals::EventSink& events,
                   aws::ShadowSettings settings);

  [[nodiscard]] aws::ShadowClient& shadow() { return shadow_; }
  void run();

 private:
  struct Refusal {
    nlohmann::json overlay;
    std::uint64_t version = 0;
    std::vector<std::string> faults;
  };

  void refuse(Refusal refusal);
  void report();

  ReloadRequests& requests_;
  signals::EventSink& events_;
  const std::string overlay_file_;
  const std::string config_hash_;
  nlohmann::json in_force_ = nlohmann::json::object();
  std::uint64_t version_ = 0;  // of what is in force
  std::optional<aws::ShadowClient::Desired> desired_;
  bool asked_ = false;
  std::optional<Refusal> refusal_;
  aws::ShadowClient shadow_;
};

}  // namespace twinkeeper::app
