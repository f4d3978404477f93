#include "app/order_desk.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "app/real_time.hpp"
#include "app/what_if.hpp"
#include "telemetry/json_writer.hpp"

namespace twinkeeper::app {
namespace {

using telemetry::CommandAnswer;
using telemetry::CommandArguments;
using telemetry::CommandResult;

constexpr std::size_t kMostPosted = 32;
const std::string kByCommand = "a command";
const std::string kBySocket = "the control socket";
constexpr std::size_t kPurgePiece = 5000;           // rows: about a second on a slow disk
constexpr std::size_t kMostFaultBytes = 60 * 1024;  // told to a client, which may read slowly

void refuse(CommandAnswer& answer, std::string reason) {
  answer.result = CommandResult::refused;
  answer.reason = std::move(reason);
}

void complete(CommandAnswer& answer, const ReloadOutcome& outcome) {
  answer.result = outcome.done ? CommandResult::done : CommandResult::failed;
  answer.reason = outcome.reason();
}

// For whoever asks on the machine itself: all faults, and the code that `run` would exit with.
std::string content_of(const ReloadOutcome& outcome) {
  std::vector<std::string> told;
  std::size_t bytes = 0;
  for (const std::string& fault : outcome.faults) {
    bytes += fault.size();
    if (bytes > kMostFaultBytes) {
      told.push_back("and " + std::to_string(outcome.faults.size() - told.size()) + " more");
      break;
    }
    told.push_back(fault);
  }
  std::string content;
  telemetry::JsonWriter writer(content);
  writer.integer("exit_code", outcome.exit_code);
  writer.texts("faults", told);
  if (outcome.done) writer.text("restarted", outcome.restarted);
  return content;
}

template <class Named, class NameOf>
std::optional<std::size_t> place_of(const std::vector<Named>& all, const std::string& name, const NameOf& name_of) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (name_of(all[i]) == name) return i;
  }
  return std::nullopt;
}

std::optional<std::size_t> place_of_twin(const Plan& plan, const std::string& name) {
  return place_of(plan.config.twins, name, [](const auto& twin) { return twin.name; });
}

std::optional<std::size_t> place_of_device(const Plan& plan, const std::string& name) {
  return place_of(plan.config.devices, name, [](const auto& device) { return device.driver.name; });
}

Order::Kind kind_of(const std::string& verb) {
  return verb == "acknowledge" ? Order::Kind::acknowledge
         : verb == "shelve"    ? Order::Kind::shelve
         : verb == "unshelve"  ? Order::Kind::unshelve
                               : Order::Kind::maintenance;
}

}  // namespace

OrderDesk::OrderDesk(const Plan& plan, const base::Clock& clock, signals::EventSink& events, ReloadRequests& reloads,
                     std::function<void()> wake)
    : plan_(plan),
      clock_(clock),
      events_(events),
      reloads_(reloads),
      wake_(std::move(wake)),
      alarms_(plan.config.gateway.state_directory + "/alarms.json", clock, events),
      trail_(plan.config.gateway.state_directory + "/commands.log", events) {}

void OrderDesk::record(const CommandAnswer& answer) {
  trail_.append([&](std::uint64_t number) { return telemetry::audit_line(answer, number, clock_.wall_now()); });
  const bool good = answer.result == CommandResult::done || answer.result == CommandResult::accepted;
  const std::string& subject = answer.tag.empty() ? answer.subject : answer.tag;
  std::string message =
      answer.verb + (subject.empty() ? "" : " " + subject) + " " + std::string{telemetry::to_string(answer.result)};
  if (!answer.by.empty()) message += ", by " + answer.by;
  if (!answer.reason.empty()) message += ": " + answer.reason;
  events_.raise({good ? signals::EventLevel::info : signals::EventLevel::warning, "commands",
                 "command_" + std::string{telemetry::to_string(answer.result)}, std::move(message)});
}

bool OrderDesk::post(CommandAnswer answer, CommandArguments arguments, Told told) {
  {
    const std::lock_guard lock(mutex_);
    if (posted_.size() >= kMostPosted) return false;
    posted_.push_back({std::move(answer), std::move(arguments), std::move(told)});
  }
  wake_();
  return true;
}

bool OrderDesk::post_reload(CommandAnswer answer, SocketDescriptor& client) {
  {
    const std::lock_guard lock(mutex_);
    if (posted_.size() >= kMostPosted) return false;
    posted_.push_back({std::move(answer), {}, {}, std::move(client)});
  }
  wake_();
  return true;
}

void OrderDesk::submit(CommandAnswer answer, const CommandArguments& arguments, Told told) {
  const std::string& verb = answer.verb;
  if (verb == "snapshot") return submit_snapshot(std::move(answer), arguments, std::move(told));
  if (verb == "what-if") return submit_what_if(std::move(answer), arguments, std::move(told));
  if (verb == "reload") return submit_reload(kByCommand, std::move(answer), told);
  if (verb == "purge") return submit_purge(std::move(answer), arguments, std::move(told));
  if (verb == "acknowledge" || verb == "shelve" || verb == "unshelve" || verb == "maintenance") {
    return submit_alarm_order(std::move(answer), arguments, std::move(told));
  }
  answer.result = CommandResult::done;
  if (verb == "describe") {
    describe_();
  } else if (verb == "alarms") {
    answer.content = alarms_.members();
  } else if (verb == "log-level" && log_level_) {
    answer.content = log_level_(arguments.subject, arguments.duration);
  } else {
    refuse(answer, "unknown verb " + verb);
  }
  told(answer);
}

void OrderDesk::submit_alarm_order(CommandAnswer answer, const CommandArguments& arguments, Told told) {
  Order order;
  order.kind = kind_of(answer.verb);
  order.subject = arguments.subject;
  order.word = {answer.by, arguments.comment, clock_.now() + arguments.duration};
  if (order.kind == Order::Kind::maintenance && !place_of_twin(plan_, order.subject) &&
      !place_of_device(plan_, order.subject)) {
    refuse(answer, "there is no twin or device " + order.subject);
    return told(answer);
  }
  give(order, queues_.size(), {std::move(answer), arguments, std::move(told), {}, 0, {}});
}

void OrderDesk::submit_snapshot(CommandAnswer answer, const CommandArguments& arguments, Told told) {
  Order order;
  order.kind = Order::Kind::snapshot;
  const bool all = arguments.twins.empty() && arguments.devices.empty();
  for (std::size_t i = 0; all && i < plan_.config.twins.size(); ++i) order.twins.push_back(i);
  for (std::size_t i = 0; all && i < plan_.config.devices.size(); ++i) order.devices.push_back(i);
  std::string unknown;
  for (const std::string& name : arguments.twins) {
    const auto place = place_of_twin(plan_, name);
    if (!place) unknown = "twin " + name;
    order.twins.push_back(place.value_or(0));
  }
  for (const std::string& name : arguments.devices) {
    const auto place = place_of_device(plan_, name);
    if (!place) unknown = "device " + name;
    order.devices.push_back(place.value_or(0));
  }
  if (!unknown.empty()) {
    refuse(answer, "there is no " + unknown);
    return told(answer);
  }
  for (std::vector<std::size_t>* list : {&order.twins, &order.devices}) {
    std::sort(list->begin(), list->end());
    list->erase(std::unique(list->begin(), list->end()), list->end());
  }
  give(order, 1, {std::move(answer), arguments, std::move(told), {}, 0, {}});
}

void OrderDesk::submit_what_if(CommandAnswer answer, const CommandArguments& arguments, Told told) {
  const auto twin = place_of_twin(plan_, arguments.subject);
  std::string objection = twin ? what_if_objection(plan_, *twin, arguments) : "there is no twin " + arguments.subject;
  const bool another = forecast_ || std::any_of(under_way_.begin(), under_way_.end(),
                                                [](const auto& each) { return each.second.answer.verb == "what-if"; });
  if (objection.empty() && another) objection = "another what-if is being answered";
  if (!objection.empty()) {
    refuse(answer, std::move(objection));
    return told(answer);
  }
  Order order;
  order.kind = Order::Kind::remember;
  order.twins = {*twin};
  give(order, 1, {std::move(answer), arguments, std::move(told), {}, 0, {}});
}

void OrderDesk::submit_reload(const std::string& by, CommandAnswer answer, const Told& told,
                              SocketDescriptor&& client) {
  if (reloads_.waits(by)) {
    refuse(answer, "a reload is asked for already");
    return told(answer);
  }
  answer.result = CommandResult::accepted;
  told(answer);
  reloads_.ask({by, {}, std::move(answer), std::move(client)});
}

std::optional<CommandAnswer> OrderDesk::reloaded() {
  auto outcome = reloads_.take_outcome(kByCommand);
  if (!outcome || !outcome->request.answer) return std::nullopt;
  CommandAnswer answer = std::move(*outcome->request.answer);
  complete(answer, *outcome);
  return answer;
}

// The same of one that was asked for through the control socket.
void OrderDesk::answer_reload() {
  auto outcome = reloads_.take_outcome(kBySocket);
  if (!outcome || !outcome->request.answer) return;
  CommandAnswer& answer = *outcome->request.answer;
  complete(answer, *outcome);
  answer.content = content_of(*outcome);
  record(answer);
  say(outcome->request.client, telemetry::control_line(answer));
}

void OrderDesk::submit_purge(CommandAnswer answer, const CommandArguments& arguments, Told told) {
  answer.subject = arguments.all ? "all" : arguments.stream;
  if (arguments.dead) answer.subject += arguments.stream.empty() ? "what was set aside" : ", what was set aside";
  std::error_code error;
  const std::string& directory = plan_.config.spool.directory;
  if (!arguments.spool.empty() && !std::filesystem::equivalent(arguments.spool, directory, error)) {
    refuse(answer, "the spool of this service is in " + directory);
  } else if (purge_) {
    refuse(answer, "another purge is under way");
  } else {
    uplink::PurgeFilter filter;
    if (!arguments.stream.empty()) filter.stream = arguments.stream;
    filter.messages = !arguments.dead;
    filter.dead = arguments.all || arguments.dead;
    filter.most = kPurgePiece;
    purge_ = Purge{std::move(answer), std::move(told), std::move(filter), {}};
    return;
  }
  told(answer);
}

// A piece in each turn, so that a large spool does not keep everything else waiting.
void OrderDesk::go_on_purging() {
  const auto purged = purge_piece_(purge_->filter);
  if (!purged) return end_purge(CommandResult::failed, purged.error().message());
  purge_->so_far.messages += purged.value().messages;
  purge_->so_far.dead += purged.value().dead;
  if (!purged.value().ended_at) return end_purge(CommandResult::done, {});
  purge_->filter.after = *purged.value().ended_at;
  wake_();
}

void OrderDesk::end_purge(CommandResult result, std::string reason) {
  Purge ended = std::move(*std::exchange(purge_, std::nullopt));
  ended.answer.result = result;
  ended.answer.reason = std::move(reason);
  telemetry::JsonWriter writer(ended.answer.content);
  writer.natural("messages", ended.so_far.messages);
  writer.natural("dead", ended.so_far.dead);
  ended.told(ended.answer);
}

// To the first so many queues.
void OrderDesk::give(const Order& order, std::size_t queues, UnderWay under_way) {
  const auto end = queues_.begin() + static_cast<std::ptrdiff_t>(queues);
  if (std::any_of(queues_.begin(), end, [](const OrderQueue* queue) { return queue->full(); })) {
    refuse(under_way.answer, "too many orders are under way");
    return under_way.told(under_way.answer);
  }
  under_way.until = clock_.now() + kOrderPatience;
  under_way.queues = queues;
  Order numbered = order;
  numbered.number = ++orders_;
  for (auto queue = queues_.begin(); queue != end; ++queue) (*queue)->give(numbered);
  under_way_.emplace(orders_, std::move(under_way));
}

void OrderDesk::take_outcomes() {
  Outcome outcome;
  for (OrderQueue* queue : queues_) {
    while (queue->take_outcome(outcome)) outcomes_.push_back(std::move(outcome));
  }
}

void OrderDesk::run() {
  alarms_.run();
  for (Outcome& outcome : std::exchange(outcomes_, {})) conclude(std::move(outcome));
  std::deque<Posted> posted;
  bool forecast_made = false;
  {
    const std::lock_guard lock(mutex_);
    posted.swap(posted_);
    forecast_made = forecast_made_.has_value();
  }
  if (forecast_made) end_forecast();
  for (Posted& each : posted) {
    if (each.client.get() >= 0) {
      const Told told = [&](const CommandAnswer& answer) {
        record(answer);
        say(each.client, telemetry::control_line(answer));
      };
      submit_reload(kBySocket, std::move(each.answer), told, std::move(each.client));
      continue;
    }
    Told told = [this, told = std::move(each.told)](const CommandAnswer& answer) {
      if (!is_looking(answer)) record(answer);
      told(answer);
    };
    submit(std::move(each.answer), each.arguments, std::move(told));
  }
  const base::Instant now = clock_.now();
  for (auto it = under_way_.begin(); it != under_way_.end();) {
    if (it->second.until > now) {
      ++it;
      continue;
    }
    UnderWay late = std::move(it->second);
    it = under_way_.erase(it);
    late.answer.result = CommandResult::failed;
    late.answer.reason = "not carried out in time, but it may still be";
    late.told(late.answer);
  }
  if (purge_) go_on_purging();
  answer_reload();
}

void OrderDesk::conclude(Outcome outcome) {
  const auto found = under_way_.find(outcome.number);
  if (found == under_way_.end()) return;
  UnderWay& waiting = found->second;
  // Of several that could be meant one has it.
  if (outcome.reason && (!waiting.reason || outcome.reason->empty())) waiting.reason = std::move(outcome.reason);
  if (--waiting.queues > 0) return;
  UnderWay done = std::move(waiting);
  under_way_.erase(found);
  CommandAnswer& answer = done.answer;
  if (!done.reason) {
    refuse(answer, "there is no alarm " + done.arguments.subject);
  } else if (!done.reason->empty()) {
    refuse(answer, *done.reason);
  } else if (answer.verb == "what-if") {
    return begin_forecast(std::move(done), std::move(outcome.records.front()));
  } else {
    answer.result = CommandResult::done;
    if (answer.verb == "maintenance") {
      alarms_.maintain(done.arguments.subject,
                       {answer.by, done.arguments.comment, clock_.now() + done.arguments.duration});
    }
  }
  done.told(answer);
}

void OrderDesk::begin_forecast(UnderWay under_way, CheckpointRecord record) {
  forecast_ = std::move(under_way);
  forecast_thread_ = std::jthread([this, record = std::move(record), asked = forecast_->arguments] {
    begin_ordinary_thread("what-if");
    auto made = what_if(plan_, *place_of_twin(plan_, asked.subject), record, asked, clock_);
    {
      const std::lock_guard lock(mutex_);
      forecast_made_ = std::move(made);
    }
    wake_();
  });
}

void OrderDesk::end_forecast() {
  forecast_thread_ = {};  // joins
  UnderWay done = std::move(*std::exchange(forecast_, std::nullopt));
  std::optional<base::Result<std::string>> made;
  {
    const std::lock_guard lock(mutex_);
    made = std::exchange(forecast_made_, std::nullopt);
  }
  done.answer.result = made->ok() ? CommandResult::done : CommandResult::failed;
  if (made->ok()) {
    done.answer.content = std::move(*made).value();
  } else {
    done.answer.reason = made->error().message();
  }
  done.told(done.answer);
}

void OrderDesk::stop(const std::string& reason) {
  take_outcomes();
  run();
  if (forecast_) {
    forecast_thread_ = {};  // bounded
    end_forecast();
  }
  if (purge_) end_purge(CommandResult::failed, reason);
  for (auto& [number, waiting] : std::exchange(under_way_, {})) {
    waiting.answer.result = CommandResult::failed;
    waiting.answer.reason = reason;
    waiting.told(waiting.answer);
  }
}

}  // namespace twinkeeper::app
