// A spool as one file, taken while the service that owns it goes on, and one put in the place of another.
//
// No number is used twice by that: whoever puts a copy in place raises the epoch first, so that what is made from then
// on is of an epoch that nobody has seen. What waits in both is delivered with the identity it has.
// Errors: those of SpoolDatabase; copy_spool also not_found (no spool there). Thread rule: one thread. Waits for the
// disk.
#pragma once

#include <cstdint>
#include <string>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"
#include "uplink/settings.hpp"

namespace twinkeeper::uplink {

struct SpoolCopy {
  std::uint64_t epoch = 0;
  std::uint64_t messages = 0;
};

// What is committed in <directory>/spool.db, as one moment had it, to `file`, which must not be there: whole by itself,
// checked, mode 0600. Nothing waits for it but the writing back of the log.
[[nodiscard]] base::Result<SpoolCopy> copy_spool(const std::string& directory, const std::string& file);

// Before the spool file `copy` takes the place of <settings.directory>/spool.db: what waits there and not in the copy
// will be told by a gap `purged`, and what was to be told will be. How many messages that is; all, if the spool there
// can't be read, are told as unknown. A copy that is not there is made, empty. For who holds the lock of the directory.
[[nodiscard]] base::Result<std::uint64_t> tell_what_is_replaced(const std::string& copy, const SpoolSettings& settings);

// `copy` becomes <directory>/spool.db, whatever is there. For who holds the lock, after one of the two below.
[[nodiscard]] base::Status put_in_place(const std::string& copy, const std::string& directory);

// The next epoch of <directory> will be larger than `known`, that of the directory, and any that a gateway may have
// begun since `known` was: larger than the seconds since 1970, or by a million where the clock does not tell.
[[nodiscard]] base::Status raise_epoch(const std::string& directory, std::uint64_t known, base::WallTime now);
// The next epoch of <directory> will be larger than any before although its spool is about to be deleted.
[[nodiscard]] base::Status keep_epoch(const std::string& directory);

}  // namespace twinkeeper::uplink
