#include "app/spool_loop.hpp"

#include <utility>

#include "app/real_time.hpp"

namespace twinkeeper::app {
namespace {

constexpr base::Duration kSpoolPatience = std::chrono::seconds{60};  // a slow disk's fsync

GatewayHealth health_of(const South& south) {
  GatewayHealth out;
  for (const auto& status : south.device_statuses()) out.devices_down += status.state == telemetry::DeviceState::down;
  for (const auto& status : south.twin_statuses()) out.twins_tracking += status.mode == estimation::Mode::tracking;
  return out;
}

}  // namespace

SpoolLoop::SpoolLoop(std::shared_ptr<const Plan> plan, const Surroundings& surroundings, std::uint64_t connects_seen)
    : plan_(std::move(plan)),
      clock_(surroundings.clock),
      courier_(surroundings.north.courier()),
      desk_(make_desk(surroundings)),
      aws_desk_(make_aws_desk(surroundings)),
      inboxes_(surroundings.inboxes),
      publisher_(*plan_, surroundings.south.outbox(), courier_, surroundings.statistics, clock_, surroundings.log,
                 surroundings.south.orders(), desk_.get(), aws_desk_.get(), inboxes_, connects_seen),
      heartbeat_("spool", kSpoolPatience, clock_.now()) {
  if (desk_) surroundings.south.connect(*desk_);
  std::vector<uplink::Inbox*> inboxes;
  if (desk_) inboxes.push_back(desk_.get());
  if (aws_desk_) inboxes.push_back(aws_desk_.get());
  inboxes_.attach(std::move(inboxes), surroundings.statistics.connected);
}

SpoolLoop::~SpoolLoop() {
  stop(std::nullopt);
  inboxes_.detach();
}

bool SpoolLoop::listens(const config::Config& config) { return config.commands.enabled || AwsDesk::is_wanted(config); }

std::unique_ptr<CommandDesk> SpoolLoop::make_desk(const Surroundings& surroundings) const {
  if (!plan_->config.commands.enabled) return nullptr;
  return std::make_unique<CommandDesk>(
      plan_->config, clock_, surroundings.log, surroundings.south.orders(), surroundings.wake,
      [&north = surroundings.north](signals::Message answer) { north.connection().respond(std::move(answer)); });
}

std::unique_ptr<AwsDesk> SpoolLoop::make_aws_desk(const Surroundings& surroundings) const {
  if (!AwsDesk::is_wanted(plan_->config)) return nullptr;
  AwsDesk::Outside outside;
  outside.wake = surroundings.wake;
  outside.send = [&north = surroundings.north](std::string topic, std::string payload) {
    north.connection().send(std::move(topic), std::move(payload));
  };
  outside.jobs.log_lines = [&log = surroundings.log](std::size_t most) { return log.newest(most); };
  outside.jobs.publish = [&courier = courier_](signals::Message message) { courier.submit(std::move(message)); };
  outside.health = [&south = surroundings.south] { return health_of(south); };
  return std::make_unique<AwsDesk>(*plan_, clock_, surroundings.log, surroundings.statistics, surroundings.requests,
                                   std::move(outside));
}

void SpoolLoop::start() {
  thread_ = std::jthread([this](std::stop_token stop) {
    begin_ordinary_thread("spool");
    publisher_.run(std::move(stop), heartbeat_);
    if (drain_) courier_.stop(clock_.now() + *drain_);
  });
}

void SpoolLoop::stop(std::optional<base::Duration> drain) {
  if (!thread_.joinable()) return;
  drain_ = drain;
  thread_.request_stop();
  courier_.wake();
  thread_ = {};
}

void SpoolLoop::add_hung(base::Instant now, std::vector<std::string>& hung) const {
  if (!heartbeat_.alive(now)) hung.push_back(heartbeat_.thread());
}

}  // namespace twinkeeper::app
