#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <set>

#include <nlohmann/json.hpp>

#include "app/backup_archive.hpp"
#include "app/backup_places.hpp"
#include "app/commands.hpp"
#include "app/exit_codes.hpp"
#include "app/file_change.hpp"
#include "app/state_files.hpp"
#include "base/durable_file.hpp"
#include "twinkeeper/base/timestamp.hpp"
#include "uplink/spool_backup.hpp"

namespace twinkeeper::app {
namespace {

using nlohmann::json;

struct Manifest {
  std::string gateway, time, configuration, config_folder, state_directory;
  std::uint64_t epoch = 0;  // of the spool; 0: there is none
};

// What is wrong with it, for a sentence that begins with the file.
std::variant<Manifest, std::string> manifest_of(std::string_view content) {
  const json document = json::parse(content, nullptr, false);
  if (!document.is_object()) return "has no manifest that can be read";
  try {
    const auto schema = document.at("schema").get<std::string>();
    if (schema != kBackupSchema) {
      return "is of the form " + schema + ", which twinkeeper " + document.at("version").get<std::string>() +
             " has written; this one reads " + kBackupSchema;
    }
    Manifest manifest;
    for (const auto& [name, member] : {std::pair{"gateway", &Manifest::gateway},
                                       {"time", &Manifest::time},
                                       {"configuration", &Manifest::configuration},
                                       {"config_folder", &Manifest::config_folder},
                                       {"state_directory", &Manifest::state_directory}}) {
      manifest.*member = document.at(name).get<std::string>();
    }
    manifest.epoch = document.at("epoch").get<std::uint64_t>();
    return manifest;
  } catch (const json::exception& error) {
    return std::string("has a manifest that can't be used: ") + error.what();
  }
}

class Restore {
 public:
  explicit Restore(const RestoreArguments& arguments) : arguments_(arguments) {}

  int run() {
    auto archive = MappedFile::open(arguments_.input_file);
    if (!archive) {
      const bool absent = archive.error().code() == base::ErrorCode::not_found;
      return told("restore: " + archive.error().message(), absent ? kExitNoInput : kExitIo);
    }
    auto members = read_archive(archive.value().content());
    if (!members) return refuse(arguments_.input_file + " " + members.error().message());
    members_ = std::move(members).value();
    if (members_.empty() || members_.front().name != kManifest) return refuse("it has no manifest");
    auto read = manifest_of(members_.front().content);
    if (const auto* what = std::get_if<std::string>(&read)) return refuse(arguments_.input_file + " " + *what);
    manifest_ = std::move(std::get<Manifest>(read));
    members_.erase(members_.begin());
    auto made = plan_of_backup();
    if (const int* code = std::get_if<int>(&made)) return *code;
    const Plan& plan = std::get<Plan>(made);
    places_.emplace(arguments_.config_file, plan.config.spool.directory);
    if (const int code = compare_with_present(plan); code != kExitDone) return code;
    if (const int code = sort_out(plan); code != kExitDone) return code;
    return put_in_place(plan);
  }

 private:
  // Before anything is written.
  int refuse(const std::string& what, int code = kExitBadData) const {
    return told("restore: " + what + "; nothing is changed", code);
  }
  int refuse(const base::Error& error) const {
    const bool bad = error.code() == base::ErrorCode::corrupt || error.code() == base::ErrorCode::newer_version;
    return refuse(error.message(), bad ? kExitBadData : exit_code_of_files(error));
  }

  // As it will be read once it is in its place.
  std::variant<Plan, int> plan_of_backup() const {
    const BackupPlaces as_it_was(arguments_.config_file, manifest_.state_directory);
    config::LoadOptions options;
    options.check_files = false;
    options.overlay = false;
    for (const ArchiveMember& member : members_) {
      const bool is_configuration = member.name == manifest_.configuration;
      const auto file = is_configuration ? as_it_was.config_file() : as_it_was.file_of(member.name).value_or("");
      if (member.name != kSpoolMember && !file.empty()) options.replaced[file] = std::string(member.content);
    }
    if (options.replaced.count(as_it_was.config_file()) == 0) return refuse("it has no configuration file");
    auto made = make_plan(as_it_was.config_file(), options);
    if (const auto* faults = std::get_if<Faults>(&made)) {
      report(*faults, std::cerr);
      return refuse("the configuration in it can't run at this place; it was made of " + manifest_.config_folder,
                    kExitConfig);
    }
    return std::get<Plan>(std::move(made));
  }

  // Of a machine on which nothing that could run is configured yet, nothing has to be the same.
  int compare_with_present(const Plan& plan) const {
    config::LoadOptions options;
    options.check_files = false;
    options.overlay = false;
    const auto made = make_plan(places_->config_file(), options);
    const auto* present = std::get_if<Plan>(&made);
    const std::string& id = present != nullptr ? present->config.gateway.id : plan.config.gateway.id;
    if ((id != manifest_.gateway || plan.config.gateway.id != manifest_.gateway) && !arguments_.from_other_gateway) {
      return refuse("it is of the gateway " + manifest_.gateway + ", this is " +
                    (id != manifest_.gateway ? id : plan.config.gateway.id) +
                    "; accepted: --from-other-gateway, once that one is switched off for good");
    }
    if (present != nullptr && present->config.spool.directory != plan.config.spool.directory) {
      return refuse("its configuration has gateway.state_directory " + plan.config.spool.directory + ", this one " +
                    present->config.spool.directory + "; accepted: the same");
    }
    return kExitDone;
  }

  // Which member goes where; what no configuration names goes nowhere.
  int sort_out(const Plan& plan) {
    std::set<std::string> named;
    for (const auto& [file, text] : plan.config.texts) named.insert(places_->name_of(file).value_or(""));
    for (const auto& [file, is_private] : files_of_uplink(plan)) {
      named.insert(places_->name_of(file).value_or(""));
      if (is_private) private_files_.insert(file);
    }
    const std::string state = kStateMembers;
    for (const ArchiveMember& member : members_) {
      if (member.name == kSpoolMember) {
        spool_ = member.content;
        continue;
      }
      const bool is_configuration = member.name == manifest_.configuration;
      const auto file = is_configuration ? places_->config_file() : places_->file_of(member.name);
      const bool of_state = member.name.starts_with(state);
      const bool known = is_configuration || named.count(member.name) > 0 ||
                         (of_state && is_saved_state_file(member.name.substr(state.size())));
      if (!known || !file) return refuse(member.name + " in it is nothing that its configuration names here");
      if (of_state && is_audit_trail(member.name.substr(state.size())) && std::filesystem::exists(*file)) continue;
      (of_state ? state_files_ : config_files_)[*file] = std::string(member.content);
    }
    for (auto file = config_files_.begin(); file != config_files_.end();) {
      const auto present = base::content_of(file->first);
      file = present && present.value() == file->second ? config_files_.erase(file) : std::next(file);
    }
    return kExitDone;
  }

  int put_in_place(const Plan& plan) {
    const std::string& directory = places_->state_directory();
    std::optional<uplink::SpoolLock> lock;
    const std::string staged = directory + "/spool.db.restored";
    std::uint64_t untold = 0;
    {
      const AsOwner owner(directory);
      auto locked = lock_of_stopped_service(directory);
      if (!locked && locked.error().code() == base::ErrorCode::not_found) {
        return refuse(
            locked.error().message() +
                "; accepted: a folder of the service's user: install -d -o twinkeeper -g twinkeeper -m 0750 " +
                directory,
            kExitIo);
      }
      if (!locked) return refuse(locked.error());
      lock = std::move(locked).value();
      if (auto prepared = prepare_state(plan, staged, untold); !prepared) {
        static_cast<void>(uplink::remove_spool_file(staged));
        return refuse(prepared.error());
      }
    }
    FileChange config(config_files_);
    FileChange state(state_files_);
    base::Status put = make_folders();
    if (put) put = config.put();
    if (put) put = give_to_readers();
    {
      const AsOwner owner(directory);
      if (put) put = state.put();
      if (put && !spool_.empty()) put = uplink::put_in_place(staged, directory);
      if (!put) {
        state.put_back();
        static_cast<void>(uplink::remove_spool_file(staged));
      }
    }
    if (!put) {
      config.put_back();
      return refuse(put.error());
    }
    const AsOwner owner(directory);
    for (const auto& [file, text] : state_files_) ::unlink((file + ".before").c_str());
    record_in_trail(directory, "restore", "backup of " + manifest_.gateway + " " + manifest_.time);
    return tell(untold);
  }

  // Everything that needs room, and everything that can be wrong with the spool, comes before the first change.
  base::Status prepare_state(const Plan& plan, const std::string& staged, std::uint64_t& untold) {
    const std::string& directory = places_->state_directory();
    for (const std::string& name : forgotten_state_files(directory, false)) {
      const std::string file = directory + "/" + name;
      if (is_saved_state_file(name) || name == "session" || name == "job.json") state_files_.try_emplace(file);
    }
    if (auto removed = uplink::remove_spool_file(staged); !removed) return removed;
    if (!spool_.empty()) {
      if (auto written = base::replace_file(staged, spool_); !written) return written;
      const auto told = uplink::tell_what_is_replaced(staged, plan.config.spool);
      if (!told) return told.error();
      untold = told.value();
    }
    ::mkdir((directory + "/checkpoints").c_str(), 0700);
    for (const auto& [file, text] : state_files_) {
      std::error_code error;
      std::filesystem::create_directories(std::filesystem::path(file).parent_path(), error);
      if (error) return base::system_error(file, error.value());
    }
    const base::SystemClock clock;
    return uplink::raise_epoch(directory, manifest_.epoch, clock.wall_now());
  }

  // Below the configuration's own: its owner and mode are theirs.
  base::Status make_folders() {
    struct stat folder {};
    if (::stat(places_->config_folder().c_str(), &folder) != 0)
      return base::system_error(places_->config_folder(), errno);
    for (const auto& [file, text] : config_files_) {
      struct stat status {};
      if (::lstat(file.c_str(), &status) != 0) new_files_.push_back(file);
      std::vector<std::string> missing;
      for (auto path = std::filesystem::path(file).parent_path(); ::stat(path.c_str(), &status) != 0;
           path = path.parent_path()) {
        missing.insert(missing.begin(), path.string());
      }
      for (const std::string& path : missing) {
        if (::mkdir(path.c_str(), folder.st_mode & 0777) != 0) return base::system_error(path, errno);
        if (::geteuid() == 0 && ::chown(path.c_str(), folder.st_uid, folder.st_gid) != 0) {
          return base::system_error(path, errno);
        }
      }
    }
    return base::Success{};
  }

  // Files that were not there: readable for the group of the folder, the service's; private ones for its user alone.
  base::Status give_to_readers() const {
    struct stat folder {};
    struct stat state {};
    ::stat(places_->config_folder().c_str(), &folder);
    ::stat(places_->state_directory().c_str(), &state);
    for (const std::string& file : new_files_) {
      if (::geteuid() != 0) break;
      const bool is_private = private_files_.count(file) > 0;
      const struct stat& like = is_private ? state : folder;
      if (::chown(file.c_str(), like.st_uid, like.st_gid) != 0 ||
          ::chmod(file.c_str(), is_private ? 0400 : 0640) != 0) {
        return base::system_error(file, errno);
      }
    }
    return base::Success{};
  }

  int tell(std::uint64_t untold) const {
    std::cout << "restored the backup of " << manifest_.gateway << " of " << manifest_.time << '\n';
    for (const auto& [file, text] : config_files_) {
      std::cout << "  " << file;
      if (std::filesystem::exists(file + ".before")) std::cout << ", the one before is kept as " << file << ".before";
      std::cout << '\n';
    }
    std::cout << "  the state in " << places_->state_directory() << (spool_.empty() ? ", without a spool\n" : "\n");
    if (untold > 0) {
      std::cout << untold << " messages waited here and are not in it; a gap `purged` will tell them\n";
    }
    for (const std::string& file : private_files_) {
      if (!std::filesystem::exists(file)) std::cout << "missing, and not in it: " << file << '\n';
    }
    std::cout << "it runs with: systemctl start twinkeeper\n";
    return kExitDone;
  }

  const RestoreArguments& arguments_;
  Manifest manifest_;
  std::vector<ArchiveMember> members_;
  std::optional<BackupPlaces> places_;
  std::map<std::string, std::string> config_files_, state_files_;  // texts by file; an empty one goes
  std::vector<std::string> new_files_;
  std::set<std::string> private_files_;
  std::string_view spool_;
};

}  // namespace

int restore_command(const RestoreArguments& arguments) { return Restore(arguments).run(); }

}  // namespace twinkeeper::app
