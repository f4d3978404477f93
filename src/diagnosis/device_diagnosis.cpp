#include "twinkeeper/diagnosis/device_diagnosis.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "diagnosis/sensor_reasons.hpp"

namespace twinkeeper::diagnosis {
namespace {

using signals::Quality;
using signals::Reason;

constexpr std::array<Reason, 4> kSilences = {Reason::exception, Reason::timeout, Reason::no_match, Reason::stale};

const char* finding(Reason reason) {
  switch (reason) {
    case Reason::exception: return "The device refuses to give ";
    case Reason::timeout: return "The device does not answer for ";
    case Reason::no_match: return "The device answers something else when asked for ";
    default: return "The device has no news of ";
  }
}

const char* way_advice(Reason reason) {
  return reason == Reason::exception ? "Check address, type and access rights of the registers in the device's manual."
                                     : "Check the registers' addresses, the slave id and the load of the bus.";
}

bool has(const TagCondition& condition, Reason reason) {
  return condition.quality == Quality::bad && condition.reason == reason;
}

bool is_unheard(const TagCondition& condition) {
  return has(condition, Reason::timeout) || has(condition, Reason::no_match) || has(condition, Reason::stale);
}

}  // namespace

DeviceDiagnosis::DeviceDiagnosis(DeviceDiagnosisSetup setup)
    : setup_(std::move(setup)), book_(OwnerKind::device, setup_.device) {
  const base::Duration on_delay = setup_.on_delay();
  const base::Duration off_delay = setup_.off_delay();

  AlarmDefinition connection;
  connection.id = setup_.device + ".connection";
  connection.kind = AnomalyKind::communication;
  connection.test = "connection";
  connection.message = setup_.device + " cannot be reached.";
  connection.message_cleared = setup_.device + " answers again.";
  connection.advice = "Check power and network of the device, its address, and whether something else uses it.";
  for (std::size_t i = 0; i < setup_.tags.size(); ++i) connection.tags.push_back(tag_name(i));
  connection.severity = 650;
  connection.ne107 = NamurStatus::failure;
  connection.on_delay = on_delay;
  connection.off_delay = off_delay;
  connection_ = book_.add(std::move(connection));

  const AlarmDelays delays{on_delay, off_delay};
  for (Shared& shared : shared_) {
    for (std::size_t i = 0; i < setup_.tags.size(); ++i) shared.alarms.push_back(book_.add(delays));
  }
  sensors_.resize(setup_.tags.size());
  for (std::size_t i = 0; i < setup_.tags.size(); ++i) {
    if (!setup_.tags[i].own_sensor_alarms) continue;
    for (AlarmHandle& alarm : sensors_[i]) alarm = book_.add(delays);
  }
}

AlarmDefinition DeviceDiagnosis::shared_definition(std::size_t reason, std::size_t tag) const {
  AlarmDefinition definition;
  definition.test = std::string(signals::to_string(kSilences[reason]));
  definition.id = tag_name(tag) + "." + definition.test;
  definition.kind = AnomalyKind::communication;
  definition.message = finding(kSilences[reason]) + tag_name(tag) + ".";
  definition.message_cleared = tag_name(tag) + " is read again.";
  definition.advice = way_advice(kSilences[reason]);
  definition.severity = 500;
  definition.ne107 = NamurStatus::failure;
  return definition;
}

std::string DeviceDiagnosis::tag_name(std::size_t tag) const { return setup_.device + "." + setup_.tags[tag].name; }

bool DeviceDiagnosis::lost(std::span<const TagCondition> tags) noexcept {
  return !tags.empty() && std::all_of(tags.begin(), tags.end(), is_unheard);
}

void DeviceDiagnosis::evaluate(base::Instant now, std::span<const TagCondition> tags, std::vector<AnomalyEvent>& out,
                               const Cover& cover) {
  if (tags.size() != setup_.tags.size()) std::abort();
  if (tags.empty()) return;
  const bool is_lost = lost(tags);
  if (!cover.covered || book_.active(connection_)) {
    book_.update(connection_, is_lost, now, out);
  } else {
    book_.drop_pending(connection_);
  }
  if (!cover.cause.empty()) {
    book_.clear_now(connection_, now, out, [&](AnomalyEvent& event) { event.caused_by = {std::string(cover.cause)}; });
  }
  for (std::size_t r = 0; r < shared_.size(); ++r) {
    if (is_lost) {
      for (const AlarmHandle alarm : shared_[r].alarms) book_.drop_pending(alarm);
    } else {
      evaluate_shared(r, now, tags, out);
    }
  }
  for (std::size_t i = 0; i < tags.size(); ++i) {
    if (setup_.tags[i].own_sensor_alarms) evaluate_sensors(i, tags[i], now, out);
  }
}

void DeviceDiagnosis::evaluate_shared(std::size_t reason, base::Instant now, std::span<const TagCondition> tags,
                                      std::vector<AnomalyEvent>& out) {
  Shared& shared = shared_[reason];
  std::size_t affected = 0;
  std::size_t first = tags.size();
  for (std::size_t i = 0; i < tags.size(); ++i) {
    if (!has(tags[i], kSilences[reason])) continue;
    first = std::min(first, i);
    ++affected;
  }
  if (affected > 0 && !book_.active(shared.alarms[shared.bearer])) {
    const bool bearer_affected = has(tags[shared.bearer], kSilences[reason]);
    if (!bearer_affected) {
      book_.drop_pending(shared.alarms[shared.bearer]);
      shared.bearer = first;
    }
  }
  const AlarmHandle alarm = shared.alarms[shared.bearer];
  if (affected > shared.affected) book_.mark_changed(alarm);
  const auto define = [&] { return shared_definition(reason, shared.bearer); };
  book_.update_defined(alarm, affected > 0, now, out, define, [&](AnomalyEvent& event) {
    if (event.event == AnomalyEventKind::cleared) {
      shared.affected = 0;
      return;
    }
    for (std::size_t i = 0; i < tags.size(); ++i) {
      if (!has(tags[i], kSilences[reason])) continue;
      std::string name = tag_name(i);
      if (std::find(event.tags.begin(), event.tags.end(), name) == event.tags.end()) event.tags.push_back(name);
    }
    shared.affected = affected;
    if (event.tags.size() > 1) {
      event.message =
          finding(kSilences[reason]) + event.tags.front() + " and " + std::to_string(event.tags.size() - 1) + " more.";
    }
  });
}

void DeviceDiagnosis::evaluate_sensors(std::size_t tag, const TagCondition& condition, base::Instant now,
                                       std::vector<AnomalyEvent>& out) {
  const bool silent = condition.quality == Quality::bad && is_silence(condition.reason);
  for (std::size_t r = 0; r < kSensorReasons.size(); ++r) {
    const AlarmHandle alarm = sensors_[tag][r];
    if (silent) {
      book_.drop_pending(alarm);
    } else {
      const bool standing = book_.active(alarm);
      const auto define = [&] { return sensor_alarm(tag_name(tag), kSensorReasons[r], tag_name(tag)); };
      book_.update_defined(alarm, has(condition, kSensorReasons[r]), now, out, define, [](AnomalyEvent&) {});
      if (standing || !book_.active(alarm)) continue;
      for (const AlarmHandle other : sensors_[tag]) {
        if (other == alarm) continue;
        book_.clear_now(other, now, out, [&](AnomalyEvent& event) { event.caused_by = {book_.definition(alarm).id}; });
      }
    }
  }
}

}  // namespace twinkeeper::diagnosis
