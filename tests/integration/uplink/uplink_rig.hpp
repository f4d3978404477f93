// The uplink as the application runs it: the spool thread, the connection thread, and a source of messages.
#pragma once

#include <atomic>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/mosquitto.hpp"
#include "support/uplink_parts.hpp"
#include "uplink/connection.hpp"
#include "uplink/courier.hpp"

namespace twinkeeper::test {

class FixedStatus final : public uplink::StatusSource {
 public:
  std::string status_state() override { return "online"; }
  std::string status_reason() override { return "start"; }
  std::string status_members(std::string_view state, std::string_view reason, std::uint64_t session,
                             const uplink::PreviousEpoch* previous) override;
};

// A folder with throwaway certificates, made once for the whole program.
const std::string& pki();

// Remembers what arrives; the topics are the test's.
class RememberingInbox final : public uplink::Inbox {
 public:
  explicit RememberingInbox(std::vector<std::string> topics) : topics_(std::move(topics)) {}
  [[nodiscard]] std::vector<std::string> topics() const override { return topics_; }
  void connected(const std::vector<std::string>& refused) override {
    const std::lock_guard lock(mutex_);
    refused_.push_back(refused);
  }
  void arrived(std::string topic, std::string payload, bool) override {
    const std::lock_guard lock(mutex_);
    arrived_.push_back(topic + " " + payload);
  }
  // One entry for each connect.
  [[nodiscard]] std::vector<std::vector<std::string>> refused() const {
    const std::lock_guard lock(mutex_);
    return refused_;
  }
  [[nodiscard]] std::vector<std::string> arrivals() const {
    const std::lock_guard lock(mutex_);
    return arrived_;
  }

 private:
  const std::vector<std::string> topics_;
  mutable std::mutex mutex_;
  std::vector<std::vector<std::string>> refused_;
  std::vector<std::string> arrived_;
};

class UplinkRig {
 public:
  explicit UplinkRig(std::uint16_t port);
  ~UplinkRig();

  void start();
  void stop();
  void submit(signals::Message message);
  // `count` states of twins.tanks, one about every `apart`.
  void submit_states(int count, base::Duration apart);

  TemporaryFolder folder;
  base::SystemClock clock;
  RememberingSink events;
  uplink::UplinkSettings settings;
  uplink::SpoolSettings spool_settings;
  uplink::ConnectionTiming timing;
  uplink::Statistics statistics;
  uplink::ConnectTimes connect_times;  // outlives stop() and start(), as a service does its reloads
  uplink::Inbox* inbox = nullptr;
  std::uint64_t epoch = 0;
  std::uint64_t submitted = 0;
  std::optional<uplink::Connection> connection;

 private:
  void spool_thread(const std::stop_token& stop);

  FixedStatus status_;
  std::optional<uplink::Spool> spool_;
  std::optional<uplink::Link> link_;
  std::optional<uplink::Courier> courier_;
  std::mutex mutex_;
  std::deque<signals::Message> inbox_;
  std::jthread spool_thread_;
  std::jthread connection_thread_;
};

}  // namespace twinkeeper::test
