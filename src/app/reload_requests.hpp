// What other threads ask of the main thread: to load the configuration anew, perhaps with files that are not there yet.
//
// One request of each asker waits at a time, the newest; its outcome waits until the asker takes it, which may be
// another object of the same name after the reload.
// Thread rule: any thread. Bounded by the number of askers.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace twinkeeper::app {

struct ReloadRequest {
  std::string by;
  // Files that the configuration is checked with and that are replaced if it is right; an empty text: there is no such
  // file any more.
  std::map<std::string, std::string> files;
};

struct ReloadOutcome {
  ReloadRequest request;
  bool done = false;
  std::vector<std::string> faults;  // why not
};

class ReloadRequests {
 public:
  void ask(ReloadRequest request) {
    const std::lock_guard lock(mutex_);
    outcomes_.erase(request.by);
    waiting_.insert_or_assign(request.by, std::move(request));
  }
  // Of the main thread.
  [[nodiscard]] std::optional<ReloadRequest> take() {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) return std::nullopt;
    return std::move(waiting_.extract(waiting_.begin()).mapped());
  }
  void settle(ReloadOutcome outcome) {
    const std::lock_guard lock(mutex_);
    std::string by = outcome.request.by;
    outcomes_.insert_or_assign(std::move(by), std::move(outcome));
  }
  [[nodiscard]] std::optional<ReloadOutcome> take_outcome(const std::string& by) {
    const std::lock_guard lock(mutex_);
    auto node = outcomes_.extract(by);
    if (node.empty()) return std::nullopt;
    return std::move(node.mapped());
  }

 private:
  std::mutex mutex_;
  std::map<std::string, ReloadRequest> waiting_;
  std::map<std::string, ReloadOutcome> outcomes_;
};

}  // namespace twinkeeper::app
