// Whether a file with a secret is private: one rule for everyone who asks (`check`, `run`, the connection).
//
//   mode     nobody but the owner may write it, nobody but owner and group may read it (0600, 0640, 0440 …)
//   group    may read it only if it is one of this process, or the file lies in $CREDENTIALS_DIRECTORY; for root also one
//            of the user `twinkeeper`
//   owner    root, or the user of this process; root itself takes any owner
//   folders  none of those above it writable by everybody, unless it is sticky
// Links are followed: what counts is the file that is read. A file that is not there has no fault here.
//
// For a file without a secret, which others decide by if they can change it (authorities, revocation lists), the same rules
// hold but for who may read it.
// Thread rule: free function. Allocates.
#pragma once

#include <optional>
#include <string>

namespace twinkeeper::base {

struct PrivateFileFault {
  std::string what;      // "/etc/…/gateway.key: mode 0644 lets others than its owner read or change it"
  std::string accepted;  // what would do, with the command that makes it so
};

[[nodiscard]] std::optional<PrivateFileFault> private_file_fault(const std::string& path);
[[nodiscard]] std::optional<PrivateFileFault> trusted_file_fault(const std::string& path);
// "0640"
[[nodiscard]] std::string octal_mode(unsigned mode);

}  // namespace twinkeeper::base
