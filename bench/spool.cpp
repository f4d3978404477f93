// What the spool costs on disk: throughput beside bare SQLite (WAL, synchronous FULL, the same rows in the same batches,
// alternating rounds in one run), and bytes written per message while the broker is there, away, and back.
// usage: bench_spool [FOLDER [COMMIT_INTERVAL_MS]]   (on the disk to be measured; default: the current one, 200 ms)
#include <sqlite3.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "support/uplink_parts.hpp"
#include "uplink/spool.hpp"

namespace {

using namespace twinkeeper;
using std::chrono::milliseconds;

constexpr int kBatch = 100;
constexpr int kRows = 5'000;
constexpr int kRounds = 21;
constexpr std::size_t kBody = 700;  // a nested state of a twin with two states

// Bytes given to write calls, and those that the kernel had to write back for them (whole pages).
struct Written {
  double given = 0;
  double pages = 0;
};
Written written_so_far() {
  Written written;
  std::ifstream io("/proc/self/io");
  std::string key;
  double value = 0;
  while (io >> key >> value) {
    if (key == "wchar:") written.given = value;
    if (key == "write_bytes:") written.pages = value;
  }
  return written;
}

struct Folder {
  explicit Folder(const std::string& below) : path(below + "/twinkeeper-bench-spool") {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path;
};

milliseconds commit_interval{200};

uplink::Spool open(const std::string& folder, const base::Clock& clock, signals::EventSink& events) {
  uplink::SpoolSettings settings;
  settings.directory = folder;
  settings.commit_interval = commit_interval;
  auto spool = uplink::Spool::open(settings, "gw1", clock, "boot-1", events);
  if (!spool.ok()) {
    std::fprintf(stderr, "%s\n", spool.error().message().c_str());
    std::exit(74);
  }
  return std::move(spool).value();
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double spool_rows_per_second(const std::string& below) {
  const Folder folder(below);
  test::StandingClock clock;
  test::RememberingSink events;
  auto spool = open(folder.path, clock, events);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kRows; ++i) {
    spool.append(test::state_message(clock.now(), kBody));
    spool.commit_if_due();  // at every hundredth row, as the clock stands
  }
  spool.commit();
  return kRows / seconds_since(begin);
}

double sqlite_rows_per_second(const std::string& below) {
  const Folder folder(below);
  sqlite3* handle = nullptr;
  sqlite3_open((folder.path + "/bare.db").c_str(), &handle);
  for (const char* sql : {"PRAGMA page_size=4096", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL",
                          "CREATE TABLE message(row INTEGER PRIMARY KEY, body BLOB NOT NULL)"}) {
    sqlite3_exec(handle, sql, nullptr, nullptr, nullptr);
  }
  sqlite3_stmt* insert = nullptr;
  sqlite3_prepare_v2(handle, "INSERT INTO message(body) VALUES(?1)", -1, &insert, nullptr);
  const std::string body = test::state_message({}, kBody).members;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kRows; i += kBatch) {
    sqlite3_exec(handle, "BEGIN", nullptr, nullptr, nullptr);
    for (int k = 0; k < kBatch; ++k) {
      sqlite3_bind_blob(insert, 1, body.data(), static_cast<int>(body.size()), SQLITE_STATIC);
      sqlite3_step(insert);
      sqlite3_reset(insert);
    }
    sqlite3_exec(handle, "COMMIT", nullptr, nullptr, nullptr);
  }
  const double rate = kRows / seconds_since(begin);
  sqlite3_finalize(insert);
  sqlite3_close(handle);
  return rate;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void throughput(const std::string& below) {
  std::vector<double> spool;
  std::vector<double> bare;
  std::vector<double> ratios;
  for (int round = 0; round < kRounds; ++round) {
    bare.push_back(sqlite_rows_per_second(below));
    spool.push_back(spool_rows_per_second(below));
    ratios.push_back(spool.back() / bare.back());
  }
  std::printf(
      "rows of %zu bytes in batches of %d, median of %d rounds: spool %.0f rows/s, bare SQLite %.0f rows/s, ratio "
      "%.2f\n",
      kBody, kBatch, kRounds, median(spool), median(bare), median(ratios));
}

void print(const char* situation, int per_second, int messages, const Written& before) {
  const Written after = written_so_far();
  std::printf("%-38s %4d messages/s: %6.0f bytes per message (%.0f in whole pages written back)\n", situation,
              per_second, (after.given - before.given) / messages, (after.pages - before.pages) / messages);
}

void bytes_written(const std::string& below, int per_second) {
  const Folder folder(below);
  test::StandingClock clock;
  test::RememberingSink events;
  auto spool = open(folder.path, clock, events);
  const int messages = std::min(20'000, per_second * 600);
  const auto run = [&](bool acknowledged) {
    const Written before = written_so_far();
    for (int i = 0; i < messages; ++i) {
      const auto stored =
          spool.append(test::state_message(clock.now(), kBody, "twins.t" + std::to_string(i % 10) + ".state"));
      if (acknowledged) spool.acknowledge({stored.row});
      clock.advance(std::chrono::nanoseconds{1'000'000'000 / per_second});
      spool.commit_if_due();
    }
    spool.commit();
    print(acknowledged ? "broker there, acknowledged at once" : "broker away", per_second, messages, before);
  };
  run(true);
  run(false);
  const Written before = written_so_far();
  for (std::int64_t after = 0;;) {
    const auto rows = spool.next_backlog(after, 100);
    if (rows.empty()) break;
    std::vector<std::int64_t> acknowledged;
    for (const auto& row : rows) acknowledged.push_back(row.row);
    after = acknowledged.back();
    spool.acknowledge(acknowledged);
    clock.advance(milliseconds{250});
    spool.commit_if_due();
  }
  spool.commit();
  print("broker back, backlog of 100 at a time", per_second, messages, before);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string below = argc > 1 ? argv[1] : ".";
  if (argc > 2) commit_interval = milliseconds{std::atoi(argv[2])};
  throughput(below);
  for (const int per_second : {10, 500}) bytes_written(below, per_second);
}
