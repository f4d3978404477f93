// What `doctor` finds: one line each, with what mends it, and what all of it comes to.
//
// Exit code  0 nothing fails (warnings or not); 66 the configuration file can't be read; 78 the configuration, a file
//            that it names or the installation is wrong; 77 modes and owners of files alone; 74 the state directory;
//            69 a device, the broker or the service. Of several the first in this order, 77 only if nothing else fails.
// Thread rule: plain values; free functions.
#pragma once

#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "app/exit_codes.hpp"

namespace twinkeeper::app::doctor {

enum class Health { ok, warning, failure };
[[nodiscard]] const char* to_string(Health health) noexcept;

struct Finding {
  Health health = Health::ok;
  std::string id;       // of the check, whatever it comes to: "key"
  std::string subject;  // file, device, server
  std::string found;
  std::string cause;       // a stable word, where there are several; empty: none, or all is well
  std::string mend;        // command or edit; empty if all is well
  int code = kExitConfig;  // a failure's
};

class Group {
 public:
  explicit Group(std::string name) : name_(std::move(name)) {}

  void ok(const std::string& id, const std::string& subject, const std::string& found);
  void warning(const std::string& id, const std::string& subject, const std::string& found, const std::string& mend,
               const std::string& cause = "");
  void failure(const std::string& id, const std::string& subject, const std::string& found, const std::string& mend,
               int code = kExitConfig, const std::string& cause = "");
  void add(Finding finding) { findings_.push_back(std::move(finding)); }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::vector<Finding>& findings() const { return findings_; }

 private:
  std::string name_;
  std::vector<Finding> findings_;
};

struct Examination {
  std::string config_file;
  std::string account;  // of whom access was judged
  bool offline = false;
  std::vector<Group> groups;

  [[nodiscard]] int count(Health health) const;
  [[nodiscard]] int exit_code() const;
};

void print(const Examination& examination, std::ostream& out);
[[nodiscard]] nlohmann::ordered_json json_of(const Examination& examination);

}  // namespace twinkeeper::app::doctor
