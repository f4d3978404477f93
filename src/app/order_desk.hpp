// Carries out what is asked of the running gateway, whoever may ask: a command through the broker (CommandDesk, which has
// decided on it) or a person through the control socket (whom its mode and group have let in).
//
//   acknowledge, shelve, unshelve, maintenance   orders to the threads that have alarms
//   snapshot, what-if                            orders to the twin thread; a forecast is made by a thread of its own,
//                                                one at a time
//   describe                                     by the publisher
//   reload                                       by the main thread, see reloaded()
//   purge                                        by the courier, piece by piece, one at a time
//   alarms                                       from the list
//   log-level                                    at once
// What is asked is answered once: `refused` it was never begun, `failed` it was. An order that is not carried out within
// kOrderPatience has failed.
// Thread rule: post() may come from any thread; everything else belongs to the spool thread, on which
// answers are given. Bounded: 32 requests wait at most, 16 are under way.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "app/alarm_list.hpp"
#include "app/audit_trail.hpp"
#include "app/control_socket.hpp"
#include "app/order_queue.hpp"
#include "app/plan.hpp"
#include "app/reload_requests.hpp"
#include "telemetry/command.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"
#include "twinkeeper/signals/event.hpp"
#include "uplink/spool.hpp"

namespace twinkeeper::app {

inline constexpr base::Duration kOrderPatience = std::chrono::seconds{15};

class OrderDesk {
 public:
  using Told = std::function<void(const telemetry::CommandAnswer&)>;

  // `wake` brings the spool thread to run(). What is referred to outlives the desk.
  OrderDesk(const Plan& plan, const base::Clock& clock, signals::EventSink& events, ReloadRequests& reloads,
            std::function<void()> wake);

  // Before run(). The twin thread's orders, and those of others that have alarms.
  void connect_twins(OrderQueue& queue) { queues_.insert(queues_.begin(), &queue); }
  void connect(OrderQueue& queue) { queues_.push_back(&queue); }
  void on_describe(std::function<void()> describe) { describe_ = std::move(describe); }
  void on_purge(std::function<base::Result<uplink::Purged>(const uplink::PurgeFilter&)> purge) {
    purge_piece_ = std::move(purge);
  }
  // `set` sets it unless the level is empty, and gives members of the answer.
  void on_log_level(std::function<std::string(const std::string& level, base::Duration length)> set) {
    log_level_ = std::move(set);
  }
  [[nodiscard]] AlarmList& alarms() { return alarms_; }

  // `answer` says what is asked and by whom; told() gets it with what has become of it, at once or later.
  void submit(telemetry::CommandAnswer answer, const telemetry::CommandArguments& arguments, Told told);
  // One line of the audit trail and one of the journal.
  void record(const telemetry::CommandAnswer& answer);
  // Takes what has been carried out; what has been told by then is to be published before run(), which answers.
  void take_outcomes();
  void run();
  // What is under way ends with that answer.
  void stop(const std::string& reason = "the service stopped before");
  // The last answer to a command that has asked for a reload, perhaps one that an earlier gateway has accepted.
  [[nodiscard]] std::optional<telemetry::CommandAnswer> reloaded();

  // The same from another thread, and recorded unless it only looks. False: too many wait.
  [[nodiscard]] bool post(telemetry::CommandAnswer answer, telemetry::CommandArguments arguments, Told told);
  // A reload, answered on the connection itself, as the server that it came to ends with the reload. Takes `client`
  // unless too many wait.
  [[nodiscard]] bool post_reload(telemetry::CommandAnswer answer, SocketDescriptor& client);

 private:
  struct Posted {
    telemetry::CommandAnswer answer;
    telemetry::CommandArguments arguments;
    Told told;
    SocketDescriptor client{};  // of a reload
  };
  struct Purge {
    telemetry::CommandAnswer answer;
    Told told;
    uplink::PurgeFilter filter;
    uplink::Purged so_far;
  };
  struct UnderWay {
    telemetry::CommandAnswer answer;
    telemetry::CommandArguments arguments;
    Told told;
    base::Instant until;
    std::size_t queues = 0;  // whose outcome is awaited
    std::optional<std::string> reason;
  };

  void submit_alarm_order(telemetry::CommandAnswer answer, const telemetry::CommandArguments& arguments, Told told);
  void submit_snapshot(telemetry::CommandAnswer answer, const telemetry::CommandArguments& arguments, Told told);
  void submit_what_if(telemetry::CommandAnswer answer, const telemetry::CommandArguments& arguments, Told told);
  void submit_reload(const std::string& by, telemetry::CommandAnswer answer, const Told& told,
                     SocketDescriptor&& client = SocketDescriptor());
  void answer_reload();
  void submit_purge(telemetry::CommandAnswer answer, const telemetry::CommandArguments& arguments, Told told);
  void go_on_purging();
  void end_purge(telemetry::CommandResult result, std::string reason);
  void give(const Order& order, std::size_t queues, UnderWay under_way);
  void conclude(Outcome outcome);
  void begin_forecast(UnderWay under_way, CheckpointRecord record);
  void end_forecast();
  [[nodiscard]] static bool is_looking(const telemetry::CommandAnswer& answer) {
    return answer.verb == "alarms" || (answer.verb == "log-level" && answer.subject.empty());
  }

  const Plan& plan_;
  const base::Clock& clock_;
  signals::EventSink& events_;
  ReloadRequests& reloads_;
  const std::function<void()> wake_;
  std::function<void()> describe_;
  std::function<std::string(const std::string&, base::Duration)> log_level_;
  std::function<base::Result<uplink::Purged>(const uplink::PurgeFilter&)> purge_piece_;
  AlarmList alarms_;
  AuditTrail trail_;
  std::vector<OrderQueue*> queues_;  // the first is the twin thread's
  std::vector<Outcome> outcomes_;    // not concluded yet
  std::map<std::uint64_t, UnderWay> under_way_;
  std::uint64_t orders_ = 0;
  std::optional<UnderWay> forecast_;  // that is being made
  std::optional<Purge> purge_;        // under way

  std::mutex mutex_;
  std::deque<Posted> posted_;
  std::optional<base::Result<std::string>> forecast_made_;
  std::jthread forecast_thread_;
};

}  // namespace twinkeeper::app
