#include "app/south.hpp"

#include <algorithm>
#include <utility>

#include "app/endpoints.hpp"
#include "app/real_time.hpp"
#include "app/version.hpp"

namespace twinkeeper::app {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kStartDelay = 200ms;  // from start to the first tick and poll: threads are up by then

// How long a turn of each thread may take before it counts as hung.
constexpr base::Duration kTwinsPatience = 20s;
constexpr base::Duration kControlPatience = 60s;   // a slow directory of users
constexpr base::Duration kDiskPatience = 60s;      // a slow disk's fsync
constexpr base::Duration kResolverPatience = 20s;  // on top of a poller's longest block

// Polls and ticks fall on whole seconds of the monotonic clock and what divides them, whenever the service was started.
base::Instant next_whole_second(base::Instant instant) {
  return base::Instant{std::chrono::ceil<std::chrono::seconds>(instant.time_since_epoch())};
}

telemetry::DeviceState state_of(const drivers::DeviceStatistics& statistics, const DeviceFigures& figures) {
  switch (statistics.state.load(std::memory_order_relaxed)) {
    // A device counts as up until its first cycle has ended: a start must not look like a fault.
    case drivers::DeviceState::unknown: return telemetry::DeviceState::up;
    case drivers::DeviceState::down: return telemetry::DeviceState::down;
    case drivers::DeviceState::degraded: return telemetry::DeviceState::degraded;
    case drivers::DeviceState::up: break;
  }
  return figures.tags_bad.load(std::memory_order_relaxed) > 0 ? telemetry::DeviceState::degraded
                                                              : telemetry::DeviceState::up;
}

}  // namespace

South::South(std::shared_ptr<const Plan> plan, std::vector<estimation::Twin> twins, const Surroundings& surroundings,
             diagnosis::AlarmBook& gateway_alarms, std::unique_ptr<CaptureWriter> capture)
    : plan_(std::move(plan)),
      clock_(surroundings.clock),
      log_(surroundings.log),
      wake_(surroundings.wake),
      origin_(next_whole_second(clock_.now() + kStartDelay)),
      outbox_(*plan_, capture == nullptr),
      orders_(*plan_, clock_, log_, surroundings.requests, wake_),
      capture_(std::move(capture)),
      checkpoints_(*plan_, outbox_, clock_, surroundings.boot_id, log_),
      metrics_(*plan_, outbox_, surroundings.statistics, clock_, surroundings.process_start) {
  orders_.on_log_level([this](const std::string& word, base::Duration length) {
    const auto& words = signals::kEventLevels;
    const auto found = std::find(words.begin(), words.end(), word);
    if (found != words.end()) log_.set_level(static_cast<signals::EventLevel>(found - words.begin()), length);
    return log_.level_members();
  });
  if (capture_) capture_->start(capture_header());
  make_devices();
  std::vector<SampleQueue*> queues;
  for (const auto& loop : device_loops_) queues.push_back(&loop->queue());
  twin_loop_ = std::make_unique<TwinLoop>(*plan_, std::move(twins), std::move(queues), outbox_, wake_, origin_, clock_);
  if (capture_) {
    twin_loop_->note_to(capture_->twin_notes());
  } else {  // what is captured must be there from the first step on
    checkpoints_.resume(*twin_loop_, origin_);
  }
  hear_operators(gateway_alarms);
  control_ = std::make_unique<ControlServer>(*plan_, orders_, twin_loop_->tap(), origin_, clock_, log_);
}

South::~South() { stop("stopped"); }

void South::make_devices() {
  for (const auto& group : group_by_controller(plan_->config)) {
    std::vector<drivers::DeviceSettings> devices;
    for (const std::size_t d : group) {
      devices.push_back(plan_->config.devices[d].driver);
      place_of_device_[d] = {device_loops_.size(), devices.size() - 1};
    }
    const std::size_t endpoint = device_loops_.size();
    device_loops_.push_back(std::make_unique<DeviceLoop>(std::move(devices), origin_, clock_, log_,
                                                         capture_ ? &capture_->sink(endpoint) : nullptr, endpoint,
                                                         may_write(group) ? wake_ : std::function<void()>()));
  }
}

// Of the devices behind one controller: only then there is a way to a write at all.
bool South::may_write(const std::vector<std::size_t>& group) const {
  return plan_->config.commands.allows("write") && std::any_of(group.begin(), group.end(), [this](std::size_t d) {
           return !plan_->config.devices[d].driver.writable.empty();
         });
}

void South::connect(CommandDesk& desk) {
  for (const auto& [d, place] : place_of_device_) {
    drivers::WriteQueue* queue = device_loops_[place.loop]->writes();
    if (queue != nullptr) desk.connect(plan_->config.devices[d].driver, *queue, place.device);
  }
}

// Before the threads: what operators have said goes to the alarms it is about, and what stands to the list.
void South::hear_operators(diagnosis::AlarmBook& gateway_alarms) {
  orders_.connect_twins(twin_loop_->orders());
  orders_.connect(gateway_orders_);
  std::vector<diagnosis::AnomalyEvent> standing;
  const OperatorWords words = orders_.alarms().words();
  twin_loop_->restore(words, standing);
  words.restore(gateway_alarms);
  gateway_alarms.standing(standing);
  for (const auto& event : standing) orders_.alarms().observe(event);
}

Heartbeat& South::add_heartbeat(std::string thread, base::Duration patience) {
  heartbeats_.push_back(std::make_unique<Heartbeat>(std::move(thread), patience, clock_.now()));
  return *heartbeats_.back();
}

void South::start() {
  if (!capture_) checkpoints_.start(add_heartbeat("checkpoints", kDiskPatience));
  if (control_->listens()) {
    Heartbeat& control_heart = add_heartbeat("control", kControlPatience);
    control_thread_ = std::jthread([this, &control_heart](std::stop_token stop) {
      begin_ordinary_thread("control");
      control_->run(stop, control_heart);
    });
  }
  Heartbeat& twins_heart = add_heartbeat("twins", kTwinsPatience);
  twin_thread_ = std::jthread([this, &twins_heart](std::stop_token stop) {
    begin_timely_thread("twins");
    twin_loop_->run(std::move(stop), twins_heart);
  });
  for (auto& loop : device_loops_) {
    Heartbeat& heart = add_heartbeat("device-" + std::to_string(device_threads_.size()),
                                     loop->poller().longest_block() + kResolverPatience);
    device_threads_.emplace_back([&loop = *loop, &heart](std::stop_token stop) {
      begin_timely_thread(heart.thread());
      loop.run(std::move(stop), heart);
    });
  }
}

void South::stop(const char* reason) {
  for (auto& thread : device_threads_) thread.request_stop();
  device_threads_.clear();  // joins
  twin_thread_ = {};
  control_thread_ = {};
  if (capture_ && !std::exchange(capture_ended_, true)) capture_->finish(reason);
}

void South::finish() {
  if (std::exchange(finished_, true)) return;
  checkpoints_.finish(*twin_loop_);
}

drivers::CaptureHeader South::capture_header() const {
  drivers::CaptureHeader header;
  header.version = kVersion;
  header.gateway = plan_->config.gateway.id;
  header.config_hash = plan_->config.hash;
  header.monotonic_start = clock_.now();
  header.wall_start = clock_.to_wall(header.monotonic_start);
  header.grid_origin = origin_;
  for (const auto& group : group_by_controller(plan_->config)) {
    drivers::CaptureEndpoint endpoint{plan_->config.devices[group.front()].driver.controller, {}};
    for (const std::size_t d : group) endpoint.devices.push_back(plan_->config.devices[d].driver.name);
    header.endpoints.push_back(std::move(endpoint));
  }
  for (std::size_t i = 0; i < plan_->config.twins.size(); ++i) {
    header.models.push_back({plan_->config.twins[i].name, plan_->models[i].hash});
  }
  return header;
}

const drivers::DeviceStatistics& South::statistics_of(std::size_t device) const {
  const DevicePlace& place = place_of_device_.at(device);
  return device_loops_[place.loop]->poller().statistics(place.device);
}

std::vector<telemetry::DeviceStatus> South::device_statuses() const {
  std::vector<telemetry::DeviceStatus> statuses;
  for (std::size_t d = 0; d < plan_->config.devices.size(); ++d) {
    const auto& statistics = statistics_of(d);
    statuses.push_back({plan_->config.devices[d].driver.name, state_of(statistics, twin_loop_->device_figures(d)),
                        statistics.last_failure.get()});
  }
  return statuses;
}

std::vector<telemetry::TwinStatus> South::twin_statuses() const {
  std::vector<telemetry::TwinStatus> statuses;
  for (std::size_t i = 0; i < plan_->config.twins.size(); ++i) {
    statuses.push_back({plan_->config.twins[i].name, twin_loop_->twin_figures(i).mode.load(std::memory_order_relaxed)});
  }
  return statuses;
}

telemetry::MetricsReport South::metrics(std::string endpoint) {
  return metrics_.report(*twin_loop_, device_loops_, place_of_device_, std::move(endpoint));
}

void South::add_hung(base::Instant now, std::vector<std::string>& hung) const {
  for (const auto& heartbeat : heartbeats_) {
    if (!heartbeat->alive(now)) hung.push_back(heartbeat->thread());
  }
}

}  // namespace twinkeeper::app
