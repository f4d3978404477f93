// The state directory: whose it is, whether it survives and has room, and what is in it.
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include <filesystem>

#include "app/checkpoint.hpp"
#include "app/doctor.hpp"
#include "app/process_usage.hpp"
#include "twinkeeper/base/quantity.hpp"
#include "uplink/spool_reader.hpp"

namespace twinkeeper::app::doctor {
namespace {

constexpr std::uint64_t kLeastRoom = 16u << 20;
constexpr std::size_t kFilesLookedAt = 10'000;
constexpr long kTmpfs = 0x01021994;
constexpr long kRamfs = 0x858458f6;

std::string give_to(const Account& account, const std::string& directory) {
  return "chown -R " + account.name + ":" + account.group + " " + shell_quoted(directory);
}

// Nothing to look at any further if false.
bool examine_directory(const std::string& directory, const Circumstances& circumstances, Group& group) {
  const Account& account = circumstances.account;
  struct stat status {};
  if (::stat(directory.c_str(), &status) != 0) {
    if (circumstances.unit_configuration && directory == "/var/lib/" + circumstances.unit.get("StateDirectory")) {
      group.ok("state_directory", directory, "is not there yet: the unit makes it when the service starts");
    } else {
      group.failure("state_directory", directory, "is not there, or can't be reached",
                    "install -d -o " + account.name + " -g " + account.group + " -m 0750 " + shell_quoted(directory),
                    kExitIo);
    }
    return false;
  }
  if (!S_ISDIR(status.st_mode)) {
    group.failure("state_directory", directory, "is no folder", "set gateway.state_directory to a folder", kExitIo);
    return false;
  }
  const auto in_the_way = obstacle(account, directory, kRead | kWrite | kPass);
  if (in_the_way && *in_the_way != directory) {
    group.failure(
        "state_directory", directory, account.name + " can't reach it through the folder " + *in_the_way,
        "chgrp " + account.group + " " + shell_quoted(*in_the_way) + " && chmod g+x " + shell_quoted(*in_the_way),
        kExitIo);
  } else if (in_the_way) {
    group.failure("state_directory", directory, account.name + " can't write there", give_to(account, directory),
                  kExitIo);
  } else if ((status.st_mode & S_IWOTH) != 0) {
    group.warning("state_directory", directory, "everybody can write there", "chmod 750 " + shell_quoted(directory));
  } else {
    group.ok("state_directory", directory, account.name + " can write there");
  }
  return true;
}

// What a run by hand as another user has left.
void examine_owners(const std::string& directory, const Account& account, Group& group) {
  std::error_code error;
  std::size_t foreign = 0;
  std::size_t seen = 0;
  std::string first;
  for (std::filesystem::recursive_directory_iterator
           entry(directory, std::filesystem::directory_options::skip_permission_denied, error),
       end;
       !error && entry != end && seen < kFilesLookedAt; entry.increment(error)) {
    struct stat status {};
    ++seen;
    if (::lstat(entry->path().c_str(), &status) != 0 || S_ISLNK(status.st_mode)) continue;
    if (lets(status, account, S_ISDIR(status.st_mode) ? kRead | kWrite | kPass : kRead | kWrite)) continue;
    if (foreign++ == 0) first = entry->path().string();
  }
  if (foreign == 0) return;
  group.failure("state_files", first,
                account.name + " can't change it" +
                    (foreign > 1 ? ", nor " + std::to_string(foreign - 1) + " more files in the state directory" : ""),
                give_to(account, directory), kExitIo);
}

void examine_disk(const std::string& directory, std::uint64_t wanted, std::uint64_t used, Group& group) {
  struct statfs system {};
  struct statvfs disk {};
  if (::statfs(directory.c_str(), &system) != 0 || ::statvfs(directory.c_str(), &disk) != 0) return;
  const long kind = static_cast<long>(system.f_type);
  if (kind == kTmpfs || kind == kRamfs) {
    group.warning("state_disk", directory,
                  "is in memory: what waits for the broker does not survive a restart of the system",
                  "set gateway.state_directory to a folder on a disk");
  } else if ((disk.f_flag & ST_RDONLY) != 0) {
    group.failure("state_disk", directory, "is on a file system that is mounted read-only",
                  "mount -o remount,rw its file system", kExitIo);
  } else {
    group.ok("state_disk", directory, "is on a disk that can be written");
  }
  const std::uint64_t free = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
  const std::uint64_t needed = wanted > used ? wanted - used : 0;
  const std::string found =
      base::format_size(free >> 20 << 20) + " are free, the spool may grow by " + base::format_size(needed);
  if (free < kLeastRoom) {
    group.failure("state_room", directory, found, "du -xh " + shell_quoted(directory) + "/..: make room", kExitIo);
  } else if (free < needed) {
    group.warning("state_room", directory, found,
                  "make room, or set spool.max_bytes to at most " + std::to_string((used + free) >> 20) + "MiB");
  } else {
    group.ok("state_room", directory, found);
  }
}

std::uint64_t examine_spool(const std::string& directory, const Circumstances& circumstances, Group& group) {
  auto reader = uplink::SpoolReader::open(directory, read_boot_id());
  auto status = reader.ok() ? reader.value().status() : base::Result<uplink::SpoolStatus>(reader.error());
  const std::string held = circumstances.service_runs ? "; the running service holds it" : "";
  if (!status.ok()) {
    if (status.error().code() == base::ErrorCode::not_found) {
      group.ok("spool", directory, "nothing is spooled yet" + held);
    } else if (status.error().code() == base::ErrorCode::corrupt) {
      group.failure("spool", directory, status.error().message(),
                    "systemctl restart twinkeeper: it is set aside as spool.bad-*, and what is lost is told", kExitIo);
    } else {
      group.failure("spool", directory, status.error().message(), give_to(circumstances.account, directory), kExitIo);
    }
    return 0;
  }
  std::uint64_t messages = 0;
  for (const auto& stream : status.value().streams) messages += stream.messages;
  const std::string size = base::format_size(status.value().file_bytes);
  if (!status.value().dead.empty()) {
    std::uint64_t dead = 0;
    for (const auto& one : status.value().dead) dead += one.count;
    group.warning("spool", directory,
                  std::to_string(dead) + " messages were set aside: " + status.value().dead.front().reason,
                  "twinkeeper spool export --dead --config " + shell_quoted(circumstances.config_file) +
                      "; then spool purge --dead --yes",
                  "set_aside");
  } else {
    group.ok("spool", directory, std::to_string(messages) + " messages wait, " + size + held);
  }
  return status.value().file_bytes;
}

void examine_checkpoints(const Plan& plan, const std::string& directory, Group& group) {
  std::size_t good = 0;
  for (const auto& twin : plan.config.twins) {
    const std::string file = checkpoint_file(directory, twin.name);
    const auto checkpoint = read_checkpoint(file);
    if (checkpoint.ok() && !checkpoint.value().other_schema.empty()) {
      group.warning("checkpoint", file, "is of another version of twinkeeper: the twin begins at the states in it",
                    "restart the service: it keeps the file as *.other_version");
      continue;
    }
    good += checkpoint.ok() ? 1 : 0;
    if (checkpoint.ok() || checkpoint.error().code() == base::ErrorCode::not_found) continue;
    group.warning("checkpoint", file, checkpoint.error().message(),
                  "rm " + shell_quoted(file) + ", or restart the service: the twin begins anew");
  }
  if (plan.config.twins.empty()) return;
  group.ok(
      "checkpoint", directory,
      std::to_string(good) + " of " + std::to_string(plan.config.twins.size()) + " twins have one that can be read");
}

}  // namespace

Group examine_state(const Plan& plan, const Circumstances& circumstances) {
  Group group("state");
  const std::string& directory = plan.config.spool.directory;
  if (!examine_directory(directory, circumstances, group)) return group;
  examine_owners(directory, circumstances.account, group);
  const std::uint64_t used = examine_spool(directory, circumstances, group);
  examine_disk(directory, plan.config.spool.max_bytes, used, group);
  examine_checkpoints(plan, directory, group);
  return group;
}

}  // namespace twinkeeper::app::doctor
