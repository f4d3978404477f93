// Disks that fail under a running spool: SQLite's writes and everybody's fdatasync can be told to fail.
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <set>

#include "spool_rig.hpp"

using namespace twinkeeper;
using namespace twinkeeper::uplink;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

struct Disk {
  int write_error = 0;  // errno, 0: well
  int sync_error = 0;
  std::optional<int> writes_left{};  // then EIO
  std::optional<off_t> ends_at{};    // of each file: what would reach beyond gets ENOSPC
  bool no_new_files = false;
  std::string quota_taken_by{};  // EDQUOT while this file is there
};
Disk disk;

int failing_open(const char* path, int flags, int mode) {
  if (!disk.no_new_files || (flags & O_CREAT) == 0 || ::access(path, F_OK) == 0) return ::open(path, flags, mode);
  errno = ENOSPC;
  return -1;
}

ssize_t failing_pwrite(int file, const void* bytes, size_t count, off_t offset) {
  if (disk.writes_left && (*disk.writes_left)-- <= 0) {
    errno = EIO;
    return -1;
  }
  if (!disk.quota_taken_by.empty() && ::access(disk.quota_taken_by.c_str(), F_OK) == 0) {
    errno = EDQUOT;
    return -1;
  }
  if (disk.ends_at && offset + static_cast<off_t>(count) > *disk.ends_at) {
    errno = ENOSPC;
    return -1;
  }
  if (disk.write_error == 0) return ::pwrite(file, bytes, count, offset);
  errno = disk.write_error;
  return -1;
}

}  // namespace

// In the place of the C library's.
extern "C" int fdatasync(int file) {
  if (disk.sync_error == 0) return static_cast<int>(::syscall(SYS_fdatasync, file));
  errno = disk.sync_error;
  return -1;
}

namespace {

struct DiskFaultRig : test::SpoolRig {
  std::optional<Spool> spool;

  DiskFaultRig() {
    disk = {};
    sqlite3_vfs* vfs = sqlite3_vfs_find(nullptr);
    for (const char* name : {"pwrite", "pwrite64"}) {
      vfs->xSetSystemCall(vfs, name, reinterpret_cast<sqlite3_syscall_ptr>(failing_pwrite));
    }
    vfs->xSetSystemCall(vfs, "open", reinterpret_cast<sqlite3_syscall_ptr>(failing_open));
    open();
  }
  ~DiskFaultRig() {
    disk = {};
    spool.reset();
    sqlite3_vfs* vfs = sqlite3_vfs_find(nullptr);
    vfs->xSetSystemCall(vfs, nullptr, nullptr);
  }
  void open() {
    spool.reset();
    spool.emplace(SpoolRig::open());
  }
  // What a power cut now would leave.
  Spool open_as_it_is_on_disk(const test::TemporaryFolder& copy) {
    for (const char* name : {"spool.db", "spool.db-wal"}) {
      std::filesystem::copy_file(folder.file(name), copy.file(name));
    }
    disk = {};
    SpoolSettings there;
    there.directory = copy.path();
    auto opened = Spool::open(there, "gw1", clock, "boot-1", events);
    REQUIRE(opened.ok());
    return std::move(opened).value();
  }
  void produce(int count, std::size_t bytes = 200) {
    for (int i = 0; i < count; ++i) {
      spool->append(test::state_message(clock.now(), bytes));
      clock.advance(milliseconds{50});
      spool->commit_if_due();
      spool->maintain();
    }
  }
  // By epoch and sequence number.
  std::map<std::pair<std::uint64_t, std::uint64_t>, int> stored_and_told() {
    std::map<std::pair<std::uint64_t, std::uint64_t>, int> found;
    for (const auto& row : spool->next_backlog(0, 1u << 20, 1u << 30)) {
      if (row.message.message_class == signals::MessageClass::state) ++found[{row.epoch, row.seq}];
    }
    for (const auto& gap : spool->take_own_messages()) hear(gap, found);
    for (const auto& row : spool->next_backlog(0, 1u << 20, 1u << 30, Lane::urgent)) hear(row, found);
    return found;
  }
  void hear(const StoredMessage& gap, std::map<std::pair<std::uint64_t, std::uint64_t>, int>& found) {
    if (gap.message.stream != "gap" || !heard.insert(gap.row).second) return;
    const auto told = nlohmann::json::parse("{" + gap.message.members + "}");
    for (auto seq = told["first_seq"].get<std::uint64_t>(); seq <= told["last_seq"]; ++seq) {
      ++found[{told["epoch"].get<std::uint64_t>(), seq}];
    }
  }
  std::set<std::int64_t> heard;
};

Disk failing(const std::string& fault) {
  if (fault == "fdatasync fails") return {.sync_error = EIO};
  if (fault == "writing fails") return {.write_error = EIO};
  return {.write_error = EROFS, .sync_error = EROFS};  // a file system that the kernel has made read-only
}

}  // namespace

TEST_CASE("a disk that takes nothing for a while is told once and costs nothing") {
  const std::string fault = GENERATE("fdatasync fails", "writing fails", "read-only");
  CAPTURE(fault);
  DiskFaultRig rig;
  const std::uint64_t epoch = rig.spool->epoch();
  rig.produce(200);
  disk = failing(fault);
  rig.produce(2000);  // a hundred seconds
  CHECK(rig.events.count("spool_unwritable") == 1);
  CHECK_FALSE(rig.spool->figures().trouble.empty());
  CHECK(rig.events.events().size() == 1);
  CHECK(rig.spool->next_backlog(0, 1u << 20, 1u << 30).size() == 2200);
  disk = {};
  rig.produce(100);
  CHECK(rig.spool->figures().trouble.empty());
  CHECK(rig.events.count("spool_recovered") == 1);
  CHECK(rig.spool->epoch() == epoch);
  rig.open();
  CHECK(rig.spool->next_backlog(0, 1u << 20, 1u << 30).size() == 2300);
  CHECK(rig.spool->figures().dropped_total == 0);
  CHECK(rig.events.count("corrupt") == 0);
}

TEST_CASE("while a disk takes nothing the memory for messages is bounded and what falls out is told") {
  DiskFaultRig rig;
  disk = failing("fdatasync fails");
  rig.produce(5000, 2000);
  const auto rows = rig.spool->next_backlog(0, 1u << 20, 1u << 30);
  CHECK(rows.size() * 2000 < 4u << 20);
  CHECK(rows.size() * 2400 > 3u << 20);
  CHECK(rows.back().seq == 5000);
  disk = {};
  rig.produce(10);
  const auto found = rig.stored_and_told();
  CHECK(found.size() == 5010);
  for (const auto& [identity, times] : found) CHECK(times == 1);
}

TEST_CASE("a disk that fails and recovers at random neither loses nor doubles a message without saying so") {
  const unsigned seed = GENERATE(range(0u, 10u));
  CAPTURE(seed);
  std::mt19937_64 engine(seed);
  DiskFaultRig rig;
  rig.settings.max_bytes = 1 << 20;
  rig.open();
  std::map<std::pair<std::uint64_t, std::uint64_t>, int> made;
  std::set<std::pair<std::uint64_t, std::uint64_t>> acknowledged;
  for (int step = 0; step < 3000; ++step) {
    if (engine() % 40 == 0) disk.write_error = engine() % 2 == 0 ? 0 : (engine() % 2 == 0 ? EIO : ENOSPC);
    if (engine() % 40 == 0) disk.sync_error = engine() % 2 == 0 ? 0 : EIO;
    const auto stored = rig.spool->append(test::state_message(rig.clock.now(), engine() % 1500));
    made[{stored.epoch, stored.seq}] = 1;
    if (engine() % 10 == 0) {
      for (const auto& row : rig.spool->next_backlog(0, engine() % 8)) {
        if (row.message.message_class != signals::MessageClass::state) continue;
        rig.spool->acknowledge({row.row});
        acknowledged.emplace(row.epoch, row.seq);
      }
    }
    rig.clock.advance(milliseconds{static_cast<int>(engine() % 200)});
    rig.spool->commit_if_due();
    rig.spool->maintain();
  }
  disk = {};
  rig.produce(20);
  for (std::uint64_t seq = 1; seq <= 20; ++seq) {
    const auto last = made.rbegin()->first;
    made[{last.first, last.second + 1}] = 1;
  }
  auto found = rig.stored_and_told();
  for (const auto& identity : acknowledged) ++found[identity];
  CHECK(found == made);
  CHECK(rig.events.count("corrupt") == 0);
  rig.open();
  std::size_t stored = 0;
  for (const auto& row : rig.spool->next_backlog(0, 1u << 20, 1u << 30)) {
    stored += row.message.message_class == signals::MessageClass::state ? 1 : 0;
  }
  CHECK(stored > 0);
}

TEST_CASE("a file that opens at run time leaves no commit that is due for ever") {
  DiskFaultRig rig;
  rig.spool.reset();
  disk = failing("writing fails");
  rig.settings.commit_interval = seconds{5};
  rig.open();
  rig.spool->append(test::state_message(rig.clock.now()));
  disk = {};
  rig.clock.advance(seconds{11});
  rig.spool->maintain();
  REQUIRE(rig.events.count("spool_recovered") == 1);
  rig.spool->commit_if_due();
  rig.clock.advance(seconds{50});
  rig.spool->commit_if_due();
  const auto due = rig.spool->commit_due();
  CHECK((!due || *due > rig.clock.now()));
}

TEST_CASE("starts without a file that can be written never use a row number twice") {
  DiskFaultRig rig;
  for (int start = 0; start < 3; ++start) {
    rig.spool.reset();
    disk = failing("writing fails");
    rig.open();
    for (int i = 0; i < 3; ++i) rig.spool->append(test::state_message(rig.clock.now()));
    disk = {};
    rig.clock.advance(seconds{11});
    rig.spool->maintain();
    rig.spool->append(test::state_message(rig.clock.now()));
    rig.spool->commit();
  }
  CHECK(rig.events.count("corrupt") == 0);
  CHECK(rig.spool->next_backlog(0, 100).size() == 12);
  CHECK(rig.spool->figures().messages == 12);
}

TEST_CASE("bringing a spool of the version before up to date can be cut off anywhere") {
  for (int writes = 0; writes < 40; ++writes) {
    CAPTURE(writes);
    DiskFaultRig rig;
    for (int i = 0; i < 3; ++i) rig.spool->append(test::state_message(rig.clock.now()));
    rig.spool.reset();
    rig.make_database_older();
    disk.writes_left = writes;
    rig.open();
    rig.spool.reset();
    disk = {};
    rig.open();
    REQUIRE(rig.events.count("corrupt") == 0);
    REQUIRE(rig.spool->next_backlog(0, 100).size() == 3);
  }
}

TEST_CASE("a power cut while gaps become messages loses none of them") {
  const bool full = GENERATE(false, true);  // rows make way for the messages, or fill more than one transaction
  const std::set<std::string> streams{"twins.a.state", "twins.b.state", "twins.c.state", "twins.d.state"};
  bool cut = true;
  for (int writes = 0; cut; writes += full ? 2 : 20) {
    CAPTURE(full, writes);
    DiskFaultRig rig;
    rig.settings.max_bytes = 1 << 20;
    rig.open();
    const auto fill = [&] {
      while (rig.spool->figures().bytes + 1500 < (full ? 1u << 20 : 900u << 10)) {
        rig.spool->append(test::state_message(rig.clock.now(), 1000));
      }
    };
    if (full) fill();
    for (const std::string& stream : streams) rig.spool->skip(stream, 2, rig.clock.now(), rig.clock.now());
    rig.spool->commit();
    if (!full) fill();
    if (full) rig.spool->append(test::state_message(rig.clock.now(), 1000));
    disk.writes_left = writes;
    static_cast<void>(rig.spool->take_own_messages());
    cut = !rig.spool->figures().trouble.empty();
    test::TemporaryFolder copy;
    Spool spool = rig.open_as_it_is_on_disk(copy);
    std::set<std::string> told;
    const auto hear = [&](const std::vector<StoredMessage>& messages) {
      for (const auto& message : messages) {
        const auto gap = nlohmann::json::parse("{" + message.message.members + "}");
        if (gap["reason"] != "overrun") continue;
        CHECK(gap["count"] == 2);
        told.insert(gap["stream"].get<std::string>());
      }
    };
    hear(spool.next_backlog(0, 1000, 1u << 20, Lane::urgent));
    hear(spool.take_own_messages());
    CHECK(told == streams);
  }
}

TEST_CASE("a commit of several transactions that is cut off tells no number as stored that is not") {
  bool cut = true;
  for (int writes = 0; cut; writes += 150) {
    CAPTURE(writes);
    DiskFaultRig rig;
    disk = failing("fdatasync fails");
    for (int i = 0; i < 1000; ++i) rig.spool->append(test::state_message(rig.clock.now(), 1500));
    disk = {.writes_left = writes};
    rig.spool->commit();
    cut = !rig.spool->figures().trouble.empty();
    test::TemporaryFolder copy;
    Spool spool = rig.open_as_it_is_on_disk(copy);
    std::uint64_t last = 0;
    for (const auto& [stream, seq] : spool.previous()->last) last = seq;
    CHECK(last <= spool.next_backlog(0, 1u << 20, 1u << 30).size());
    CHECK((cut || last == 1000));
  }
}

TEST_CASE("what a full disk has no room for at a stop is told at the next start") {
  DiskFaultRig rig;
  const bool in_flight = GENERATE(false, true);
  CAPTURE(in_flight);
  rig.produce(20);
  disk.ends_at = 256 << 10;
  for (int i = 0; i < 1000; ++i) {
    const auto stored = rig.spool->append(test::state_message(rig.clock.now(), 1500));
    if (in_flight) rig.spool->hold(stored.row);
  }
  rig.open();
  CHECK(rig.spool->previous()->last.begin()->second == 1020);
  disk = {};
  const auto found = rig.stored_and_told();
  CHECK(found.size() == 1020);
  for (const auto& [identity, times] : found) CHECK(times == 1);
}

TEST_CASE("a start on a disk that has no room for another file leaves the spool where it is") {
  DiskFaultRig rig;
  for (int i = 0; i < 3; ++i) rig.spool->append(test::state_message(rig.clock.now()));
  rig.spool.reset();
  disk.no_new_files = true;
  rig.open();
  CHECK(rig.events.count("corrupt") == 0);
  CHECK(rig.events.count("spool_unwritable") == 1);
  rig.spool->append(test::state_message(rig.clock.now()));
  disk = {};
  rig.clock.advance(seconds{11});
  rig.spool->maintain();
  CHECK(rig.events.count("spool_recovered") == 1);
  CHECK(rig.spool->next_backlog(0, 100).size() == 4);
}

TEST_CASE("where a quota is used up the reserve is given up as on a full disk") {
  DiskFaultRig rig;
  rig.produce(100);
  disk.quota_taken_by = rig.folder.file("spool.reserve");
  REQUIRE(std::filesystem::exists(disk.quota_taken_by));
  rig.produce(200);
  CHECK_FALSE(std::filesystem::exists(disk.quota_taken_by));
  CHECK(rig.events.count("disk_full") == 1);
  CHECK(rig.events.count("spool_unwritable") == 0);
  CHECK(rig.spool->next_backlog(0, 1000).back().seq == 300);
  disk = {};
  const auto found = rig.stored_and_told();
  CHECK(found.size() == 300);
  for (const auto& [identity, times] : found) CHECK(times == 1);
}
