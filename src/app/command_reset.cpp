#include <unistd.h>

#include <iostream>

#include "app/commands.hpp"
#include "app/exit_codes.hpp"
#include "app/plan.hpp"
#include "app/provisioned.hpp"
#include "app/state_files.hpp"
#include "base/durable_file.hpp"
#include "uplink/spool_backup.hpp"

namespace twinkeeper::app {
namespace {

int reset_fault(const base::Error& error) { return told("reset: " + error.message(), exit_code_of_files(error)); }

bool is_meant(const ResetArguments& arguments, const Plan& plan) {
  if (arguments.yes) return true;
  if (::isatty(STDIN_FILENO) != 1) return false;
  std::cout << "everything that twins, operators and the cloud have left in " << plan.config.spool.directory
            << " goes for good"
            << (arguments.everything ? ", and so do what tells of commands and the certificate that was provisioned"
                                     : "")
            << "; type yes to do it: " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "yes";
}

// What waits is told by the empty spool that takes its place, unless nobody is to hear of this gateway any more.
base::Result<std::uint64_t> empty_spool(const uplink::SpoolSettings& settings, bool told) {
  const std::string spool = settings.directory + "/spool.db";
  const std::string fresh = spool + ".reset";
  if (auto kept = uplink::keep_epoch(settings.directory); !kept) return kept.error();
  if (auto removed = uplink::remove_spool_file(fresh); !removed) return removed.error();
  if (::access(spool.c_str(), F_OK) != 0) return std::uint64_t{0};
  const auto waiting = uplink::tell_what_is_replaced(fresh, settings);
  if (!waiting) return waiting;
  if (auto put = uplink::put_in_place(fresh, settings.directory); !put) return put.error();
  if (!told) ::unlink(spool.c_str());
  return waiting;
}

}  // namespace

int reset_command(const ResetArguments& arguments) {
  auto loaded = load_or_report(arguments.config_file, false);
  if (const int* code = std::get_if<int>(&loaded)) return *code;
  const Plan& plan = std::get<Plan>(loaded);
  const std::string& directory = plan.config.spool.directory;
  std::uint64_t files = 0;
  std::uint64_t messages = 0;
  {
    const AsOwner owner(directory);
    const auto lock = lock_of_stopped_service(directory);
    if (!lock) return reset_fault(lock.error());
    if (!is_meant(arguments, plan)) return told("reset: nothing is changed; give --yes to do it", kExitUsage);
    if (!arguments.keep_spool) {
      const auto emptied = empty_spool(plan.config.spool, !arguments.everything);
      if (!emptied) return reset_fault(emptied.error());
      messages = emptied.value();
    }
    for (const std::string& name : forgotten_state_files(directory, arguments.everything)) {
      const std::string file = directory + "/" + name;
      if (::unlink(file.c_str()) != 0) return reset_fault(base::system_error(file, errno));
      ++files;
    }
    record_in_trail(directory, "reset",
                    arguments.everything   ? "everything"
                    : arguments.keep_spool ? "but the spool"
                                           : "");
  }
  std::cout << "removed " << files << " files of " << directory << " and " << messages << " messages that waited";
  if (messages > 0 && !arguments.everything) std::cout << "; a gap `purged` will tell them";
  std::cout << '\n';
  if (!arguments.everything || !plan.config.uplink) return kExitDone;
  for (const std::string& file : take_provisioned(*plan.config.uplink)) std::cout << "removed " << file << '\n';
  return kExitDone;
}

}  // namespace twinkeeper::app
