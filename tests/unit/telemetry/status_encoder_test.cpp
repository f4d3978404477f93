#include "telemetry/status_encoder.hpp"

#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "telemetry/metrics_encoder.hpp"
#include "unit/telemetry/example_messages.hpp"

using namespace twinkeeper;
using namespace twinkeeper::telemetry;
using nlohmann::json;

TEST_CASE("a status is retained and a last will is the same document with offline") {
  signals::Message message;
  StatusReport report = example::status();
  encode_status(report, base::Instant{}, message);
  CHECK(message.stream == "status");
  CHECK(message.retain);
  json online = json::parse("{" + message.members + "}");
  report.state = GatewayState::offline;
  report.reason = StatusReason::connection_lost;
  encode_status(report, base::Instant{}, message);
  const json will = json::parse("{" + message.members + "}");
  online["state"] = "offline";
  online["reason"] = "connection_lost";
  CHECK(will == online);
}

TEST_CASE("a status without certificate or earlier epoch says so") {
  StatusReport report = example::status();
  report.certificate_expires.reset();
  report.previous.reset();
  signals::Message message;
  encode_status(report, base::Instant{}, message);
  const json status = json::parse("{" + message.members + "}");
  CHECK(status.at("certificate_expires").is_null());
  CHECK_FALSE(status.contains("previous"));
  CHECK(status.at("devices").at("tank_plc").at("last_error").is_null());
}

TEST_CASE("metrics of many devices are shared out, each device in one message and the gateway's figures in all") {
  MetricsReport report = example::metrics();
  report.devices.clear();
  for (int i = 0; i < 120; ++i) report.devices.push_back({"d" + std::to_string(i), 1, 2, 3, 4, 5, 6, {}});
  const auto shares = shares_of(report);
  REQUIRE(shares.size() == 3);
  std::size_t next = 0;
  for (const MetricsReport& share : shares) {
    CHECK(share.steps_total == report.steps_total);
    CHECK(share.devices.size() <= 50);
    for (const auto& device : share.devices) CHECK(device.name == "d" + std::to_string(next++));
  }
  CHECK(next == 120);
  CHECK(shares[0].twins.size() == report.twins.size());
  CHECK(shares[1].twins.empty());
  report.devices.resize(50);
  CHECK(shares_of(report).size() == 1);
  report.devices.clear();
  CHECK(shares_of(report).size() == 1);
}

TEST_CASE("metrics are flat with additional figures on the same level") {
  MetricsReport report = example::metrics();
  report.additional = {{"queue_length", std::uint64_t{3}}, {"load_seconds", 0.25}};
  signals::Message message;
  encode_metrics(report, base::Instant{}, message);
  const json metrics = json::parse("{" + message.members + "}");
  CHECK(metrics.at("queue_length") == 3);
  CHECK(metrics.at("load_seconds") == 0.25);
  CHECK(metrics.at("twin_step_seconds_p99") == 4.1e-06);
  CHECK(metrics.at("devices").at("tank_plc").at("poll_seconds_p99") == 0.0031);
  CHECK(metrics.at("twins").at("tanks").at("steps_total") == 1003);
}
