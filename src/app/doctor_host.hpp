// What `doctor` knows of the system: the account whose access counts, the unit, who holds a device.
//
// Access is judged by owner, group and mode, as root may do everything itself; access lists are not looked at.
// Thread rule: free functions; those that ask the user database belong to one thread.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace twinkeeper::app::doctor {

struct Account {
  std::string name;
  std::string group;  // its own
  uid_t user = 0;
  std::vector<gid_t> groups;  // its own first
};

// Of this process.
[[nodiscard]] Account own_account();
// By name, with the groups of the user database and, by name, `more`; nothing if there is no such user.
[[nodiscard]] std::optional<Account> account_of(const std::string& name, const std::vector<std::string>& more);

enum Access : unsigned { kRead = 4, kWrite = 2, kPass = 1 };
[[nodiscard]] bool lets(const struct stat& status, const Account& account, unsigned wanted);
// The file itself, or the folder above it that does not let the account through; nothing if nothing is in the way or
// there is no such file.
[[nodiscard]] std::optional<std::string> obstacle(const Account& account, const std::string& path, unsigned wanted);

// What systemd says of twinkeeper.service.
struct Unit {
  bool known = false;  // systemd runs and answers
  std::map<std::string, std::string> properties;

  [[nodiscard]] std::string get(const std::string& name) const;
  [[nodiscard]] bool installed() const { return known && get("LoadState") == "loaded"; }
  [[nodiscard]] bool runs_with(const std::string& config_file) const;
  [[nodiscard]] std::vector<std::string> groups() const;  // SupplementaryGroups
  // Whether DeviceAllow lets the node in, itself or its class ("char-ttyUSB").
  [[nodiscard]] bool allows_device(const std::string& node) const;
};
[[nodiscard]] Unit unit_of(const std::string& shown);  // what `systemctl show` prints
[[nodiscard]] Unit ask_systemd();

// "ttyUSB" of /dev/ttyUSB0
[[nodiscard]] std::string class_of_device(const std::string& node);

struct Holder {
  int process = 0;
  std::string program;
};
// Processes that have the device open, as far as `root`/proc shows it to this one.
[[nodiscard]] std::vector<Holder> holders_of(const std::string& root, dev_t device);

// "a.b/c d" as a word of the shell.
[[nodiscard]] std::string shell_quoted(const std::string& path);

}  // namespace twinkeeper::app::doctor
