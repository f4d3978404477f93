// A spool in a folder of its own, on a clock that the test moves.
#pragma once

#include <sqlite3.h>

#include <initializer_list>
#include <string>
#include <utility>

#include "support/catch.hpp"
#include "support/uplink_parts.hpp"
#include "uplink/spool.hpp"

namespace twinkeeper::test {

struct SpoolRig {
  TemporaryFolder folder;
  StandingClock clock;
  RememberingSink events;
  uplink::SpoolSettings settings;

  SpoolRig() { settings.directory = folder.path(); }
  uplink::Spool open(const std::string& boot = "boot-1") {
    auto opened = uplink::Spool::open(settings, "gw1", clock, boot, events);
    REQUIRE(opened.ok());
    return std::move(opened).value();
  }
  // Behind the back of a spool that is closed.
  void change_database(std::initializer_list<const char*> statements) {
    sqlite3* handle = nullptr;
    REQUIRE(sqlite3_open(folder.file("spool.db").c_str(), &handle) == SQLITE_OK);
    for (const char* sql : statements) REQUIRE(sqlite3_exec(handle, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(handle);
  }
  // What the version before this one would have left.
  void make_database_older() {
    change_database({"ALTER TABLE gap DROP COLUMN stride", "ALTER TABLE dead DROP COLUMN wall_ns",
                     "ALTER TABLE dead DROP COLUMN clock_synced", "ALTER TABLE dead DROP COLUMN boot",
                     "DROP INDEX message_urgent", "DROP INDEX message_metrics", "PRAGMA user_version=1"});
  }
};

}  // namespace twinkeeper::test
