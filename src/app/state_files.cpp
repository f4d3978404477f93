#include "app/state_files.hpp"

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string_view>

#include "app/audit_trail.hpp"
#include "app/user_name.hpp"
#include "telemetry/command.hpp"
#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::app {
namespace {

constexpr std::string_view kTrail = "commands.log";
constexpr std::array<std::string_view, 5> kSaved{"alarms.json", "config_overlay.json", "last_good", kTrail,
                                                 "commands.log.1"};
// Not in a backup: what a broker's session holds, and a job under way, are of the moment.
constexpr std::array<std::string_view, 5> kForgotten{"alarms.json", "config_overlay.json", "last_good", "session",
                                                     "job.json"};
constexpr std::string_view kCheckpoints = "checkpoints/";
constexpr std::string_view kCheckpointEnd = ".checkpoint";

template <class Wanted>
std::vector<std::string> files_of(const std::string& directory, const Wanted& wanted) {
  std::vector<std::string> found;
  for (const std::string_view folder : {std::string_view{}, kCheckpoints}) {
    std::error_code error;
    for (std::filesystem::directory_iterator entry(directory + "/" + std::string(folder), error), end;
         !error && entry != end; entry.increment(error)) {
      std::string name = std::string(folder) + entry->path().filename().string();
      if (!entry->is_directory(error) && wanted(name)) found.push_back(std::move(name));
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

class ToStandardError final : public signals::EventSink {
 public:
  void raise(signals::Event event) override { std::cerr << "twinkeeper: " << event.message << '\n'; }
};

std::string operator_name() {
  if (const char* before = std::getenv("SUDO_USER"); before != nullptr && ::getuid() == 0) return before;
  return user_name(::getuid());
}

}  // namespace

AsOwner::AsOwner(const std::string& directory) {
  struct stat status {};
  if (::geteuid() != 0 || ::stat(directory.c_str(), &status) != 0 || status.st_uid == 0) return;
  const gid_t before = ::getegid();
  // Never half of it: with root's groups left, root's files would be within reach.
  if (::setgroups(0, nullptr) != 0 || ::setegid(status.st_gid) != 0 || ::seteuid(status.st_uid) != 0) std::abort();
  group_before_ = before;
}

AsOwner::~AsOwner() {
  if (group_before_ && (::seteuid(0) != 0 || ::setegid(*group_before_) != 0)) std::abort();
}

base::Result<uplink::SpoolLock> lock_of_stopped_service(const std::string& directory) {
  auto lock = uplink::SpoolLock::acquire(directory);
  if (lock || lock.error().code() != base::ErrorCode::unavailable) return lock;
  return base::Error(base::ErrorCode::unavailable,
                     lock.error().message() + "; accepted: a service that is stopped: systemctl stop twinkeeper");
}

bool is_audit_trail(const std::string& name) { return name.starts_with(kTrail); }

bool is_saved_state_file(const std::string& name) {
  if (std::find(kSaved.begin(), kSaved.end(), name) != kSaved.end()) return true;
  return name.starts_with(kCheckpoints) && name.ends_with(kCheckpointEnd) &&
         name.find('/', kCheckpoints.size()) == std::string::npos;
}

std::vector<std::string> saved_state_files(const std::string& directory) {
  return files_of(directory, is_saved_state_file);
}

std::vector<std::string> forgotten_state_files(const std::string& directory, bool all) {
  return files_of(directory, [all](const std::string& name) {
    if (name.starts_with(kCheckpoints) || name.starts_with("spool.bad-")) return true;
    if (all && name.starts_with("commands.")) return true;
    return std::any_of(kForgotten.begin(), kForgotten.end(), [&](std::string_view file) {
      return name.starts_with(file) && (name.size() == file.size() || name[file.size()] == '.');
    });
  });
}

void record_in_trail(const std::string& directory, const std::string& verb, const std::string& subject) {
  telemetry::CommandAnswer answer;
  answer.verb = verb;
  answer.subject = subject;
  answer.by = operator_name();
  answer.result = telemetry::CommandResult::done;
  ToStandardError faults;
  const base::SystemClock clock;
  AuditTrail(directory + "/" + std::string(kTrail), faults).append([&](std::uint64_t number) {
    return telemetry::audit_line(answer, number, clock.wall_now());
  });
}

}  // namespace twinkeeper::app
