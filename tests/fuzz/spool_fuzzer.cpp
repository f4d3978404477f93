// A spool whose file is not what was written: rows, notes and bytes of it changed at will. Whatever it says, the spool opens
// or begins a new one, gives back nothing but what was stored, takes new messages, and can be looked into.
//
// Input   policy (1), then changes: kind (1) | a value in a table: table, column, row (1 each), value | bytes of the file:
//         where (2), what (1) | the end of the file: where (2)
#include <sqlite3.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "fuzz_input.hpp"
#include "support/uplink_parts.hpp"
#include "uplink/outgoing.hpp"
#include "uplink/spool_reader.hpp"

namespace {

using namespace twinkeeper;
using namespace twinkeeper::uplink;
using fuzz::demand;

struct Column {
  const char* table;
  const char* name;
};
constexpr std::array kColumns{Column{"message", "row"},     Column{"message", "worth"},
                              Column{"message", "class"},   Column{"message", "epoch"},
                              Column{"message", "seq"},     Column{"message", "monotonic_ns"},
                              Column{"message", "wall_ns"}, Column{"message", "clock_synced"},
                              Column{"message", "boot"},    Column{"message", "stream"},
                              Column{"message", "schema"},  Column{"message", "crc"},
                              Column{"message", "body"},    Column{"name", "number"},
                              Column{"name", "text"},       Column{"last", "seq"},
                              Column{"last", "epoch"},      Column{"gap", "first_seq"},
                              Column{"gap", "last_seq"},    Column{"gap", "count"},
                              Column{"gap", "reason"},      Column{"gap", "stride"},
                              Column{"gap", "first_time"},  Column{"gap", "stream"},
                              Column{"dead", "number"},     Column{"dead", "body"},
                              Column{"dead", "at_ns"},      Column{"meta", "value"}};
constexpr std::array<std::int64_t, 8> kNumbers{0,         1,        -1, 5, std::int64_t{1} << 53, std::int64_t{1} << 62,
                                               INT64_MAX, INT64_MIN};

std::filesystem::path make_folder(const char* name) {
  const std::filesystem::path shared = "/dev/shm";
  const auto base = std::filesystem::exists(shared) ? shared : std::filesystem::temp_directory_path();
  auto folder = base / ("twinkeeper-fuzz-" + std::to_string(::getpid()) + name);
  std::filesystem::create_directories(folder);
  return folder;
}

SpoolSettings settings_in(const std::filesystem::path& folder, DiscardPolicy policy) {
  SpoolSettings settings;
  settings.directory = folder;
  settings.max_bytes = 64 << 10;
  settings.discard_policy = policy;
  return settings;
}

// A spool with some of everything, made once.
struct Pattern {
  std::filesystem::path folder = make_folder("-pattern");
  std::set<std::string> bodies;

  Pattern() {
    test::StandingClock clock;
    test::RememberingSink events;
    auto spool = Spool::open(settings_in(folder, DiscardPolicy::oldest), "gw1", clock, "boot-1", events);
    for (int i = 0; i < 40; ++i) {
      auto message = i % 5 == 0 ? test::anomaly_message(clock.now())
                                : test::state_message(clock.now(), static_cast<std::size_t>(i), "twins.a.state");
      bodies.insert(message.members);
      const auto stored = spool.value().append(std::move(message));
      if (i % 10 == 3) spool.value().refuse(stored, "not authorized");
    }
    spool.value().skip("twins.a.state", 3, clock.now(), clock.now());
  }
  ~Pattern() { std::filesystem::remove_all(folder); }
};

void bind_value(sqlite3_stmt* statement, fuzz::Input& input) {
  switch (input.byte() % 5) {
    case 0: sqlite3_bind_int64(statement, 1, kNumbers[input.byte() % kNumbers.size()]); break;
    case 1: sqlite3_bind_double(statement, 1, 1e300); break;
    case 2: sqlite3_bind_null(statement, 1); break;
    default: {
      const auto text = input.text(input.byte());
      sqlite3_bind_text(statement, 1, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
    }
  }
}

void change_value(sqlite3* handle, fuzz::Input& input) {
  const Column& column = kColumns[input.byte() % kColumns.size()];
  const std::string sql = std::string("UPDATE OR REPLACE ") + column.table + " SET " + column.name +
                          "=?1 WHERE rowid=(SELECT rowid FROM " + column.table + " LIMIT 1 OFFSET ?2)";
  const std::string without_rowid = std::string("UPDATE OR REPLACE ") + column.table + " SET " + column.name + "=?1";
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(handle, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK &&
      sqlite3_prepare_v2(handle, without_rowid.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
    return;
  }
  bind_value(statement, input);
  sqlite3_bind_int(statement, 2, input.byte() % 40);
  sqlite3_step(statement);
  sqlite3_finalize(statement);
}

void damage(const std::string& path, fuzz::Input& input) {
  sqlite3* handle = nullptr;
  sqlite3_open(path.c_str(), &handle);
  std::vector<std::pair<std::size_t, char>> flips;
  std::optional<std::size_t> end;
  while (!input.empty()) {
    const int kind = input.byte() % 8;
    if (kind < 5) {
      change_value(handle, input);
    } else if (kind < 7) {
      const std::size_t where = input.word();
      flips.emplace_back(where, static_cast<char>(input.byte()));
    } else {
      end = input.word();
    }
  }
  sqlite3_close(handle);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  for (const auto& [where, what] : flips) {
    file.seekp(static_cast<std::streamoff>(where));
    file.put(what);
  }
  file.close();
  if (end && *end < std::filesystem::file_size(path)) std::filesystem::resize_file(path, *end);
}

void look_into(const std::string& folder) {
  auto reader = SpoolReader::open(folder, "boot-1");
  if (!reader.ok()) return;
  test::StandingClock clock;
  static_cast<void>(reader.value().status());
  std::int64_t after = 0;
  for (std::int64_t before = -1; before != after;) {
    before = after;
    auto rows = reader.value().messages(after, 16);
    if (!rows.ok()) break;
    for (const auto& row : rows.value()) demand(!message_text(row, "gw1", clock, true).empty(), "a message has a text");
  }
  static_cast<void>(reader.value().dead(0, 100));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Pattern pattern;
  static const std::filesystem::path folder = make_folder("");
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  std::filesystem::copy_file(pattern.folder / "spool.db", folder / "spool.db");
  fuzz::Input input(data, size);
  const auto policy = static_cast<DiscardPolicy>(input.byte() % 3);
  damage(folder / "spool.db", input);
  look_into(folder);

  test::StandingClock clock;
  test::RememberingSink events;
  {
    auto opened = Spool::open(settings_in(folder, policy), "gw1", clock, "boot-1", events);
    demand(opened.ok(), "the spool opens");
    Spool& spool = opened.value();
    for (const auto lane : {std::optional<Lane>{}, std::optional(Lane::urgent), std::optional(Lane::bulk)}) {
      for (const auto& row : spool.next_backlog(0, 1000, 1u << 20, lane)) {
        if (row.message.stream == "gap") continue;
        demand(pattern.bodies.contains(row.message.members), "what comes back is what was stored");
        static_cast<void>(message_text(row, "gw1", clock, is_replay(row, clock)));
        spool.acknowledge({row.row});
      }
    }
    spool.maintain();
    StoredMessage last;
    for (int i = 0; i < 30; ++i) last = spool.append(test::state_message(clock.now(), 3000, "twins.after.state"));
    if (policy != DiscardPolicy::newest) demand(last.kept, "the newest message finds room");
    spool.commit();
    static_cast<void>(spool.take_own_messages());
    static_cast<void>(spool.purge({.stream = std::nullopt, .messages = true, .dead = true}));
  }
  look_into(folder);
  return 0;
}
