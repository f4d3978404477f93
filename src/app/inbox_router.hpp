// One inbox made of several: each is told of everything and takes what is on its topics.
// Thread rule: as of its parts, which outlive it.
#pragma once

#include <string>
#include <vector>

#include "uplink/inbox.hpp"

namespace twinkeeper::app {

class InboxRouter final : public uplink::Inbox {
 public:
  void add(uplink::Inbox& inbox) { inboxes_.push_back(&inbox); }
  [[nodiscard]] bool empty() const { return inboxes_.empty(); }

  [[nodiscard]] std::vector<std::string> topics() const override {
    std::vector<std::string> all;
    for (const uplink::Inbox* inbox : inboxes_) {
      for (std::string& topic : inbox->topics()) all.push_back(std::move(topic));
    }
    return all;
  }
  void connected(const std::vector<std::string>& refused) override {
    for (uplink::Inbox* inbox : inboxes_) inbox->connected(refused);
  }
  void arrived(std::string topic, std::string payload, bool retained) override {
    for (uplink::Inbox* inbox : inboxes_) inbox->arrived(topic, payload, retained);
  }

 private:
  std::vector<uplink::Inbox*> inboxes_;
};

}  // namespace twinkeeper::app
