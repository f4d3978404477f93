#include "uplink/spool_backup.hpp"

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "base/durable_file.hpp"
#include "spool_rig.hpp"
#include "uplink/spool_files.hpp"
#include "uplink/spool_reader.hpp"

using namespace twinkeeper;
using namespace twinkeeper::uplink;
using std::chrono::seconds;

namespace {

constexpr const char* kStateStream = "twins.tanks.state";

struct SpoolBackupRig : test::SpoolRig {
  void fill(Spool& spool, int rows) {
    for (int i = 0; i < rows; ++i) spool.append(test::state_message(clock.now()));
    spool.commit();
  }
  [[nodiscard]] std::string copy() const { return elsewhere.file("spool.db"); }
  [[nodiscard]] std::string text(const std::string& name) const {
    std::ifstream file(folder.file(name), std::ios::binary);
    std::ostringstream out;
    out << file.rdbuf();
    return out.str();
  }
  // As `restore` does it.
  std::uint64_t put_copy_in_place(std::uint64_t known) {
    const auto told = tell_what_is_replaced(copy(), settings);
    REQUIRE(told.ok());
    REQUIRE(raise_epoch(folder.path(), known, clock.wall_now()).ok());
    REQUIRE(put_in_place(copy(), folder.path()).ok());
    return told.value();
  }

  test::TemporaryFolder elsewhere;
};

using Identities = std::map<std::uint64_t, std::set<std::uint64_t>>;  // epoch → sequence numbers

Identities waiting_states(Spool& spool) {
  Identities found;
  for (const auto& row : spool.next_backlog(0, 10'000, 1u << 30)) {
    if (row.message.stream == kStateStream) found[row.epoch].insert(row.seq);
  }
  return found;
}

Identities told_as_purged(Spool& spool) {
  Identities lost;
  for (const auto& message : spool.take_own_messages()) {
    const auto gap = nlohmann::json::parse("{" + message.message.members + "}");
    CHECK(gap["reason"] == "purged");
    CHECK(gap["stream"] == kStateStream);
    const auto number = [&](const char* name) { return gap[name].get<std::uint64_t>(); };
    for (std::uint64_t seq = number("first_seq"); seq <= number("last_seq"); ++seq) lost[number("epoch")].insert(seq);
  }
  return lost;
}

std::set<std::uint64_t> range(std::uint64_t first, std::uint64_t last) {
  std::set<std::uint64_t> all;
  for (std::uint64_t seq = first; seq <= last; ++seq) all.insert(all.end(), seq);
  return all;
}

}  // namespace

TEST_CASE("a copy of a spool that is written to is what was committed, whole, and a file by itself") {
  SpoolBackupRig rig;
  CHECK(copy_spool(rig.folder.path(), rig.copy()).error().code() == base::ErrorCode::not_found);
  Spool spool = rig.open();
  rig.fill(spool, 3000);
  spool.append(test::state_message(rig.clock.now()));  // not committed
  const auto made = copy_spool(rig.folder.path(), rig.copy());
  REQUIRE(made.ok());
  CHECK(made.value().epoch == spool.epoch());
  CHECK(made.value().messages == 3000);
  CHECK_FALSE(copy_spool(rig.folder.path(), rig.copy()).ok());  // never over another
  rig.fill(spool, 10);
  CHECK(spool.next_backlog(0, 10'000, 1u << 30).size() == 3011);
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(rig.elsewhere.path())) ++files;
  CHECK(files == 1);
  auto reader = SpoolReader::open(rig.elsewhere.path(), "boot-1");
  REQUIRE(reader.ok());
  const auto status = reader.value().status();
  REQUIRE(status.ok());
  REQUIRE(status.value().streams.size() == 1);
  CHECK(status.value().streams[0].messages == 3000);
}

TEST_CASE("a spool that a copy of it replaces loses nothing untold and uses no number twice") {
  SpoolBackupRig rig;
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  {
    Spool spool = rig.open();
    first = spool.epoch();
    rig.fill(spool, 5);
    REQUIRE(copy_spool(rig.folder.path(), rig.copy()).ok());
    std::vector<std::int64_t> rows;
    for (const auto& row : spool.next_backlog(0, 2)) rows.push_back(row.row);
    spool.acknowledge(rows);  // delivered after the copy: these will come twice
    rig.fill(spool, 5);
  }
  rig.clock.advance(seconds{10});
  {
    Spool spool = rig.open();
    second = spool.epoch();
    rig.fill(spool, 3);
  }
  CHECK(rig.put_copy_in_place(first) == 8);
  rig.clock.advance(seconds{10});
  Spool spool = rig.open();
  CHECK(spool.epoch() > second);
  CHECK(waiting_states(spool) == Identities{{first, range(1, 5)}});
  CHECK(told_as_purged(spool) == Identities{{first, range(6, 10)}, {second, range(1, 3)}});
  const auto fresh = spool.append(test::state_message(rig.clock.now()));
  CHECK(fresh.epoch == spool.epoch());
  CHECK(fresh.seq == 1);
}

TEST_CASE("a gap that waited in the spool that is replaced is told all the same") {
  SpoolBackupRig rig;
  std::uint64_t epoch = 0;
  {
    Spool spool = rig.open();
    epoch = spool.epoch();
    rig.fill(spool, 4);
    REQUIRE(copy_spool(rig.folder.path(), rig.copy()).ok());
    PurgeFilter filter;
    filter.stream = kStateStream;
    REQUIRE(spool.purge(filter).ok());
    spool.commit();
  }
  CHECK(rig.put_copy_in_place(epoch) == 0);
  Spool spool = rig.open();
  CHECK(told_as_purged(spool) == Identities{{epoch, range(1, 4)}});
}

TEST_CASE("where the clock does not tell, an epoch is begun that nobody can have reached") {
  SpoolBackupRig rig;
  const std::uint64_t before = rig.open().epoch();
  const auto next_after = [&](std::uint64_t known) {
    REQUIRE(raise_epoch(rig.folder.path(), known, rig.clock.wall_now()).ok());
    return rig.open().epoch();
  };
  rig.clock.advance(seconds{100});
  const std::uint64_t by_clock = next_after(before);
  CHECK(by_clock > before);
  CHECK(by_clock < before + 1000);
  const std::uint64_t ahead = next_after(by_clock + 5000);  // of a gateway whose clock was ahead
  CHECK(ahead > by_clock + 1'000'000);
  rig.clock.set_wall(base::WallTime{seconds{100}});
  CHECK(next_after(before) > ahead + 1'000'000);
}

TEST_CASE("the epoch outlives the spool") {
  SpoolBackupRig rig;
  rig.clock.set_wall(base::WallTime{seconds{100}});
  const std::uint64_t before = rig.open().epoch();
  std::filesystem::remove(rig.folder.file("spool.epoch"));
  REQUIRE(keep_epoch(rig.folder.path()).ok());
  std::filesystem::remove(rig.folder.file("spool.db"));
  CHECK(rig.open().epoch() > before);
}

TEST_CASE("a new spool in the place of another tells what waited there as purged, in a later epoch") {
  SpoolBackupRig rig;
  std::uint64_t epoch = 0;
  {
    Spool spool = rig.open();
    epoch = spool.epoch();
    rig.fill(spool, 4);
  }
  const std::string fresh = rig.folder.file("spool.db.new");
  const auto told = tell_what_is_replaced(fresh, rig.settings);
  REQUIRE(told.ok());
  CHECK(told.value() == 4);
  REQUIRE(keep_epoch(rig.folder.path()).ok());
  REQUIRE(put_in_place(fresh, rig.folder.path()).ok());
  CHECK_FALSE(std::filesystem::exists(fresh));
  CHECK_FALSE(std::filesystem::exists(rig.folder.file("spool.db-wal")));
  Spool spool = rig.open();
  CHECK(spool.epoch() > epoch);
  CHECK(waiting_states(spool).empty());
  CHECK(told_as_purged(spool) == Identities{{epoch, range(1, 4)}});
}

TEST_CASE("a spool of a newer version is refused and stays as it is") {
  SpoolBackupRig rig;
  {
    Spool spool = rig.open();
    rig.fill(spool, 5);
  }
  rig.change_database({"PRAGMA user_version=3", "ALTER TABLE message ADD COLUMN what_is_new INTEGER"});
  const std::string before = rig.text("spool.db");
  const std::string epoch = rig.text("spool.epoch");
  for (const bool maintenance : {false, true}) {
    const auto opened = maintenance ? Spool::open_for_maintenance(rig.settings, "gw1", rig.clock, "boot-1", rig.events)
                                    : Spool::open(rig.settings, "gw1", rig.clock, "boot-1", rig.events);
    REQUIRE_FALSE(opened.ok());
    CHECK(opened.error().code() == base::ErrorCode::newer_version);
    CHECK(opened.error().message().find("is of version 3, which a newer twinkeeper has written") != std::string::npos);
  }
  CHECK(SpoolReader::open(rig.folder.path(), "boot-1").error().code() == base::ErrorCode::newer_version);
  CHECK(rig.text("spool.db") == before);
  CHECK(rig.text("spool.epoch") == epoch);
  CHECK(rig.events.events().empty());
  rig.change_database({"PRAGMA user_version=2", "ALTER TABLE message DROP COLUMN what_is_new"});
  Spool spool = rig.open();
  CHECK(waiting_states(spool).begin()->second == range(1, 5));
}

TEST_CASE("a version that was never given is damage") {
  SpoolBackupRig rig;
  rig.open();
  rig.change_database({"PRAGMA user_version=1953719668"});
  Spool spool = rig.open();
  CHECK(rig.events.count("corrupt") == 1);
}
