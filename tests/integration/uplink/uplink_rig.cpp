#include "integration/uplink/uplink_rig.hpp"

#include <cstdlib>
#include <stdexcept>

namespace twinkeeper::test {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string FixedStatus::status_members(std::string_view state, std::string_view reason, std::uint64_t session,
                                        const uplink::PreviousEpoch* previous) {
  std::string members = "\"state\":\"" + std::string(state) + "\",\"reason\":\"" + std::string(reason) +
                        "\",\"session\":" + std::to_string(session);
  if (previous != nullptr) members += ",\"previous\":{\"epoch\":" + std::to_string(previous->epoch) + "}";
  return members;
}

const std::string& pki() {
  static const TemporaryFolder folder;
  static const bool made =
      std::system((std::string(TWINKEEPER_SOURCE_DIR "/scripts/make-pki ") + folder.path() + " --faults").c_str()) == 0;
  if (!made) throw std::runtime_error("scripts/make-pki failed");
  return folder.path();
}

UplinkRig::UplinkRig(std::uint16_t port) {
  settings.endpoints = {{"localhost", port}};
  settings.profile = uplink::Profile::mqtt;
  settings.client_id = "gw1";
  settings.topic_prefix = "twinkeeper/gw1";
  settings.root_ca = pki() + "/ca.crt";
  settings.cert = pki() + "/gateway.crt";
  settings.key = pki() + "/gateway.key";
  settings.backlog_after = seconds{2};
  settings.state_directory = folder.path();
  spool_settings.directory = folder.path();
  timing.backoff_floor = milliseconds{400};
  timing.backoff_cap = milliseconds{800};
  timing.least_pause = milliseconds{200};
}

UplinkRig::~UplinkRig() { stop(); }

void UplinkRig::start() {
  auto opened = uplink::Spool::open(spool_settings, "gw1", clock, "boot-1", events);
  if (!opened.ok()) throw std::runtime_error(opened.error().message());
  spool_.emplace(std::move(opened).value());
  epoch = spool_->epoch();
  link_.emplace();
  courier_.emplace(*spool_, *link_, statistics, settings, "gw1", clock, events);
  connection.emplace(*link_, statistics, settings, "gw1", "boot-1", status_, clock, events, timing, connect_times,
                     inbox);
  spool_thread_ = std::jthread([this](const std::stop_token& stop) { spool_thread(stop); });
  connection_thread_ = std::jthread([this](const std::stop_token& stop) { connection->run(stop); });
}

void UplinkRig::spool_thread(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::deque<signals::Message> messages;
    {
      const std::lock_guard lock(mutex_);
      messages.swap(inbox_);
    }
    for (auto& message : messages) courier_->submit(std::move(message));
    courier_->run_once(milliseconds{100});
  }
  courier_->stop(clock.now() + seconds{5});
}

void UplinkRig::stop() {
  if (!courier_) return;
  spool_thread_.request_stop();
  courier_->wake();
  spool_thread_.join();
  connection_thread_.request_stop();
  connection_thread_.join();
  connection.reset();
  courier_.reset();
  link_.reset();
  spool_.reset();
}

void UplinkRig::submit(signals::Message message) {
  {
    const std::lock_guard lock(mutex_);
    inbox_.push_back(std::move(message));
  }
  courier_->wake();
}

void UplinkRig::submit_states(int count, base::Duration apart) {
  base::Instant next = clock.now();
  for (int i = 0; i < count; ++i) {
    submit(state_message(clock.now(), 200));
    ++submitted;
    next += apart;
    clock.sleep_until(next);
  }
}

}  // namespace twinkeeper::test
