#include "twinkeeper/diagnosis/bus_diagnosis.hpp"

#include <algorithm>

namespace twinkeeper::diagnosis {

BusDiagnosis::BusDiagnosis(const std::string& controller, const std::vector<DeviceDiagnosisSetup>& devices)
    : book_(OwnerKind::gateway, ""), id_("gateway." + devices.front().device + ".connection"), lost_(devices.size()) {
  AlarmDefinition connection;
  connection.id = id_;
  connection.kind = AnomalyKind::communication;
  connection.test = "connection";
  std::string names;
  for (const DeviceDiagnosisSetup& device : devices) {
    if (!names.empty()) names += &device == &devices.back() ? " and " : ", ";
    names += device.device;
    for (const DeviceTagSetup& tag : device.tags) connection.tags.push_back(device.device + "." + tag.name);
    connection.on_delay = std::max(connection.on_delay, device.on_delay());
    connection.off_delay = std::max(connection.off_delay, device.off_delay());
  }
  connection.message = "None of the devices behind " + controller + " can be reached: " + names + ".";
  connection.message_cleared = "Devices behind " + controller + " answer again.";
  connection.advice = "Check power, network and wiring of what they have in common before the devices themselves.";
  connection.severity = 700;
  connection.ne107 = NamurStatus::failure;
  connection_ = book_.add(std::move(connection));
}

Cover BusDiagnosis::evaluate(base::Instant now, std::size_t device, bool lost, std::vector<AnomalyEvent>& out) {
  lost_[device] = lost;
  const bool all_lost = std::all_of(lost_.begin(), lost_.end(), [](bool each) { return each; });
  book_.update(connection_, all_lost, now, out);
  // A device that stays away when others are heard again has its own alarm, after its own delay.
  return {.covered = all_lost, .cause = all_lost && book_.active(connection_) ? id_ : std::string_view{}};
}

}  // namespace twinkeeper::diagnosis
