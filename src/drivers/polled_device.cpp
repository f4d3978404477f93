#include "drivers/polled_device.hpp"

#include <algorithm>
#include <utility>

namespace twinkeeper::drivers {
namespace {

constexpr base::Duration kBetweenPlanEvents = std::chrono::minutes{10};

std::string hex(std::uint8_t code) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  return {'0', 'x', kDigits[code >> 4], kDigits[code & 0xF]};
}

}  // namespace

DeviceState CycleOutcome::state() const noexcept {
  if (good == requests) return DeviceState::up;
  return answered == 0 ? DeviceState::down : DeviceState::degraded;
}

PolledDevice::PolledDevice(DeviceSettings device, base::Instant grid_origin, base::Instant now)
    : settings(std::move(device)), plan(settings) {
  for (PollGroup& planned : plan_requests(settings)) {
    PolledGroup group;
    group.interval = planned.interval;
    group.origin = grid_origin + phase_of(settings);
    group.registers = std::move(planned.registers);
    group.requests = std::move(planned.requests);
    // Cycles from before the poller existed are nobody's: the first is the next point of the grid.
    if (now > group.origin)
      group.next_cycle = (now - group.origin + group.interval - base::Duration{1}) / group.interval;
    groups.push_back(std::move(group));
  }
}

void PolledDevice::count_exchange(const ExchangeResult& result) noexcept {
  statistics.requests_total.fetch_add(1, kRelaxed);
  const bool replied = result.error == DeviceError::none || result.error == DeviceError::exception;
  if (replied) {
    statistics.last_round_trip_ns.store((result.finished - result.sent).count(), kRelaxed);
    statistics.last_sent_ns.store(result.sent.time_since_epoch().count(), kRelaxed);
    statistics.last_received_ns.store(result.finished.time_since_epoch().count(), kRelaxed);
    statistics.consecutive_failures.store(0, kRelaxed);
  } else {
    statistics.consecutive_failures.fetch_add(1, kRelaxed);
  }
  if (result.error == DeviceError::exception) statistics.exceptions_total.fetch_add(1, kRelaxed);
  if (result.error == DeviceError::none) return;
  newest_failure_ = result;
  statistics.last_error.store(result.error, kRelaxed);
  statistics.last_exception_code.store(result.exception_code, kRelaxed);
  statistics.failures_total[static_cast<std::size_t>(result.error)].fetch_add(1, kRelaxed);
}

void PolledDevice::count_unavailable() noexcept {
  statistics.consecutive_failures.fetch_add(1, kRelaxed);
  statistics.failures_total[static_cast<std::size_t>(DeviceError::unavailable)].fetch_add(1, kRelaxed);
  found_unavailable();
}

void PolledDevice::found_unavailable() noexcept {
  statistics.last_error.store(DeviceError::unavailable, kRelaxed);
  statistics.last_exception_code.store(0, kRelaxed);
  newest_failure_ = ExchangeResult{};
  newest_failure_.error = DeviceError::unavailable;
}

void PolledDevice::left_unanswered(const ExchangeResult& result, PolledGroup& group, std::size_t request) {
  ++unanswered_in_a_row_;
  // Asked at once and not with every failure: one dead range must not make a register of each hour one of each second.
  const DeviceState state = statistics.state.load(kRelaxed);
  const bool first_sign = unanswered_in_a_row_ == 1 && (state == DeviceState::up || state == DeviceState::unknown);
  if (first_sign) ask_others(result.finished, group);
  if (unanswered_in_a_row_ < kUnansweredBeforeBackOff) return;
  down_error = result.error;
  if (!back_off.failed()) ask_others(result.finished, group);
  back_off.fail(result.finished);
  group.first_request = group.requests.empty() ? 0 : (request + 1) % group.requests.size();
  // A group whose registers are all refused asks nothing and would not find out.
  const auto asks = [](const PolledGroup& each) { return !each.requests.empty(); };
  if (std::none_of(groups.begin(), groups.end(), asks)) plan.ask_all_again(back_off.until());
  do next_to_retry_ = (next_to_retry_ + 1) % groups.size();
  while (!asks(groups[next_to_retry_]) && std::any_of(groups.begin(), groups.end(), asks));
  groups[next_to_retry_].ask_at = back_off.until();
}

void PolledDevice::answered(base::Instant now, const PolledGroup& group) noexcept {
  unanswered_in_a_row_ = 0;
  if (!back_off.failed()) return;
  back_off.clear();
  ask_others(now, group);
}

void PolledDevice::ask_others(base::Instant now, const PolledGroup& group) noexcept {
  for (PolledGroup& other : groups) {
    if (&other != &group) other.ask_at = now;
  }
}

void PolledDevice::revise(PolledGroup& group) {
  if (group.plan_version == plan.version()) return;
  group.plan_version = plan.version();
  group.requests = plan.requests(group.registers);
  group.first_request = 0;
}

// Told when a cycle has brought nothing new, so once for all that one search found out.
void PolledDevice::tell_plan(base::Instant now, signals::EventSink& events) {
  if (told_version_ == plan.version() || (told_plan_at_ && now - *told_plan_at_ < kBetweenPlanEvents)) return;
  told_version_ = plan.version();
  std::string text = plan.suggested_configuration();
  statistics.refused_registers.store(plan.refused_registers(), kRelaxed);
  statistics.suggested_configuration.set(text);
  if (text == told_plan_) return;
  told_plan_ = std::move(text);
  told_plan_at_ = now;
  events.raise({signals::EventLevel::info, settings.name, "plan_learned",
                told_plan_.empty()
                    ? "the device refuses nothing any more"
                    : "the device refuses some requests, which costs no other register; suggested: " + told_plan_});
}

DeviceState PolledDevice::combined_state() const noexcept {
  DeviceState combined = DeviceState::unknown;
  for (const PolledGroup& group : groups) {
    if (group.state == DeviceState::unknown || group.state == combined) continue;
    combined = combined == DeviceState::unknown ? group.state : DeviceState::degraded;
  }
  return combined;
}

std::string PolledDevice::describe_failure(const std::string& connection_error) const {
  switch (newest_failure_.error) {
    case DeviceError::unavailable: return connection_error;
    case DeviceError::mismatch:
      return "the reply does not match the request: " + std::string{to_string(newest_failure_.mismatch)};
    case DeviceError::exception:
      return "exception " + hex(newest_failure_.exception_code) + " (" +
             std::string{exception_name(newest_failure_.exception_code)} + ")";
    case DeviceError::none:
    case DeviceError::no_answer:
    case DeviceError::closed: break;
  }
  return std::string{to_string(newest_failure_.error)};
}

void PolledDevice::end_cycle(base::Instant now, PolledGroup& group, const CycleOutcome& outcome,
                             const std::string& connection_error, signals::EventSink& events) {
  group.state = outcome.state();
  if (group.plan_version == plan.version()) tell_plan(now, events);
  if (group.state != DeviceState::up) statistics.last_failure.set(describe_failure(connection_error));
  const bool undecided = std::any_of(groups.begin(), groups.end(),
                                     [now](const auto& other) { return other.ask_at && *other.ask_at <= now; });
  if (undecided) return;
  const DeviceState before = statistics.state.load(kRelaxed);
  const DeviceState after = combined_state();
  if (before == after) return;
  statistics.state.store(after, kRelaxed);
  const std::string unit = settings.controller + " unit " + std::to_string(settings.slave_id);
  if (after == DeviceState::down) {
    events.raise({signals::EventLevel::warning, settings.name, "connection_lost",
                  unit + " gives no answer: " + describe_failure(connection_error)});
  } else if (after == DeviceState::degraded) {
    events.raise({signals::EventLevel::warning, settings.name, "degraded",
                  unit + " answers only in part: " + describe_failure(connection_error)});
  } else if (before != DeviceState::unknown) {
    events.raise({signals::EventLevel::info, settings.name, "restored", unit + " answers every request again"});
  }
}

}  // namespace twinkeeper::drivers
