#include "uplink/spool_reader.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <utility>

namespace twinkeeper::uplink {
namespace {

constexpr std::size_t kRowsPerSnapshot = 2000;
constexpr std::size_t kBytesAtOnce = 4u << 20;

std::uint64_t size_of(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

}  // namespace

SpoolReader::SpoolReader(SpoolDatabase database, std::string directory, std::string boot_id)
    : database_(std::move(database)), directory_(std::move(directory)), boot_id_(std::move(boot_id)) {}

base::Result<SpoolReader> SpoolReader::open(const std::string& directory, std::string boot_id) {
  auto database = SpoolDatabase::open_read_only(directory + "/spool.db");
  if (!database.ok()) return database.error();
  return SpoolReader(std::move(database).value(), directory, std::move(boot_id));
}

base::Result<std::vector<StoredMessage>> SpoolReader::messages(std::int64_t& after_row, std::size_t limit) {
  auto rows = database_.snapshot([&] { return database_.read(after_row, limit, kBytesAtOnce, std::nullopt); });
  if (!rows.ok()) return rows.error();
  std::vector<StoredMessage> found;
  for (const SpoolRow& row : rows.value()) {
    after_row = row.row;
    if (row.intact) found.push_back(stored_message(row, boot_id_));
  }
  return found;
}

base::Result<std::vector<DeadRow>> SpoolReader::dead(std::int64_t after_number, std::size_t limit) {
  return database_.snapshot([&] { return database_.dead_rows(after_number, limit, boot_id_); });
}

base::Result<SpoolStatus> SpoolReader::status() {
  SpoolStatus status;
  std::map<std::pair<int, std::string>, SpoolStream> streams;
  std::int64_t after = 0;
  while (true) {
    auto heads = database_.snapshot([&] { return database_.oldest(after, kRowsPerSnapshot); });
    if (!heads.ok()) return heads.error();
    if (heads.value().empty()) break;
    after = heads.value().back().row;
    for (const SpoolRowHead& head : heads.value()) {
      SpoolStream& stream = streams[{-head.worth, head.stream}];
      stream.stream = head.stream;
      stream.message_class = static_cast<signals::MessageClass>(std::clamp(head.message_class, 0, 5));
      ++stream.messages;
      stream.bytes += head.cost;
      if (head.wall_ns == 0) continue;
      const base::WallTime time{base::Duration{head.wall_ns}};
      stream.oldest = std::min(stream.oldest.value_or(time), time);
      stream.newest = std::max(stream.newest.value_or(time), time);
    }
  }
  for (auto& [key, stream] : streams) status.streams.push_back(std::move(stream));
  auto epoch = database_.number("epoch");
  if (!epoch.ok()) return epoch.error();
  status.epoch = epoch.value().value_or(0);
  auto dead = database_.dead();
  if (!dead.ok()) return dead.error();
  status.dead = std::move(dead).value();
  auto gaps = database_.gaps();
  if (!gaps.ok()) return gaps.error();
  status.gaps = std::move(gaps).value();
  status.file_bytes = size_of(directory_ + "/spool.db") + size_of(directory_ + "/spool.db-wal");
  return status;
}

}  // namespace twinkeeper::uplink
