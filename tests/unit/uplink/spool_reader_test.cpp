#include "uplink/spool_reader.hpp"

#include <nlohmann/json.hpp>
#include <set>

#include "spool_rig.hpp"

using namespace twinkeeper;
using namespace twinkeeper::uplink;
using std::chrono::seconds;

namespace {

struct SpoolReaderRig : test::SpoolRig {
  SpoolReader look() {
    auto reader = SpoolReader::open(folder.path(), "boot-1");
    REQUIRE(reader.ok());
    return std::move(reader).value();
  }
  SpoolStatus status() {
    auto status = look().status();
    REQUIRE(status.ok());
    return status.value();
  }
};

}  // namespace

TEST_CASE("what waits is counted beside the spool that owns it without pinning its log") {
  SpoolReaderRig rig;
  Spool spool = rig.open();
  SpoolReader reader = rig.look();
  std::uintmax_t longest = 0;
  std::int64_t after = 0;
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 20'000; ++i) {
    spool.append(test::state_message(rig.clock.now(), 500));
    if (i % 100 == 99) {
      spool.commit();
      auto rows = reader.messages(after, 1000);
      REQUIRE(rows.ok());
      for (const auto& row : rows.value()) seen.insert(row.seq);
      longest = std::max(longest, std::filesystem::file_size(rig.folder.file("spool.db-wal")));
    }
  }
  CHECK(seen.size() == 20'000);
  CHECK(longest < 3u << 20);
  spool.append(test::anomaly_message(rig.clock.now()));
  spool.commit();
  const auto status = reader.status();
  REQUIRE(status.ok());
  REQUIRE(status.value().streams.size() == 2);
  CHECK(status.value().streams[0].stream == "twins.tanks.anomaly");  // what goes first
  CHECK(status.value().streams[1].messages == 20'000);
  CHECK(status.value().streams[0].bytes + status.value().streams[1].bytes == spool.figures().bytes);
  CHECK(status.value().epoch == spool.epoch());
  CHECK(status.value().streams[1].oldest == rig.clock.wall_now());
}

TEST_CASE("a purge takes what it is told to and tells it while gaps and rows on their way stay") {
  SpoolReaderRig rig;
  Spool spool = rig.open();
  for (int i = 0; i < 1500; ++i) {
    spool.append(test::state_message(rig.clock.now(), 20, "twins.a.state"));
    spool.append(test::state_message(rig.clock.now(), 20, "twins.b.state"));
  }
  const auto held = spool.append(test::state_message(rig.clock.now(), 20, "twins.a.state"));
  spool.hold(held.row);
  spool.append({"gap", "twinkeeper.gap/1", signals::MessageClass::gap, rig.clock.now(), false, "\"reason\":\"size\""});
  spool.refuse(spool.append(test::anomaly_message(rig.clock.now())), "not authorized");
  auto purged = spool.purge({.stream = "twins.a.state", .messages = true, .dead = false});
  REQUIRE(purged.ok());
  CHECK(purged.value().messages == 1500);
  auto status = rig.status();
  REQUIRE(status.streams.size() == 3);
  CHECK(status.streams[1].messages + status.streams[2].messages == 1501);
  REQUIRE(status.dead.size() == 1);
  CHECK(status.dead[0].reason == "not authorized");
  purged = spool.purge({.stream = {}, .messages = true, .dead = true});
  REQUIRE(purged.ok());
  CHECK(purged.value().messages == 1500);
  CHECK(purged.value().dead == 1);
  status = rig.status();
  CHECK(status.dead.empty());
  REQUIRE(status.streams.size() == 2);
  CHECK(status.streams[0].stream == "gap");
  std::map<std::string, std::uint64_t> told;
  for (const auto& gap : spool.take_own_messages()) {
    const auto document = nlohmann::json::parse("{" + gap.message.members + "}");
    if (document["reason"] == "purged")
      told[document["stream"].get<std::string>()] += document["count"].get<std::uint64_t>();
  }
  CHECK(told == std::map<std::string, std::uint64_t>{{"twins.a.state", 1500}, {"twins.b.state", 1500}});
}

TEST_CASE("a purge can be done piece by piece") {
  SpoolReaderRig rig;
  Spool spool = rig.open();
  for (int i = 0; i < 3000; ++i) spool.append(test::state_message(rig.clock.now()));
  uplink::PurgeFilter filter{.stream = {}, .messages = true, .dead = true};
  filter.most = 1000;
  std::uint64_t purged = 0;
  int pieces = 0;
  for (bool more = true; more; ++pieces) {
    const auto piece = spool.purge(filter);
    REQUIRE(piece.ok());
    CHECK(piece.value().messages < 1500);
    purged += piece.value().messages;
    more = piece.value().ended_at.has_value();
    filter.after = piece.value().ended_at.value_or(0);
    spool.append(test::anomaly_message(rig.clock.now()));  // life goes on
  }
  CHECK(purged >= 3000);
  CHECK(pieces >= 3);
  CHECK(spool.figures().messages <= static_cast<std::uint64_t>(pieces) + 1);
}

TEST_CASE("a tool that purges begins no epoch and leaves a damaged file where it is") {
  SpoolReaderRig rig;
  std::uint64_t epoch = 0;
  {
    Spool spool = rig.open();
    epoch = spool.epoch();
    for (int i = 0; i < 10; ++i) spool.append(test::state_message(rig.clock.now()));
    spool.commit();
    auto second = Spool::open_for_maintenance(rig.settings, "gw1", rig.clock, "boot-1", rig.events);
    REQUIRE_FALSE(second.ok());
    CHECK(second.error().code() == base::ErrorCode::unavailable);
  }
  {
    auto tool = Spool::open_for_maintenance(rig.settings, "gw1", rig.clock, "boot-1", rig.events);
    REQUIRE(tool.ok());
    CHECK(tool.value().purge({}).value().messages == 10);
  }
  CHECK(rig.status().epoch == epoch);
  {
    Spool spool = rig.open();
    REQUIRE(spool.previous() != nullptr);
    CHECK(spool.previous()->epoch == epoch);
    CHECK(spool.previous()->last.at("twins.tanks.state") == 10);
    CHECK(spool.take_own_messages().size() == 1);
  }
  std::filesystem::resize_file(rig.folder.file("spool.db"), 5000);
  CHECK_FALSE(Spool::open_for_maintenance(rig.settings, "gw1", rig.clock, "boot-1", rig.events).ok());
  CHECK(std::filesystem::file_size(rig.folder.file("spool.db")) >= 5000);
  CHECK(rig.events.events().empty());
}

TEST_CASE("what was set aside is bounded in number and in bytes and the newest are kept") {
  const std::size_t bytes = GENERATE(100, 50'000);
  SpoolReaderRig rig;
  Spool spool = rig.open();
  for (int i = 0; i < 500; ++i) {
    spool.refuse(spool.append(test::state_message(rig.clock.now(), bytes)), "not authorized");
    if (i % 20 == 0) spool.commit();
  }
  spool.commit();
  auto rows = rig.look().dead(0, 1000);
  REQUIRE(rows.ok());
  const std::size_t kept = rows.value().size();
  CHECK(kept <= 200);
  CHECK(kept * bytes <= 4u << 20);
  CHECK(kept >= (bytes == 100 ? 200u : 80u));
  CHECK(rows.value().back().message.seq == 500);
  REQUIRE(spool.dead().size() == 1);
  CHECK(spool.dead()[0].count == kept);
}

TEST_CASE("a spool of the version before is brought up to date with what it holds") {
  SpoolReaderRig rig;
  {
    Spool spool = rig.open();
    for (int i = 0; i < 3; ++i) spool.append(test::state_message(rig.clock.now()));
    spool.skip("twins.tanks.state", 2, rig.clock.now(), rig.clock.now());
  }
  rig.make_database_older();
  CHECK_FALSE(SpoolReader::open(rig.folder.path(), "boot-1").ok());
  Spool spool = rig.open();
  CHECK(spool.next_backlog(0, 100).size() == 3);
  CHECK(spool.take_own_messages().size() == 1);
  CHECK(rig.events.events().empty());
}
