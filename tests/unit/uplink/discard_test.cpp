// What a consumer knows: what arrived and what gap messages tell as lost, together everything, and nothing twice.
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <tuple>

#include "courier_rig.hpp"

using namespace twinkeeper;
using namespace twinkeeper::uplink;
using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Rig = test::CourierRig;

namespace {

using Identity = std::tuple<std::string, std::uint64_t, std::uint64_t>;  // stream, epoch, seq

Identity identity(const json& message, std::uint64_t seq) {
  return {message["stream"].get<std::string>(), message["epoch"].get<std::uint64_t>(), seq};
}

class Consumer {
 public:
  void take(const Publication& publication) {
    for (const json& message : test::messages({publication})) {
      if (message["schema"] == "twinkeeper.gap/1") {
        hear(message);
      } else {
        ++arrived[identity(message, message["seq"].get<std::uint64_t>())];
      }
    }
  }
  void hear(const json& gap) {
    const auto stride = gap.value("stride", std::uint64_t{1});
    CHECK((gap["reason"] == "thin") == gap.contains("stride"));
    std::uint64_t count = 0;
    for (auto seq = gap["first_seq"].get<std::uint64_t>(); seq <= gap["last_seq"]; seq += stride, ++count) {
      ++lost[identity(gap, seq)];
    }
    CHECK(count == gap["count"].get<std::uint64_t>());
    ++gaps;
    reasons.insert(gap["reason"].get<std::string>());
  }
  std::map<Identity, int> arrived;
  std::map<Identity, int> lost;
  std::set<std::string> reasons;
  std::size_t gaps = 0;
};

}  // namespace

TEST_CASE("what arrived and what is told as lost is everything and nothing is both") {
  const auto policy = GENERATE(DiscardPolicy::oldest, DiscardPolicy::newest, DiscardPolicy::thin);
  const unsigned seed = GENERATE(range(0u, 8u));
  CAPTURE(static_cast<int>(policy), seed);
  std::mt19937_64 engine(seed);
  Rig rig;
  rig.spool_settings.max_bytes = 192 << 10;
  rig.spool_settings.discard_policy = policy;
  rig.spool_settings.commit_interval = seconds{2};
  rig.start();
  std::set<Identity> made;
  Consumer consumer;
  std::vector<Publication> open;
  bool connected = false;
  const auto submit = [&] {
    const auto kind = engine() % 40;
    signals::Message message = kind == 0 ? test::anomaly_message(rig.clock.now())
                                         : test::state_message(rig.clock.now(), 200 + engine() % 800,
                                                               "twins.t" + std::to_string(kind % 4) + ".state");
    const std::string stream = message.stream;
    const auto seq = ++rig.seqs[{stream, rig.spool->epoch()}];
    made.emplace(stream, rig.spool->epoch(), seq);
    rig.courier->submit(std::move(message));
  };
  const auto answer = [&](std::size_t leave) {
    for (auto& publication : rig.link.take_down()) open.push_back(std::move(publication));
    for (; open.size() > leave; open.erase(open.begin())) {
      consumer.take(open.front());
      rig.answer(open.front());
    }
  };
  for (int step = 0; step < 3000; ++step) {
    submit();
    rig.clock.advance(milliseconds{static_cast<int>(engine() % 100)});
    rig.turn();
    if (connected && engine() % 3 == 0) answer(engine() % 20);
    if (engine() % 300 == 0) {
      if (connected) {
        open.clear();
        rig.turn();  // what was acknowledged counts
        rig.lose();
      } else {
        rig.connect(10);
      }
      connected = !connected;
    }
    if (engine() % 1000 == 0) {
      rig.turn();
      open.clear();
      if (connected) rig.lose();
      connected = false;
      rig.courier->stop(rig.clock.now());
      rig.courier.reset();
      rig.spool.reset();
      rig.start();
    }
  }
  if (!connected) rig.connect(10);
  for (int i = 0; i < 200; ++i) {
    answer(0);
    rig.turn();
    rig.clock.advance(seconds{1});
  }
  CHECK(consumer.reasons.contains(policy == DiscardPolicy::thin ? "thin" : "size"));
  for (const Identity& one : made) {
    CAPTURE(std::get<0>(one), std::get<1>(one), std::get<2>(one));
    REQUIRE(consumer.arrived[one] + consumer.lost[one] == 1);
  }
  for (const auto& [one, times] : consumer.lost) REQUIRE(made.contains(one));
}

TEST_CASE("a long outage is thinned evenly while the newer half stays whole and a few ranges tell it") {
  test::TemporaryFolder folder;
  test::StandingClock clock;
  test::RememberingSink events;
  SpoolSettings settings;
  settings.directory = folder.path();
  settings.max_bytes = 1 << 20;
  settings.discard_policy = DiscardPolicy::thin;
  settings.commit_interval = seconds{2};
  auto opened = Spool::open(settings, "gw1", clock, "boot-1", events);
  REQUIRE(opened.ok());
  Spool& spool = opened.value();
  constexpr std::uint64_t kMade = 20'000;  // some thirty times what it holds
  for (std::uint64_t i = 0; i < kMade; ++i) {
    for (const char* stream : {"twins.a.state", "twins.b.state"}) {
      spool.append(test::state_message(clock.now(), 600, stream));
    }
    if (i % 100 == 0) spool.append(test::anomaly_message(clock.now()));
    clock.advance(milliseconds{20});
    spool.commit_if_due();
    REQUIRE(spool.figures().bytes <= settings.max_bytes);
  }
  std::vector<std::uint64_t> left;
  std::size_t anomalies = 0;
  for (const auto& row : spool.next_backlog(0, 1u << 20, 1u << 30)) {
    if (row.message.stream == "twins.a.state") left.push_back(row.seq);
    anomalies += row.message.stream == "twins.tanks.anomaly" ? 1 : 0;
  }
  CHECK(anomalies == 200);
  REQUIRE(left.size() > 200);
  CHECK(left.front() <= 256);
  std::uint64_t widest = 0;
  std::uint64_t coarser_than_before = 0;
  for (std::size_t i = 2; i < left.size(); ++i) {
    const std::uint64_t step = left[i] - left[i - 1];
    widest = std::max(widest, step);
    coarser_than_before += step > left[i - 1] - left[i - 2] ? 1 : 0;
  }
  CHECK(widest <= 256);
  CHECK(coarser_than_before <= 3);
  for (std::size_t i = left.size() - 250; i < left.size(); ++i) CHECK(left[i] - left[i - 1] == 1);
  Consumer consumer;
  for (const auto& gap : spool.take_own_messages()) {
    consumer.hear(json::parse("{" + gap.message.members + "}"));
  }
  CHECK(consumer.gaps < 60);
  for (const std::uint64_t seq : left) consumer.arrived[{"twins.a.state", spool.epoch(), seq}] = 1;
  for (std::uint64_t seq = 1; seq <= kMade; ++seq) {
    const Identity one{"twins.a.state", spool.epoch(), seq};
    CAPTURE(seq);
    REQUIRE(consumer.arrived[one] + consumer.lost[one] == 1);
  }
}
