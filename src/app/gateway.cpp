#include "app/gateway.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "app/gateway_diagnosis.hpp"
#include "app/inbox_router.hpp"
#include "app/north.hpp"
#include "app/process_usage.hpp"
#include "app/south.hpp"
#include "app/spool_loop.hpp"
#include "app/status_board.hpp"
#include "app/version.hpp"
#include "uplink/preflight.hpp"

namespace twinkeeper::app {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kDrain = 3s;
constexpr base::Duration kCertificateInterval = 1h;
constexpr base::Duration kConnectionPatience = 90s;  // resolver, TCP and TLS time-outs one after the other

}  // namespace

class Gateway::Implementation {
 public:
  Implementation(Plan plan, telemetry::StatusReason reason, base::Instant process_start, uplink::Spool spool,
                 std::vector<estimation::Twin> twins, const std::string& boot_id, const base::Clock& clock,
                 EventLog& log, ReloadRequests& requests, uplink::ConnectTimes& connect_times,
                 std::unique_ptr<CaptureWriter> capture)
      : plan_(std::make_shared<const Plan>(std::move(plan))),
        clock_(clock),
        log_(log),
        requests_(requests),
        connect_times_(connect_times),
        process_start_(process_start),
        boot_id_(boot_id),
        spool_(std::move(spool)),
        status_(clock, process_start, std::string(kVersion), plan_->config.hash, reason, {}, {}),
        gateway_diagnosis_(clock.now()),
        south_(make_south(std::move(twins), std::move(capture))),
        north_(make_north()),
        spool_loop_(make_spool_loop(0)) {
    // Before the first CONNECT, whose status and last will tell it.
    look_at_certificate(clock.now());
    static_cast<void>(status_.update(south_->twin_statuses(), south_->device_statuses(), expires_[kCertificate]));
    spool_loop_->start();
    north_->start();
    south_->start();
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
      spool_loop_->publisher().post(south_->metrics(endpoint_in_use()));
    }
    return hung_threads(now);
  }

  [[nodiscard]] const Plan& plan() const { return *plan_; }

  [[nodiscard]] std::string summary() const {
    const auto devices = south_->device_statuses();
    const auto twins = south_->twin_statuses();
    const auto up = std::count_if(devices.begin(), devices.end(),
                                  [](const auto& device) { return device.state == telemetry::DeviceState::up; });
    const auto tracking = std::count_if(twins.begin(), twins.end(),
                                        [](const auto& twin) { return twin.mode == estimation::Mode::tracking; });
    return std::string(statistics_.connected.load(std::memory_order_relaxed) ? "connected" : "not connected") + ", " +
           std::to_string(up) + "/" + std::to_string(devices.size()) + " devices up, " + std::to_string(tracking) +
           "/" + std::to_string(twins.size()) + " twins tracking, " +
           std::to_string(statistics_.spool_messages.load(std::memory_order_relaxed)) + " messages waiting";
  }

  // Everything runs on.
  void exchange_plan(std::shared_ptr<const Plan> plan, const std::function<void()>& exchanged) {
    plan_ = std::move(plan);
    status_.reloaded(plan_->config.hash);
    exchanged();
    north_->connection().status_changed();
  }

  // Devices and twins run on. What they say meanwhile goes to the spool, but for the moment without a spool thread, when
  // it waits in the outbox. The connection ends first, which may take seconds.
  void exchange_north(std::shared_ptr<const Plan> plan, const std::function<void()>& exchanged) {
    status_.set_stop_reason(telemetry::StatusReason::reload);
    spool_loop_->publisher().end_desks();  // what they answer leaves with the old connection
    north_->stop();
    spool_loop_->stop(base::Duration::zero());
    spool_loop_.reset();
    plan_ = std::move(plan);
    status_.reloaded(plan_->config.hash);
    spool_.set_limits(plan_->config.spool);
    north_.reset();
    north_ = make_north();
    spool_loop_ = make_spool_loop(statistics_.connects_total);  // descriptions follow the next connect
    look_at_certificate(clock_.now());
    exchanged();
    spool_loop_->start();
    north_->start();
  }

  // The connection and the spool stay, in a new epoch (docs/decisions/0019-exchange-of-parts.md).
  base::Status exchange_south(std::shared_ptr<const Plan> plan, std::vector<estimation::Twin> twins,
                              const std::function<void()>& exchanged) {
    south_->stop("reload");
    spool_loop_->publisher().post(south_->metrics(endpoint_in_use()));
    spool_loop_->stop(std::nullopt);
    south_->finish();
    if (auto begun = spool_.begin_epoch(); !begun) return begun;
    spool_loop_.reset();
    south_.reset();
    plan_ = std::move(plan);
    south_ = make_south(std::move(twins), nullptr);
    spool_loop_ = make_spool_loop(0);  // descriptions at once
    next_metrics_ = clock_.now() + kMetricsInterval;
    // The connection goes on telling the status: what it tells in the new epoch is of the new parts.
    status_.reloaded(plan_->config.hash);
    static_cast<void>(status_.update(south_->twin_statuses(), south_->device_statuses(), expires_[kCertificate]));
    north_->courier().follow_epoch();
    exchanged();
    spool_loop_->start();
    south_->start();
    north_->connection().status_changed();
    return base::Success{};
  }

  void stop(telemetry::StatusReason reason) {
    if (stopped_) return;
    stopped_ = true;
    status_.set_stop_reason(reason);
    south_->stop(reason == telemetry::StatusReason::reload ? "reload" : "stopped");
    spool_loop_->publisher().post(south_->metrics(endpoint_in_use()));
    spool_loop_->stop(kDrain);
    north_->stop();
    south_->finish();  // last: the spool and the broker come first in the time there is
  }

 private:
  [[nodiscard]] std::function<void()> wake() {
    return [this] { link_.spool_wake_up().ring(); };  // outlives either side
  }

  [[nodiscard]] std::unique_ptr<South> make_south(std::vector<estimation::Twin> twins,
                                                  std::unique_ptr<CaptureWriter> capture) {
    return std::make_unique<South>(
        plan_, std::move(twins),
        South::Surroundings{clock_, log_, requests_, statistics_, wake(), boot_id_, process_start_},
        gateway_diagnosis_.alarms(), std::move(capture));
  }

  [[nodiscard]] std::unique_ptr<North> make_north() {
    return std::make_unique<North>(
        plan_->config, North::Surroundings{spool_, link_, statistics_, status_, clock_, log_, connect_times_, boot_id_},
        SpoolLoop::listens(plan_->config) ? &inboxes_ : nullptr);
  }

  [[nodiscard]] std::unique_ptr<SpoolLoop> make_spool_loop(std::uint64_t connects_seen) {
    return std::make_unique<SpoolLoop>(
        plan_, SpoolLoop::Surroundings{*south_, *north_, inboxes_, statistics_, clock_, log_, requests_, wake()},
        connects_seen);
  }

  void look_at_certificate(base::Instant now) {
    next_certificate_look_ = now + kCertificateInterval;
    const auto& files = *plan_->config.uplink;
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
    if (status_.update(south_->twin_statuses(), south_->device_statuses(), expires_[kCertificate])) {
      north_->connection().status_changed();
    }
  }

  [[nodiscard]] std::string endpoint_in_use() const {
    return plan_->config.uplink->endpoints[statistics_.endpoint.load(std::memory_order_relaxed)].name();
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
    diagnosis::AlarmBook& book = gateway_diagnosis_.alarms();
    book.end_withheld(now, events);
    std::vector<Outcome> outcomes;
    OrderQueue& orders = south_->gateway_orders();
    for (Order order; orders.take(order);) {
      outcomes.push_back({order.number, obey(order, book, now, events), {}});
    }
    for (auto& event : events) spool_loop_->publisher().post(std::move(event));
    for (auto& outcome : outcomes) orders.settle(std::move(outcome));
    if (!outcomes.empty()) link_.spool_wake_up().ring();
  }

  [[nodiscard]] std::vector<std::string> hung_threads(base::Instant now) const {
    std::vector<std::string> hung;
    spool_loop_->add_hung(now, hung);
    south_->add_hung(now, hung);
    const base::Instant uplink{base::Duration{statistics_.connection_heartbeat_ns.load(std::memory_order_relaxed)}};
    if (now - uplink > kConnectionPatience) hung.emplace_back("uplink");
    return hung;
  }

  std::shared_ptr<const Plan> plan_;  // the newest; a part that was not restarted for it has an older one
  const base::Clock& clock_;
  EventLog& log_;
  ReloadRequests& requests_;
  uplink::ConnectTimes& connect_times_;
  const base::Instant process_start_;
  const std::string boot_id_;

  std::array<std::optional<base::WallTime>, kExpiries> expires_;
  std::string first_authority_;  // to expire
  base::Instant next_certificate_look_;
  base::Instant next_metrics_ = clock_.now() + kMetricsInterval;
  bool stopped_ = false;

  // What outlives an exchange of either side, then the sides, then what stands between them. Destroyed in reverse.
  uplink::Spool spool_;
  uplink::Link link_;
  uplink::Statistics statistics_;
  InboxRouter inboxes_;
  StatusBoard status_;
  GatewayDiagnosis gateway_diagnosis_;
  std::unique_ptr<South> south_;
  std::unique_ptr<North> north_;
  std::unique_ptr<SpoolLoop> spool_loop_;
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

base::Status Gateway::exchange(Plan plan, ConfigChange change, const std::function<void()>& exchanged) {
  auto next = std::make_shared<const Plan>(std::move(plan));
  if (change == ConfigChange::level) {
    implementation_->exchange_plan(std::move(next), exchanged);
    return base::Success{};
  }
  if (change == ConfigChange::north) {
    implementation_->exchange_north(std::move(next), exchanged);
    return base::Success{};
  }
  auto twins = make_twins(*next);
  if (const auto* issues = std::get_if<base::Issues>(&twins)) {
    return base::Error(base::ErrorCode::invalid_argument, issues->front().path + ": " + issues->front().what);
  }
  return implementation_->exchange_south(std::move(next), std::move(std::get<std::vector<estimation::Twin>>(twins)),
                                         exchanged);
}

std::vector<std::string> Gateway::supervise() { return implementation_->supervise(); }
std::string Gateway::summary() const { return implementation_->summary(); }
const Plan& Gateway::plan() const { return implementation_->plan(); }
void Gateway::stop(telemetry::StatusReason reason) { implementation_->stop(reason); }

}  // namespace twinkeeper::app
