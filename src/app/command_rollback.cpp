#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "app/backup_places.hpp"
#include "app/commands.hpp"
#include "app/exit_codes.hpp"
#include "app/last_good.hpp"
#include "app/plan.hpp"
#include "base/durable_file.hpp"
#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::app {
namespace {

constexpr unsigned kModeOfNewFile = 0640;

std::string rejected(const std::string& file) { return file + ".rejected"; }

// A second name of what is there: who owns and reads it stays.
base::Status keep_as_rejected(const std::string& file) {
  const std::string aside = rejected(file);
  if (::unlink(aside.c_str()) != 0 && errno != ENOENT) return base::system_error(aside, errno);
  if (::link(file.c_str(), aside.c_str()) != 0) return base::system_error(aside, errno);
  return base::Success{};
}

// `like`: owner and group of the file in whose place, or beside which, it is written.
base::Status put_back(const std::string& file, const std::string& text, const struct stat& like) {
  if (auto written = base::rewrite_file(file, text, kModeOfNewFile); !written) return written;
  if (::chown(file.c_str(), like.st_uid, like.st_gid) != 0 && ::geteuid() == 0) return base::system_error(file, errno);
  return base::Success{};
}

base::Status put_back_all(const LastGood& kept, const std::vector<std::string>& files) {
  struct stat whole {};
  if (::stat(kept.config_file.c_str(), &whole) != 0) {
    ::stat(std::filesystem::path(kept.config_file).parent_path().c_str(), &whole);
  }
  std::vector<std::string> done;
  for (const std::string& file : files) {
    struct stat before {};
    const bool existed = ::stat(file.c_str(), &before) == 0;
    base::Status put = existed ? keep_as_rejected(file) : base::Success{};
    if (put) put = put_back(file, kept.files.at(file), existed ? before : whole);
    if (put) {
      done.push_back(file);
      continue;
    }
    for (const std::string& other : done) std::rename(rejected(other).c_str(), other.c_str());
    return put;
  }
  return base::Success{};
}

}  // namespace

int rollback_command(const RollbackArguments& arguments) {
  const auto directories = arguments.state_directory ? std::vector<std::string>{*arguments.state_directory}
                                                     : likely_state_directories(arguments.config_file);
  const auto found = find_last_good(arguments.config_file, directories);
  if (!found) {
    std::string looked;
    for (const std::string& directory : directories) looked += (looked.empty() ? "" : ", ") + last_good_file(directory);
    return told("rollback: no configuration that ran is kept for " + arguments.config_file + ", or it can't be read (" +
                    looked + "); --state-directory names where it may be",
                kExitNoInput);
  }
  const LastGood& kept = found->kept;
  const auto changed = changed_since(kept);
  if (changed.empty()) {
    std::cout << kept.config_file << " is as it ran last; nothing to put back\n";
    return kExitDone;
  }
  // What is kept belongs to the service's user, who must not make root write elsewhere.
  const std::string folder = std::filesystem::weakly_canonical(kept.config_file).parent_path().string();
  for (const std::string& file : changed) {
    if (path_below(file, folder)) continue;
    return told("rollback: " + file + " is not below " + folder + "; put it back by hand: its text is in " +
                    last_good_file(found->state_directory),
                kExitBadData);
  }
  if (const auto put = put_back_all(kept, changed); !put) {
    return told("rollback: " + put.error().message() + "; all files are as they were", exit_code_of_files(put.error()));
  }
  std::cout << "put back as it ran on " << base::format_rfc3339(kept.since) << ":\n";
  for (const std::string& file : changed) {
    const bool aside = std::filesystem::exists(rejected(file));
    std::cout << "  " << file << (aside ? ", the one before is kept as " + rejected(file) : "") << '\n';
  }
  const auto plan = load_or_report(arguments.config_file, true);
  if (const int* code = std::get_if<int>(&plan)) return *code;
  std::cout << "it takes effect with: systemctl reload-or-restart twinkeeper\n";
  return kExitDone;
}

}  // namespace twinkeeper::app
