// Faults of the wire that no well-behaved broker shows.
#include <algorithm>
#include <cmath>

#include "integration/uplink/scripted_peer.hpp"
#include "integration/uplink/uplink_rig.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::test;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

const std::string kAnomaly = "twinkeeper/gw1/twins/tanks/anomaly";
constexpr base::Duration kLeast = milliseconds{50};
constexpr base::Duration kFloor = milliseconds{50};
constexpr base::Duration kCap = milliseconds{1600};

void scale(UplinkRig& rig) {
  rig.timing.least_pause = kLeast;
  rig.timing.backoff_floor = kFloor;
  rig.timing.backoff_cap = kCap;
}

double in_seconds(base::Duration duration) { return std::chrono::duration<double>(duration).count(); }

// From the end of one attempt to the next CONNECT, in seconds.
std::vector<double> intervals(const std::vector<Packet>& connects) {
  std::vector<double> found;
  for (std::size_t i = 1; i < connects.size(); ++i) {
    found.push_back(in_seconds(connects[i].time - connects[i - 1].time));
  }
  return found;
}

// Grows, jitters, keeps its bounds: `attempt` is what one attempt itself takes.
void check_back_off(const std::vector<double>& intervals, double attempt) {
  CAPTURE(intervals);
  double bound = in_seconds(kFloor);
  for (const double interval : intervals) {
    CHECK(interval >= in_seconds(kLeast) - 0.005);
    CHECK(interval <= in_seconds(kLeast) + attempt + bound + 2.0);  // the library's own second and a busy machine
    bound = std::min(bound * 2, in_seconds(kCap));
  }
  const auto mean = [&](std::size_t first, std::size_t last) {
    double sum = 0;
    for (std::size_t i = first; i < last; ++i) sum += intervals[i];
    return sum / static_cast<double>(last - first);
  };
  const std::size_t late = intervals.size() / 2;
  CHECK(mean(late, intervals.size()) > mean(1, 3));  // grows; the first one may hold the one probe of the server
  const auto [least, most] =
      std::minmax_element(intervals.begin() + static_cast<std::ptrdiff_t>(late), intervals.end());
  CHECK(*most - *least > 0.02);  // not constant
}

}  // namespace

TEST_CASE("the back-off grows with jitter in each of the three situations and ends after a stable connection") {
  using Situation = ScriptedPeer::Script;
  const int situation = GENERATE(0, 1, 2);
  const Situation scripts[] = {
      // no CONNACK: the connection is closed instead, as a waiting for the time-out would be of the library's making
      [](ScriptedPeer&, const Packet&) { return false; },
      // disconnected by the server
      [](ScriptedPeer& peer, const Packet& packet) {
        if (packet.type == PacketType::connect) {
          peer.connack();
          peer.disconnect(0x8B);
        }
        return false;
      },
      // unstable: accepted, then dropped at the first publication
      [](ScriptedPeer& peer, const Packet& packet) {
        if (packet.type == PacketType::connect) peer.connack();
        return packet.type == PacketType::connect;
      }};
  CAPTURE(situation);
  ScriptedPeer peer(pki(), true, scripts[situation]);
  UplinkRig rig(peer.port());
  scale(rig);
  rig.start();
  REQUIRE(eventually(seconds{60}, [&] { return peer.packets(PacketType::connect).size() >= 13; }));
  rig.stop();
  check_back_off(intervals(peer.packets(PacketType::connect)), situation == 0 ? 1.6 : 0.2);  // one probe of 1.5 s
}

TEST_CASE("no answer to the CONNECT is waited for no longer than the time-out and then backed off from") {
  ScriptedPeer peer(pki(), true, [](ScriptedPeer&, const Packet&) { return true; });
  UplinkRig rig(peer.port());
  scale(rig);
  rig.settings.connect_timeout = seconds{1};
  rig.start();
  REQUIRE(eventually(seconds{60}, [&] { return peer.packets(PacketType::connect).size() >= 4; }));
  for (const double interval : intervals(peer.packets(PacketType::connect))) {
    CHECK(interval > 0.9);
    CHECK(interval < 12.0);  // the library looks at time-outs every three seconds, then the server is probed
  }
}

TEST_CASE("only a connection that stood for a while resets the back-off") {
  std::atomic<bool> stable{false};
  ScriptedPeer peer(pki(), true, [&](ScriptedPeer& self, const Packet& packet) {
    if (packet.type == PacketType::connect) self.connack();
    if (stable) return self.behave(packet) || packet.type == PacketType::connect;
    return packet.type == PacketType::connect;
  });
  UplinkRig rig(peer.port());
  scale(rig);
  rig.timing.backoff_cap = seconds{20};
  rig.timing.stable_after = seconds{1};
  rig.start();
  REQUIRE(eventually(seconds{60}, [&] { return peer.packets(PacketType::connect).size() >= 9; }));
  stable = true;
  REQUIRE(eventually(seconds{60}, [&] { return rig.statistics.connected.load(); }));
  const base::Instant connected = rig.clock.now();
  REQUIRE(eventually(seconds{10}, [&] { return rig.clock.now() - connected > milliseconds{2500}; }));
  const std::size_t before = peer.packets(PacketType::connect).size();
  stable = false;
  rig.submit(anomaly_message(rig.clock.now()));
  REQUIRE(eventually(seconds{20}, [&] { return peer.packets(PacketType::connect).size() > before; }));
  const Packet again = peer.packets(PacketType::connect).back();
  const auto lost = peer.packets(PacketType::publish).back();
  CHECK(in_seconds(again.time - lost.time) < 2.5);  // without a reset the bound would be 13 s
}

TEST_CASE("a keep-alive of the server's is taken with a new connection and kept by pings") {
  ScriptedPeer peer(pki(), true, [](ScriptedPeer& self, const Packet& packet) {
    if (packet.type != PacketType::connect) return self.behave(packet);
    self.connack(false, 0, {0x13, 0, 2});
    return true;
  });
  UplinkRig rig(peer.port());
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return peer.packets(PacketType::pingreq).size() >= 2; }));
  const auto connects = peer.packets(PacketType::connect);
  REQUIRE(connects.size() == 2);
  CHECK(connects[0].keep_alive() == 30);
  CHECK(connects[1].keep_alive() == 2);
  CHECK(rig.events.count("keep_alive") == 1);
  CHECK(rig.events.count("connection_lost") == 0);
}

TEST_CASE("a broker that ends the connection with a reason is quoted") {
  ScriptedPeer peer(pki(), true, [](ScriptedPeer& self, const Packet& packet) {
    if (packet.type == PacketType::publish) self.disconnect(0x8E);
    return packet.type == PacketType::publish ? false : self.behave(packet);
  });
  UplinkRig rig(peer.port());
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.events.count("connection_lost") > 0; }));
  CHECK(rig.events.message("connection_lost").find("another client with the same id, reason 0x8E") !=
        std::string::npos);
}

TEST_CASE("a topic at which the broker hangs up prevents no publishing and is left out") {
  const bool v5 = GENERATE(true, false);
  ScriptedPeer peer(pki(), v5, [](ScriptedPeer& self, const Packet& packet) {
    const bool denied = packet.type == PacketType::subscribe && packet.body.find("command/bad") != std::string::npos;
    return !denied && self.behave(packet);
  });
  RememberingInbox inbox({"gw1/command/good", "gw1/command/bad", "gw1/command/fine"});
  UplinkRig rig(peer.port());
  rig.settings.mqtt_version = v5 ? uplink::MqttVersion::v5 : uplink::MqttVersion::v3_1_1;
  rig.timing.backoff_cap = milliseconds{200};
  rig.timing.least_pause = milliseconds{50};
  rig.inbox = &inbox;
  rig.start();
  rig.submit_states(10, milliseconds{5});
  REQUIRE(eventually(seconds{40}, [&] { return rig.statistics.acknowledged_total == 10u; }));
  REQUIRE(inbox.refused().size() == 1);
  CHECK(inbox.refused().front() == std::vector<std::string>{"gw1/command/bad"});
  CHECK(rig.events.count("subscription_refused") == 1);
  CHECK(rig.events.message("subscription_refused").find("gw1/command/bad") != std::string::npos);
  CHECK(peer.packets(PacketType::connect).size() == 4);
  CHECK(rig.statistics.refused_total == 0u);
}

TEST_CASE("a SUBSCRIBE without an answer is told and the gateway goes on publishing") {
  ScriptedPeer peer(pki(), true, [](ScriptedPeer& self, const Packet& packet) {
    return packet.type == PacketType::subscribe || self.behave(packet);
  });
  RememberingInbox inbox({"gw1/command/a", "gw1/command/b"});
  UplinkRig rig(peer.port());
  rig.settings.connect_timeout = seconds{1};
  rig.inbox = &inbox;
  rig.start();
  rig.submit_states(5, milliseconds{5});
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.acknowledged_total == 5u; }));
  CHECK(rig.events.message("subscription_refused").find("did not answer in time (and on 1 more)") != std::string::npos);
  CHECK(rig.statistics.connects_total == 1u);
}

// Slow (some 11 s): the library repeats after ten seconds at the soonest.
TEST_CASE("a publication without PUBACK is repeated under MQTT 3.1.1 in the same connection with the same packet id") {
  std::atomic<bool> withheld{false};
  ScriptedPeer peer(pki(), false, [&](ScriptedPeer& self, const Packet& packet) {
    const bool state = packet.type == PacketType::publish && packet.topic() == "twinkeeper/gw1/twins/tanks/state";
    if (state && !withheld.exchange(true)) return true;
    return self.behave(packet);
  });
  UplinkRig rig(peer.port());
  rig.settings.mqtt_version = uplink::MqttVersion::v3_1_1;
  rig.start();
  rig.submit_states(1, milliseconds{1});
  REQUIRE(eventually(seconds{30}, [&] { return rig.statistics.acknowledged_total == 1u; }));
  auto states = peer.packets(PacketType::publish);
  std::erase_if(states, [](const Packet& packet) { return packet.topic() != "twinkeeper/gw1/twins/tanks/state"; });
  REQUIRE(states.size() == 2);
  CHECK(states[0].id() == states[1].id());
  CHECK_FALSE(states[0].dup());
  CHECK(states[1].dup());
  CHECK(states[0].connection == states[1].connection);
  CHECK(rig.statistics.connects_total == 1u);
}

TEST_CASE("a publication without PUBACK is not repeated under MQTT 5 before the connection is made anew") {
  ScriptedPeer peer(pki(), true, [&](ScriptedPeer& self, const Packet& packet) {
    const bool anomaly = packet.type == PacketType::publish && packet.topic() == kAnomaly;
    return (anomaly && packet.connection == 1) || self.behave(packet);
  });
  UplinkRig rig(peer.port());
  rig.settings.acknowledge_timeout = seconds{2};
  rig.start();
  rig.submit(anomaly_message(rig.clock.now()));  // old states would come in a packet of backlog
  REQUIRE(eventually(seconds{30}, [&] { return rig.statistics.acknowledged_total == 1u; }));
  auto anomalies = peer.packets(PacketType::publish);
  std::erase_if(anomalies, [](const Packet& packet) { return packet.topic() != kAnomaly; });
  REQUIRE(anomalies.size() == 2);
  CHECK(anomalies[0].connection == 1);
  CHECK(anomalies[1].connection == 2);
}

TEST_CASE("renewed files let what is in flight be acknowledged before a clean DISCONNECT") {
  ScriptedPeer peer(pki(), true, [](ScriptedPeer& self, const Packet& packet) {
    if (packet.type == PacketType::publish && packet.topic() == kAnomaly && packet.connection == 1) {
      // Late: the files have long been found renewed by then.
      const base::SystemClock clock;
      clock.sleep_until(clock.now() + seconds{2});
    }
    return self.behave(packet);
  });
  UplinkRig rig(peer.port());
  const std::string cert = rig.folder.path() + "/own.crt";
  std::filesystem::copy_file(pki() + "/gateway.crt", cert);
  rig.settings.cert = cert;
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return peer.packets(PacketType::publish).size() == 1; }));  // the status
  rig.submit(anomaly_message(rig.clock.now()));
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.in_flight > 0u; }));
  std::filesystem::copy_file(pki() + "/gateway.crt", cert + ".new");
  std::filesystem::rename(cert + ".new", cert);
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connects_total == 2u; }));
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.spool_messages == 0u; }));
  auto packets = peer.packets();
  std::erase_if(packets, [](const Packet& packet) { return packet.connection != 1; });
  CHECK(packets.back().type == PacketType::disconnect);
  auto anomalies = peer.packets(PacketType::publish);
  std::erase_if(anomalies, [](const Packet& packet) { return packet.topic() != kAnomaly; });
  CHECK(anomalies.size() == 1);  // acknowledged, so not sent again
  CHECK(rig.events.count("connection_lost") == 0);
}

TEST_CASE("two CONNECTs to one host are never closer than the least pause, whatever the reason of the second") {
  ScriptedPeer drops(pki(), true, [](ScriptedPeer& self, const Packet& packet) {
    if (packet.type == PacketType::connect) self.connack();
    return packet.type == PacketType::connect;
  });
  ScriptedPeer stays(pki(), true, [](ScriptedPeer& self, const Packet& packet) { return self.behave(packet); });
  UplinkRig rig(drops.port());
  rig.settings.endpoints.push_back({"localhost", stays.port()});
  rig.timing.least_pause = seconds{2};
  const std::string cert = rig.folder.path() + "/own.crt";
  std::filesystem::copy_file(pki() + "/gateway.crt", cert);
  rig.settings.cert = cert;
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load() && rig.statistics.endpoint == 1u; }));
  const Packet first = drops.packets(PacketType::connect).front();
  const Packet second = stays.packets(PacketType::connect).front();
  CHECK(in_seconds(second.time - first.time) > 1.9);

  std::filesystem::copy_file(pki() + "/gateway.crt", cert + ".new");
  std::filesystem::rename(cert + ".new", cert);
  REQUIRE(eventually(seconds{20}, [&] { return stays.packets(PacketType::connect).size() == 2; }));
  CHECK(in_seconds(stays.packets(PacketType::connect).back().time - second.time) > 1.9);
}

TEST_CASE("the least pause between two CONNECTs holds over a reload") {
  ScriptedPeer peer(pki(), true, [](ScriptedPeer& self, const Packet& packet) { return self.behave(packet); });
  UplinkRig rig(peer.port());
  rig.timing.least_pause = seconds{2};
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load(); }));
  rig.stop();
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return peer.packets(PacketType::connect).size() == 2; }));
  const auto connects = peer.packets(PacketType::connect);
  CHECK(in_seconds(connects[1].time - connects[0].time) >= 2.0);
}

TEST_CASE("the least pause between two CONNECTs is counted from when CONNECT went out") {
  ScriptedPeer peer(pki(), true, [](ScriptedPeer& self, const Packet& packet) {
    if (packet.type == PacketType::connect) self.connack();
    return packet.type == PacketType::connect;
  });
  peer.wait_before_tls(milliseconds{1500});
  UplinkRig rig(peer.port());
  rig.timing.least_pause = seconds{2};
  rig.timing.backoff_floor = rig.timing.backoff_cap = milliseconds{1};
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return peer.packets(PacketType::connect).size() >= 1; }));
  peer.wait_before_tls(milliseconds{0});
  REQUIRE(eventually(seconds{20}, [&] { return peer.packets(PacketType::connect).size() >= 2; }));
  const auto connects = peer.packets(PacketType::connect);
  CHECK(in_seconds(connects[1].time - connects[0].time) >= 2.0);
}

TEST_CASE("an answer in flight when the connection is lost is said again on the next one") {
  const std::string topic = "gw1/answer";
  ScriptedPeer peer(pki(), true, [&](ScriptedPeer& self, const Packet& packet) {
    const bool answer = packet.type == PacketType::publish && packet.topic() == topic;
    return (!answer || packet.connection > 1) && self.behave(packet);
  });
  UplinkRig rig(peer.port());
  scale(rig);
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load(); }));
  rig.connection->send(topic, "done");
  REQUIRE(eventually(seconds{20}, [&] {
    auto answers = peer.packets(PacketType::publish);
    std::erase_if(answers, [&](const Packet& packet) { return packet.topic() != topic; });
    return answers.size() == 2;
  }));
}

TEST_CASE("a stop while a SUBSCRIBE is unanswered is nobody's fault") {
  ScriptedPeer peer(pki(), true, [](ScriptedPeer& self, const Packet& packet) {
    return packet.type == PacketType::subscribe || self.behave(packet);
  });
  RememberingInbox inbox({"gw1/command/a"});
  UplinkRig rig(peer.port());
  rig.inbox = &inbox;
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return !peer.packets(PacketType::subscribe).empty(); }));
  rig.stop();
  CHECK(rig.events.count("subscription_refused") == 0);
}

TEST_CASE("one broker that retains nothing takes nothing from the others") {
  ScriptedPeer drops(pki(), true, [](ScriptedPeer& self, const Packet& packet) {
    if (packet.type == PacketType::connect) self.connack(false, 0, {0x25, 0});
    return packet.type == PacketType::connect;
  });
  ScriptedPeer stays(pki(), true, [](ScriptedPeer& self, const Packet& packet) { return self.behave(packet); });
  UplinkRig rig(drops.port());
  rig.settings.endpoints.push_back({"localhost", stays.port()});
  scale(rig);
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return !stays.packets(PacketType::publish).empty(); }));
  CHECK((drops.packets(PacketType::publish).front().flags & 1U) == 0);
  CHECK((stays.packets(PacketType::publish).front().flags & 1U) == 1);
  CHECK(rig.events.count("retain_not_supported") == 1);
}

// Slow (some 18 s): a silent broker is asked again after fifteen.
TEST_CASE("a SUBSCRIBE without an answer takes no other along and is sent again on the same connection") {
  std::atomic<bool> silent{false};
  ScriptedPeer peer(pki(), true, [&](ScriptedPeer& self, const Packet& packet) {
    return (packet.type == PacketType::subscribe && !silent.exchange(true)) || self.behave(packet);
  });
  UplinkRig rig(peer.port());
  rig.settings.connect_timeout = seconds{1};
  std::vector<std::string> topics;
  for (int i = 0; i < 9; ++i) topics.push_back("gw1/command/" + std::to_string(i));
  RememberingInbox inbox(topics);
  rig.inbox = &inbox;
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return inbox.refused().size() == 1; }));
  topics.pop_back();  // the second packet
  CHECK(inbox.refused().front() == topics);
  REQUIRE(eventually(seconds{40}, [&] { return inbox.refused().size() == 2; }));
  CHECK(inbox.refused().back().empty());
  CHECK(peer.packets(PacketType::subscribe).size() == 3);
  CHECK(rig.statistics.connects_total == 1u);
}
