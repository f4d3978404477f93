#include "app/backup_archive.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <set>
#include <utility>

#include "base/durable_file.hpp"
#include "config/sha256.hpp"

namespace twinkeeper::app {
namespace {

constexpr std::size_t kTarBlock = 512;
constexpr std::size_t kMostMembers = 10'000;
constexpr std::uint64_t kMostMemberBytes = (std::uint64_t{1} << 33) - 1;  // eleven octal digits
constexpr const char* kSums = "SHA256SUMS";

// Field of a header: where it begins and how long it is, its last byte being zero.
struct TarField {
  std::size_t begin, size;
};
constexpr TarField kTarName{0, 100}, kTarSize{124, 12}, kTarTime{136, 12}, kTarPrefix{345, 155};

void put_octal(std::string& header, TarField field, std::uint64_t value) {
  for (std::size_t i = field.size - 1; i-- > 0; value >>= 3u) {
    header[field.begin + i] = static_cast<char>('0' + (value & 7u));
  }
}

std::uint64_t octal_of(std::string_view header, TarField field) {
  std::uint64_t value = 0;
  for (const char c : header.substr(field.begin, field.size - 1)) value = value << 3u | (static_cast<unsigned>(c) & 7u);
  return value;
}

std::string_view tar_text(std::string_view header, TarField field) {
  const std::string_view all = header.substr(field.begin, field.size);
  return all.substr(0, all.find('\0'));
}

// Nothing if the format has no room for it.
std::optional<std::string> tar_header(const std::string& name, std::uint64_t bytes, std::uint64_t seconds) {
  std::size_t split = 0;  // of a long name: between prefix and name
  if (name.size() > kTarName.size) {
    split = name.find('/', name.size() - kTarName.size - 1);
    if (split == std::string::npos || split > kTarPrefix.size) return std::nullopt;
  }
  if (bytes > kMostMemberBytes) return std::nullopt;
  std::string header(kTarBlock, '\0');
  header.replace(0, name.size() - (split > 0 ? split + 1 : 0), name, split > 0 ? split + 1 : 0);
  if (split > 0) header.replace(kTarPrefix.begin, split, name, 0, split);
  put_octal(header, {100, 8}, 0600);
  for (const std::size_t owner : {108u, 116u}) put_octal(header, {owner, 8}, 0);
  put_octal(header, kTarSize, bytes);
  put_octal(header, kTarTime, seconds);
  header[156] = '0';  // a regular file
  header.replace(257, 8, std::string_view("ustar\00000", 8));
  std::fill_n(header.begin() + 148, 8, ' ');
  std::uint64_t sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  put_octal(header, {148, 7}, sum);
  header[154] = '\0';
  header.resize(kTarBlock);
  return header;
}

bool is_plain_name(std::string_view name) {
  if (name.empty()) return false;
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return false;
    begin = end + 1;
  }
  return std::none_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

std::string sums_of(const std::vector<ArchiveMember>& members) {
  std::string sums;
  for (const ArchiveMember& member : members) {
    config::Sha256 hash;
    hash.add(member.content);
    const std::string text = hash.text();
    sums += text.substr(text.find(':') + 1) + "  " + member.name + "\n";
  }
  return sums;
}

base::Status write_members(int descriptor, const std::string& file, const std::vector<ArchiveMember>& members,
                           base::WallTime now) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  for (const ArchiveMember& member : members) {
    const auto header = tar_header(member.name, member.content.size(), static_cast<std::uint64_t>(seconds));
    if (!header) {
      return base::Error(base::ErrorCode::invalid_argument,
                         member.name + " has too long a name or more than 8 GiB for an archive");
    }
    const std::string padding((kTarBlock - member.content.size() % kTarBlock) % kTarBlock, '\0');
    for (const std::string_view part : {std::string_view(*header), member.content, std::string_view(padding)}) {
      if (!base::write_all(descriptor, part)) return base::system_error(file, errno);
    }
  }
  if (!base::write_all(descriptor, std::string(2 * kTarBlock, '\0')) || ::fsync(descriptor) != 0) {
    return base::system_error(file, errno);
  }
  return base::Success{};
}

}  // namespace

base::Result<MappedFile> MappedFile::open(const std::string& file) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return base::system_error(file, errno);
  struct stat status {};
  int number = ::fstat(descriptor, &status) != 0 ? errno : S_ISREG(status.st_mode) ? 0 : EINVAL;
  std::string_view content;
  if (number == 0 && status.st_size > 0) {
    const auto size = static_cast<std::size_t>(status.st_size);
    void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    number = mapped == MAP_FAILED ? errno : 0;
    if (number == 0) content = {static_cast<const char*>(mapped), size};
  }
  ::close(descriptor);
  if (number != 0) return base::system_error(file, number);
  return MappedFile(content);
}

MappedFile::MappedFile(MappedFile&& other) noexcept : content_(std::exchange(other.content_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(content_, other.content_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!content_.empty()) ::munmap(const_cast<char*>(content_.data()), content_.size());
}

base::Status write_archive(const std::string& file, std::vector<ArchiveMember> members, base::WallTime now) {
  const std::string sums = sums_of(members);
  members.push_back({kSums, sums});
  const std::string beside = file + ".new";
  ::unlink(beside.c_str());
  const int descriptor = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return base::system_error(beside, errno);
  base::Status written = write_members(descriptor, file, members, now);
  ::close(descriptor);
  if (written && std::rename(beside.c_str(), file.c_str()) != 0) written = base::system_error(file, errno);
  if (!written) ::unlink(beside.c_str());
  return written;
}

base::Result<std::vector<ArchiveMember>> read_archive(std::string_view archive) {
  const auto corrupt = [](const std::string& what) { return base::Error(base::ErrorCode::corrupt, what); };
  std::vector<ArchiveMember> members;
  std::set<std::string> names;
  std::size_t place = 0;
  for (;;) {
    const std::string_view header = archive.substr(std::min(place, archive.size()), kTarBlock);
    if (header.size() < kTarBlock) return corrupt("is cut short, or no backup");
    if (header[0] == '\0') break;
    const std::string prefix(tar_text(header, kTarPrefix));
    const std::string name = prefix + (prefix.empty() ? "" : "/") + std::string(tar_text(header, kTarName));
    const std::uint64_t bytes = octal_of(header, kTarSize);
    // Links, folders and whatever else a tar may hold are not what was written here, nor is a damaged header.
    if (tar_header(name, bytes, octal_of(header, kTarTime)) != header || members.size() >= kMostMembers) {
      return corrupt("is damaged, or no backup, at byte " + std::to_string(place));
    }
    if (!is_plain_name(name) || !names.insert(name).second) return corrupt("has a file of the name " + name);
    place += kTarBlock;
    if (archive.size() - place < bytes) return corrupt("is cut short within " + name);
    const auto size = static_cast<std::size_t>(bytes);
    members.push_back({name, archive.substr(place, size)});
    const std::string_view padding = archive.substr(place + size, (kTarBlock - size % kTarBlock) % kTarBlock);
    if (padding.find_first_not_of('\0') != std::string_view::npos) return corrupt("is damaged behind " + name);
    place += size + padding.size();
  }
  if (archive.find_first_not_of('\0', place) != std::string_view::npos || archive.size() < place + 2 * kTarBlock) {
    return corrupt("is damaged at its end");
  }
  if (members.empty() || members.back().name != kSums) return corrupt("is no backup: it has no " + std::string(kSums));
  const std::string_view sums = members.back().content;
  members.pop_back();
  if (sums_of(members) != sums) return corrupt("is damaged: its checksums are of other contents");
  return members;
}

}  // namespace twinkeeper::app
