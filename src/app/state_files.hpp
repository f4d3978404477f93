// The state directory as commands handle it that save it, put it back, or empty it: what is in it, and with whose rights.
//
// It belongs to the service's user, who must not make root read or write elsewhere: root acts there with the rights of its
// owner, so that a link leads root nowhere and what is written is the owner's. Thread rule: one thread, the only one.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "twinkeeper/base/result.hpp"
#include "uplink/spool_files.hpp"

namespace twinkeeper::app {

// For as long as it lives. Who is not root acts as he is.
class AsOwner {
 public:
  explicit AsOwner(const std::string& directory);
  ~AsOwner();
  AsOwner(const AsOwner&) = delete;
  AsOwner& operator=(const AsOwner&) = delete;

 private:
  std::optional<gid_t> group_before_;
};

// The lock of the spool there, for a command that the service must not run beside. Errors: as SpoolLock::acquire(), with
// what is accepted.
[[nodiscard]] base::Result<uplink::SpoolLock> lock_of_stopped_service(const std::string& directory);

// Relative to the directory: what a backup has of it beside the spool, as far as it is there.
[[nodiscard]] std::vector<std::string> saved_state_files(const std::string& directory);
// Whether a backup may have a file of that name: one of those above or a checkpoint.
[[nodiscard]] bool is_saved_state_file(const std::string& name);
// The audit trail, which is added to and never replaced.
[[nodiscard]] bool is_audit_trail(const std::string& name);
// What twins, operators and the cloud have left there, beside the spool; `all`: what tells of commands, too. Files that
// were set aside are among them. Neither has the epoch.
[[nodiscard]] std::vector<std::string> forgotten_state_files(const std::string& directory, bool all);

// A line in the audit trail of the directory, by whoever runs this process; what can't be written is told on stderr.
void record_in_trail(const std::string& directory, const std::string& verb, const std::string& subject);

}  // namespace twinkeeper::app
