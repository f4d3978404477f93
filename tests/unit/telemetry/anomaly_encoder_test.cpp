#include "telemetry/anomaly_encoder.hpp"

#include <nlohmann/json.hpp>
#include <set>

#include "support/catch.hpp"
#include "twinkeeper/base/timestamp.hpp"
#include "unit/telemetry/example_messages.hpp"

using namespace twinkeeper;
using namespace twinkeeper::telemetry;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

json encoded(const diagnosis::AnomalyEvent& event, const AnomalyContext& context = example::anomaly_context()) {
  signals::Message message;
  encode_anomaly(event, context, message);
  CHECK(message.members.size() <= kMaxAnomalyBytes - kMaxEnvelopeBytes);
  return json::parse("{" + message.members + "}");
}

diagnosis::AnomalyEvent with_trend(int points) {
  diagnosis::AnomalyEvent event = example::anomaly();
  event.trend.clear();
  for (int i = 0; i < points; ++i) event.trend.push_back({base::Instant{1s * i}, 0.1234567 + i, 0.7654321 + i});
  return event;
}

}  // namespace

TEST_CASE("an anomaly goes to the stream of its owner") {
  signals::Message message;
  diagnosis::AnomalyEvent event = example::anomaly();
  encode_anomaly(event, example::anomaly_context(), message);
  CHECK(message.stream == "twins.tanks.anomaly");
  CHECK(message.schema == "twinkeeper.anomaly/1");
  CHECK(message.message_class == signals::MessageClass::anomaly);
  CHECK(message.time == event.time);
  event.owner_kind = diagnosis::OwnerKind::device;
  event.owner = "tank_plc";
  encode_anomaly(event, example::anomaly_context(), message);
  CHECK(message.stream == "devices.tank_plc.anomaly");
  event.owner_kind = diagnosis::OwnerKind::gateway;
  event.owner.clear();
  encode_anomaly(event, example::anomaly_context(), message);
  CHECK(message.stream == "anomaly");
}

TEST_CASE("an anomaly says where each tag comes from and leaves out what is no register") {
  diagnosis::AnomalyEvent event = example::anomaly();
  event.tags.push_back("ambient");
  const json anomaly = encoded(event);
  CHECK(anomaly.at("tags") == json{"tank_plc.level_2", "ambient"});
  CHECK(anomaly.at("source") == json{{"tank_plc.level_2",
                                      {{"device", "tank_plc"},
                                       {"controller", "tcp://127.0.0.1:1502"},
                                       {"slave_id", 1},
                                       {"register", "holding"},
                                       {"address", 2}}}});
  CHECK_FALSE(anomaly.contains("omitted"));
}

TEST_CASE("an anomaly derives its priority from its severity") {
  diagnosis::AnomalyEvent event = example::anomaly();
  for (const auto& [severity, priority] : std::vector<std::pair<int, std::string>>{
           {1, "low"}, {400, "low"}, {401, "medium"}, {800, "high"}, {801, "critical"}}) {
    event.severity = severity;
    CHECK(encoded(event).at("priority") == priority);
  }
}

TEST_CASE("an anomaly's instants are wall time and the absent ones null") {
  diagnosis::AnomalyEvent event = example::anomaly();
  const json raised = encoded(event);
  CHECK(raised.at("raised_at") == "2026-03-01T08:01:40.300Z");
  CHECK(raised.at("onset") == "2026-03-01T08:01:27.900Z");
  CHECK(raised.at("cleared_at").is_null());
  CHECK(raised.at("trend").at(0).at("time") == "2026-03-01T08:01:40.100Z");
  event.event = diagnosis::AnomalyEventKind::cleared;
  event.state = diagnosis::AnomalyState::returned;
  event.cleared_at = event.time + 30s;
  event.sigma.reset();
  const json cleared = encoded(event);
  CHECK(cleared.at("cleared_at") == "2026-03-01T08:02:10.300Z");
  CHECK(cleared.at("sigma").is_null());
}

TEST_CASE("an anomaly tells who has said what of it, and until when it is shelved") {
  diagnosis::AnomalyEvent event = example::anomaly();
  for (const char* name : {"by", "comment", "shelved_until"}) CHECK(encoded(event).at(name).is_null());
  event.event = diagnosis::AnomalyEventKind::shelved;
  event.state = diagnosis::AnomalyState::shelved;
  event.by = "ann";
  event.comment = "sensor is ordered";
  event.shelved_until = event.time + 1h;
  const json shelved = encoded(event);
  CHECK(shelved.at("event") == "shelved");
  CHECK(shelved.at("by") == "ann");
  CHECK(shelved.at("comment") == "sensor is ordered");
  CHECK(shelved.at("shelved_until") == base::format_rfc3339(example::anomaly_context().to_wall(*event.shelved_until)));
}

TEST_CASE("a long trend is thinned evenly and keeps its ends") {
  const json anomaly = encoded(with_trend(60));
  const json& trend = anomaly.at("trend");
  REQUIRE(trend.size() >= 20);
  REQUIRE(trend.size() < 60);
  CHECK(anomaly.at("omitted").at("trend") == 60 - trend.size());
  CHECK(trend.front().at("time") == "2026-03-01T08:00:00.000Z");
  CHECK(trend.back().at("time") == "2026-03-01T08:00:59.000Z");
  std::set<std::string> times;
  for (const json& point : trend) times.insert(point.at("time").get<std::string>());
  CHECK(times.size() == trend.size());
}

TEST_CASE("a trend of more than 60 points is cut to 60 or fewer") {
  CHECK(encoded(with_trend(500)).at("trend").size() <= 60);
  CHECK(encoded(with_trend(1)).at("trend").size() == 1);
  CHECK(encoded(with_trend(0)).at("trend").empty());
}

TEST_CASE("a lost device with 50 registers lists all its tags before all their sources") {
  diagnosis::AnomalyEvent event = with_trend(0);
  event.tags.clear();
  for (int i = 0; i < 50; ++i) event.tags.push_back("tank_plc.measurement_" + std::to_string(i));
  AnomalyContext context = example::anomaly_context();
  const TagSource source{"", "tank_plc", "tcp://127.0.0.1:1502", 1, "holding", 0};
  context.source = [&source](std::string_view) { return &source; };
  const json anomaly = encoded(event, context);
  CHECK(anomaly.at("tags").size() == 50);
  CHECK(anomaly.at("source").size() >= 1);
  CHECK(anomaly.at("source").size() + anomaly.at("omitted").at("source").get<std::size_t>() == 50);
}

TEST_CASE("the source of a tag that stands in a line of text is its group") {
  AnomalyContext context = example::anomaly_context();
  const TagSource source{"scale.weight", "scale", "file:///dev/ttyS0", 1, "holding", 0, "weight"};
  context.source = [&source](std::string_view) { return &source; };
  diagnosis::AnomalyEvent event = with_trend(0);
  event.tags = {"scale.weight"};
  const json found = encoded(event, context).at("source").at("scale.weight");
  CHECK(found.at("group") == "weight");
  CHECK(found.at("controller") == "file:///dev/ttyS0");
  for (const char* absent : {"slave_id", "register", "address"}) CHECK(found.at(absent).is_null());
}

TEST_CASE("an anomaly of endless texts and lists stays within its bytes") {
  diagnosis::AnomalyEvent event = with_trend(60);
  const std::string endless(20'000, '\x01');
  event.test = event.message = event.advice = event.unit = endless;
  event.tags.assign(1000, endless);
  event.hypotheses.assign(1000, {endless, 1.0 / 3.0});
  event.ambiguous_with.assign(1000, endless);
  event.caused_by.assign(1000, endless);
  event.id = std::string(63, 'a') + "." + std::string(63, 'b') + ".communication";
  event.statistic = event.threshold = event.expected = event.measured = event.sigma = event.magnitude = -1.0e-300 / 3.0;
  AnomalyContext context = example::anomaly_context();
  context.digits = 17;
  event.regime = event.by = event.comment = endless;
  event.shelved_until = base::Instant{1s};
  context.model = ModelIdentity{endless, 1, endless};
  const TagSource source{endless, endless, endless, 1, "holding", 65535};
  context.source = [&source](std::string_view) { return &source; };
  const json anomaly = encoded(event, context);
  CHECK(anomaly.at("anomaly") == event.id);
  CHECK(anomaly.at("tags").size() == 1);
  CHECK(anomaly.at("omitted").at("tags") == 999);
}
