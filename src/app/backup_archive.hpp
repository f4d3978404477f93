// A backup as one file: a plain ustar archive of regular files, the last of which, SHA256SUMS, has the checksums of all
// others as sha256sum(1) writes them. Any tar lists and unpacks it; what is read is only what was written here.
//
// Errors: read_archive: corrupt, with what is wrong. write_archive: invalid_argument for a name or a size that the format
// has no room for; permission_denied, io, full. Thread rule: free functions. Waits for the disk.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::app {

// A regular file's content without a copy of it, for as long as it lives.
class MappedFile {
 public:
  // Errors: not_found, permission_denied, io.
  [[nodiscard]] static base::Result<MappedFile> open(const std::string& file);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();
  [[nodiscard]] std::string_view content() const { return content_; }

 private:
  explicit MappedFile(std::string_view content) : content_(content) {}
  std::string_view content_;
};

struct ArchiveMember {
  std::string name;          // relative, without . and .., parts separated by /
  std::string_view content;  // of somebody else
};

// Mode 0600, as a whole or not at all; an older one of that name goes. SHA256SUMS is added.
[[nodiscard]] base::Status write_archive(const std::string& file, std::vector<ArchiveMember> members,
                                         base::WallTime now);
// Everything checked, in the order written, without SHA256SUMS; views of `archive`.
[[nodiscard]] base::Result<std::vector<ArchiveMember>> read_archive(std::string_view archive);

}  // namespace twinkeeper::app
