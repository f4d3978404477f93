// Documents of AWS IoT Core from outside: whatever they hold, the state machines keep their promises and nothing grows.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "aws/defender_report.hpp"
#include "aws/job_client.hpp"
#include "aws/provisioning.hpp"
#include "aws/shadow_client.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string payload(reinterpret_cast<const char*>(data), size);
  base::Instant now{1h};
  aws::ShadowSettings settings;
  settings.thing = "t";
  settings.name = "s";
  settings.token = "k";
  settings.with_desired = true;
  settings.least_important = {"a"};
  aws::ShadowClient shadow(settings);
  shadow.report({{"a", {{"b", 1}}}});
  shadow.connected(now);
  aws::JobClient jobs("t", "k", payload, 1);
  jobs.connected(now);
  aws::DefenderReport defender("t", 5min);
  aws::Provisioning provisioning("p", "csr", {}, std::nullopt, 1);
  provisioning.connected(now);
  for (int round = 0; round < 3; ++round) {
    for (const std::string& topic : shadow.topics()) shadow.take(topic, payload, now);
    for (const std::string& topic : jobs.topics()) jobs.take(topic, payload, now);
    jobs.take("$aws/things/t/jobs/j/update/accepted", payload, now);
    for (const std::string& topic : defender.topics()) defender.take(topic, payload);
    for (const std::string& topic : provisioning.topics()) provisioning.take(topic, payload, now);
    while (const auto publication = shadow.due(now)) {
      if (publication->payload.size() > 128 * 1024) std::abort();
    }
    while (jobs.due(now)) {
    }
    static_cast<void>(jobs.take_job());
    static_cast<void>(jobs.keep());
    if (provisioning.certificate()) provisioning.certificate_kept();
    while (provisioning.due(now)) {
    }
    if (const auto desired = shadow.take_desired()) static_cast<void>(desired->state.size());
    if (shadow.take_notices().size() > 2 || jobs.take_notices().size() > 1) std::abort();
    now += 11s;
  }
  return 0;
}
