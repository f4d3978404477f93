// What a broker asks for in its CONNACK, sessions that it keeps, several endpoints: against real Mosquittos.
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "integration/uplink/uplink_rig.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::test;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

Mosquitto broker_with(const TemporaryFolder& folder, const std::string& lines) {
  MosquittoOptions options;
  options.lines = lines;
  return Mosquitto(folder.path(), pki(), options);
}

std::size_t occurrences(const std::string& text, const std::string& word) {
  std::size_t count = 0;
  for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
  return count;
}

void publish(std::uint16_t port, const std::string& topic, const std::string& payload) {
  const std::string command = "mosquitto_pub -h localhost -p " + std::to_string(port) + " --cafile " + pki() +
                              "/ca.crt --cert " + pki() + "/subscriber.crt --key " + pki() +
                              "/subscriber.key -q 1 -t '" + topic + "' -m '" + payload + "'";
  REQUIRE(std::system(command.c_str()) == 0);
}

// The `endpoint` of the newest status.
std::string endpoint_told(const Subscriber& subscriber) {
  std::string told;
  for (const auto& arrival : subscriber.arrivals()) {
    const auto document = nlohmann::json::parse(arrival.payload);
    if (document["schema"] == "twinkeeper.status/1") told = document["endpoint"].get<std::string>();
  }
  return told;
}

}  // namespace

TEST_CASE("a second broker takes over from a dead one and hands back at a later loss") {
  TemporaryFolder first_folder;
  TemporaryFolder second_folder;
  Mosquitto first(first_folder.path(), pki());
  Mosquitto second(second_folder.path(), pki());
  first.start();
  second.start();
  Subscriber subscriber(second_folder.path(), pki(), second.port(), "twinkeeper/#");
  UplinkRig rig(first.port());
  rig.settings.endpoints.push_back({"localhost", second.port()});
  rig.timing.stable_after = seconds{1};
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load(); }));
  CHECK(rig.statistics.endpoint == 0u);
  rig.submit_states(20, milliseconds{100});  // longer than it takes to be stable

  first.kill();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connects_total == 2u; }));
  CHECK(rig.statistics.endpoint == 1u);
  rig.submit_states(20, milliseconds{100});
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.acknowledged_total == 40u; }));
  const std::string second_name = "localhost:" + std::to_string(second.port());
  REQUIRE(eventually(seconds{20}, [&] { return endpoint_told(subscriber) == second_name; }));
  CHECK(rig.events.count("refused") == 1);

  // A first one that is there again breaks nothing; the next loss leads back to it.
  first.start();
  rig.submit_states(10, milliseconds{100});
  CHECK(rig.statistics.endpoint == 1u);
  CHECK(rig.statistics.connects_total == 2u);
  second.kill();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connects_total == 3u; }));
  CHECK(rig.statistics.endpoint == 0u);
  rig.submit_states(10, milliseconds{5});
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.spool_messages == 0u; }));
  CHECK(rig.statistics.dropped_total == 0u);
}

TEST_CASE("endpoints that are all dead are each told once") {
  TemporaryFolder folder;
  Mosquitto broker(folder.path(), pki());
  UplinkRig rig(free_port());
  rig.settings.endpoints.push_back({"localhost", broker.port()});
  rig.timing.least_pause = milliseconds{50};
  rig.start();
  REQUIRE(eventually(seconds{30}, [&] { return rig.statistics.connect_failures_total >= 6u; }));
  CHECK(rig.events.count("refused") == 2);
  broker.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load(); }));
}

TEST_CASE("a publication larger than the broker takes is set aside and never sent") {
  TemporaryFolder folder;
  Mosquitto broker = broker_with(folder, "max_packet_size 4000\n");
  broker.start();
  UplinkRig rig(broker.port());
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load(); }));
  rig.submit(anomaly_message(rig.clock.now()));
  rig.submit(state_message(rig.clock.now(), 6000));
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.refused_total == 1u; }));
  CHECK(rig.events.message("refused_publish").find("larger than the 4000 bytes the broker takes") != std::string::npos);
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.spool_messages == 0u; }));
  CHECK(rig.statistics.connects_total == 1u);
}

TEST_CASE("a broker that retains nothing gets nothing to retain") {
  TemporaryFolder folder;
  Mosquitto broker = broker_with(folder, "retain_available false\n");
  broker.start();
  Subscriber subscriber(folder.path(), pki(), broker.port(), "twinkeeper/#");
  UplinkRig rig(broker.port());
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load(); }));
  rig.submit_states(5, milliseconds{5});
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.spool_messages == 0u; }));
  CHECK(rig.events.count("retain_not_supported") == 1);
  CHECK(rig.statistics.dropped_total == 0u);
  REQUIRE(eventually(seconds{20}, [&] { return !endpoint_told(subscriber).empty(); }));
}

TEST_CASE("a broker that refuses the session is quoted") {
  TemporaryFolder folder;
  Mosquitto broker = broker_with(folder, "allow_anonymous false\nuse_identity_as_username false\n");
  broker.start();
  UplinkRig rig(broker.port());
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.events.count("session_refused") == 1; }));
  CHECK(rig.events.message("session_refused").find("the broker refused the session (not authorized, reason 0x87)") !=
        std::string::npos);
}

TEST_CASE("what is said to the gateway while it is away arrives later and nothing is subscribed twice") {
  const auto version = GENERATE(uplink::MqttVersion::v5, uplink::MqttVersion::v3_1_1);
  TemporaryFolder folder;
  Mosquitto broker = broker_with(folder, "log_type all\n");
  broker.start();
  RememberingInbox inbox({"twinkeeper/gw1/command/a", "twinkeeper/gw1/command/b"});
  UplinkRig rig(broker.port());
  rig.inbox = &inbox;
  rig.settings.mqtt_version = version;
  rig.settings.session_expiry = std::chrono::hours{1};
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return inbox.refused().size() == 1; }));
  const auto subscribes = [&] { return occurrences(broker.log(), "Received SUBSCRIBE from gw1"); };
  CHECK(subscribes() == 1);
  rig.stop();
  publish(broker.port(), "twinkeeper/gw1/command/b", "while away");
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return !inbox.arrivals().empty(); }));
  CHECK(inbox.arrivals().front() == "twinkeeper/gw1/command/b while away");
  REQUIRE(eventually(seconds{20}, [&] { return inbox.refused().size() == 2; }));
  CHECK(subscribes() == 1);
  rig.stop();

  // Another set of topics: what the session holds too much is dropped.
  RememberingInbox other({"twinkeeper/gw1/command/b"});
  rig.inbox = &other;
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return other.refused().size() == 1; }));
  CHECK(subscribes() == 2);
  publish(broker.port(), "twinkeeper/gw1/command/a", "nobody listens");
  publish(broker.port(), "twinkeeper/gw1/command/b", "heard");
  REQUIRE(eventually(seconds{20}, [&] { return !other.arrivals().empty(); }));
  CHECK(other.arrivals().front() == "twinkeeper/gw1/command/b heard");
}

TEST_CASE("without a session expiry every connection subscribes anew") {
  TemporaryFolder folder;
  Mosquitto broker = broker_with(folder, "log_type all\n");
  broker.start();
  RememberingInbox inbox({"twinkeeper/gw1/command/a"});
  UplinkRig rig(broker.port());
  rig.inbox = &inbox;
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return inbox.refused().size() == 1; }));
  rig.stop();
  publish(broker.port(), "twinkeeper/gw1/command/a", "lost");
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return inbox.refused().size() == 2; }));
  publish(broker.port(), "twinkeeper/gw1/command/a", "heard");
  REQUIRE(eventually(seconds{20}, [&] { return !inbox.arrivals().empty(); }));
  CHECK(inbox.arrivals().front() == "twinkeeper/gw1/command/a heard");
  CHECK(occurrences(broker.log(), "Received SUBSCRIBE from gw1") == 2);
}

// Slow (16 s): Mosquitto's least keep-alive is 10 s, and it hangs up after one and a half times as long.
TEST_CASE("a real broker that shortens the keep-alive does not hang up on a quiet gateway") {
  TemporaryFolder folder;
  Mosquitto broker = broker_with(folder, "max_keepalive 10\n");
  broker.start();
  UplinkRig rig(broker.port());
  rig.settings.keep_alive = seconds{60};
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load(); }));
  CHECK(rig.events.count("keep_alive") == 1);
  const base::Instant quiet_since = rig.clock.now();
  REQUIRE(eventually(seconds{30}, [&] { return rig.clock.now() - quiet_since > seconds{16}; }));
  CHECK(rig.statistics.connects_total == 1u);
  CHECK(rig.statistics.connected.load());
}
