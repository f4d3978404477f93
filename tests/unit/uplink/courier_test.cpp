#include <nlohmann/json.hpp>

#include <array>
#include <deque>
#include <map>
#include <random>
#include <set>

#include "courier_rig.hpp"

using namespace twinkeeper;
using namespace twinkeeper::uplink;
using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using test::messages;
using Rig = test::CourierRig;

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

TEST_CASE("messages go by urgency with live ones first in each class and in order within a stream") {
  const unsigned seed = GENERATE(range(0u, 20u));
  CAPTURE(seed);
  std::mt19937_64 engine(seed);
  Rig rig;
  rig.settings.backlog = seed % 2 == 0 ? BacklogFormat::packed : BacklogFormat::plain;
  rig.settings.max_messages_per_second.reset();
  rig.start();
  constexpr std::array kClasses{signals::MessageClass::gap,   signals::MessageClass::anomaly,
                                signals::MessageClass::info,  signals::MessageClass::metrics,
                                signals::MessageClass::state, signals::MessageClass::samples};
  std::map<std::string, Lane> lane_of_stream;
  const auto submit_some = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const auto message_class = kClasses[engine() % kClasses.size()];
      const std::string stream =
          "s" + std::to_string(static_cast<int>(message_class)) + "." + std::to_string(engine() % 3);
      lane_of_stream[stream] = lane_of(message_class);
      rig.courier->submit({stream, "twinkeeper.x/1", message_class, rig.clock.now(), false, "\"v\":1"});
      if (engine() % 50 == 0) rig.spool->commit();
    }
  };
  rig.connect();  // topics that are new pass one by one, whatever their urgency
  submit_some(500);
  rig.drain();
  rig.lose();
  submit_some(2000);
  rig.clock.advance(seconds{60});
  std::map<std::string, std::uint64_t> last_live;
  std::map<std::string, std::uint64_t> last_replayed;
  std::size_t arrived = 0;
  std::array<std::size_t, 3> backlog_left{};  // by lane
  for (const auto& row : rig.spool->next_backlog(0, 1u << 20, 1u << 30)) {
    ++backlog_left[static_cast<std::size_t>(lane_of(row.message.message_class))];
  }
  rig.connect(12);
  std::vector<Publication> open;
  for (int turn = 0; turn < 5000 && (backlog_left != std::array<std::size_t, 3>{} || turn < 100); ++turn) {
    if (turn < 100) submit_some(static_cast<int>(engine() % 4));
    rig.turn();
    for (auto& publication : rig.link.take_down()) open.push_back(std::move(publication));
    for (const std::size_t answers = engine() % (open.size() + 1); open.size() > answers;) {
      for (const json& message : messages({open.front()})) {
        const std::string name = message["id"].get<std::string>().substr(4, 4);
        const auto seq = message["seq"].get<std::uint64_t>();
        const bool replay = message["replay"].get<bool>();
        auto& last = (replay ? last_replayed : last_live)[name];
        CAPTURE(name, replay);
        CHECK(seq > last);
        last = seq;
        ++arrived;
        if (!replay) continue;
        const auto lane = static_cast<std::size_t>(lane_of_stream.at(name));
        for (std::size_t earlier = 0; earlier < lane; ++earlier) CHECK(backlog_left[earlier] == 0);
        --backlog_left[lane];
      }
      rig.answer(open.front());
      open.erase(open.begin());
    }
  }
  CHECK(arrived >= 2000);
  CHECK(backlog_left == std::array<std::size_t, 3>{});
}

TEST_CASE("an urgent message of the backlog overtakes the states and a live anomaly overtakes that") {
  Rig rig;
  rig.settings.backlog = BacklogFormat::plain;
  rig.start();
  const signals::Message metrics{
      "gateway.metrics", "twinkeeper.metrics/1", signals::MessageClass::metrics, rig.clock.now(), false, "\"v\":1"};
  rig.connect();  // topics that are new pass one by one
  rig.courier->submit(metrics);
  rig.courier->submit(test::anomaly_message(rig.clock.now()));
  rig.courier->submit(test::state_message(rig.clock.now(), 20));
  CHECK(rig.drain().size() == 3);
  rig.lose();
  for (int i = 0; i < 3000; ++i) rig.courier->submit(test::state_message(rig.clock.now(), 20));
  rig.courier->submit(metrics);
  rig.courier->submit(test::anomaly_message(rig.clock.now()));
  rig.clock.advance(seconds{60});
  rig.connect(4);
  const auto first = rig.link.take_down();
  REQUIRE(first.size() == 3);
  CHECK(first[0].topic.ends_with("anomaly"));
  CHECK(first[1].topic.ends_with("metrics"));
  CHECK(first[2].topic.ends_with("state"));
  rig.courier->submit(test::state_message(rig.clock.now(), 20, "twins.live.state"));
  const auto live = rig.link.take_down();  // the quarter of the window that the backlog leaves
  REQUIRE(live.size() == 1);
  CHECK(live[0].topic.ends_with("twins/live/state"));
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

TEST_CASE("a purge takes what was read ahead, and nothing is both delivered and told as lost") {
  Rig rig;
  rig.settings.backlog = BacklogFormat::plain;
  rig.start();
  for (int i = 0; i < 100; ++i) rig.courier->submit(test::state_message(rig.clock.now()));
  rig.clock.advance(std::chrono::hours{1});
  rig.connect(4);
  auto sent = rig.link.take_down();
  REQUIRE_FALSE(sent.empty());
  const auto purged = rig.courier->purge({});
  REQUIRE(purged.ok());
  CHECK(purged.value().messages + messages(sent).size() == 100);
  for (const auto& publication : sent) rig.answer(publication);
  std::uint64_t told = 0;
  for (int second = 0; second < 5; ++second) {
    rig.clock.advance(std::chrono::seconds{1});
    for (const auto& message : messages(rig.drain())) {
      CHECK(message["reason"] == "purged");
      told += message["count"].get<std::uint64_t>();
    }
  }
  CHECK(told == purged.value().messages);
  CHECK(rig.spool->figures().messages == 0);
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

TEST_CASE("the backlog comes up to the rate and keeps to it while a live message overtakes it") {
  Rig rig;
  rig.settings.max_messages_per_second = 50.0;
  rig.settings.backlog = BacklogFormat::plain;
  rig.start();
  for (int i = 0; i < 2000; ++i) rig.courier->submit(test::state_message(rig.clock.now()));
  rig.clock.advance(seconds{60});
  rig.connect(100);
  std::vector<std::size_t> sent(20);
  for (int tick = 0; tick < 2000; ++tick) {  // twenty seconds
    if (tick == 1500) rig.courier->submit(test::anomaly_message(rig.clock.now()));
    rig.turn();
    for (const auto& publication : rig.link.take_down()) {
      ++sent[static_cast<std::size_t>(tick / 100)];
      if (publication.topic.ends_with("anomaly")) CHECK(tick == 1500);
      rig.answer(publication);
    }
    rig.clock.advance(milliseconds{10});
  }
  CHECK(sent[0] <= 20);
  for (std::size_t i = 2; i < 10; ++i) CHECK(sent[i] + 1 >= sent[i - 1]);
  for (std::size_t i = 11; i < 20; ++i) {
    CHECK(sent[i] >= 48);
    CHECK(sent[i] <= 52);
  }
}

TEST_CASE("a long backlog takes most of the bytes that live messages leave and these never wait for it") {
  const auto format = GENERATE(BacklogFormat::packed, BacklogFormat::plain);
  const std::size_t body = GENERATE(250, 1000);  // a flat and a nested state
  CAPTURE(format == BacklogFormat::packed, body);
  Rig rig;
  rig.settings.max_bytes_per_second = 100 << 10;
  if (format == BacklogFormat::packed) rig.settings.max_messages_per_second = 80.0;
  rig.settings.backlog = format;
  rig.spool_settings.commit_interval = seconds{2};
  rig.start();
  const auto live = [&] {
    for (int i = 0; i < 10; ++i) {
      rig.courier->submit(test::state_message(rig.clock.now(), body, "twins.t" + std::to_string(i) + ".state"));
    }
  };
  const int rounds = static_cast<int>(1'500'000 / body);
  for (int i = 0; i < rounds; ++i) live();
  rig.clock.advance(seconds{60});
  rig.connect(format == BacklogFormat::packed ? 20 : 200);
  std::size_t live_bytes = 0;
  std::size_t backlog_bytes = 0;
  std::size_t packets = 0;
  std::deque<std::pair<base::Instant, Publication>> open;
  base::Duration slowest{};
  const base::Instant from = rig.clock.now();
  int tick = 0;
  while (rig.spool->figures().messages > 200 && tick < 100'000) {
    if (tick++ % 50 == 0) live();
    rig.turn();
    for (auto& publication : rig.link.take_down()) {
      const std::size_t bytes = publication.topic.size() + publication.payload.size();
      const bool replay = publication.payload.find("\"replay\":true") != std::string::npos;
      (replay ? backlog_bytes : live_bytes) += bytes;
      if (publication.topic.ends_with("/backlog")) ++packets;
      if (!replay && rig.clock.now() - from > seconds{3}) {  // before, ten new topics pass one by one
        const base::Instant made{
            base::Duration{json::parse(publication.payload)["time_ms"].get<std::int64_t>() * 1'000'000}};
        slowest = std::max(slowest, rig.clock.wall_now().time_since_epoch() - made.time_since_epoch());
      }
      open.emplace_back(rig.clock.now() + milliseconds{100}, std::move(publication));
    }
    while (!open.empty() && open.front().first <= rig.clock.now()) {
      rig.answer(open.front().second);
      open.pop_front();
    }
    rig.clock.advance(milliseconds{20});
  }
  const double time = std::chrono::duration<double>(rig.clock.now() - from).count();
  const double left = 102'400.0 - static_cast<double>(live_bytes) / time;
  const double rate = static_cast<double>(backlog_bytes) / time;
  INFO(time << " s, live " << static_cast<double>(live_bytes) / time << " bytes/s, backlog " << rate << " bytes/s, "
            << 100.0 * rate / left << " % of what is left; " << packets << " packets; slowest live message "
            << std::chrono::duration<double>(slowest).count() << " s");
  CHECK(rate > 0.8 * left);
  CHECK(rate < 1.02 * left);
  CHECK(slowest < seconds{1});
}

TEST_CASE("the backlog waits while answers are late and live messages do not") {
  Rig rig;
  rig.settings.backlog = BacklogFormat::plain;
  rig.start();
  for (int i = 0; i < 200; ++i) rig.courier->submit(test::state_message(rig.clock.now()));
  rig.clock.advance(seconds{60});
  rig.connect(40);
  auto open = rig.link.take_down();
  REQUIRE(open.size() == 30);
  rig.clock.advance(seconds{4});
  for (std::size_t i = 1; i < open.size(); ++i) rig.answer(open[i]);
  rig.turn();
  CHECK(rig.link.take_down().empty());
  rig.courier->submit(test::anomaly_message(rig.clock.now()));
  CHECK(rig.link.take_down().size() == 1);
  rig.answer(open[0]);
  rig.turn();
  CHECK(rig.link.take_down().size() >= 29);
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

TEST_CASE("after a reconnect an older retained message does not take the place of a newer one") {
  Rig rig;
  rig.settings.backlog = BacklogFormat::plain;
  rig.start();
  const auto description = [&] {
    return signals::Message{"info", "twinkeeper.info/1", signals::MessageClass::info, rig.clock.now(), true, "\"v\":1"};
  };
  rig.connect();
  rig.courier->submit(description());
  rig.courier->submit(description());
  const auto sent = rig.link.take_down();
  REQUIRE(sent.size() == 2);
  CHECK(sent[1].retain);
  rig.answer(sent[1]);
  rig.turn();
  rig.lose();
  rig.clock.advance(seconds{10});
  rig.connect();
  const auto again = rig.drain();
  REQUIRE(again.size() == 1);
  CHECK(json::parse(again[0].payload)["seq"] == 1);
  CHECK_FALSE(again[0].retain);
}

TEST_CASE("live messages that take all that the broker acknowledges leave the backlog a packet now and then") {
  Rig rig;
  rig.settings.max_messages_per_second.reset();
  rig.settings.max_bytes_per_second.reset();
  rig.spool_settings.commit_interval = seconds{2};
  rig.start();
  const auto produce = [&](int count) {
    for (int i = 0; i < count; ++i) rig.courier->submit(test::state_message(rig.clock.now()));
  };
  produce(5000);
  rig.clock.advance(seconds{60});
  rig.connect();
  std::size_t packed = 0;
  std::size_t live = 0;
  for (int tick = 0; tick < 600; ++tick) {  // a window of 20 each 100 ms, and 30 messages made
    produce(30);
    rig.clock.advance(milliseconds{100});
    rig.turn();
    for (const Publication& publication : rig.link.take_down()) {
      (publication.topic.ends_with("/backlog") ? packed : live) += messages({publication}).size();
      rig.answer(publication);
    }
  }
  CHECK(live > 11'000);  // of the 12 000 publications that the broker took
  CHECK(packed >= 5000);
}
