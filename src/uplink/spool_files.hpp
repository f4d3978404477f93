// The files around the spool's database: the lock that keeps a second process out, the epoch kept beside the database
// so that identities never repeat even if the database is lost, room kept for a full disk, and setting a damaged database
// aside. Thread rule: one
// thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::uplink {

// Holds <directory>/spool.lock for as long as it lives; the system releases it when the process dies.
class SpoolLock {
 public:
  // Errors: not_found, permission_denied (the directory), unavailable (another process holds it).
  [[nodiscard]] static base::Result<SpoolLock> acquire(const std::string& directory);
  SpoolLock(SpoolLock&& other) noexcept;
  SpoolLock& operator=(SpoolLock&& other) noexcept;
  ~SpoolLock();

 private:
  explicit SpoolLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

// Whether somebody holds the lock, as far as this process may ask. Makes no file and holds nothing.
[[nodiscard]] bool spool_is_in_use(const std::string& directory);

// 0 if there is none that can be read.
[[nodiscard]] std::uint64_t read_epoch_file(const std::string& directory);
[[nodiscard]] base::Status write_epoch_file(const std::string& directory, std::uint64_t epoch);

// <directory>/spool.reserve: room on the disk to be given up when there is none left, as even deleting needs some.
class SpoolReserve {
 public:
  SpoolReserve(std::string directory, std::uint64_t bytes) : directory_(std::move(directory)), bytes_(bytes) {}
  // The disk has not twice as much left.
  [[nodiscard]] bool disk_is_full() const noexcept;
  // Takes the room unless it is taken or the disk is full.
  void take() const noexcept;
  void give_up() const noexcept;

 private:
  std::string directory_;
  std::uint64_t bytes_;
};

// What SQLite appends to the name of a database for its log and the log's index; the database itself first.
inline constexpr std::array<const char*, 3> kSpoolFileEnds{"", "-wal", "-shm"};

// Whether spool.db, spool.db-wal and spool.db-shm, as far as they are there, are files that can be read and written.
[[nodiscard]] bool spool_is_accessible(const std::string& directory);

// `file` and what belongs to it. That it is not there is no error.
[[nodiscard]] base::Status remove_spool_file(const std::string& file);

// Renames spool.db, spool.db-wal and spool.db-shm to spool.bad-<time>…; the new name of the first.
[[nodiscard]] base::Result<std::string> set_spool_aside(const std::string& directory, base::WallTime now);

}  // namespace twinkeeper::uplink
