#include "uplink/courier.hpp"

#include <nlohmann/json.hpp>

#include <functional>
#include <random>
#include <set>

#include "support/catch.hpp"
#include "support/uplink_parts.hpp"

using namespace twinkeeper;
using namespace twinkeeper::uplink;
using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

// The test plays the connection thread.
struct Rig {
  test::TemporaryFolder folder;
  test::StandingClock clock;
  test::RememberingSink events;
  UplinkSettings settings;
  SpoolSettings spool_settings;
  Statistics statistics;
  Link link;
  std::optional<Spool> spool;
  std::optional<Courier> courier;
  std::uint64_t connection = 0;

  Rig() {
    settings.topic_prefix = "twinkeeper/gw1";
    spool_settings.directory = folder.path();
  }
  void start() {
    auto opened = Spool::open(spool_settings, "gw1", clock, "boot-1", events);
    REQUIRE(opened.ok());
    spool.emplace(std::move(opened).value());
    courier.emplace(*spool, link, statistics, settings, "gw1", clock, events);
  }
  void turn() { courier->run_once(base::Duration::zero()); }
  void connect(std::size_t window = 20) {
    link.send_up({LinkEvent::Kind::connected, ++connection, 0, window, {}});
    turn();
  }
  void lose() {
    link.forget_down();
    link.send_up({LinkEvent::Kind::lost, connection, 0, 0, {}});
    turn();
  }
  void answer(const Publication& publication, LinkEvent::Kind kind = LinkEvent::Kind::acknowledged,
              std::string reason = {}) {
    link.send_up({kind, publication.connection, publication.token, 0, std::move(reason)});
  }
  // Acknowledges all until nothing comes any more; what came, in order.
  std::vector<Publication> drain() {
    std::vector<Publication> all;
    while (true) {
      turn();
      auto some = link.take_down();
      if (some.empty()) return all;
      for (auto& publication : some) {
        answer(publication);
        all.push_back(std::move(publication));
      }
    }
  }
};

// The messages of publications, those in packets one by one.
std::vector<json> messages(const std::vector<Publication>& publications) {
  std::vector<json> found;
  for (const auto& publication : publications) {
    const json document = json::parse(publication.payload);
    if (document["schema"] == "twinkeeper.backlog/1") {
      for (const auto& message : document["messages"]) found.push_back(message);
    } else {
      found.push_back(document);
    }
  }
  return found;
}

}  // namespace

TEST_CASE("a message goes out at once while connected and its row is deleted on its acknowledgement only") {
  Rig rig;
  rig.start();
  rig.connect();
  rig.courier->submit(test::state_message(rig.clock.now()));
  auto sent = rig.link.take_down();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].topic == "twinkeeper/gw1/twins/tanks/state");
  const json document = json::parse(sent[0].payload);
  CHECK(document["replay"] == false);
  CHECK(document["id"] == "gw1/twins.tanks.state/" + std::to_string(rig.spool->epoch()) + "/1");
  rig.spool->commit();
  CHECK(rig.spool->figures().messages == 1);
  rig.answer(sent[0]);
  rig.turn();
  rig.spool->commit();
  CHECK(rig.spool->figures().messages == 0);
  CHECK(rig.statistics.published_total == 1);
  CHECK(rig.statistics.acknowledged_total == 1);
}

TEST_CASE("an outage is replayed packed and complete with live messages first") {
  Rig rig;
  rig.start();
  for (int i = 0; i < 3000; ++i) {
    rig.courier->submit(test::state_message(rig.clock.now(), 200, i % 3 == 0 ? "twins.a.state" : "twins.b.state"));
    if (i % 500 == 0) rig.courier->submit(test::anomaly_message(rig.clock.now()));
    rig.clock.advance(milliseconds{100});
    rig.turn();
  }
  CHECK(rig.link.take_down().empty());
  rig.clock.advance(seconds{30});
  rig.connect();
  rig.courier->submit(test::state_message(rig.clock.now(), 10, "twins.live.state"));
  const auto sent = rig.drain();
  bool live_seen = false;
  std::size_t before_live = 0;
  std::map<std::string, std::uint64_t> next;
  std::set<std::string> ids;
  for (const auto& publication : sent) {
    if (publication.topic == "twinkeeper/gw1/backlog") CHECK(publication.payload.size() <= 122880);
    const bool live = publication.topic == "twinkeeper/gw1/twins/live/state";
    live_seen = live_seen || live;
    before_live += live_seen ? 0 : 1;
    if (publication.topic == "twinkeeper/gw1/twins/tanks/anomaly")
      CHECK(json::parse(publication.payload)["replay"] == true);
  }
  CHECK(live_seen);
  CHECK(before_live <= 15);  // what filled the backlog's part of the window when the connection came up
  for (const json& message : messages(sent)) {
    CHECK(ids.insert(message["id"].get<std::string>()).second);
    CHECK(message["replay"] == (message["stream"] != "twins.live.state"));
    const auto seq = message["seq"].get<std::uint64_t>();
    CHECK(seq == ++next[message["stream"].get<std::string>()]);
  }
  CHECK(ids.size() == 3007);
  CHECK(sent.size() < 60);
  rig.spool->commit();
  CHECK(rig.spool->figures().messages == 0);
}

TEST_CASE("with backlog plain every message is replayed on its own topic") {
  Rig rig;
  rig.settings.backlog = BacklogFormat::plain;
  rig.start();
  for (int i = 0; i < 50; ++i) rig.courier->submit(test::state_message(rig.clock.now()));
  rig.clock.advance(seconds{60});
  rig.connect();
  const auto sent = rig.drain();
  REQUIRE(sent.size() == 50);
  for (const auto& publication : sent) CHECK(publication.topic == "twinkeeper/gw1/twins/tanks/state");
}

TEST_CASE("what was in flight when the connection was lost is sent again on the next one") {
  Rig rig;
  rig.start();
  rig.connect(4);
  for (int i = 0; i < 10; ++i) rig.courier->submit(test::state_message(rig.clock.now()));
  auto sent = rig.link.take_down();
  REQUIRE(sent.size() == 4);  // the window
  rig.answer(sent[1]);
  rig.turn();
  CHECK(rig.link.take_down().size() == 1);
  rig.lose();
  rig.answer(sent[0]);  // a late word about the old connection
  rig.turn();
  CHECK(rig.statistics.acknowledged_total == 1);
  CHECK(rig.link.take_down().empty());
  rig.connect(4);
  std::set<std::uint64_t> seqs;
  for (const json& message : messages(rig.drain())) CHECK(seqs.insert(message["seq"].get<std::uint64_t>()).second);
  CHECK(seqs == std::set<std::uint64_t>{1, 3, 4, 5, 6, 7, 8, 9, 10});
}

TEST_CASE("a publication that failed without a loss is tried again") {
  Rig rig;
  rig.start();
  rig.connect();
  rig.courier->submit(test::state_message(rig.clock.now()));
  auto sent = rig.link.take_down();
  REQUIRE(sent.size() == 1);
  rig.answer(sent[0], LinkEvent::Kind::failed);
  rig.turn();
  CHECK(rig.link.take_down().empty());  // not at once
  rig.clock.advance(seconds{2});
  CHECK(messages(rig.drain()).size() == 1);
}

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
  const auto told = messages(rig.drain());
  REQUIRE(told.size() == 1);
  CHECK(told[0]["schema"] == "twinkeeper.gap/1");
  CHECK(told[0]["id"].get<std::string>().find("/gap/") != std::string::npos);
  CHECK(told[0]["stream"] == "twins.tanks.state");
  CHECK(told[0]["count"] == 3);
  CHECK(told[0]["reason"] == "refused");
  rig.spool->commit();
  CHECK(rig.spool->figures().messages == 0);
}

TEST_CASE("a step that a slow twin makes long after its instant is live when it is made") {
  Rig rig;
  rig.start();
  rig.connect();
  rig.courier->submit(test::state_message(rig.clock.now() - seconds{12}));
  const auto sent = rig.link.take_down();
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].topic == "twinkeeper/gw1/twins/tanks/state");
  CHECK(json::parse(sent[0].payload)["replay"] == false);
}

TEST_CASE("with a full spool nothing is both delivered and told as lost") {
  const auto policy = GENERATE(DiscardPolicy::oldest, DiscardPolicy::newest);
  CAPTURE(policy == DiscardPolicy::newest);
  Rig rig;
  rig.spool_settings.max_bytes = 128 << 10;
  rig.spool_settings.discard_policy = policy;
  rig.start();
  const auto produce = [&](int count) {
    for (int i = 0; i < count; ++i) {
      rig.courier->submit(test::state_message(rig.clock.now(), 1000));
      rig.clock.advance(milliseconds{100});
      rig.turn();
    }
  };
  produce(300);  // an outage that fills the spool
  rig.connect(10);
  std::vector<Publication> in_flight = rig.link.take_down();
  CHECK_FALSE(in_flight.empty());
  produce(300);  // the broker takes nothing, the window stays full
  std::vector<Publication> delivered;
  for (auto& publication : in_flight) {
    rig.answer(publication);
    delivered.push_back(std::move(publication));
  }
  for (int i = 0; i < 20; ++i) {
    produce(1);
    for (auto& publication : rig.drain()) delivered.push_back(std::move(publication));
  }
  rig.clock.advance(seconds{5});
  for (auto& publication : rig.drain()) delivered.push_back(std::move(publication));

  std::map<std::uint64_t, int> arrived;
  std::map<std::uint64_t, int> lost;
  for (const json& message : messages(delivered)) {
    if (message["schema"] == "twinkeeper.gap/1") {
      for (auto seq = message["first_seq"].get<std::uint64_t>(); seq <= message["last_seq"]; ++seq) ++lost[seq];
    } else {
      ++arrived[message["seq"].get<std::uint64_t>()];
    }
  }
  std::size_t blocks = 0;
  for (const auto& [seq, times] : lost) blocks += lost.contains(seq - 1) ? 0 : 1;
  CHECK(blocks >= 1);
  CHECK(blocks <= 3);  // not a comb
  for (std::uint64_t seq = 1; seq <= 620; ++seq) {
    CAPTURE(seq);
    CHECK(arrived[seq] + lost[seq] == 1);
  }
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
  for (int i = 0; i < 5; ++i) {
    rig.connect();
    rig.clock.advance(seconds{3});
    rig.turn();
    CHECK(rig.link.take_down().size() == (i < 2 ? 5 : 1));  // alone, once it is in doubt
    CHECK(rig.statistics.refused_total == 0);
    rig.lose();
  }
  CHECK(rig.statistics.refused_total == 1);
  rig.connect();
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

// A broker that hangs up at every state, without a word or behind an acknowledgement; it takes all else.
struct RefusingBroker {
  bool acknowledges = false;
  std::set<std::uint64_t> anomalies{};
  int states = 0;  // refused

  // One connection of `length`; false if it ended early.
  bool serve(Rig& rig, base::Duration length, const std::function<void()>& each_turn) {
    rig.connect();
    for (base::Duration passed{}; passed < length; passed += milliseconds{100}) {
      for (const Publication& publication : rig.link.take_down()) {
        const bool refused = publication.topic.ends_with("/twins/tanks/state");
        if (!refused || acknowledges) rig.answer(publication);
        if (refused) {
          ++states;
          rig.lose();
          return false;
        }
        for (const json& message : messages({publication})) {
          if (message["schema"] == "twinkeeper.anomaly/1") anomalies.insert(message["seq"].get<std::uint64_t>());
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
    rig.start();
    RefusingBroker broker{acknowledges};
    std::uint64_t anomalies = 0;
    const auto produce = [&] {
      rig.courier->submit(test::anomaly_message(rig.clock.now()));
      rig.courier->submit(test::state_message(rig.clock.now()));
      ++anomalies;
    };
    int connections = 1;
    while (!broker.serve(rig, seconds{60}, produce) && connections < 20) {
      ++connections;
      rig.clock.advance(seconds{3});
      produce();
    }
    CHECK(connections == 11);
    CHECK(broker.states == 10);  // five for the message, five for the stream
    CHECK(rig.events.count("message_set_aside") == 1);
    CHECK(rig.events.count("refused_publish") == 1);
    CHECK(rig.events.message("refused_publish").find("twins/tanks/state") != std::string::npos);
    CHECK(broker.anomalies.size() >= anomalies - 1);  // the last one may be on its way
    CHECK(rig.statistics.dropped_total == rig.statistics.refused_total);
  }
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

TEST_CASE("the backlog keeps to the rate while a live message overtakes it") {
  Rig rig;
  rig.settings.max_messages_per_second = 50.0;
  rig.settings.backlog = BacklogFormat::plain;
  rig.start();
  for (int i = 0; i < 1000; ++i) rig.courier->submit(test::state_message(rig.clock.now()));
  rig.clock.advance(seconds{60});
  rig.connect(100);
  std::size_t sent = 0;
  bool overtook = false;
  for (int tick = 0; tick < 1000; ++tick) {  // ten seconds
    if (tick == 500) rig.courier->submit(test::anomaly_message(rig.clock.now()));
    rig.turn();
    for (const auto& publication : rig.link.take_down()) {
      ++sent;
      overtook = overtook || publication.topic.find("anomaly") != std::string::npos;
      rig.answer(publication);
    }
    rig.clock.advance(milliseconds{10});
  }
  CHECK(overtook);
  CHECK(sent >= 500);
  CHECK(sent <= 552);
}

TEST_CASE("a replayed retained message does not replace a newer one") {
  Rig rig;
  rig.start();
  signals::Message info{
      "twins.tanks.info", "twinkeeper.twin_info/1", signals::MessageClass::info, rig.clock.now(), true, "\"v\":1"};
  for (int i = 0; i < 400; ++i) rig.courier->submit(test::anomaly_message(rig.clock.now()));
  rig.courier->submit(info);
  rig.clock.advance(seconds{60});
  rig.connect();
  info.time = rig.clock.now();
  rig.courier->submit(info);
  std::vector<bool> retained;
  for (const auto& publication : rig.drain()) {
    if (publication.topic == "twinkeeper/gw1/twins/tanks/info") retained.push_back(publication.retain);
  }
  CHECK(retained == std::vector<bool>{true, false});
}

TEST_CASE("stopping without a broker commits what is there and returns at once") {
  Rig rig;
  rig.start();
  for (int i = 0; i < 10; ++i) rig.courier->submit(test::state_message(rig.clock.now()));
  rig.courier->stop(rig.clock.now() + seconds{10});
  rig.courier.reset();
  rig.spool.reset();
  rig.start();
  CHECK(rig.spool->next_backlog(0, 100).size() == 10);
}
