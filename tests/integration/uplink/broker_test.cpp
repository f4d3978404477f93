#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include <map>
#include <set>

#include "integration/uplink/uplink_rig.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::test;
using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

struct Collected {
  std::map<std::uint64_t, bool> replay_by_seq;  // of twins.tanks.state
  std::vector<std::uint64_t> order;             // of first arrival
  std::vector<json> statuses;
  std::size_t packets = 0;
};

Collected collect(const Subscriber& subscriber, std::uint64_t epoch) {
  Collected collected;
  std::set<std::string> ids;
  const auto take = [&](const json& message) {
    if (message["stream"] != "twins.tanks.state" || message["epoch"] != epoch) return;
    if (!ids.insert(message["id"].get<std::string>()).second) return;
    const auto seq = message["seq"].get<std::uint64_t>();
    collected.replay_by_seq[seq] = message["replay"].get<bool>();
    collected.order.push_back(seq);
  };
  for (const auto& arrival : subscriber.arrivals()) {
    const json document = json::parse(arrival.payload);
    if (document["schema"] == "twinkeeper.backlog/1") {
      ++collected.packets;
      for (const auto& message : document["messages"]) take(message);
    } else if (document["schema"] == "twinkeeper.status/1") {
      collected.statuses.push_back(document);
    } else {
      take(document);
    }
  }
  return collected;
}

}  // namespace

TEST_CASE("messages arrive over mutual TLS and the retained status tells the life of the gateway") {
  const auto version = GENERATE(uplink::MqttVersion::v5, uplink::MqttVersion::v3_1_1);
  TemporaryFolder folder;
  Mosquitto broker(folder.path(), pki());
  broker.start();
  Subscriber subscriber(folder.path(), pki(), broker.port(), "twinkeeper/#");
  UplinkRig rig(broker.port());
  rig.settings.mqtt_version = version;
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load(); }));
  rig.submit_states(50, milliseconds{5});
  REQUIRE(eventually(seconds{20}, [&] { return collect(subscriber, rig.epoch).replay_by_seq.size() == 50; }));
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.acknowledged_total == 50u; }));
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.spool_messages == 0u; }));
  rig.stop();
  REQUIRE(eventually(seconds{20}, [&] {
    const auto statuses = collect(subscriber, rig.epoch).statuses;
    return statuses.size() >= 2 && statuses.back()["state"] == "offline";
  }));
  const auto collected = collect(subscriber, rig.epoch);
  CHECK(collected.order.front() == 1);
  CHECK(std::is_sorted(collected.order.begin(), collected.order.end()));
  for (const auto& [seq, replay] : collected.replay_by_seq) CHECK_FALSE(replay);
  CHECK(collected.statuses.front()["state"] == "online");
  const auto session = collected.statuses.front()["session"].get<std::uint64_t>();
  CHECK(session > 0);
  CHECK(collected.statuses.back()["reason"] == "stop");
  CHECK(rig.events.count("connected") == 1);

  // The next life tells the one before, once.
  const std::uint64_t before = rig.epoch;
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] {
    const auto statuses = collect(subscriber, rig.epoch).statuses;
    return !statuses.empty() && statuses.back().contains("previous") &&
           statuses.back()["previous"]["epoch"] == before && statuses.back()["session"] > session;
  }));
}

TEST_CASE("a broker killed and restarted in mid-stream ends with every sequence number and the backlog marked replay") {
  TemporaryFolder folder;
  Mosquitto broker(folder.path(), pki());
  broker.start();
  Subscriber subscriber(folder.path(), pki(), broker.port(), "twinkeeper/#");
  UplinkRig rig(broker.port());
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load(); }));
  rig.submit_states(100, milliseconds{5});
  broker.kill();
  REQUIRE(eventually(seconds{20}, [&] { return !rig.statistics.connected.load(); }));
  rig.submit_states(700, milliseconds{10});  // seven seconds without a broker
  CHECK(eventually(seconds{10}, [&] { return rig.statistics.spool_messages >= 600u; }));  // once committed
  broker.start();
  subscriber.restart();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load(); }));
  rig.submit_states(100, milliseconds{5});
  REQUIRE(eventually(seconds{30}, [&] { return rig.statistics.spool_messages == 0u; }));
  rig.submit_states(50, milliseconds{20});  // a busy machine may be late with those beside the backlog, not with these
  REQUIRE(eventually(seconds{30}, [&] { return rig.statistics.spool_messages == 0u; }));
  REQUIRE(eventually(seconds{30}, [&] { return collect(subscriber, rig.epoch).replay_by_seq.size() == 950; }));
  const auto collected = collect(subscriber, rig.epoch);
  CHECK(collected.replay_by_seq.begin()->first == 1);
  CHECK(collected.replay_by_seq.rbegin()->first == 950);
  CHECK(collected.packets > 0);
  std::size_t replayed = 0;
  for (std::uint64_t seq = 1; seq <= 950; ++seq) replayed += collected.replay_by_seq.at(seq) ? 1 : 0;
  CHECK(replayed > 150);
  for (std::uint64_t seq = 901; seq <= 950; ++seq) CHECK_FALSE(collected.replay_by_seq.at(seq));
  CHECK(rig.statistics.dropped_total == 0u);
  CHECK(rig.statistics.reconnects_total >= 1u);
  CHECK(rig.events.count("connection_lost") >= 1);
}

TEST_CASE("a broker that stops answering is left after the acknowledgement time-out") {
  TemporaryFolder folder;
  Mosquitto broker(folder.path(), pki());
  broker.start();
  Subscriber subscriber(folder.path(), pki(), broker.port(), "twinkeeper/#");
  UplinkRig rig(broker.port());
  rig.settings.acknowledge_timeout = seconds{2};
  rig.settings.connect_timeout = seconds{2};
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load(); }));
  rig.submit_states(10, milliseconds{5});
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.acknowledged_total == 10u; }));
  broker.freeze(true);
  rig.submit_states(10, milliseconds{5});
  REQUIRE(eventually(seconds{20}, [&] { return rig.events.count("connection_lost") == 1; }));
  CHECK(rig.events.message("connection_lost").find("no acknowledgement") != std::string::npos);
  const base::Instant frozen = rig.clock.now();
  REQUIRE(eventually(seconds{20}, [&] { return rig.clock.now() - frozen > seconds{3}; }));
  const auto beat = base::Instant{base::Duration{rig.statistics.connection_heartbeat_ns.load()}};
  CHECK(rig.clock.now() - beat < seconds{8});
  broker.freeze(false);
  REQUIRE(eventually(seconds{40}, [&] { return collect(subscriber, rig.epoch).replay_by_seq.size() == 20; }));
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.spool_messages == 0u; }));
}

TEST_CASE("a gateway killed without a word is told offline by its will") {
  TemporaryFolder folder;
  Mosquitto broker(folder.path(), pki());
  broker.start();
  Subscriber subscriber(folder.path(), pki(), broker.port(), "twinkeeper/#");
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    UplinkRig rig(broker.port());
    rig.start();
    while (true) ::pause();
  }
  const bool online = eventually(seconds{20}, [&] { return !collect(subscriber, 0).statuses.empty(); });
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  REQUIRE(online);
  REQUIRE(eventually(seconds{20}, [&] { return collect(subscriber, 0).statuses.size() == 2; }));
  const auto statuses = collect(subscriber, 0).statuses;
  CHECK(statuses[0]["state"] == "online");
  CHECK(statuses[1]["state"] == "offline");
  CHECK(statuses[1]["reason"] == "connection_lost");
  CHECK(statuses[1]["session"] == statuses[0]["session"]);
  CHECK(statuses[1]["id"] != statuses[0]["id"]);
}
