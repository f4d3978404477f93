#include "aws/defender_report.hpp"

#include <limits>

#include "support/catch.hpp"

using namespace twinkeeper;
using aws::Json;
using namespace std::chrono_literals;

TEST_CASE("a report has the documented form") {
  aws::DefenderReport report("gw", 10min);
  base::Instant now{1h};
  report.connected(now);
  CHECK_FALSE(report.is_due(now));
  now += 30s;
  REQUIRE(report.is_due(now));
  aws::DeviceFigures figures;
  figures.tcp_ports = {{"eth0", 22}, {"", 502}};
  figures.connections = {{"eth0", 40'000, "1.2.3.4:8883"}};
  figures.network = {100, 200, 3, 4};
  figures.custom = {{"spool_messages", 12.0}, {"strange", std::numeric_limits<double>::quiet_NaN()}};
  const auto first = report.make(figures, now, base::WallTime{1'700'000'000s});
  CHECK(first.topic == "$aws/things/gw/defender/metrics/json");
  const Json document = Json::parse(first.payload);
  CHECK(document["header"] == Json{{"report_id", 1'700'000'000}, {"version", "1.0"}});
  const Json& metrics = document["metrics"];
  CHECK(metrics["listening_tcp_ports"] ==
        Json::parse(R"({"ports":[{"interface":"eth0","port":22},{"port":502}],"total":2})"));
  CHECK(metrics["listening_udp_ports"] == Json{{"total", 0}});
  CHECK(metrics["tcp_connections"] == Json::parse(R"({"established_connections":{"connections":
                       [{"local_interface":"eth0","local_port":40000,"remote_addr":"1.2.3.4:8883"}],"total":1}})"));
  CHECK_FALSE(metrics.contains("network_stats"));
  CHECK(document["custom_metrics"] == Json::parse(R"({"spool_messages":[{"number":12.0}]})"));
}

TEST_CASE("reports are spaced, their numbers grow, traffic is that since the last one") {
  aws::DefenderReport report("gw", 1s);  // raised to what the service allows
  base::Instant now{1h};
  report.connected(now);
  now += 30s;
  aws::DeviceFigures figures;
  figures.network = {1000, 1000, 10, 10};
  const auto wall = [&] { return base::WallTime{1'700'000'000s}; };  // stands still
  std::uint64_t last =
      Json::parse(report.make(figures, now, wall()).payload)["header"]["report_id"].get<std::uint64_t>();
  for (int i = 0; i < 5; ++i) {
    now += 299s;
    CHECK_FALSE(report.is_due(now));
    now += 1s;
    REQUIRE(report.is_due(now));
    figures.network.bytes_in += 50;
    if (i == 3) figures.network.bytes_out = 7;  // began anew
    const Json document = Json::parse(report.make(figures, now, wall()).payload);
    CHECK(document["header"]["report_id"] > last);
    last = document["header"]["report_id"].get<std::uint64_t>();
    CHECK(document["metrics"]["network_stats"] ==
          Json{{"bytes_in", 50}, {"bytes_out", i == 3 ? 7 : 0}, {"packets_in", 0}, {"packets_out", 0}});
  }
}

TEST_CASE("lists are cut beside a true total") {
  aws::DefenderReport report("gw", 5min);
  aws::DeviceFigures figures;
  for (std::uint16_t port = 1; port <= 900; ++port) {
    figures.tcp_ports.push_back({"eth0", port});
    figures.connections.push_back({"eth0", port, "10.0.0.1:1"});
  }
  const auto made = report.make(figures, base::Instant{1h}, base::WallTime{1s});
  const Json metrics = Json::parse(made.payload)["metrics"];
  CHECK(metrics["listening_tcp_ports"]["total"] == 900);
  CHECK(metrics["listening_tcp_ports"]["ports"].size() == 50);
  CHECK(metrics["tcp_connections"]["established_connections"]["connections"].size() == 50);
  CHECK(made.payload.size() < 10'000);
}

TEST_CASE("a refused report is told once per reason") {
  aws::DefenderReport report("gw", 5min);
  const std::string topic = "$aws/things/gw/defender/metrics/json";
  const std::string refusal =
      R"({"thingName":"gw","status":"REJECTED","statusDetails":{"ErrorCode":"InvalidPayload","ErrorMessage":"no"}})";
  CHECK_FALSE(report.take("$aws/things/gw/shadow/get/accepted", "{}"));
  for (int i = 0; i < 3; ++i) CHECK(report.take(topic + "/rejected", refusal));
  const auto notices = report.take_notices();
  REQUIRE(notices.size() == 1);
  CHECK(notices[0].text == "a report to Device Defender was refused: InvalidPayload no");
  report.take(topic + "/accepted", "{}");
  report.take(topic + "/rejected", refusal);
  CHECK(report.take_notices().size() == 1);
}
