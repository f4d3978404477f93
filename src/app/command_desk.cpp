#include "app/command_desk.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "drivers/decoder.hpp"
#include "telemetry/number.hpp"
#include "twinkeeper/base/quantity.hpp"

namespace twinkeeper::app {
namespace {

using namespace std::chrono_literals;
using telemetry::CommandAnswer;
using telemetry::CommandResult;

constexpr std::size_t kMostUnreadCommands = 32;
constexpr int kMoreReadThanObeyed = 60;        // a minute: so many that are refused find a line each in the trail
constexpr base::Duration kFutureAllowed = 5s;  // clocks differ

// Whether there is room for one more within a minute; takes it if so.
bool take_place(std::deque<base::Instant>& times, int per_minute, base::Instant now) {
  while (!times.empty() && now - times.front() >= 1min) times.pop_front();
  if (times.size() >= static_cast<std::size_t>(per_minute)) return false;
  times.push_back(now);
  return true;
}

// As JSON; empty: there is none.
std::string as_sample(const drivers::RegisterSettings& reg, double value) {
  std::string text;
  if (!std::isnan(value)) {
    telemetry::append_register_value(text, drivers::raw_from_value(reg, value), value, reg.scaled);
  }
  return text;
}

}  // namespace

CommandDesk::CommandDesk(const config::Config& config, const base::Clock& clock, signals::EventSink& events,
                         OrderDesk& orders, std::function<void()> wake, std::function<void(signals::Message)> respond)
    : clock_(clock),
      orders_(orders),
      settings_(config.commands),
      topic_(config.uplink->topic_prefix + "/command/"),
      wake_(std::move(wake)),
      respond_(std::move(respond)),
      started_(clock.now()),
      seen_(config.gateway.state_directory + "/commands.seen", config.commands.max_age + 2 * kFutureAllowed, clock,
            events) {
  for (const auto& device : config.devices) {
    for (std::size_t w = 0; w < device.driver.writable.size(); ++w) {
      const drivers::WritableSettings& settings = device.driver.writable[w];
      const drivers::RegisterSettings& reg = device.driver.registers[settings.reg];
      Writable entry;
      entry.writable = w;
      entry.settings = settings;
      entry.reg = reg;
      writables_.emplace(device.driver.name + "." + reg.name, std::move(entry));
    }
  }
}

void CommandDesk::connect(const drivers::DeviceSettings& device, drivers::WriteQueue& queue, std::size_t place) {
  for (const drivers::WritableSettings& settings : device.writable) {
    Writable& entry = writables_.at(device.name + "." + device.registers[settings.reg].name);
    entry.queue = &queue;
    entry.place = place;
  }
  queues_.push_back(&queue);
}

std::vector<std::string> CommandDesk::topics() const {
  std::vector<std::string> topics;
  for (const std::string& verb : settings_.allow) topics.push_back(topic_ + verb);
  return topics;
}

void CommandDesk::arrived(std::string topic, std::string payload, bool retained) {
  if (topic.compare(0, topic_.size(), topic_) != 0) return;
  {
    const std::lock_guard lock(arrivals_mutex_);
    if (arrivals_.size() >= kMostUnreadCommands) {
      ++dropped_;
    } else {
      arrivals_.push_back({topic.substr(topic_.size()), std::move(payload), retained});
    }
  }
  wake_();
}

void CommandDesk::run() {
  std::deque<Arrival> arrivals;
  {
    const std::lock_guard lock(arrivals_mutex_);
    arrivals.swap(arrivals_);
    unread_ += std::exchange(dropped_, 0);
  }
  const base::Instant now = clock_.now();
  for (const Arrival& arrival : arrivals) {
    if (take_place(reads_, kMoreReadThanObeyed + settings_.per_minute, now)) {
      decide(arrival);
    } else {
      ++unread_;
    }
  }
  if (unread_ > 0 && (!unread_told_ || now - *unread_told_ >= 1min)) tell_unread(now);
  for (drivers::WriteQueue* queue : queues_) {
    for (const drivers::WriteOutcome& outcome : queue->take_outcomes()) conclude(outcome);
  }
  if (const auto reloaded = orders_.reloaded()) settle(*reloaded);
}

void CommandDesk::tell_unread(base::Instant now) {
  CommandAnswer answer;
  answer.reason = std::to_string(std::exchange(unread_, 0)) + " commands came too fast and were dropped unread";
  settle(answer);
  unread_told_ = now;
}

void CommandDesk::stop() {
  run();
  if (unread_ > 0) tell_unread(clock_.now());
  std::set<std::uint64_t> withdrawn;
  for (drivers::WriteQueue* queue : queues_) {
    for (const std::uint64_t number : queue->withdraw()) withdrawn.insert(number);
    for (const drivers::WriteOutcome& outcome : queue->take_outcomes()) conclude(outcome);
  }
  for (auto& [number, answer] : std::exchange(under_way_, {})) {
    answer.result = CommandResult::failed;
    answer.reason = withdrawn.contains(number) ? "not written: the service stopped before"
                                               : "the service was reloaded before it was known whether it is written";
    settle(answer);
  }
}

void CommandDesk::decide(const Arrival& arrival) {
  auto parsed = telemetry::parse_command(arrival.verb, arrival.payload);
  if (const auto* fault = std::get_if<telemetry::CommandFault>(&parsed)) {
    CommandAnswer answer;
    answer.verb = arrival.verb;
    answer.correlation_id = fault->correlation_id;
    answer.reason = "malformed: " + fault->what;
    return settle(answer);
  }
  const auto& command = std::get<telemetry::Command>(parsed);
  CommandAnswer answer = telemetry::answer_to(command.verb, command.arguments);
  answer.correlation_id = command.correlation_id;
  answer.by = command.by;
  answer.reason = objection(command, arrival.retained);
  if (!answer.reason.empty()) return settle(answer);
  if (command.verb != "write") {
    return orders_.submit(std::move(answer), command.arguments,
                          [this](const CommandAnswer& settled) { settle(settled); });
  }
  answer.reason = order_write(command);
  if (!answer.reason.empty()) return settle(answer);
  under_way_.emplace(writes_, std::move(answer));
}

std::string CommandDesk::objection(const telemetry::Command& command, bool retained) {
  const base::Instant now = clock_.now();
  const base::WallTime wall = clock_.wall_now();
  if (retained) return "retained";
  if (!settings_.allows(command.verb)) return "not allowed: " + command.verb;
  if (settings_.require_synchronised_clock && !clock_.synchronised())
    return "the clock of the gateway is not synchronised";
  if (command.issued_at > wall + kFutureAllowed) return "issued in the future";
  if (!seen_.knows_the_past() && command.issued_at < clock_.to_wall(started_)) {
    return "issued before this start of the service";
  }
  if (wall - command.issued_at > settings_.max_age) return "older than " + base::format_duration(settings_.max_age);
  if (command.expires_at <= wall) return "expired";
  // Longer than any command lives: what was issued a moment ahead of us, and then max_age.
  switch (seen_.see(command.correlation_id, now + settings_.max_age + 2 * kFutureAllowed)) {
    case ReplayWindow::Answer::repeated: return "repeated";
    case ReplayWindow::Answer::full: return "too many commands";
    case ReplayWindow::Answer::failed:
      // What else there is does no harm when it is done once more.
      if (command.verb == "write") return "can't be remembered on disk";
      break;
    case ReplayWindow::Answer::fresh: break;
  }
  if (!take_place(commands_, settings_.per_minute, now)) {
    return "more than " + std::to_string(settings_.per_minute) + " commands a minute";
  }
  return {};
}

std::string CommandDesk::order_write(const telemetry::Command& command) {
  const auto found = writables_.find(command.arguments.subject);
  if (found == writables_.end() || found->second.queue == nullptr) {
    return "not writable: " + command.arguments.subject;
  }
  const double value = command.arguments.value;
  Writable& entry = found->second;
  if (entry.reg.kind == drivers::RegisterKind::coil) {
    if (value != 0.0 && value != 1.0) return "a coil takes true or false";
  } else if (value < entry.settings.min_value || value > entry.settings.max_value) {
    return "outside of min_value and max_value";
  }
  const base::Instant now = clock_.now();
  if (!take_place(entry.writes, entry.settings.per_minute, now)) {
    return "more than " + std::to_string(entry.settings.per_minute) + " writes a minute";
  }
  const base::Duration left = std::min<base::Duration>(command.expires_at - clock_.wall_now(), settings_.max_age);
  if (!entry.queue->give({++writes_, entry.place, entry.writable, value, now + left})) {
    return "too many orders wait for this connection";
  }
  return {};
}

void CommandDesk::conclude(const drivers::WriteOutcome& outcome) {
  const auto found = under_way_.find(outcome.number);
  if (found == under_way_.end()) return;
  CommandAnswer answer = std::move(found->second);
  under_way_.erase(found);
  answer.result = outcome.done ? CommandResult::done : CommandResult::failed;
  answer.reason = outcome.reason;
  const drivers::RegisterSettings& reg = writables_.at(answer.tag).reg;
  answer.before = as_sample(reg, outcome.before);
  answer.after = as_sample(reg, outcome.after);
  settle(answer);
}

void CommandDesk::settle(const CommandAnswer& answer) {
  orders_.record(answer);
  if (answer.correlation_id.empty()) return;
  signals::Message out;
  telemetry::encode_answer(answer, clock_.now(), out);
  respond_(std::move(out));
}

}  // namespace twinkeeper::app
