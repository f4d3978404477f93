#include <nlohmann/json.hpp>

#include <functional>
#include <map>
#include <random>
#include <set>

#include "courier_rig.hpp"

using namespace twinkeeper;
using namespace twinkeeper::uplink;
using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using test::messages;
using Rig = test::CourierRig;

TEST_CASE("a refused publication is set aside and told while the other streams go on") {
  Rig rig;
  rig.start();
  rig.connect();
  for (int i = 0; i < 3; ++i) rig.courier->submit(test::state_message(rig.clock.now()));
  rig.courier->submit(test::anomaly_message(rig.clock.now()));
  for (const auto& publication : rig.link.take_down()) {
    const bool state = publication.topic.find("state") != std::string::npos;
    rig.answer(publication, state ? LinkEvent::Kind::refused : LinkEvent::Kind::acknowledged,
               "not authorized, reason 0x87");
  }
  rig.turn();
  CHECK(rig.events.count("refused_publish") == 1);
  CHECK(rig.events.message("refused_publish").find("twins/tanks/state") != std::string::npos);
  CHECK(rig.statistics.refused_total == 3);
  rig.clock.advance(seconds{3});
  auto told = messages(rig.drain());
  std::erase_if(told, [](const json& message) { return message["schema"] == "twinkeeper.anomaly/1"; });
  REQUIRE(told.size() == 1);
  CHECK(told[0]["schema"] == "twinkeeper.gap/1");
  CHECK(told[0]["id"].get<std::string>().find("/gap/") != std::string::npos);
  CHECK(told[0]["stream"] == "twins.tanks.state");
  CHECK(told[0]["count"] == 3);
  CHECK(told[0]["reason"] == "refused");
  rig.spool->commit();
  CHECK(rig.spool->figures().messages == 0);
}

TEST_CASE("a refused packet is sent message by message instead of being given up") {
  Rig rig;
  rig.start();
  for (int i = 0; i < 20; ++i) rig.courier->submit(test::state_message(rig.clock.now()));
  rig.clock.advance(seconds{60});
  rig.connect();
  auto sent = rig.link.take_down();
  REQUIRE(sent.size() == 1);
  rig.answer(sent[0], LinkEvent::Kind::refused, "not authorized, reason 0x87");
  CHECK(messages(rig.drain()).size() == 20);
  CHECK(rig.statistics.dropped_total == 0);
}

TEST_CASE("a message at which the broker hangs up is set aside so that it blocks nothing behind it") {
  Rig rig;
  rig.settings.backlog = BacklogFormat::plain;
  rig.start();
  for (int i = 0; i < 5; ++i) rig.courier->submit(test::state_message(rig.clock.now()));
  rig.connect();
  CHECK(rig.link.take_down().size() == 5);
  rig.lose();
  for (const base::Duration wait : {base::Duration{seconds{30}}, base::Duration{minutes{5}}}) {
    rig.connect();
    rig.clock.advance(wait - milliseconds{1});
    rig.turn();
    CHECK(rig.link.take_down().empty());
    rig.clock.advance(milliseconds{1});
    rig.turn();
    CHECK(rig.link.take_down().size() == 1);  // alone, once its topic is in doubt
    CHECK(rig.statistics.refused_total == 0);
    rig.lose();
  }
  CHECK(rig.events.count("topic_withheld") == 1);
  CHECK(rig.statistics.refused_total == 1);
  rig.connect();
  const auto gap = rig.link.take_down();  // nothing yet on the stream itself
  REQUIRE(gap.size() == 1);
  CHECK(gap[0].topic == "twinkeeper/gw1/gap");
  rig.answer(gap[0]);
  rig.clock.advance(minutes{5});
  std::set<std::uint64_t> seqs;
  for (const json& message : messages(rig.drain())) {
    const bool is_gap = message["schema"] == "twinkeeper.gap/1";  // its stream is the lost one
    if (!is_gap && message["stream"] == "twins.tanks.state") seqs.insert(message["seq"].get<std::uint64_t>());
  }
  CHECK(seqs == std::set<std::uint64_t>{2, 3, 4, 5});
}

TEST_CASE("without a reason code a row is deleted only when the connection has outlived its acknowledgement") {
  Rig rig;
  rig.settings.mqtt_version = MqttVersion::v3_1_1;
  rig.start();
  rig.connect();
  rig.courier->submit(test::state_message(rig.clock.now()));
  rig.answer(rig.link.take_down().at(0));
  rig.turn();
  rig.lose();
  rig.spool->commit();
  CHECK(rig.spool->figures().messages == 1);
  rig.connect();
  rig.clock.advance(seconds{30});  // it may have been why the connection broke
  rig.turn();
  rig.answer(rig.link.take_down().at(0));
  rig.turn();
  rig.clock.advance(seconds{1});
  rig.turn();
  rig.spool->commit();
  CHECK(rig.spool->figures().messages == 0);
}

TEST_CASE("what settles is bounded in bytes however fast the broker acknowledges") {
  Rig rig;
  rig.settings.mqtt_version = MqttVersion::v3_1_1;
  rig.start();
  for (int i = 0; i < 800; ++i) rig.courier->submit(test::state_message(rig.clock.now(), 20'000));
  rig.clock.advance(seconds{60});
  rig.connect();
  const std::size_t at_once = messages(rig.drain()).size();
  CHECK(at_once >= 4u * 1024 * 1024 / 20'100);
  CHECK(at_once < 400);
  std::size_t all = at_once;
  for (int i = 0; i < 10 && all < 800; ++i) {
    rig.clock.advance(seconds{1});
    all += messages(rig.drain()).size();
  }
  CHECK(all == 800);
}

namespace {

// A broker that hangs up at some topics, without a word or behind an acknowledgement; it takes all else.
struct RefusingBroker {
  std::set<std::string> denied{"twins/tanks/state"};
  bool acknowledges = false;
  std::map<std::string, std::set<std::uint64_t>> taken{};  // by stream
  int refusals = 0;

  // One connection of `length`; false if it ended early.
  bool serve(Rig& rig, base::Duration length, const std::function<void()>& each_turn) {
    rig.connect();
    for (base::Duration passed{}; passed < length; passed += milliseconds{100}) {
      for (const Publication& publication : rig.link.take_down()) {
        const bool refused = denied.contains(publication.topic.substr(rig.settings.topic_prefix.size() + 1));
        if (!refused || acknowledges) rig.answer(publication);
        if (refused) {
          ++refusals;
          rig.lose();
          return false;
        }
        for (const json& message : messages({publication})) {
          if (message["schema"] == "twinkeeper.gap/1") continue;
          taken[message["stream"].get<std::string>()].insert(message["seq"].get<std::uint64_t>());
        }
      }
      rig.clock.advance(milliseconds{100});
      each_turn();
      rig.turn();
    }
    return true;
  }
};

}  // namespace

TEST_CASE("a stream at which the broker hangs up is found and barred and costs the others nothing") {
  for (const bool acknowledges : {false, true}) {
    CAPTURE(acknowledges);
    Rig rig;
    rig.settings.backlog = BacklogFormat::plain;
    rig.settings.mqtt_version = MqttVersion::v3_1_1;
    rig.spool_settings.commit_interval = seconds{5};
    rig.start();
    RefusingBroker broker;
    broker.acknowledges = acknowledges;
    std::uint64_t anomalies = 0;
    int turns = 0;
    const auto produce = [&] {
      if (turns++ % 10 != 0) return;
      rig.courier->submit(test::anomaly_message(rig.clock.now()));
      rig.courier->submit(test::state_message(rig.clock.now()));
      ++anomalies;
    };
    int connections = 1;
    while (!broker.serve(rig, minutes{11}, produce) && connections < 20) {
      ++connections;
      rig.clock.advance(seconds{3});
      produce();
    }
    CHECK(connections == 8);
    CHECK(broker.refusals == 7);  // three for the message, two more for the stream, one behind 5 min, one behind 10
    CHECK(rig.events.count("message_set_aside") == 1);
    CHECK(rig.events.count("refused_publish") == 1);
    CHECK(rig.events.message("refused_publish").find("twins/tanks/state") != std::string::npos);
    CHECK(broker.taken["twins.tanks.anomaly"].size() >= anomalies - 1);  // the last one may be on its way
    CHECK(rig.statistics.dropped_total == rig.statistics.refused_total);
  }
}

TEST_CASE("a denied topic in the head of the spool blocks the rest for one reconnect and no longer") {
  const auto version = GENERATE(MqttVersion::v5, MqttVersion::v3_1_1);
  const bool acknowledges = GENERATE(false, true);
  const int denied = GENERATE(1, 2, 4);
  if (acknowledges && version == MqttVersion::v5) return;  // a reason code says what is refused
  CAPTURE(version == MqttVersion::v5, acknowledges, denied);
  Rig rig;
  rig.settings.mqtt_version = version;
  rig.settings.backlog = BacklogFormat::plain;
  rig.spool_settings.commit_interval = seconds{5};
  rig.start();
  RefusingBroker broker;
  broker.acknowledges = acknowledges;
  broker.denied.clear();
  for (int i = 0; i < denied; ++i) broker.denied.insert("twins/bad" + std::to_string(i) + "/state");
  const auto produce = [&] {
    for (int i = 0; i < denied; ++i) {
      rig.courier->submit(test::state_message(rig.clock.now(), 20, "twins.bad" + std::to_string(i) + ".state"));
    }
    for (int i = 0; i < 6; ++i) {
      rig.courier->submit(test::state_message(rig.clock.now(), 20, "twins.good" + std::to_string(i) + ".state"));
    }
  };
  for (int i = 0; i < 20; ++i) produce();
  std::uint64_t made = 20;
  const base::Instant begun = rig.clock.now();
  int connections = 0;
  int turns = 0;
  while (rig.clock.now() - begun < minutes{30}) {
    const std::uint64_t before = made;
    broker.serve(rig, minutes{30} - (rig.clock.now() - begun), [&] {
      if (turns++ % 20 != 0) return;
      produce();
      ++made;
    });
    ++connections;
    if (connections > denied) {  // each denied topic can end one connection while it is unknown
      for (int i = 0; i < 6; ++i) {
        CAPTURE(connections, i);
        CHECK(broker.taken["twins.good" + std::to_string(i) + ".state"].size() >= before);
      }
    }
    rig.clock.advance(seconds{3});
  }
  CHECK(connections <= 6 * denied + 1);
  for (int i = 0; i < 6; ++i) CHECK(broker.taken["twins.good" + std::to_string(i) + ".state"].size() >= made - 20);
  CHECK(rig.statistics.dropped_total == rig.statistics.refused_total);
}

TEST_CASE("a topic that was denied and is allowed again is found out and its messages flow again") {
  Rig rig;
  rig.settings.mqtt_version = MqttVersion::v3_1_1;
  rig.settings.backlog = BacklogFormat::plain;
  rig.spool_settings.commit_interval = seconds{5};
  rig.start();
  RefusingBroker broker;
  const auto produce = [&] { rig.courier->submit(test::state_message(rig.clock.now(), 20)); };
  produce();
  for (int i = 0; i < 20 && rig.events.count("refused_publish") == 0; ++i) {
    broker.serve(rig, minutes{6}, produce);
    rig.clock.advance(seconds{3});
  }
  REQUIRE(rig.events.count("refused_publish") == 1);
  const int refusals = broker.refusals;
  CHECK(broker.serve(rig, minutes{4}, produce));  // barred: not tried again yet
  CHECK(broker.refusals == refusals);
  broker.denied.clear();
  CHECK(broker.serve(rig, minutes{3}, produce));
  CHECK(broker.taken["twins.tanks.state"].size() > 500);
}

TEST_CASE("connections that break at random never cost a message") {
  std::mt19937_64 engine(3);
  for (const auto version : {MqttVersion::v5, MqttVersion::v3_1_1}) {
    for (const double breaks_per_turn : {0.05, 0.2, 0.6}) {
      CAPTURE(breaks_per_turn);
      Rig rig;
      rig.settings.mqtt_version = version;
      rig.start();
      for (int round = 0; round < 200; ++round) {
        rig.connect();
        bool broken = false;
        while (!broken) {
          rig.courier->submit(test::state_message(rig.clock.now()));
          rig.courier->submit(test::anomaly_message(rig.clock.now()));
          const auto sent = rig.link.take_down();
          broken = std::bernoulli_distribution(breaks_per_turn)(engine);
          // In order; where it breaks, some of the last ones are not answered.
          const std::size_t answered = broken ? engine() % (sent.size() + 1) : sent.size();
          for (std::size_t i = 0; i < answered; ++i) rig.answer(sent[i]);
          rig.clock.advance(milliseconds{200});
          rig.turn();
        }
        rig.lose();
      }
      CHECK(rig.statistics.refused_total == 0);
      CHECK(rig.statistics.dropped_total == 0);
    }
  }
}

TEST_CASE("a packet that would be a probe and is set aside instead leaves the packets of others their turn") {
  Rig rig;
  rig.settings.max_messages_per_second.reset();
  rig.start();
  rig.connect();
  rig.courier->submit(test::state_message(rig.clock.now(), 20, "twins.a.state"));
  CHECK(rig.drain().size() == 1);
  rig.lose();
  for (int i = 0; i < 5; ++i) rig.courier->submit(test::state_message(rig.clock.now(), 20, "twins.a.state"));
  for (int i = 0; i < 5; ++i) rig.courier->submit(test::state_message(rig.clock.now(), 20, "twins.b.state"));
  rig.clock.advance(seconds{60});
  rig.connect();
  REQUIRE(rig.link.take_down().size() == 2);
  rig.courier->submit(test::state_message(rig.clock.now(), 20, "twins.a.state"));
  const auto live = rig.link.take_down();
  REQUIRE(live.size() == 1);
  rig.answer(live[0], LinkEvent::Kind::refused, "not authorized, reason 0x87");
  rig.turn();
  rig.lose();
  rig.connect();
  std::set<std::uint64_t> arrived;
  for (int i = 0; i < 40; ++i) {
    for (const json& message : messages(rig.drain())) {
      if (message["schema"] != "twinkeeper.gap/1" && message["stream"] == "twins.b.state") {
        arrived.insert(message["seq"].get<std::uint64_t>());
      }
    }
    rig.clock.advance(seconds{1});
  }
  CHECK(arrived == std::set<std::uint64_t>{1, 2, 3, 4, 5});
}

TEST_CASE("a topic in doubt is probed with its first message so that its order holds") {
  Rig rig;
  rig.settings.mqtt_version = MqttVersion::v3_1_1;
  rig.settings.backlog = BacklogFormat::plain;
  rig.start();
  rig.connect();
  for (int i = 0; i < 4; ++i) rig.courier->submit(test::state_message(rig.clock.now()));
  const auto sent = rig.link.take_down();
  REQUIRE(sent.size() == 4);
  for (int i = 0; i < 2; ++i) rig.answer(sent[static_cast<std::size_t>(i)]);
  rig.turn();
  rig.lose();
  rig.connect();
  std::vector<std::uint64_t> seqs;
  for (int i = 0; i < 40; ++i) {
    for (const json& message : messages(rig.drain())) seqs.push_back(message["seq"].get<std::uint64_t>());
    rig.clock.advance(seconds{1});
  }
  CHECK(seqs == std::vector<std::uint64_t>{1, 2, 3, 4});
}

TEST_CASE("what grows old enough for a packet while packets are withheld waits for their probe") {
  Rig rig;
  rig.settings.max_messages_per_second.reset();
  rig.start();
  rig.courier->submit(test::state_message(rig.clock.now(), 20, "twins.a.state"));
  rig.clock.advance(seconds{60});
  rig.connect(4);
  const auto packet = rig.link.take_down();
  REQUIRE(packet.size() == 1);
  REQUIRE(packet[0].topic == "twinkeeper/gw1/backlog");
  rig.lose();
  rig.clock.advance(seconds{19});
  for (int i = 0; i < 10; ++i) rig.courier->submit(test::state_message(rig.clock.now(), 20, "twins.b.state"));
  rig.clock.advance(rig.settings.backlog_after - milliseconds{500});
  rig.connect(4);
  const auto young = rig.link.take_down();
  REQUIRE(young.size() == 3);
  for (const auto& publication : young) {
    CHECK(publication.topic == "twinkeeper/gw1/twins/b/state");
    rig.answer(publication);
  }
  rig.clock.advance(seconds{1});
  rig.turn();
  CHECK(rig.link.take_down().empty());
  rig.clock.advance(seconds{29});
  rig.turn();
  const auto probe = rig.link.take_down();
  REQUIRE(probe.size() == 1);
  CHECK(messages(probe).at(0)["id"].get<std::string>().find("twins.a.state") != std::string::npos);
  rig.answer(probe[0]);
  CHECK(messages(rig.drain()).size() == 7);
}

TEST_CASE("of topics that nobody has seen pass one is on its way at a time and the others beside it") {
  const auto version = GENERATE(MqttVersion::v5, MqttVersion::v3_1_1);
  Rig rig;
  rig.settings.mqtt_version = version;
  rig.settings.backlog = BacklogFormat::plain;
  rig.start();
  const auto produce = [&] {
    for (const char* stream : {"twins.a.state", "twins.b.state", "twins.c.state"}) {
      rig.courier->submit(test::state_message(rig.clock.now(), 20, stream));
    }
  };
  produce();
  rig.connect();
  for (int i = 0; i < 3; ++i) {
    CAPTURE(i);
    const auto sent = rig.link.take_down();
    REQUIRE(sent.size() == 1);
    rig.answer(sent[0]);
    rig.turn();
  }
  rig.clock.advance(seconds{1});
  rig.turn();
  produce();
  CHECK(rig.link.take_down().size() == 3);
  rig.lose();
  rig.connect();  // what passed once is not new
  CHECK(rig.link.take_down().size() == 3);
}

TEST_CASE("a topic that was allowed and is denied now is found, and the others flow") {
  Rig rig;
  rig.settings.backlog = BacklogFormat::plain;
  rig.spool_settings.commit_interval = seconds{5};
  rig.start();
  RefusingBroker broker;
  broker.denied.clear();
  std::uint64_t made = 0;
  int turns = 0;
  const auto produce = [&] {
    if (turns++ % 10 != 0) return;
    ++made;
    for (const char* stream : {"twins.a.state", "twins.b.state", "twins.tanks.state"}) {
      rig.courier->submit(test::state_message(rig.clock.now(), 20, stream));
    }
  };
  CHECK(broker.serve(rig, minutes{1}, produce));
  broker.denied = {"twins/tanks/state"};
  const base::Instant begun = rig.clock.now();
  int connections = 0;
  while (rig.clock.now() - begun < minutes{10}) {
    broker.serve(rig, minutes{10} - (rig.clock.now() - begun), produce);
    ++connections;
    rig.clock.advance(seconds{3});
  }
  CHECK(connections <= 7);
  for (const char* stream : {"twins.a.state", "twins.b.state"}) CHECK(broker.taken[stream].size() >= made - 1);
}
