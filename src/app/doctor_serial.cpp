// Serial ports: there, free, and the service may open them. A port is not opened here.
#include <sys/sysmacros.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "app/doctor.hpp"
#include "app/endpoints.hpp"

namespace twinkeeper::app::doctor {
namespace {

constexpr const char* kById = "/dev/serial/by-id";
constexpr const char* kDropIns = "/etc/systemd/system/twinkeeper.service.d/";
constexpr base::Duration kQuickPolls = std::chrono::milliseconds{100};
constexpr int kSlowAdapter = 16;  // ms, what ftdi_sio begins with

bool is_adapter(const std::string& node) {
  const std::string kind = class_of_device(node);
  return kind == "ttyUSB" || kind == "ttyACM";
}

std::string content_of(const std::string& file) {
  std::ifstream in(file);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::string ports_present(const std::string& root) {
  std::string ports;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(root + kById, error)) {
    ports += (ports.empty() ? "" : ", ") + std::string(kById) + "/" + entry.path().filename().string();
  }
  return ports;
}

// The name that stays with the adapter, if the port is configured by its number.
std::string lasting_name(const std::string& root, const std::string& port, const std::string& node) {
  if (port != node) return {};
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(root + kById, error)) {
    std::error_code gone;
    if (std::filesystem::canonical(entry.path(), gone) == root + node) {
      return std::string(kById) + "/" + entry.path().filename().string();
    }
  }
  return {};
}

std::string stop_of(const Holder& holder) {
  const std::string& program = holder.program;
  if (program == "ModemManager") return "systemctl disable --now ModemManager";
  if (program == "agetty" || program == "getty" || program == "login") {
    return "systemctl disable --now serial-getty@PORT (and no console=PORT on the kernel's command line)";
  }
  if (program == "brltty") return "apt-get remove brltty";
  return "stop it: kill " + std::to_string(holder.process);
}

std::string onboard_drop_in() {
  return std::string("install -D -m 0644 /usr/share/doc/twinkeeper/examples/onboard-serial.conf ") + kDropIns +
         "onboard-serial.conf && systemctl daemon-reload && systemctl restart twinkeeper";
}

void examine_port_access(const std::string& port, const std::string& node, const struct stat& status,
                         const Circumstances& circumstances, const std::string& root, Group& group) {
  const Account& account = circumstances.account;
  if (!lets(status, account, kRead | kWrite)) {
    std::string mend;
    if (is_adapter(node)) {
      const bool ruled = std::filesystem::exists(root + "/usr/lib/udev/rules.d/60-twinkeeper.rules") ||
                         std::filesystem::exists(root + "/etc/udev/rules.d/60-twinkeeper.rules");
      mend = ruled ? "udevadm control --reload && udevadm trigger --subsystem-match=tty"
                   : "install the package again: its rule /usr/lib/udev/rules.d/60-twinkeeper.rules is not there";
    } else {
      mend = circumstances.unit_configuration ? onboard_drop_in() : "usermod -aG dialout " + account.name;
    }
    group.failure("serial_access", port, account.name + " can't open " + node + ": its mode and group do not let it",
                  mend, kExitConfig, "not_permitted");
  } else if (circumstances.unit_configuration && !circumstances.unit.allows_device(node)) {
    group.failure("serial_access", port, "the unit does not let the service open " + node,
                  is_adapter(node)
                      ? "systemctl edit twinkeeper: [Service] DeviceAllow=char-" + class_of_device(node) + " rw"
                      : onboard_drop_in(),
                  kExitConfig, "not_in_sandbox");
  } else {
    group.ok("serial_access", port, account.name + " may open " + node);
  }
  // A class that is unknown when the unit starts is let in by no DeviceAllow.
  if (is_adapter(node) && circumstances.unit_configuration &&
      content_of(root + "/proc/devices").find(" " + class_of_device(node) + "\n") == std::string::npos) {
    group.failure("serial_driver", port, "no driver of " + class_of_device(node) + " is loaded",
                  "systemctl restart systemd-modules-load && systemctl restart twinkeeper");
  }
}

void examine_port_holders(const std::string& port, const std::string& node, const struct stat& status,
                          const Circumstances& circumstances, const std::string& root, Group& group) {
  const auto holders = holders_of(root, status.st_rdev);
  const auto foreign = std::find_if(holders.begin(), holders.end(), [&](const Holder& holder) {
    return !(circumstances.service_runs && holder.program == "twinkeeper");
  });
  if (foreign != holders.end()) {
    std::string mend = stop_of(*foreign);
    const std::size_t name = mend.find("PORT");
    if (name != std::string::npos) mend.replace(name, 4, std::filesystem::path(node).filename().string());
    group.failure("serial_free", port,
                  foreign->program + " (process " + std::to_string(foreign->process) + ") has " + node + " open", mend,
                  kExitUnavailable, "held");
  } else if (!holders.empty()) {
    group.ok("serial_free", port, "the running service has it");
  } else {
    group.ok("serial_free", port,
             ::geteuid() == 0 ? "nobody has it open" : "nobody is seen to have it open; root would see everybody");
  }
}

void examine_port(const Plan& plan, const std::vector<std::size_t>& devices, const Circumstances& circumstances,
                  const std::string& root, Group& group) {
  const std::string& port = plan.config.devices[devices.front()].driver.line.device;
  struct stat status {};
  if (::stat((root + port).c_str(), &status) != 0) {
    const std::string present = ports_present(root);
    group.failure("serial_port", port, "is not there",
                  present.empty() ? "plug the adapter in; dmesg | grep tty says what the kernel found"
                                  : "set controller to one that is there: " + present,
                  kExitUnavailable, "missing");
    return;
  }
  if (!S_ISCHR(status.st_mode) && root.empty()) {
    group.failure("serial_port", port, "is no character device", "set controller to file:///dev/…", kExitConfig,
                  "no_device");
    return;
  }
  std::error_code error;
  const std::string node = std::filesystem::canonical(root + port, error).string().substr(root.size());
  const std::string lasting = is_adapter(node) ? lasting_name(root, port, node) : "";
  if (!lasting.empty()) {
    group.warning("serial_port", port, "is another adapter when they are plugged in in another order",
                  "controller: file://" + lasting);
  } else {
    group.ok("serial_port", port, port == node ? "is there" : "is there: " + node);
  }
  examine_port_access(port, node, status, circumstances, root, group);
  examine_port_holders(port, node, status, circumstances, root, group);
  base::Duration shortest = base::Duration::max();
  for (const std::size_t device : devices)
    shortest = std::min(shortest, plan.config.devices[device].driver.poll_interval);
  const std::string timer =
      "/sys/bus/usb-serial/devices/" + std::filesystem::path(node).filename().string() + "/latency_timer";
  const std::string wait = content_of(root + timer);
  if (!wait.empty() && std::atoi(wait.c_str()) >= kSlowAdapter && shortest <= kQuickPolls) {
    group.warning("serial_latency", port,
                  "the adapter holds bytes back for up to " + wait.substr(0, wait.find('\n')) + " ms",
                  "echo 1 > " + timer + "; for good by udev, docs/drivers/modbus-rtu.md");
  }
}

}  // namespace

Group examine_serial_lines(const Plan& plan, const Circumstances& circumstances, const std::string& root) {
  Group group("serial lines");
  for (const auto& devices : group_by_controller(plan.config)) {
    if (drivers::is_serial(plan.config.devices[devices.front()].driver)) {
      examine_port(plan, devices, circumstances, root, group);
    }
  }
  return group;
}

}  // namespace twinkeeper::app::doctor
