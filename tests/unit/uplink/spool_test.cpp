#include "uplink/spool.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

#include "spool_rig.hpp"
#include "twinkeeper/base/timestamp.hpp"

using namespace twinkeeper;
using namespace twinkeeper::uplink;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

struct SpoolRig : test::SpoolRig {
  // 128 KiB that keep what is there.
  void keep_the_oldest() {
    settings.max_bytes = 128 << 10;
    settings.discard_policy = DiscardPolicy::newest;
  }
};

std::vector<std::uint64_t> seqs(const std::vector<StoredMessage>& messages, const std::string& stream) {
  std::vector<std::uint64_t> found;
  for (const auto& message : messages) {
    if (message.message.stream == stream) found.push_back(message.seq);
  }
  return found;
}

// What the gap messages tell as lost, by stream.
std::map<std::string, std::set<std::uint64_t>> told(const std::vector<StoredMessage>& gaps, const std::string& reason) {
  std::map<std::string, std::set<std::uint64_t>> lost;
  for (const auto& gap : gaps) {
    const auto document = nlohmann::json::parse("{" + gap.message.members + "}");
    if (document["reason"] != reason) continue;
    const auto last = document["last_seq"].get<std::uint64_t>();
    for (auto seq = document["first_seq"].get<std::uint64_t>(); seq <= last; ++seq) {
      lost[document["stream"].get<std::string>()].insert(seq);
    }
  }
  return lost;
}

}  // namespace

TEST_CASE("the spool numbers each stream from one and gives rows back in order") {
  SpoolRig rig;
  Spool spool = rig.open();
  for (int i = 0; i < 3; ++i) {
    CHECK(spool.append(test::state_message(rig.clock.now())).seq == static_cast<std::uint64_t>(i + 1));
    CHECK(spool.append(test::anomaly_message(rig.clock.now())).seq == static_cast<std::uint64_t>(i + 1));
    if (i == 1) spool.commit();  // some rows on disk, some in memory: nobody may see a difference
  }
  const auto rows = spool.next_backlog(0, 100);
  REQUIRE(rows.size() == 6);
  for (std::size_t i = 1; i < rows.size(); ++i) CHECK(rows[i - 1].row < rows[i].row);
  CHECK(seqs(rows, "twins.tanks.state") == std::vector<std::uint64_t>{1, 2, 3});
  CHECK(rows.front().message.schema == "twinkeeper.state/1");
  CHECK(rows.front().message.members == test::state_message({}).members);
  CHECK(rows.front().epoch == spool.epoch());
  CHECK(spool.next_backlog(rows[3].row, 100).size() == 2);
  CHECK(spool.next_backlog(0, 2).size() == 2);
  CHECK(spool.figures().messages == 6);
}

TEST_CASE("only acknowledged rows leave the spool and the others survive a restart") {
  SpoolRig rig;
  std::uint64_t first_epoch = 0;
  {
    Spool spool = rig.open();
    first_epoch = spool.epoch();
    std::vector<StoredMessage> rows;
    for (int i = 0; i < 10; ++i) rows.push_back(spool.append(test::state_message(rig.clock.now())));
    spool.acknowledge({rows[0].row, rows[2].row});  // before they were written
    spool.commit();
    spool.acknowledge({rows[4].row});  // after
    CHECK(seqs(spool.next_backlog(0, 100), "twins.tanks.state") == std::vector<std::uint64_t>{2, 4, 6, 7, 8, 9, 10});
  }
  rig.clock.advance(seconds{3});
  Spool spool = rig.open();
  CHECK(spool.epoch() > first_epoch);
  const auto rows = spool.next_backlog(0, 100);
  CHECK(seqs(rows, "twins.tanks.state") == std::vector<std::uint64_t>{2, 4, 6, 7, 8, 9, 10});
  CHECK(rows.front().epoch == first_epoch);
  REQUIRE(spool.previous() != nullptr);
  CHECK(spool.previous()->epoch == first_epoch);
  CHECK(spool.previous()->last.at("twins.tanks.state") == 10);
  CHECK(spool.append(test::state_message(rig.clock.now())).seq == 1);
  CHECK(spool.figures().messages == 8);
}

TEST_CASE("an epoch is never used twice although the clock stands still or the state directory was lost") {
  SpoolRig rig;
  std::uint64_t last = 0;
  for (int i = 0; i < 3; ++i) {
    Spool spool = rig.open();
    CHECK(spool.epoch() > last);
    last = spool.epoch();
  }
  rig.clock.advance(seconds{10});
  rig.settings.directory = rig.folder.file("fresh");
  std::filesystem::create_directory(rig.settings.directory);
  CHECK(rig.open().epoch() > last);
  rig.clock.set_wall(base::WallTime{seconds{5}});  // an unset clock does not bring an old epoch back
  rig.settings.directory = rig.folder.path();
  const std::uint64_t back = rig.open().epoch();
  CHECK(back > last);
}

TEST_CASE("rows are committed in groups after the interval or a hundred rows") {
  SpoolRig rig;
  Spool spool = rig.open();
  CHECK_FALSE(spool.commit_due());
  spool.append(test::state_message(rig.clock.now()));
  REQUIRE(spool.commit_due());
  CHECK(*spool.commit_due() == rig.clock.now() + milliseconds{200});
  const auto commits = spool.figures().commits_total;
  spool.commit_if_due();
  CHECK(spool.figures().commits_total == commits);
  rig.clock.advance(milliseconds{200});
  spool.commit_if_due();
  CHECK(spool.figures().commits_total == commits + 1);
  REQUIRE(spool.commit_due());  // of the sequence numbers alone, which may lag behind
  CHECK(*spool.commit_due() == rig.clock.now() + milliseconds{1800});
  for (int i = 0; i < 100; ++i) spool.append(test::state_message(rig.clock.now()));
  spool.commit_if_due();
  CHECK(spool.figures().commits_total == commits + 2);
}

TEST_CASE("a row acknowledged before its commit is in no hurry to reach the disk") {
  SpoolRig rig;
  Spool spool = rig.open();
  const auto stored = spool.append(test::state_message(rig.clock.now()));
  spool.acknowledge({stored.row});
  REQUIRE(spool.commit_due());
  CHECK(*spool.commit_due() == rig.clock.now() + seconds{2});
  CHECK(spool.figures().messages == 0);
  CHECK(spool.figures().bytes == 0);
}

TEST_CASE("a full spool gives up the oldest states first and tells each one") {
  SpoolRig rig;
  rig.settings.max_bytes = 256 << 10;
  Spool spool = rig.open();
  for (int i = 0; i < 20; ++i) spool.append(test::anomaly_message(rig.clock.now()));
  for (int i = 0; i < 1000; ++i) {
    spool.append(test::state_message(rig.clock.now(), 1000));
    rig.clock.advance(milliseconds{10});
    spool.commit_if_due();
    REQUIRE(spool.figures().bytes <= rig.settings.max_bytes);
  }
  spool.commit();
  const auto gaps = spool.take_own_messages();
  const auto lost = told(gaps, "size");
  const auto rows = spool.next_backlog(0, 5000, 1u << 30);
  const auto left = seqs(rows, "twins.tanks.state");
  CHECK(seqs(rows, "twins.tanks.anomaly").size() == 20);
  REQUIRE_FALSE(left.empty());
  CHECK(left.back() == 1000);
  std::set<std::uint64_t> all(left.begin(), left.end());
  const auto& states = lost.at("twins.tanks.state");
  CHECK(all.size() + states.size() == 1000);
  all.insert(states.begin(), states.end());
  CHECK(all.size() == 1000);
  CHECK(spool.figures().dropped_total == states.size());
  CHECK(gaps.size() == 1);
  CHECK(spool.take_own_messages().empty());
  CHECK(std::filesystem::file_size(rig.folder.file("spool.db")) < rig.settings.max_bytes * 2);
}

TEST_CASE("with the policy newest a full spool keeps what it has") {
  SpoolRig rig;
  rig.keep_the_oldest();
  Spool spool = rig.open();
  for (int i = 0; i < 500; ++i) {
    spool.append(test::state_message(rig.clock.now(), 1000));
    rig.clock.advance(milliseconds{10});
    spool.commit_if_due();
  }
  const auto left = seqs(spool.next_backlog(0, 5000, 1u << 30), "twins.tanks.state");
  REQUIRE_FALSE(left.empty());
  CHECK(left.front() == 1);
  CHECK(left.back() == left.size());  // one block kept, one block lost
  const auto lost = told(spool.take_own_messages(), "size").at("twins.tanks.state");
  CHECK(lost.size() + left.size() == 500);
  CHECK(*lost.begin() == left.size() + 1);
}

TEST_CASE("with the policy newest an anomaly finds room in a spool full of states") {
  SpoolRig rig;
  rig.keep_the_oldest();
  Spool spool = rig.open();
  for (int i = 0; i < 500; ++i) {
    spool.append(test::state_message(rig.clock.now(), 1000));
    if (i > 400) CHECK(spool.append(test::anomaly_message(rig.clock.now())).kept);
    rig.clock.advance(milliseconds{10});
    spool.commit_if_due();
    REQUIRE(spool.figures().bytes <= rig.settings.max_bytes);
  }
  const auto rows = spool.next_backlog(0, 5000, 1u << 30);
  CHECK(seqs(rows, "twins.tanks.anomaly").size() == 99);
  const auto states = seqs(rows, "twins.tanks.state");
  CHECK(states.back() == states.size());
}

TEST_CASE("a row that is held outlives every bound") {
  SpoolRig rig;
  rig.settings.max_bytes = 128 << 10;
  rig.settings.max_age = std::chrono::hours{1};
  Spool spool = rig.open();
  std::vector<std::int64_t> held;
  for (int i = 0; i < 500; ++i) {
    const auto stored = spool.append(test::state_message(rig.clock.now(), 1000));
    if (i < 20) held.push_back(stored.row);
    if (i < 20) spool.hold(stored.row);
    rig.clock.advance(milliseconds{10});
    spool.commit_if_due();
  }
  rig.clock.advance(std::chrono::hours{2});
  spool.maintain();
  CHECK(spool.next_backlog(0, 5000, 1u << 30).size() == 20);
  spool.release(held[0]);
  spool.maintain();
  CHECK(spool.next_backlog(0, 5000, 1u << 30).size() == 19);
  spool.release_all();
  spool.maintain();
  CHECK(spool.next_backlog(0, 5000, 1u << 30).empty());
  CHECK(told(spool.take_own_messages(), "age").at("twins.tanks.state").contains(1));
}

TEST_CASE("rows older than the limit are given up and told but gaps are kept") {
  SpoolRig rig;
  rig.settings.max_age = std::chrono::hours{1};
  Spool spool = rig.open();
  for (int i = 0; i < 5; ++i) spool.append(test::state_message(rig.clock.now()));
  spool.append({"gap", "twinkeeper.gap/1", signals::MessageClass::gap, rig.clock.now(), false, "\"reason\":\"size\""});
  spool.commit();
  rig.clock.advance(std::chrono::minutes{59});
  spool.append(test::state_message(rig.clock.now()));
  spool.maintain();
  CHECK(spool.figures().messages == 7);
  rig.clock.advance(std::chrono::minutes{2});
  spool.maintain();
  const auto rows = spool.next_backlog(0, 100);
  CHECK(seqs(rows, "twins.tanks.state") == std::vector<std::uint64_t>{6});
  CHECK(seqs(rows, "gap").size() == 1);
  CHECK(told(spool.take_own_messages(), "age").at("twins.tanks.state").size() == 5);
}

TEST_CASE("losses of one life are told in the next if nobody heard them") {
  SpoolRig rig;
  rig.settings.max_age = std::chrono::hours{1};
  {
    Spool spool = rig.open();
    spool.append(test::state_message(rig.clock.now()));
    spool.commit();
    rig.clock.advance(std::chrono::hours{2});
    spool.maintain();
  }
  Spool spool = rig.open();
  CHECK(told(spool.take_own_messages(), "age").at("twins.tanks.state").size() == 1);
  spool.commit();
}

TEST_CASE("messages lost on their way to the spool take their sequence numbers and are told") {
  SpoolRig rig;
  Spool spool = rig.open();
  const base::Instant first = rig.clock.now();
  spool.append(test::state_message(first));
  spool.skip("twins.tanks.state", 3, first + seconds{1}, first + seconds{3});
  CHECK(spool.append(test::state_message(first + seconds{4})).seq == 5);
  CHECK(spool.figures().dropped_total == 3);
  const auto messages = spool.take_own_messages();
  CHECK(told(messages, "overrun").at("twins.tanks.state") == std::set<std::uint64_t>{2, 3, 4});
  REQUIRE(messages.size() == 1);
  const auto gap = nlohmann::json::parse("{" + messages.front().message.members + "}");
  CHECK(gap["first_time"] == base::format_rfc3339(rig.clock.to_wall(first + seconds{1})));
  CHECK(gap["last_time"] == base::format_rfc3339(rig.clock.to_wall(first + seconds{3})));
  CHECK(gap["count"] == 3);
}

TEST_CASE("a refused message goes to the dead and is told") {
  SpoolRig rig;
  Spool spool = rig.open();
  const auto stored = spool.append(test::state_message(rig.clock.now()));
  spool.commit();
  spool.refuse(stored, "not authorized");
  spool.commit();
  CHECK(spool.next_backlog(0, 10).empty());
  CHECK(told(spool.take_own_messages(), "refused").at("twins.tanks.state") == std::set<std::uint64_t>{1});
}

TEST_CASE("messages made before the clock was synchronised get their wall time at that moment") {
  SpoolRig rig;
  rig.clock.set_synchronised(false);
  rig.clock.set_wall(base::WallTime{seconds{1000}});
  Spool spool = rig.open();
  spool.append(test::state_message(rig.clock.now()));
  spool.commit();
  spool.append(test::state_message(rig.clock.now()));
  for (const auto& row : spool.next_backlog(0, 10)) CHECK_FALSE(row.wall);
  rig.clock.advance(seconds{60});
  const base::WallTime now{std::chrono::sys_days{std::chrono::year{2026} / 5 / 1}};
  rig.clock.set_wall(now);
  rig.clock.set_synchronised(true);
  spool.maintain();
  const auto rows = spool.next_backlog(0, 10);
  REQUIRE(rows.size() == 2);
  for (const auto& row : rows) {
    REQUIRE(row.wall);
    CHECK(*row.wall == now - seconds{60});
    CHECK(row.clock_synced);
  }
}

TEST_CASE("rows of a boot that never knew the time get an estimate and say so") {
  SpoolRig rig;
  {
    Spool spool = rig.open("boot-1");  // a boot with the right time comes first
    spool.append(test::state_message(rig.clock.now()));
  }
  const base::WallTime known = rig.clock.wall_now();
  rig.clock.set_synchronised(false);
  rig.clock.set_wall(base::WallTime{seconds{1000}});
  {
    Spool spool = rig.open("boot-2");
    spool.append(test::state_message(rig.clock.now()));
  }
  Spool spool = rig.open("boot-3");
  const auto rows = spool.next_backlog(0, 10);
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].clock_synced);
  CHECK_FALSE(rows[1].this_boot);
  REQUIRE(rows[1].wall);
  CHECK(*rows[1].wall == known);
  CHECK_FALSE(rows[1].clock_synced);
}

TEST_CASE("a second process is kept out of the spool") {
  SpoolRig rig;
  Spool spool = rig.open();
  auto second = Spool::open(rig.settings, "gw1", rig.clock, "boot-1", rig.events);
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().code() == base::ErrorCode::unavailable);
}

TEST_CASE("wall times are filled in and estimated a few rows at a time") {
  SpoolRig rig;
  const base::WallTime now = rig.clock.wall_now();
  constexpr int kRows = 3000;
  rig.clock.set_wall(base::WallTime{seconds{1000}});
  rig.clock.set_synchronised(false);
  {
    Spool spool = rig.open();
    for (int i = 0; i < kRows; ++i) spool.append(test::state_message(rig.clock.now(), 1000));
    spool.commit();
    const auto known = [&] {
      const auto rows = spool.next_backlog(0, kRows, 1u << 30);
      return std::count_if(rows.begin(), rows.end(), [](const auto& row) { return row.wall.has_value(); });
    };
    CHECK(known() == 0);
    rig.clock.set_wall(now);
    rig.clock.set_synchronised(true);
    spool.maintain();
    CHECK(known() > 0);
    CHECK(known() <= 500);
    for (int i = 0; i < 10; ++i) spool.maintain();
    CHECK(known() == kRows);
    rig.clock.set_wall(base::WallTime{seconds{1000}});
    rig.clock.set_synchronised(false);
    for (int i = 0; i < kRows; ++i) spool.append(test::state_message(rig.clock.now(), 1000));
  }
  rig.clock.set_wall(now + seconds{60});
  Spool spool = rig.open("boot-2");
  CHECK(std::filesystem::file_size(rig.folder.file("spool.db-wal")) < 1u << 20);
  for (int i = 0; i < 3; ++i) {
    const auto rows = spool.next_backlog(0, 2 * kRows, 1u << 30);
    REQUIRE(rows.size() == 2 * kRows);
    for (const auto& row : rows) REQUIRE(row.wall);
    for (int j = 0; j < 10; ++j) spool.maintain();
  }
}

TEST_CASE("an epoch begins on an open spool as it would on one opened anew, and rows keep theirs") {
  SpoolRig rig;
  std::uint64_t first = 0, second = 0;
  {
    Spool spool = rig.open();
    first = spool.epoch();
    for (int i = 0; i < 3; ++i) static_cast<void>(spool.append(test::state_message(rig.clock.now())));
    REQUIRE(spool.begin_epoch().ok());
    second = spool.epoch();
    CHECK(second > first);
    REQUIRE(spool.previous() != nullptr);
    CHECK(spool.previous()->epoch == first);
    CHECK(spool.previous()->last == std::map<std::string, std::uint64_t>{{test::state_message({}).stream, 3}});
    CHECK(spool.append(test::state_message(rig.clock.now())).seq == 1);
    const auto rows = spool.next_backlog(0, 100);
    REQUIRE(rows.size() == 4);
    CHECK(rows[2].epoch == first);
    CHECK(rows[2].seq == 3);
    CHECK(rows[3].epoch == second);
  }
  Spool again = rig.open();
  CHECK(again.epoch() > second);
  REQUIRE(again.previous() != nullptr);
  CHECK(again.previous()->epoch == second);
  CHECK(again.next_backlog(0, 100).size() == 4);
}

TEST_CASE("the limits of an open spool can be changed, and what is beyond them goes at once and is told") {
  SpoolRig rig;
  rig.settings.max_bytes = 1 << 20;
  Spool spool = rig.open();
  for (int i = 0; i < 3000; ++i) static_cast<void>(spool.append(test::state_message(rig.clock.now())));
  spool.commit();
  REQUIRE(spool.figures().bytes > (128 << 10));
  SpoolSettings smaller = rig.settings;
  smaller.max_bytes = 128 << 10;
  smaller.directory = "elsewhere";  // does not move
  spool.set_limits(smaller);
  CHECK(spool.figures().bytes <= (128 << 10));
  CHECK(spool.figures().dropped_total > 0);
  const auto lost = told(spool.take_own_messages(), "size");
  REQUIRE(lost.size() == 1);
  CHECK(lost.begin()->second.size() == spool.figures().dropped_total);
}
