// One inbox made of several: each is told of everything and takes what is on its topics. The connection outlives them: what
// arrives while one takes the place of another waits for it.
// Thread rule: any thread. Bounded: kMostWaiting arrivals wait.
#pragma once

#include <deque>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "uplink/inbox.hpp"

namespace twinkeeper::app {

class InboxRouter final : public uplink::Inbox {
 public:
  static constexpr std::size_t kMostWaiting = 64;

  // In the place of those before. `connected`: a connection stands, of which they have not heard. They outlive the next
  // call of detach().
  void attach(std::vector<uplink::Inbox*> inboxes, bool connected) {
    const std::lock_guard lock(mutex_);
    inboxes_ = std::move(inboxes);
    topics_.clear();
    for (const uplink::Inbox* inbox : inboxes_) {
      for (std::string& topic : inbox->topics()) topics_.push_back(std::move(topic));
    }
    attached_ = true;
    if (connected) tell_connected();
    for (const Arrival& arrival : std::exchange(waiting_, {})) deliver(arrival);
  }
  void detach() {
    const std::lock_guard lock(mutex_);
    inboxes_.clear();
    attached_ = false;
  }

  [[nodiscard]] std::vector<std::string> topics() const override {
    const std::lock_guard lock(mutex_);
    return topics_;
  }
  void connected(const std::vector<std::string>& refused) override {
    const std::lock_guard lock(mutex_);
    refused_ = refused;
    tell_connected();
  }
  void arrived(std::string topic, std::string payload, bool retained) override {
    const std::lock_guard lock(mutex_);
    Arrival arrival{std::move(topic), std::move(payload), retained};
    if (attached_) {
      deliver(arrival);
    } else if (waiting_.size() < kMostWaiting) {
      waiting_.push_back(std::move(arrival));
    }
  }

 private:
  struct Arrival {
    std::string topic;
    std::string payload;
    bool retained = false;
  };
  void tell_connected() {
    for (uplink::Inbox* inbox : inboxes_) inbox->connected(refused_);
  }
  void deliver(const Arrival& arrival) {
    for (uplink::Inbox* inbox : inboxes_) inbox->arrived(arrival.topic, arrival.payload, arrival.retained);
  }

  mutable std::mutex mutex_;
  std::vector<uplink::Inbox*> inboxes_;
  bool attached_ = false;
  std::vector<std::string> topics_;
  std::vector<std::string> refused_;  // by the newest connection
  std::deque<Arrival> waiting_;
};

}  // namespace twinkeeper::app
