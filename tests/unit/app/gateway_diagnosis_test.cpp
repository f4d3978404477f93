#include "app/gateway_diagnosis.hpp"

#include "support/catch.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;

namespace {

std::vector<diagnosis::AnomalyEvent> run(app::GatewayDiagnosis& diagnosis, base::Instant from, base::Duration time,
                                         const app::GatewayCondition& condition) {
  std::vector<diagnosis::AnomalyEvent> events;
  for (base::Duration t{}; t <= time; t += 1s) {
    for (auto& event : diagnosis.evaluate(from + t, condition)) events.push_back(std::move(event));
  }
  return events;
}

}  // namespace

TEST_CASE("a broker that is away for less than its on-delay is no anomaly and for longer is exactly one") {
  app::GatewayDiagnosis diagnosis(base::Instant{100s});
  app::GatewayCondition away;
  away.endpoint = "broker:8883";
  app::GatewayCondition there = away;
  there.connected = true;
  CHECK(run(diagnosis, base::Instant{100s}, 20s, away).empty());
  CHECK(run(diagnosis, base::Instant{121s}, 20s, there).empty());
  const auto raised = run(diagnosis, base::Instant{142s}, 300s, away);
  REQUIRE(raised.size() == 1);
  CHECK(raised[0].id == "gateway.uplink");
  CHECK(raised[0].message.find("broker:8883") != std::string::npos);
  const auto cleared = run(diagnosis, base::Instant{443s}, 60s, there);
  REQUIRE(cleared.size() == 1);
  CHECK(cleared[0].event == diagnosis::AnomalyEventKind::cleared);
}

TEST_CASE("discarded messages raise the spool anomaly and refused ones their own") {
  app::GatewayDiagnosis diagnosis(base::Instant{100s});
  app::GatewayCondition condition;
  condition.connected = true;
  CHECK(run(diagnosis, base::Instant{100s}, 5s, condition).empty());
  condition.spool_dropped_total = 3;
  condition.refused_total = 3;
  condition.refused = "P/twins/tanks/state (not authorized; kept: 3)";
  const auto refused = run(diagnosis, base::Instant{106s}, 5s, condition);
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].id == "gateway.refused");
  CHECK(refused[0].message.find(condition.refused) != std::string::npos);
  condition.refused_total = 4;  // counted, its loss not yet
  CHECK(run(diagnosis, base::Instant{108s}, 1s, condition).empty());
  condition.spool_dropped_total = 4;
  CHECK(run(diagnosis, base::Instant{110s}, 1s, condition).empty());
  condition.spool_dropped_total = 11;
  const auto discarded = run(diagnosis, base::Instant{112s}, 5s, condition);
  REQUIRE(discarded.size() == 1);
  CHECK(discarded[0].id == "gateway.spool");
}

TEST_CASE("a disk that can't be written is an anomaly that names what it suffers from until it is over") {
  app::GatewayDiagnosis diagnosis(base::Instant{100s});
  app::GatewayCondition condition;
  condition.connected = true;
  CHECK(run(diagnosis, base::Instant{100s}, 5s, condition).empty());
  condition.spool_trouble = "the disk is full";
  const auto raised = run(diagnosis, base::Instant{106s}, 30s, condition);
  REQUIRE(raised.size() == 1);
  CHECK(raised[0].id == "gateway.disk");
  CHECK(raised[0].message.find("the disk is full") != std::string::npos);
  condition.spool_trouble.clear();
  const auto cleared = run(diagnosis, base::Instant{137s}, 30s, condition);
  REQUIRE(cleared.size() == 1);
  CHECK(cleared[0].event == diagnosis::AnomalyEventKind::cleared);
}

TEST_CASE("what expires is told 30 days before its end and again as urgent a week before") {
  const std::size_t which = GENERATE(app::kCertificate, app::kRootCa);
  app::GatewayDiagnosis diagnosis(base::Instant{100s});
  app::GatewayCondition condition;
  condition.connected = true;
  condition.first_authority = "CN=ends soon";
  condition.left[which] = 31 * 24h;
  CHECK(diagnosis.evaluate(base::Instant{100s}, condition).empty());
  condition.left[which] = 30 * 24h - 1h;
  const auto raised = run(diagnosis, base::Instant{101s}, 300s, condition);
  REQUIRE(raised.size() == 1);
  CHECK(raised[0].id == (which == app::kCertificate ? "gateway.certificate" : "gateway.root_ca"));
  CHECK(raised[0].message == (which == app::kCertificate
                                  ? "The gateway's certificate expires in 29 days"
                                  : "The certificate of the broker's authority (CN=ends soon) expires in 29 days"));
  CHECK(diagnosis::priority_of(raised[0].severity) == diagnosis::Priority::medium);
  condition.left[which] = 7 * 24h - 1h;
  const auto urgent = run(diagnosis, base::Instant{500s}, 300s, condition);
  REQUIRE(urgent.size() == 1);
  CHECK(urgent[0].event == diagnosis::AnomalyEventKind::changed);
  CHECK(diagnosis::priority_of(urgent[0].severity) == diagnosis::Priority::high);
  condition.left[which] = 365 * 24h;  // renewed
  const auto cleared = run(diagnosis, base::Instant{900s}, 10s, condition);
  REQUIRE(cleared.size() == 1);
  CHECK(cleared[0].event == diagnosis::AnomalyEventKind::cleared);
}

TEST_CASE("a revocation list is told a day before it is out of date") {
  app::GatewayDiagnosis diagnosis(base::Instant{100s});
  app::GatewayCondition condition;
  condition.connected = true;
  condition.left[app::kCrl] = 3 * 24h;  // lists are made for a week
  CHECK(run(diagnosis, base::Instant{100s}, 10s, condition).empty());
  condition.left[app::kCrl] = 23h;
  const auto events = run(diagnosis, base::Instant{120s}, 300s, condition);
  REQUIRE(events.size() == 1);
  CHECK(events[0].id == "gateway.crl");
  CHECK(diagnosis::priority_of(events[0].severity) == diagnosis::Priority::high);
}
