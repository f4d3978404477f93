#include <unistd.h>

#include <algorithm>
#include <deque>
#include <iostream>

#include "app/backup_archive.hpp"
#include "app/backup_places.hpp"
#include "app/commands.hpp"
#include "app/exit_codes.hpp"
#include "app/state_files.hpp"
#include "app/version.hpp"
#include "base/durable_file.hpp"
#include "telemetry/json_writer.hpp"
#include "twinkeeper/base/timestamp.hpp"
#include "uplink/spool_backup.hpp"

namespace twinkeeper::app {
namespace {

class Backup {
 public:
  Backup(const BackupArguments& arguments, const Plan& plan)
      : arguments_(arguments),
        plan_(plan),
        places_(arguments.config_file, plan.config.spool.directory),
        spool_copy_(arguments.output_file + ".spool") {}
  ~Backup() { ::unlink(spool_copy_.c_str()); }
  Backup(const Backup&) = delete;
  Backup& operator=(const Backup&) = delete;

  int run() {
    members_.push_back({kManifest, {}});
    for (const auto& [file, text] : plan_.config.texts) add(file, text);
    if (auto added = add_files_of_uplink(); !added) return fault(added.error());
    if (auto added = add_state(); !added) return fault(added.error());
    std::optional<MappedFile> spool;
    if (!arguments_.without_spool) {
      auto copied = copy_spool();
      if (!copied) return fault(copied.error());
      spool = std::move(copied).value();
    }
    const base::SystemClock clock;
    const std::string manifest = manifest_text(clock.wall_now());
    members_.front().content = manifest;
    if (auto written = write_archive(arguments_.output_file, members_, clock.wall_now()); !written) {
      return fault(written.error());
    }
    tell();
    return kExitDone;
  }

 private:
  static int fault(const base::Error& error) {
    return told("backup: " + error.message() + "; nothing is written", exit_code_of_files(error));
  }

  void add(const std::string& file, std::string content) {
    const auto name = places_.name_of(file);
    if (!name) {
      left_out_.push_back(file + ": it lies neither below " + places_.config_folder() + " nor below " +
                          places_.state_directory());
      return;
    }
    const auto same = [&](const ArchiveMember& member) { return member.name == *name; };
    if (std::any_of(members_.begin(), members_.end(), same)) return;
    contents_.push_back(std::move(content));
    members_.push_back({*name, contents_.back()});
  }

  base::Status add_files_of_uplink() {
    for (const auto& [file, is_private] : files_of_uplink(plan_)) {
      if (is_private && !arguments_.with_keys) {
        left_out_.push_back(file + ": it is private; --with-keys takes it in");
        continue;
      }
      auto content = base::content_of(file);
      if (!content && content.error().code() != base::ErrorCode::not_found) return content.error();
      if (content) {
        add(file, std::move(content).value());
      } else {
        left_out_.push_back(content.error().message());
      }
    }
    return base::Success{};
  }

  base::Status add_state() {
    const std::string& directory = places_.state_directory();
    const AsOwner owner(directory);
    for (const std::string& name : saved_state_files(directory)) {
      auto content = base::content_of(directory + "/" + name);
      if (!content) return content.error();
      contents_.push_back(std::move(content).value());
      members_.push_back({kStateMembers + name, contents_.back()});
    }
    return base::Success{};
  }

  // Nothing if there is none yet.
  base::Result<std::optional<MappedFile>> copy_spool() {
    ::unlink(spool_copy_.c_str());
    const auto copy = uplink::copy_spool(places_.state_directory(), spool_copy_);
    if (!copy && copy.error().code() == base::ErrorCode::not_found) return std::optional<MappedFile>{};
    if (!copy) return base::Error(copy.error()).with_context("the spool (--without-spool leaves it out)");
    copied_ = copy.value();
    auto mapped = MappedFile::open(spool_copy_);
    if (!mapped) return mapped.error();
    members_.push_back({kSpoolMember, mapped.value().content()});
    return std::optional<MappedFile>(std::move(mapped).value());
  }

  [[nodiscard]] std::string manifest_text(base::WallTime now) const {
    std::string members;
    telemetry::JsonWriter writer(members);
    writer.text("schema", kBackupSchema);
    writer.text("version", kVersion);
    writer.text("gateway", plan_.config.gateway.id);
    writer.text("time", base::format_rfc3339(now));
    writer.text("configuration", places_.name_of(places_.config_file()).value_or(""));
    writer.text("config_folder", places_.config_folder());
    writer.text("state_directory", places_.state_directory());
    writer.text("config_hash", plan_.config.hash);
    writer.boolean("keys", arguments_.with_keys);
    writer.natural("epoch", copied_ ? copied_->epoch : 0);
    writer.natural("messages", copied_ ? copied_->messages : 0);
    return "{" + members + "}\n";
  }

  void tell() const {
    std::cout << arguments_.output_file << ": " << members_.size() - 1 << " files of " << plan_.config.gateway.id;
    if (copied_) std::cout << ", " << copied_->messages << " messages that wait, epoch " << copied_->epoch;
    std::cout << '\n';
    if (arguments_.with_keys) std::cout << "it holds private keys: keep it as you keep them\n";
    for (const std::string& what : left_out_) std::cout << "left out: " << what << '\n';
  }

  const BackupArguments& arguments_;
  const Plan& plan_;
  const BackupPlaces places_;
  const std::string spool_copy_;
  std::optional<uplink::SpoolCopy> copied_;
  std::deque<std::string> contents_;
  std::vector<ArchiveMember> members_;  // the manifest first
  std::vector<std::string> left_out_;
};

}  // namespace

int backup_command(const BackupArguments& arguments) {
  auto loaded = load_or_report(arguments.config_file, false);
  if (const int* code = std::get_if<int>(&loaded)) return *code;
  return Backup(arguments, std::get<Plan>(loaded)).run();
}

}  // namespace twinkeeper::app
