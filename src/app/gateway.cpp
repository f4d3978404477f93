#include "app/gateway.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <thread>

#include "app/aws_desk.hpp"
#include "app/checkpoint_keeper.hpp"
#include "app/command_desk.hpp"
#include "app/control_server.hpp"
#include "app/descriptions.hpp"
#include "app/device_loop.hpp"
#include "app/endpoints.hpp"
#include "app/gateway_diagnosis.hpp"
#include "app/gateway_metrics.hpp"
#include "app/inbox_router.hpp"
#include "app/outbox.hpp"
#include "app/process_usage.hpp"
#include "app/publisher.hpp"
#include "app/real_time.hpp"
#include "app/status_board.hpp"
#include "app/twin_loop.hpp"
#include "app/version.hpp"
#include "uplink/connection.hpp"
#include "uplink/courier.hpp"
#include "uplink/preflight.hpp"
#include "uplink/spool.hpp"

namespace twinkeeper::app {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kDrain = 3s;
constexpr base::Duration kCertificateInterval = 1h;
constexpr base::Duration kStartDelay = 200ms;  // from start to the first tick and poll: threads are up by then

// How long a turn of each thread may take before it counts as hung.
constexpr base::Duration kTwinsPatience = 20s;
constexpr base::Duration kSpoolPatience = 60s;       // a slow disk's fsync
constexpr base::Duration kConnectionPatience = 90s;  // resolver, TCP and TLS time-outs one after the other
constexpr base::Duration kControlPatience = 60s;     // a slow directory of users
constexpr base::Duration kResolverPatience = 20s;    // on top of a poller's longest block

// Polls and ticks fall on whole seconds of the monotonic clock and what divides them, whenever the service was started.
base::Instant next_whole_second(base::Instant instant) {
  return base::Instant{std::chrono::ceil<std::chrono::seconds>(instant.time_since_epoch())};
}

std::vector<telemetry::TwinStatus> first_twin_statuses(const config::Config& config) {
  std::vector<telemetry::TwinStatus> statuses;
  for (const auto& twin : config.twins) statuses.push_back({twin.name, estimation::Mode::initializing});
  return statuses;
}

// A device counts as up until its first cycle has ended: a start must not look like a fault.
std::vector<telemetry::DeviceStatus> first_device_statuses(const config::Config& config) {
  std::vector<telemetry::DeviceStatus> statuses;
  for (const auto& device : config.devices) statuses.push_back({device.driver.name, telemetry::DeviceState::up, {}});
  return statuses;
}

telemetry::DeviceState state_of(const drivers::DeviceStatistics& statistics, const DeviceFigures& figures) {
  switch (statistics.state.load(std::memory_order_relaxed)) {
    case drivers::DeviceState::unknown: return telemetry::DeviceState::up;
    case drivers::DeviceState::down: return telemetry::DeviceState::down;
    case drivers::DeviceState::degraded: return telemetry::DeviceState::degraded;
    case drivers::DeviceState::up: break;
  }
  return figures.tags_bad.load(std::memory_order_relaxed) > 0 ? telemetry::DeviceState::degraded
                                                              : telemetry::DeviceState::up;
}

}  // namespace

class Gateway::Implementation {
 public:
  Implementation(Plan plan, telemetry::StatusReason reason, base::Instant process_start, uplink::Spool spool,
                 std::vector<estimation::Twin> twins, const std::string& boot_id, const base::Clock& clock,
                 EventLog& log, ReloadRequests& requests, uplink::ConnectTimes& connect_times,
                 std::unique_ptr<CaptureWriter> capture)
      : plan_(std::move(plan)),
        clock_(clock),
        log_(log),
        process_start_(process_start),
        origin_(next_whole_second(clock.now() + kStartDelay)),
        outbox_(plan_, capture == nullptr),
        spool_(std::move(spool)),
        courier_(spool_, link_, statistics_, *plan_.config.uplink, plan_.config.gateway.id, clock, log),
        status_(clock, process_start, std::string(kVersion), plan_.config.hash, reason,
                first_twin_statuses(plan_.config), first_device_statuses(plan_.config)),
        orders_(plan_, clock, log, requests, [this] { courier_.wake(); }),
        desk_(make_desk(log)),
        aws_desk_(make_aws_desk(log, requests)),
        connection_(link_, statistics_, *plan_.config.uplink, plan_.config.gateway.id, boot_id, status_, clock, log,
                    uplink::ConnectionTiming::for_profile(plan_.config.uplink->profile), connect_times, inbox()),
        publisher_(plan_, outbox_, courier_, statistics_, clock, orders_, desk_.get(), aws_desk_.get()),
        gateway_diagnosis_(clock.now()),
        capture_(std::move(capture)),
        checkpoints_(plan_, outbox_, clock, boot_id, log) {
    if (capture_) capture_->start(capture_header());
    std::vector<SampleQueue*> queues;
    for (const auto& group : group_by_controller(plan_.config)) {
      std::vector<drivers::DeviceSettings> devices;
      for (const std::size_t d : group) {
        devices.push_back(plan_.config.devices[d].driver);
        place_of_device_[d] = {device_loops_.size(), devices.size() - 1};
      }
      const std::size_t endpoint = device_loops_.size();
      const bool written = may_write(group);
      device_loops_.push_back(std::make_unique<DeviceLoop>(
          std::move(devices), origin_, clock, log, capture_ ? &capture_->sink(endpoint) : nullptr, endpoint,
          written ? std::function<void()>([this] { courier_.wake(); }) : std::function<void()>()));
      for (std::size_t place = 0; written && place < group.size(); ++place) {
        desk_->connect(plan_.config.devices[group[place]].driver, *device_loops_.back()->writes(), place);
      }
      queues.push_back(&device_loops_.back()->queue());
    }
    twin_loop_ = std::make_unique<TwinLoop>(
        plan_, std::move(twins), std::move(queues), outbox_, [this] { courier_.wake(); }, origin_, clock);
    if (capture_) {
      twin_loop_->note_to(capture_->twin_notes());
    } else {  // what is captured must be there from the first step on
      checkpoints_.resume(*twin_loop_, origin_);
    }
    connect_orders();
    control_ = std::make_unique<ControlServer>(plan_, orders_, twin_loop_->tap(), origin_, clock, log);
    // Before the first CONNECT, whose status and last will tell it.
    look_at_certificate(clock.now());
    static_cast<void>(status_.update(twin_statuses(), first_device_statuses(plan_.config), expires_[kCertificate]));
    start_threads();
  }

  ~Implementation() { stop(telemetry::StatusReason::stop); }
  Implementation(const Implementation&) = delete;
  Implementation& operator=(const Implementation&) = delete;

  std::vector<std::string> supervise() {
    const base::Instant now = clock_.now();
    if (now >= next_certificate_look_) look_at_certificate(now);
    update_status();
    observe_gateway(now);
    if (now >= next_metrics_) {
      next_metrics_ = now + kMetricsInterval;
      publisher_.post(metrics());
    }
    return hung_threads(now);
  }

  [[nodiscard]] const Plan& plan() const { return plan_; }

  [[nodiscard]] std::string summary() const {
    std::size_t up = 0;
    for (const auto& status : device_statuses()) up += status.state == telemetry::DeviceState::up ? 1 : 0;
    std::size_t tracking = 0;
    for (const auto& status : twin_statuses()) tracking += status.mode == estimation::Mode::tracking ? 1 : 0;
    return std::string(statistics_.connected.load(std::memory_order_relaxed) ? "connected" : "not connected") + ", " +
           std::to_string(up) + "/" + std::to_string(plan_.config.devices.size()) + " devices up, " +
           std::to_string(tracking) + "/" + std::to_string(plan_.config.twins.size()) + " twins tracking, " +
           std::to_string(statistics_.spool_messages.load(std::memory_order_relaxed)) + " messages waiting";
  }

  void stop(telemetry::StatusReason reason) {
    if (stopped_) return;
    stopped_ = true;
    status_.set_stop_reason(reason);
    for (auto& thread : device_threads_) thread.request_stop();
    device_threads_.clear();  // joins
    twin_thread_ = {};
    control_thread_ = {};
    if (capture_) capture_->finish(reason == telemetry::StatusReason::reload ? "reload" : "stopped");
    publisher_.post(metrics());
    spool_thread_.request_stop();
    courier_.wake();
    spool_thread_ = {};
    connection_thread_ = {};
    checkpoints_.finish(*twin_loop_);  // last: the spool and the broker come first in the time there is
  }

 private:
  // Before the threads: what operators have said goes to the alarms it is about, and what stands to the list.
  void connect_orders() {
    orders_.connect_twins(twin_loop_->orders());
    orders_.connect(gateway_orders_);
    std::vector<diagnosis::AnomalyEvent> standing;
    const OperatorWords words = orders_.alarms().words();
    twin_loop_->restore(words, standing);
    words.restore(gateway_diagnosis_.alarms());
    for (const auto& event : standing) orders_.alarms().observe(event);
  }

  std::unique_ptr<CommandDesk> make_desk(EventLog& log) {
    if (!plan_.config.commands.enabled) return nullptr;
    return std::make_unique<CommandDesk>(
        plan_.config, clock_, log, orders_, [this] { courier_.wake(); },
        [this](signals::Message answer) { connection_.respond(std::move(answer)); });
  }

  std::unique_ptr<AwsDesk> make_aws_desk(EventLog& log, ReloadRequests& requests) {
    if (!AwsDesk::is_wanted(plan_.config)) return nullptr;
    AwsDesk::Outside outside;
    outside.wake = [this] { courier_.wake(); };
    outside.send = [this](std::string topic, std::string payload) {
      connection_.send(std::move(topic), std::move(payload));
    };
    outside.jobs.log_lines = [&log](std::size_t most) { return log.newest(most); };
    outside.jobs.publish = [this](signals::Message message) { courier_.submit(std::move(message)); };
    outside.health = [this] { return health(); };
    return std::make_unique<AwsDesk>(plan_, clock_, log, statistics_, requests, std::move(outside));
  }

  [[nodiscard]] GatewayHealth health() const {
    GatewayHealth out;
    for (const auto& status : device_statuses()) out.devices_down += status.state == telemetry::DeviceState::down;
    for (const auto& status : twin_statuses()) out.twins_tracking += status.mode == estimation::Mode::tracking;
    return out;
  }

  uplink::Inbox* inbox() {
    if (desk_) inboxes_.add(*desk_);
    if (aws_desk_) inboxes_.add(*aws_desk_);
    return inboxes_.empty() ? nullptr : &inboxes_;
  }

  // Of the devices behind one controller: only then there is a way to a write at all.
  [[nodiscard]] bool may_write(const std::vector<std::size_t>& group) const {
    return plan_.config.commands.allows("write") && std::any_of(group.begin(), group.end(), [this](std::size_t d) {
             return !plan_.config.devices[d].driver.writable.empty();
           });
  }

  Heartbeat& add_heartbeat(std::string thread, base::Duration patience) {
    heartbeats_.push_back(std::make_unique<Heartbeat>(std::move(thread), patience, clock_.now()));
    return *heartbeats_.back();
  }

  void start_threads() {
    Heartbeat& spool_heart = add_heartbeat("spool", kSpoolPatience);
    spool_thread_ = std::jthread([this, &spool_heart](std::stop_token stop) {
      begin_ordinary_thread("spool");
      publisher_.run(std::move(stop), spool_heart, kDrain);
    });
    uplink::Statistics::beat(statistics_.connection_heartbeat_ns, clock_.now());
    connection_thread_ = std::jthread([this](std::stop_token stop) {
      begin_ordinary_thread("uplink");
      connection_.run(std::move(stop));
    });
    if (!capture_) checkpoints_.start(add_heartbeat("checkpoints", kSpoolPatience));
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

  [[nodiscard]] drivers::CaptureHeader capture_header() const {
    drivers::CaptureHeader header;
    header.version = kVersion;
    header.gateway = plan_.config.gateway.id;
    header.config_hash = plan_.config.hash;
    header.monotonic_start = clock_.now();
    header.wall_start = clock_.to_wall(header.monotonic_start);
    header.grid_origin = origin_;
    for (const auto& group : group_by_controller(plan_.config)) {
      drivers::CaptureEndpoint endpoint{plan_.config.devices[group.front()].driver.controller, {}};
      for (const std::size_t d : group) endpoint.devices.push_back(plan_.config.devices[d].driver.name);
      header.endpoints.push_back(std::move(endpoint));
    }
    for (std::size_t i = 0; i < plan_.config.twins.size(); ++i) {
      header.models.push_back({plan_.config.twins[i].name, plan_.models[i].hash});
    }
    return header;
  }

  [[nodiscard]] const drivers::DeviceStatistics& statistics_of(std::size_t device) const {
    const DevicePlace& place = place_of_device_.at(device);
    return device_loops_[place.loop]->poller().statistics(place.device);
  }

  [[nodiscard]] std::vector<telemetry::DeviceStatus> device_statuses() const {
    std::vector<telemetry::DeviceStatus> statuses;
    for (std::size_t d = 0; d < plan_.config.devices.size(); ++d) {
      const auto& statistics = statistics_of(d);
      statuses.push_back({plan_.config.devices[d].driver.name, state_of(statistics, twin_loop_->device_figures(d)),
                          statistics.last_failure.get()});
    }
    return statuses;
  }

  [[nodiscard]] std::vector<telemetry::TwinStatus> twin_statuses() const {
    std::vector<telemetry::TwinStatus> statuses;
    for (std::size_t i = 0; i < plan_.config.twins.size(); ++i) {
      statuses.push_back(
          {plan_.config.twins[i].name, twin_loop_->twin_figures(i).mode.load(std::memory_order_relaxed)});
    }
    return statuses;
  }

  void look_at_certificate(base::Instant now) {
    next_certificate_look_ = now + kCertificateInterval;
    const auto& files = *plan_.config.uplink;
    expires_ = {};
    if (const auto own = uplink::certificate_expiry(files.cert)) expires_[kCertificate] = own.value().at;
    if (const auto authority = uplink::first_expiry(files.root_ca)) {
      expires_[kRootCa] = authority.value().at;
      first_authority_ = authority.value().subject;
    }
    if (files.crl.empty()) return;
    if (const auto expiry = uplink::crl_expiry(files.crl)) expires_[kCrl] = expiry.value();
  }

  void update_status() {
    if (status_.update(twin_statuses(), device_statuses(), expires_[kCertificate])) connection_.status_changed();
  }

  [[nodiscard]] std::string endpoint_in_use() const {
    return plan_.config.uplink->endpoints[statistics_.endpoint.load(std::memory_order_relaxed)].name();
  }

  void observe_gateway(base::Instant now) {
    GatewayCondition condition;
    condition.connected = statistics_.connected.load(std::memory_order_relaxed);
    condition.spool_dropped_total = statistics_.dropped_total.load(std::memory_order_relaxed);
    condition.refused_total = statistics_.refused_total.load(std::memory_order_relaxed);
    condition.refused = statistics_.refused.get();
    condition.spool_trouble = statistics_.spool_trouble.get();
    condition.endpoint = endpoint_in_use();
    condition.first_authority = first_authority_;
    for (std::size_t i = 0; i < kExpiries; ++i) {
      if (expires_[i]) condition.left[i] = *expires_[i] - clock_.wall_now();
    }
    auto events = gateway_diagnosis_.evaluate(now, condition);
    for (const auto& event : events) tell_expiry(event);
    diagnosis::AlarmBook& book = gateway_diagnosis_.alarms();
    book.end_withheld(now, events);
    std::vector<Outcome> outcomes;
    for (Order order; gateway_orders_.take(order);) {
      outcomes.push_back({order.number, obey(order, book, now, events), {}});
    }
    for (auto& event : events) publisher_.post(std::move(event));
    for (auto& outcome : outcomes) gateway_orders_.settle(std::move(outcome));
    if (!outcomes.empty()) courier_.wake();
  }

  // The broker's absence and what it refuses are in the journal by words of the uplink.
  void tell_expiry(const diagnosis::AnomalyEvent& event) {
    if (event.unit != "d") return;
    const bool cleared = event.cleared_at.has_value();
    log_.raise({cleared ? signals::EventLevel::info : signals::EventLevel::warning, "uplink",
                cleared ? "expiry_cleared" : "expires_soon", event.message});
  }

  [[nodiscard]] std::vector<std::string> hung_threads(base::Instant now) const {
    std::vector<std::string> hung;
    for (const auto& heartbeat : heartbeats_) {
      if (!heartbeat->alive(now)) hung.push_back(heartbeat->thread());
    }
    const base::Instant uplink{base::Duration{statistics_.connection_heartbeat_ns.load(std::memory_order_relaxed)}};
    if (now - uplink > kConnectionPatience) hung.emplace_back("uplink");
    return hung;
  }

  telemetry::MetricsReport metrics() {
    return metrics_.report(*twin_loop_, device_loops_, place_of_device_, endpoint_in_use());
  }

  // Members are destroyed in reverse: threads first (they are joined by then), what they use last.
  const Plan plan_;
  const base::Clock& clock_;
  EventLog& log_;
  const base::Instant process_start_;
  const base::Instant origin_;
  Outbox outbox_;
  uplink::Spool spool_;
  uplink::Link link_;
  uplink::Statistics statistics_;
  uplink::Courier courier_;
  StatusBoard status_;
  OrderDesk orders_;
  std::unique_ptr<CommandDesk> desk_;  // none unless commands are enabled
  std::unique_ptr<AwsDesk> aws_desk_;  // none unless the uplink is AWS IoT Core
  InboxRouter inboxes_;
  uplink::Connection connection_;
  Publisher publisher_;
  GatewayDiagnosis gateway_diagnosis_;
  OrderQueue gateway_orders_;  // about its alarms
  std::unique_ptr<CaptureWriter> capture_;
  CheckpointKeeper checkpoints_;
  DevicePlaces place_of_device_;
  std::vector<std::unique_ptr<DeviceLoop>> device_loops_;
  std::unique_ptr<TwinLoop> twin_loop_;
  std::unique_ptr<ControlServer> control_;
  std::vector<std::unique_ptr<Heartbeat>> heartbeats_;

  std::array<std::optional<base::WallTime>, kExpiries> expires_;
  std::string first_authority_;  // to expire
  base::Instant next_certificate_look_;
  base::Instant next_metrics_ = clock_.now() + kMetricsInterval;
  GatewayMetrics metrics_{plan_, outbox_, statistics_, clock_, process_start_};
  bool stopped_ = false;

  std::jthread connection_thread_;
  std::jthread spool_thread_;
  std::jthread twin_thread_;
  std::jthread control_thread_;
  std::vector<std::jthread> device_threads_;
};

base::Result<std::unique_ptr<Gateway>> Gateway::start(Plan plan, telemetry::StatusReason reason,
                                                      base::Instant process_start, const base::Clock& clock,
                                                      EventLog& log, ReloadRequests& requests,
                                                      uplink::ConnectTimes& connect_times,
                                                      std::unique_ptr<CaptureWriter> capture) {
  auto twins = make_twins(plan);
  if (auto* issues = std::get_if<base::Issues>(&twins)) {
    return base::Error(base::ErrorCode::invalid_argument, issues->front().path + ": " + issues->front().what);
  }
  const std::string boot_id = read_boot_id();
  auto spool = uplink::Spool::open(plan.config.spool, plan.config.gateway.id, clock, boot_id, log);
  if (!spool) return std::move(spool).error();
  auto implementation =
      std::make_unique<Implementation>(std::move(plan), reason, process_start, std::move(spool).value(),
                                       std::move(std::get<std::vector<estimation::Twin>>(twins)), boot_id, clock, log,
                                       requests, connect_times, std::move(capture));
  return std::unique_ptr<Gateway>(new Gateway(std::move(implementation)));
}

Gateway::Gateway(std::unique_ptr<Implementation> implementation) : implementation_(std::move(implementation)) {}
Gateway::~Gateway() = default;

std::vector<std::string> Gateway::supervise() { return implementation_->supervise(); }
std::string Gateway::summary() const { return implementation_->summary(); }
const Plan& Gateway::plan() const { return implementation_->plan(); }
void Gateway::stop(telemetry::StatusReason reason) { implementation_->stop(reason); }

}  // namespace twinkeeper::app
