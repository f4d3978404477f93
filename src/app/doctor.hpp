// What `doctor` looks at, a group of findings each. Nothing here changes anything: no file is made, the broker sees TLS
// handshakes without MQTT, and devices are read only while no service reads them.
//
// Thread rule: one thread; only examine_devices and examine_broker may run beside each other.
#pragma once

#include <string>

#include "app/doctor_finding.hpp"
#include "app/doctor_host.hpp"
#include "app/plan.hpp"

namespace twinkeeper::app::doctor {

struct Circumstances {
  std::string config_file;
  Account account;  // that the service has with this configuration
  Unit unit;
  bool unit_configuration = false;  // the unit runs with this file
  bool service_runs = false;        // somebody holds the spool of this configuration
};

// The faults that `check` finds; those of the files are examine_certificates'.
[[nodiscard]] Group faults_of_configuration(const std::string& config_file, const Faults& faults);
[[nodiscard]] Group examine_configuration(const Plan& plan, const Circumstances& circumstances);

// Certificate, key, authorities, revocation list and password of the uplink, at the time `now`.
[[nodiscard]] Group examine_certificates(const Plan& plan, const Circumstances& circumstances, base::WallTime now);
// Of what ends in so many days: a warning below 30, a failure below 7.
[[nodiscard]] Health health_of_days(double days) noexcept;

// State directory, its disk, spool and checkpoints.
[[nodiscard]] Group examine_state(const Plan& plan, const Circumstances& circumstances);

// `root`: where /dev is looked up in /proc, /sys and the udev rules; "" but for tests.
[[nodiscard]] Group examine_serial_lines(const Plan& plan, const Circumstances& circumstances, const std::string& root);

// One read of each device, controllers beside each other, but not through a line with a fault; or what the running
// service says. `within`: no device is begun with later.
[[nodiscard]] Group examine_devices(const Plan& plan, const Circumstances& circumstances, const Group& serial_lines,
                                    base::Duration within);
// A TLS handshake with each endpoint, beside each other. No CONNECT: it would throw the running service out, which has
// the same client id.
[[nodiscard]] Group examine_broker(const Plan& plan, base::Duration timeout);

[[nodiscard]] Group examine_clock(const base::Clock& clock);

// User, unit, drop-ins that the configuration needs. `plan`: absent if the configuration is wrong.
[[nodiscard]] Group examine_service(const Plan* plan, const Circumstances& circumstances);

// Whether one of the networks ("10.0.0.0/8 ::1/128") has the address.
[[nodiscard]] bool address_is_allowed(const std::string& address, const std::string& networks);

}  // namespace twinkeeper::app::doctor
