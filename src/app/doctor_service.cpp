// Clock, user, unit, and the drop-ins that the configuration needs.
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <sstream>

#include "app/doctor.hpp"
#include "twinkeeper/base/timestamp.hpp"
#include "uplink/secret.hpp"

namespace twinkeeper::app::doctor {
namespace {

constexpr int kManyRestarts = 3;
constexpr const char* kJournal = "journalctl -u twinkeeper -n 50";

std::string drop_in(const std::string& name) {
  return "install -D -m 0644 /usr/share/doc/twinkeeper/examples/" + name +
         " /etc/systemd/system/twinkeeper.service.d/" + name +
         " && systemctl daemon-reload && systemctl restart twinkeeper";
}

void examine_state_of_unit(const Unit& unit, Group& group) {
  const std::string active = unit.get("ActiveState");
  const std::string restarts = unit.get("NRestarts");
  const std::string since =
      restarts.empty() || restarts == "0" ? "" : ", started again " + restarts + " times by itself";
  int count = 0;
  std::from_chars(restarts.data(), restarts.data() + restarts.size(), count);
  if (active == "failed" || unit.get("SubState") == "auto-restart") {
    const std::string code = unit.get("ExecMainStatus");
    group.failure(
        "service", "twinkeeper.service", active + " (" + unit.get("Result") + ", exit code " + code + ")" + since,
        std::string(kJournal) + " says why; then systemctl restart twinkeeper", kExitUnavailable, unit.get("Result"));
  } else if (active != "active" && active != "reloading") {
    group.warning("service", "twinkeeper.service", "does not run (" + active + ")",
                  "systemctl enable --now twinkeeper");
  } else if (count >= kManyRestarts) {
    group.warning("service", "twinkeeper.service", "runs" + since, kJournal, "restarts");
  } else {
    group.ok("service", "twinkeeper.service", "runs" + since);
  }
  const std::string enabled = unit.get("UnitFileState");
  if (enabled.rfind("enabled", 0) == 0) {
    group.ok("enabled", "twinkeeper.service", "starts with the system");
  } else {
    group.warning("enabled", "twinkeeper.service", "does not start with the system (" + enabled + ")",
                  enabled.rfind("masked", 0) == 0 ? "systemctl unmask twinkeeper && systemctl enable twinkeeper"
                                                  : "systemctl enable twinkeeper");
  }
  if (unit.get("NeedDaemonReload") == "yes") {
    group.warning("unit", "twinkeeper.service", "its files were changed since systemd has read them",
                  "systemctl daemon-reload && systemctl restart twinkeeper", "changed");
  }
}

void examine_key_in_tpm(const Plan& plan, const Unit& unit, Group& group) {
  if (!plan.config.uplink || !uplink::is_in_tpm(plan.config.uplink->key)) return;
  const auto groups = unit.groups();
  const bool member = std::find(groups.begin(), groups.end(), "tss") != groups.end();
  if (member && unit.allows_device("/dev/tpmrm0")) {
    group.ok("tpm", "/dev/tpmrm0", "the unit lets the service use it");
  } else {
    group.failure("tpm", "/dev/tpmrm0", "the key is in a TPM, and the unit does not let the service use it",
                  drop_in("tpm.conf"));
  }
}

bool in_network(const std::string& address, const std::string& network) {
  const std::size_t slash = network.find('/');
  for (const auto& [family, size] : {std::pair{AF_INET, 4U}, std::pair{AF_INET6, 16U}}) {
    std::array<unsigned char, 16> one{};
    std::array<unsigned char, 16> other{};
    if (::inet_pton(family, address.c_str(), one.data()) != 1 ||
        ::inet_pton(family, network.substr(0, slash).c_str(), other.data()) != 1) {
      continue;
    }
    unsigned bits = size * 8;
    if (slash != std::string::npos) std::from_chars(network.data() + slash + 1, network.data() + network.size(), bits);
    for (unsigned i = 0; i < std::min(bits, size * 8); ++i) {
      if (((one[i / 8] ^ other[i / 8]) >> (7 - i % 8) & 1) != 0) return false;
    }
    return true;
  }
  return false;
}

// Of hosts that are written as addresses; names are for the resolver.
void examine_addresses(const Plan& plan, const Unit& unit, Group& group) {
  if (unit.get("IPAddressDeny").empty()) return;
  const std::string allowed = unit.get("IPAddressAllow");
  std::vector<std::string> hosts;
  for (const auto& device : plan.config.devices) {
    if (!drivers::is_serial(device.driver)) hosts.push_back(device.driver.address.host);
  }
  if (plan.config.uplink) {
    for (const auto& endpoint : plan.config.uplink->endpoints) hosts.push_back(endpoint.host);
    if (plan.config.uplink->proxy) hosts.push_back(plan.config.uplink->proxy->host);
  }
  std::sort(hosts.begin(), hosts.end());
  hosts.erase(std::unique(hosts.begin(), hosts.end()), hosts.end());
  for (const auto& host : hosts) {
    std::array<unsigned char, 16> ignored{};
    const bool literal = ::inet_pton(AF_INET, host.c_str(), ignored.data()) == 1 ||
                         ::inet_pton(AF_INET6, host.c_str(), ignored.data()) == 1;
    if (literal && !address_is_allowed(host, allowed)) {
      group.failure("addresses", host, "the unit does not let the service speak to it (IPAddressAllow)",
                    "add it to IPAddressAllow in /etc/systemd/system/twinkeeper.service.d/site-addresses.conf && "
                    "systemctl daemon-reload && systemctl restart twinkeeper");
    }
  }
}

}  // namespace

bool address_is_allowed(const std::string& address, const std::string& networks) {
  std::istringstream in(networks);
  for (std::string network; in >> network;) {
    if (in_network(address, network)) return true;
  }
  return false;
}

Group examine_clock(const base::Clock& clock) {
  Group group("clock");
  const std::string now = base::format_rfc3339(clock.wall_now()).substr(0, 19) + "Z";
  if (clock.wall_now() < base::kClockIsSet) {
    group.failure("clock", "", "was never set: it says " + now,
                  "timedatectl set-ntp true, or timedatectl set-time '2030-01-31 12:00:00' with the time that it is",
                  kExitConfig, "not_set");
  } else if (!clock.synchronised()) {
    group.warning("clock", "",
                  "is not disciplined by a time source (it says " + now + "): times are marked, commands refused",
                  "timedatectl set-ntp true; timedatectl timesync-status, or chronyc tracking, says what is wrong",
                  "not_synchronised");
  } else {
    group.ok("clock", "", "is disciplined by a time source and says " + now);
  }
  return group;
}

Group examine_service(const Plan* plan, const Circumstances& circumstances) {
  Group group("service");
  const Unit& unit = circumstances.unit;
  if (!unit.known) {
    group.ok("unit", "", "not known: systemd does not run here; access is judged for " + circumstances.account.name);
    return group;
  }
  if (!unit.installed()) {
    group.warning(
        "unit", "twinkeeper.service", "is not installed (" + unit.get("LoadState") + ")",
        unit.get("LoadState") == "masked" ? "systemctl unmask twinkeeper" : "apt-get install ./twinkeeper_*.deb",
        "not_installed");
    return group;
  }
  if (!circumstances.unit_configuration) {
    group.warning("unit", "twinkeeper.service", "runs with another configuration: " + unit.get("ExecStart"),
                  "twinkeeper doctor --config /etc/twinkeeper/twinkeeper.yaml", "another_configuration");
    return group;
  }
  const std::string user = unit.get("User");
  if (circumstances.account.name != user) {
    group.failure("user", user, "there is no such user", "systemd-sysusers twinkeeper.conf");
  } else {
    group.ok("user", user, "is there, of group " + circumstances.account.group);
  }
  group.ok("unit", "twinkeeper.service", "is installed and runs with this configuration");
  examine_state_of_unit(unit, group);
  if (plan != nullptr) {
    examine_key_in_tpm(*plan, unit, group);
    examine_addresses(*plan, unit, group);
  }
  return group;
}

}  // namespace twinkeeper::app::doctor
