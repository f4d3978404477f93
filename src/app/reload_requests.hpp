// What other threads ask of the main thread: to load the configuration anew, perhaps with files that are not there yet.
//
// One request of each asker waits at a time, the newest; its outcome waits until the asker takes it, which may be
// another object of the same name after the reload. What is to be answered then travels with the request.
// Thread rule: any thread. Bounded by the number of askers.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/control_socket.hpp"
#include "app/exit_codes.hpp"
#include "telemetry/command.hpp"

namespace twinkeeper::app {

struct ReloadRequest {
  std::string by;
  // Files that the configuration is checked with and that are replaced if it is right; an empty text: there is no such
  // file any more.
  std::map<std::string, std::string> files{};
  std::optional<telemetry::CommandAnswer> answer{};  // whoever asked awaits it
  SocketDescriptor client{};                         // and where; none: through the broker
};

struct ReloadOutcome {
  ReloadRequest request;
  bool done = false;
  std::vector<std::string> faults{};  // one line each; empty: see the log
  std::string why{};                  // it was not done
  int exit_code = kExitDone;          // of `run` with that configuration
  std::string restarted{};            // what was, if it was done

  [[nodiscard]] std::string reason() const {
    return faults.empty() ? why : why.empty() ? faults.front() : why + ": " + faults.front();
  }
};

class ReloadRequests {
 public:
  void ask(ReloadRequest request) {
    const std::lock_guard lock(mutex_);
    outcomes_.erase(request.by);
    if (ended_ && request.answer) return fail(std::move(request));
    waiting_.insert_or_assign(request.by, std::move(request));
  }
  // Until the outcome of what was asked is taken.
  [[nodiscard]] bool waits(const std::string& by) {
    const std::lock_guard lock(mutex_);
    return waiting_.count(by) > 0 || under_way_ == by || outcomes_.count(by) > 0;
  }
  [[nodiscard]] std::optional<ReloadOutcome> take_outcome(const std::string& by) {
    const std::lock_guard lock(mutex_);
    auto node = outcomes_.extract(by);
    if (node.empty()) return std::nullopt;
    return std::move(node.mapped());
  }

  // Of the main thread. What was taken is settled.
  [[nodiscard]] std::optional<ReloadRequest> take() {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) return std::nullopt;
    auto request = std::move(waiting_.extract(waiting_.begin()).mapped());
    under_way_ = request.by;
    return request;
  }
  void settle(ReloadOutcome outcome) {
    const std::lock_guard lock(mutex_);
    under_way_.clear();
    std::string by = outcome.request.by;
    outcomes_.insert_or_assign(std::move(by), std::move(outcome));
  }
  // The service stops: who awaits an answer, now or from now on, gets it.
  void end() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    for (auto& [by, request] : std::exchange(waiting_, {})) {
      if (request.answer) fail(std::move(request));
    }
  }

 private:
  void fail(ReloadRequest request) {
    std::string by = request.by;
    outcomes_.insert_or_assign(
        std::move(by), ReloadOutcome{std::move(request), false, {}, "the service stopped before", kExitUnavailable});
  }

  std::mutex mutex_;
  std::map<std::string, ReloadRequest> waiting_;
  std::string under_way_;  // asked by; empty: none
  std::map<std::string, ReloadOutcome> outcomes_;
  bool ended_ = false;
};

}  // namespace twinkeeper::app
