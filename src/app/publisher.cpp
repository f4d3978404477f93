#include "app/publisher.hpp"

#include <algorithm>

#include "app/descriptions.hpp"
#include "telemetry/info_encoder.hpp"
#include "uplink/envelope.hpp"

namespace twinkeeper::app {
namespace {

// How long the spool thread sleeps when nobody wakes it.
constexpr base::Duration kIdle = std::chrono::milliseconds{250};

}  // namespace

Publisher::Publisher(const Plan& plan, Outbox& outbox, uplink::Courier& courier, const uplink::Statistics& statistics,
                     const base::Clock& clock, signals::EventSink& events, OrderDesk& orders, CommandDesk* desk,
                     AwsDesk* aws_desk, InboxRouter& inboxes, std::uint64_t connects_seen)
    : plan_(plan),
      outbox_(outbox),
      courier_(courier),
      statistics_(statistics),
      clock_(clock),
      events_(events),
      orders_(orders),
      desk_(desk),
      aws_desk_(aws_desk),
      inboxes_(inboxes),
      tags_(describe_tags(plan.config)),
      connects_seen_(connects_seen) {
  orders_.on_describe([this] { publish_infos(); });
  orders_.on_purge([this](const uplink::PurgeFilter& filter) { return courier_.purge(filter); });
  const int digits = plan.config.uplink ? plan.config.uplink->digits : telemetry::kDefaultDigits;
  const auto to_wall = [this](base::Instant instant) { return clock_.to_wall(instant); };
  for (std::size_t i = 0; i < plan.config.twins.size(); ++i) {
    twins_.push_back(describe_twin(plan, i));
    state_encoders_.emplace_back(twins_.back(), digits, twins_.back().layout);
  }
  for (const auto& device : plan.config.devices) {
    devices_.push_back(describe_device(device));
    samples_encoders_.emplace_back(devices_.back(), to_wall);
  }
}

void Publisher::run(std::stop_token stop, Heartbeat& heartbeat) {
  if (desk_ == nullptr) {
    // The reload has ended that there are commands: nobody can be answered any more, but the trail is whole.
    if (const auto answer = orders_.reloaded()) orders_.record(*answer);
  }
  while (!stop.stop_requested()) {
    publish_infos_after_connect();
    orders_.take_outcomes();
    publish_outbox();
    take_posts();
    if (desks_end_) {
      stop_desks("the service was reloaded before; it may still be carried out");
    } else {
      orders_.run();
      if (desk_ != nullptr) desk_->run();
      if (aws_desk_ != nullptr) aws_desk_->run();
    }
    courier_.run_once(kIdle);
    heartbeat.beat(clock_.now());
  }
  orders_.take_outcomes();
  publish_outbox();
  take_posts();
  stop_desks("the service stopped before");
}

void Publisher::end_desks() {
  desks_end_ = true;
  courier_.wake();
  desks_ended_.wait(false);
}

void Publisher::stop_desks(const std::string& reason) {
  if (desks_ended_) return;
  inboxes_.detach();                    // what arrives from here on is for those that come after
  if (desk_ != nullptr) desk_->stop();  // first: what has just arrived may become orders
  orders_.stop(reason);
  desks_ended_ = true;
  desks_ended_.notify_all();
}

void Publisher::post(telemetry::MetricsReport report) {
  {
    const std::lock_guard lock(posts_mutex_);
    posted_metrics_.push_back(std::move(report));
  }
  courier_.wake();
}

void Publisher::post(diagnosis::AnomalyEvent event) {
  {
    const std::lock_guard lock(posts_mutex_);
    posted_anomalies_.push_back(std::move(event));
  }
  courier_.wake();
}

void Publisher::take_posts() {
  std::vector<telemetry::MetricsReport> reports;
  std::vector<diagnosis::AnomalyEvent> anomalies;
  {
    const std::lock_guard lock(posts_mutex_);
    reports.swap(posted_metrics_);
    anomalies.swap(posted_anomalies_);
  }
  for (const auto& event : anomalies) publish(event);
  for (const auto& report : reports) {
    if (aws_desk_ != nullptr) aws_desk_->note(report);
    const base::Instant now = clock_.now();
    for (const auto& share : telemetry::shares_of(report)) {
      signals::Message message;
      telemetry::encode_metrics(share, now, message);
      courier_.submit(std::move(message));
    }
  }
}

void Publisher::publish_outbox() {
  diagnosis::AnomalyEvent event;
  while (outbox_.anomalies.try_pop(event)) publish(event);
  for (ModeChange change; outbox_.modes.try_pop(change);) tell(change);
  for (std::size_t i = 0; i < outbox_.steps.size(); ++i) {
    while (TwinRecord* record = outbox_.steps[i]->try_receive()) {
      signals::Message message;
      state_encoders_[i].encode(record->step, record->anomalies, message);
      skip(message.stream, record->unsent);
      if (aws_desk_ != nullptr) aws_desk_->note(i, record->step, record->anomalies);
      outbox_.steps[i]->recycle(record);
      courier_.submit(std::move(message));
    }
  }
  for (std::size_t i = 0; i < outbox_.snapshots.size(); ++i) {
    while (SnapshotRecord* record = outbox_.snapshots[i]->try_receive()) {
      signals::Message message;
      samples_encoders_[i].encode(record->snapshot, message);
      skip(message.stream, record->unsent);
      outbox_.snapshots[i]->recycle(record);
      courier_.submit(std::move(message));
    }
  }
}

void Publisher::skip(const std::string& stream, const Unsent& unsent) {
  if (unsent.count > 0) courier_.skip(stream, unsent.count, unsent.first, unsent.last);
}

void Publisher::publish_infos_after_connect() {
  const std::uint64_t connects = statistics_.connects_total.load(std::memory_order_relaxed);
  if (connects == connects_seen_) return;
  connects_seen_ = connects;
  publish_infos();
}

void Publisher::publish_infos() {
  for (const auto& device : devices_) {
    signals::Message message;
    telemetry::encode_device_info(device, clock_.now(), message);
    courier_.submit(std::move(message));
  }
  for (const auto& twin : twins_) {
    signals::Message message;
    telemetry::encode_twin_info(twin, clock_.now(), message);
    courier_.submit(std::move(message));
  }
}

void Publisher::tell(const ModeChange& change) {
  using estimation::Mode;
  const bool well =
      change.mode == Mode::initializing || change.mode == Mode::converging || change.mode == Mode::tracking;
  std::string line = "mode=" + std::string(estimation::to_string(change.mode));
  if (change.before) line += " before=" + std::string(estimation::to_string(*change.before));
  events_.raise({well ? signals::EventLevel::info : signals::EventLevel::warning, twins_[change.twin].name, "mode",
                 std::move(line)});
}

void Publisher::tell(const diagnosis::AnomalyEvent& event) {
  using diagnosis::AnomalyEventKind;
  using signals::EventLevel;
  EventLevel level = EventLevel::info;
  if (event.event == AnomalyEventKind::raised) level = EventLevel::warning;
  // It stands as before, with newer figures.
  if (event.event == AnomalyEventKind::changed && !event.cleared_at) level = EventLevel::debug;
  std::string line = "alarm event=" + std::string(diagnosis::to_string(event.event)) + " anomaly=" + event.id +
                     " occurrence=" + std::to_string(event.occurrence) +
                     " state=" + std::string(diagnosis::to_string(event.state)) +
                     " priority=" + std::string(diagnosis::to_string(diagnosis::priority_of(event.severity)));
  for (const auto& [name, text] :
       {std::pair{" by=", &event.by}, {" comment=", &event.comment}, {" message=", &event.message}}) {
    if (text->empty()) continue;
    line += name;
    uplink::append_json_string(line, *text);
  }
  events_.raise({level, event.owner.empty() ? "gateway" : event.owner, "alarm " + event.id, std::move(line)});
}

void Publisher::publish(const diagnosis::AnomalyEvent& event) {
  orders_.alarms().observe(event);
  tell(event);
  telemetry::AnomalyContext context;
  if (plan_.config.uplink) context.digits = plan_.config.uplink->digits;
  context.source = [this](std::string_view tag) -> const telemetry::TagSource* {
    const auto found = std::find_if(tags_.begin(), tags_.end(), [&](const auto& source) { return source.tag == tag; });
    return found == tags_.end() ? nullptr : &*found;
  };
  context.to_wall = [this](base::Instant instant) { return clock_.to_wall(instant); };
  if (event.owner_kind == diagnosis::OwnerKind::twin) {
    const auto twin = std::find_if(twins_.begin(), twins_.end(), [&](const auto& t) { return t.name == event.owner; });
    if (twin != twins_.end()) context.model = twin->model;
  }
  signals::Message message;
  telemetry::encode_anomaly(event, context, message);
  courier_.submit(std::move(message));
}

}  // namespace twinkeeper::app
