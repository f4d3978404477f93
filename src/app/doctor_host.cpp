#include "app/doctor_host.hpp"

#include <dirent.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "app/user_name.hpp"

namespace twinkeeper::app::doctor {
namespace {

constexpr const char* kAsk =
    "timeout 5 systemctl show twinkeeper.service -p LoadState -p UnitFileState -p ActiveState -p SubState -p Result "
    "-p ExecMainStatus -p NRestarts -p NeedDaemonReload -p User -p SupplementaryGroups -p DevicePolicy -p DeviceAllow "
    "-p IPAddressAllow -p IPAddressDeny -p ExecStart -p StateDirectory 2>/dev/null";

std::string group_name(gid_t number) {
  const group* const entry = ::getgrgid(number);
  return entry == nullptr ? std::to_string(number) : entry->gr_name;
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

}  // namespace

Account own_account() {
  Account account;
  account.user = ::geteuid();
  account.name = user_name(account.user);
  account.groups.push_back(::getegid());
  account.group = group_name(account.groups.front());
  std::vector<gid_t> more(static_cast<std::size_t>(std::max(0, ::getgroups(0, nullptr))));
  more.resize(static_cast<std::size_t>(std::max(0, ::getgroups(static_cast<int>(more.size()), more.data()))));
  account.groups.insert(account.groups.end(), more.begin(), more.end());
  return account;
}

std::optional<Account> account_of(const std::string& name, const std::vector<std::string>& more) {
  const passwd* const entry = ::getpwnam(name.c_str());
  if (entry == nullptr) return std::nullopt;
  Account account;
  account.name = name;
  account.user = entry->pw_uid;
  account.groups.push_back(entry->pw_gid);
  std::array<gid_t, 64> known{};
  int count = static_cast<int>(known.size());
  if (::getgrouplist(name.c_str(), account.groups.front(), known.data(), &count) >= 0) {
    account.groups.insert(account.groups.end(), known.begin(), known.begin() + count);
  }
  account.group = group_name(account.groups.front());
  for (const std::string& one : more) {
    const group* const added = ::getgrnam(one.c_str());
    if (added != nullptr) account.groups.push_back(added->gr_gid);
  }
  return account;
}

bool lets(const struct stat& status, const Account& account, unsigned wanted) {
  if (account.user == 0) return true;
  const bool in_group = std::find(account.groups.begin(), account.groups.end(), status.st_gid) != account.groups.end();
  const unsigned shift = status.st_uid == account.user ? 6 : in_group ? 3 : 0;
  return ((status.st_mode >> shift) & wanted) == wanted;
}

std::optional<std::string> obstacle(const Account& account, const std::string& path, unsigned wanted) {
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::canonical(path, error);
  if (error) return std::nullopt;
  std::filesystem::path above;
  struct stat status {};
  for (const auto& part : whole.parent_path()) {
    above /= part;
    if (::stat(above.c_str(), &status) == 0 && !lets(status, account, kPass)) return above.string();
  }
  if (::stat(whole.c_str(), &status) == 0 && !lets(status, account, wanted)) return path;
  return std::nullopt;
}

std::string Unit::get(const std::string& name) const {
  const auto found = properties.find(name);
  return found == properties.end() ? std::string() : found->second;
}

bool Unit::runs_with(const std::string& config_file) const {
  if (!installed()) return false;
  // "{ path=… ; argv[]=/usr/bin/twinkeeper run --config /etc/… ; … }"
  const auto words = words_of(get("ExecStart"));
  const auto option = std::find(words.begin(), words.end(), "--config");
  std::error_code error;
  return option != words.end() && option + 1 != words.end() &&
         std::filesystem::equivalent(*(option + 1), config_file, error) && !error;
}

std::vector<std::string> Unit::groups() const { return words_of(get("SupplementaryGroups")); }

bool Unit::allows_device(const std::string& node) const {
  const std::string allowed = get("DeviceAllow");
  const std::string policy = get("DevicePolicy");
  if (policy.empty() || (policy == "auto" && allowed.empty())) return true;
  const auto words = words_of(allowed);
  return std::find(words.begin(), words.end(), node) != words.end() ||
         std::find(words.begin(), words.end(), "char-" + class_of_device(node)) != words.end();
}

Unit unit_of(const std::string& shown) {
  Unit unit;
  std::istringstream in(shown);
  for (std::string line; std::getline(in, line);) {
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos) continue;
    // DeviceAllow is shown once per device.
    std::string& value = unit.properties[line.substr(0, equals)];
    value += (value.empty() ? "" : " ") + line.substr(equals + 1);
  }
  unit.known = unit.properties.count("LoadState") > 0;
  return unit;
}

Unit ask_systemd() {
  if (::access("/run/systemd/system", F_OK) != 0) return {};
  const auto close = [](std::FILE* pipe) { ::pclose(pipe); };
  const std::unique_ptr<std::FILE, decltype(close)> pipe(::popen(kAsk, "re"), close);
  std::string shown;
  std::array<char, 4096> part{};
  for (std::size_t size = 0; pipe && (size = std::fread(part.data(), 1, part.size(), pipe.get())) > 0;) {
    shown.append(part.data(), size);
  }
  return unit_of(shown);
}

std::string class_of_device(const std::string& node) {
  std::string name = std::filesystem::path(node).filename().string();
  while (!name.empty() && std::isdigit(static_cast<unsigned char>(name.back())) != 0) name.pop_back();
  return name;
}

std::vector<Holder> holders_of(const std::string& root, dev_t device) {
  std::vector<Holder> holders;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(root + "/proc", error)) {
    const std::string name = entry.path().filename().string();
    Holder holder;
    if (std::from_chars(name.data(), name.data() + name.size(), holder.process).ec != std::errc{}) continue;
    if (holder.process == ::getpid()) continue;
    std::error_code hidden;
    for (const auto& open : std::filesystem::directory_iterator(entry.path() / "fd", hidden)) {
      // Only of devices is more asked: a file on a server that is away would hold us up.
      const auto target = std::filesystem::read_symlink(open.path(), hidden).string();
      struct stat status {};
      if (!target.starts_with("/dev/")) continue;
      if (::stat(open.path().c_str(), &status) != 0 || !S_ISCHR(status.st_mode) || status.st_rdev != device) continue;
      std::ifstream(entry.path() / "comm") >> holder.program;
      holders.push_back(holder);
      break;
    }
  }
  return holders;
}

std::string shell_quoted(const std::string& path) {
  const bool plain = std::all_of(path.begin(), path.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '/' || c == '.' || c == '_' || c == '-' || c == ':' || c == '+' || c == ',';
  });
  if (plain && !path.empty()) return path;
  std::string out = "'";
  for (const char c : path) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

}  // namespace twinkeeper::app::doctor
