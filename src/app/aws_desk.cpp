#include "app/aws_desk.hpp"

#include <algorithm>
#include <array>
#include <random>
#include <utility>

#include "app/descriptions.hpp"
#include "app/network_figures.hpp"
#include "app/twin_shadow.hpp"

namespace twinkeeper::app {
namespace {

using uplink::Shadows;

constexpr std::size_t kMostUnread = 256;
constexpr std::size_t kMostRequests = 4;
constexpr base::Duration kLookEvery = std::chrono::seconds{1};       // whether a twin has left its dead-band
constexpr base::Duration kConfigInterval = std::chrono::seconds{1};  // it changes when somebody changes it

// Another one at each start, so that answers to an earlier one are not taken for ours.
std::string random_token() {
  static constexpr char kHex[] = "0123456789abcdef";
  std::random_device random;
  std::string token;
  for (int i = 0; i < 12; ++i) token += kHex[random() % 16];
  return token;
}

aws::ShadowSettings shadow_settings(const config::Config& config, const std::string& name, const std::string& token) {
  aws::ShadowSettings settings;
  settings.thing = config.uplink->client_id;
  settings.name = name;
  settings.token = token;
  settings.seed = std::hash<std::string>{}(token + name);
  return settings;
}

std::string shadow_of(const std::string& twin) { return "twin-" + twin; }

aws::ShadowSettings twin_settings(const config::Config& config, const std::string& twin, const std::string& token) {
  aws::ShadowSettings settings = shadow_settings(config, shadow_of(twin), token);
  settings.least_interval = config.uplink->shadow_interval;
  settings.least_important = {"bad", "states", "shelved", "anomalies"};
  settings.same = same_in_shadow;
  return settings;
}

aws::ShadowSettings config_settings(const config::Config& config, const std::string& token) {
  aws::ShadowSettings settings = shadow_settings(config, "config", token);
  settings.least_interval = kConfigInterval;
  settings.with_desired = true;
  settings.least_important = {"config_error"};
  return settings;
}

Shadows shadows_of(const config::Config& config) { return config.uplink->shadows.value_or(Shadows::off); }

void append(std::vector<std::string>& topics, std::vector<std::string> more) {
  topics.insert(topics.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

// But for the twins' shadows.
std::vector<std::string> other_topics(const config::Config& config) {
  std::vector<std::string> topics;
  if (shadows_of(config) == Shadows::all) {
    append(topics, aws::ShadowClient(config_settings(config, "")).topics());
  }
  if (config.uplink->jobs.value_or(false)) append(topics, aws::JobClient(config.uplink->client_id, "", "", 1).topics());
  if (const auto interval = config.uplink->defender_interval) {
    append(topics, aws::DefenderReport(config.uplink->client_id, *interval).topics());
  }
  return topics;
}

aws::DeviceFigures figures_of(const telemetry::MetricsReport& metrics, const GatewayHealth& health) {
  aws::DeviceFigures out = network_figures();
  const auto set = [&out](const char* name, auto value) { out.custom[name] = static_cast<double>(value); };
  set("spool_messages", metrics.spool_messages);
  set("spool_bytes", metrics.spool_bytes);
  set("spool_dropped_total", metrics.spool_dropped_total);
  set("reconnects_total", metrics.reconnects_total);
  set("steps_missed_total", metrics.steps_missed_total);
  set("samples_bad_total", metrics.samples_bad_total);
  set("rss_bytes", metrics.rss_bytes);
  set("cpu_seconds_total", metrics.cpu_seconds_total);
  set("uptime_seconds", std::chrono::floor<std::chrono::seconds>(metrics.uptime).count());
  set("devices_down", health.devices_down);
  set("twins_tracking", health.twins_tracking);
  return out;
}

}  // namespace

std::vector<std::size_t> twins_with_shadow(const config::Config& config) {
  std::vector<std::size_t> twins;
  if (!config.uplink || shadows_of(config) == Shadows::off) return twins;
  const std::size_t others = other_topics(config).size() + (config.commands.enabled ? config.commands.allow.size() : 0);
  for (std::size_t i = 0; i < config.twins.size(); ++i) {
    if (others + (twins.size() + 1) * kTopicsOfShadow > kMostTopics) break;
    if (shadow_of(config.twins[i].name).size() <= kLongestShadowName) twins.push_back(i);
  }
  return twins;
}

std::vector<std::string> aws_topics(const config::Config& config) {
  if (!config.uplink) return {};
  std::vector<std::string> topics = other_topics(config);
  for (const std::size_t i : twins_with_shadow(config)) {
    append(topics, aws::ShadowClient(twin_settings(config, config.twins[i].name, "")).topics());
  }
  return topics;
}

std::vector<std::string> aws_topics_published(const config::Config& config) {
  std::vector<std::string> topics;
  if (!config.uplink) return topics;
  const std::string thing = "$aws/things/" + config.uplink->client_id + "/";
  std::vector<std::string> shadows;
  if (shadows_of(config) == Shadows::all) shadows.emplace_back("config");
  for (const std::size_t i : twins_with_shadow(config)) shadows.push_back(shadow_of(config.twins[i].name));
  for (const std::string& shadow : shadows) {
    for (const char* what : {"/get", "/update"}) topics.push_back(thing + "shadow/name/" + shadow + what);
  }
  if (config.uplink->jobs.value_or(false)) {
    for (const char* what : {"$next/get", "start-next", "*/update"}) topics.push_back(thing + "jobs/" + what);
  }
  if (config.uplink->defender_interval) topics.push_back(thing + "defender/metrics/json");
  return topics;
}

bool AwsDesk::is_wanted(const config::Config& config) { return !aws_topics(config).empty(); }

AwsDesk::AwsDesk(const Plan& plan, const base::Clock& clock, signals::EventSink& events,
                 const uplink::Statistics& statistics, ReloadRequests& requests, Outside outside)
    : plan_(plan),
      clock_(clock),
      events_(events),
      statistics_(statistics),
      outside_(std::move(outside)),
      topics_(aws_topics(plan.config)) {
  const std::string token = random_token();
  const config::Config& config = plan.config;
  if (shadows_of(config) == Shadows::all) {
    configuration_ = std::make_unique<AwsConfiguration>(plan, requests, events, config_settings(config, token));
  }
  if (config.uplink->jobs.value_or(false)) {
    jobs_ = std::make_unique<AwsJobs>(plan, requests, events, token, outside_.jobs);
  }
  if (const auto interval = config.uplink->defender_interval) defender_.emplace(config.uplink->client_id, *interval);
  for (const std::size_t i : twins_with_shadow(config)) {
    const auto& model = plan.models[i];
    twins_.push_back({i,
                      describe_twin(plan, i),
                      aws::ShadowClient(twin_settings(config, config.twins[i].name, token)),
                      estimation::TwinStep(static_cast<std::size_t>(model.n_x()), static_cast<std::size_t>(model.n_u()),
                                           static_cast<std::size_t>(model.n_y())),
                      {},
                      false,
                      {}});
  }
}

void AwsDesk::connected(const std::vector<std::string>& refused) {
  {
    const std::lock_guard lock(arrivals_mutex_);
    arrivals_.clear();  // what came before is of no connection any more
    arrivals_.push_back({{}, {}, refused});
  }
  outside_.wake();
}

void AwsDesk::arrived(std::string topic, std::string payload, bool retained) {
  if (retained || topic.compare(0, 5, "$aws/") != 0) return;
  {
    const std::lock_guard lock(arrivals_mutex_);
    if (arrivals_.size() >= kMostUnread) return;
    arrivals_.push_back({std::move(topic), std::move(payload), {}});
  }
  outside_.wake();
}

void AwsDesk::note(std::size_t twin, const estimation::TwinStep& step, const telemetry::AnomalySummary& anomalies) {
  for (Twin& entry : twins_) {
    if (entry.index != twin) continue;
    entry.step = step;
    entry.anomalies = anomalies;
    entry.fresh = true;
  }
}

void AwsDesk::run() {
  std::deque<Arrival> arrivals;
  {
    const std::lock_guard lock(arrivals_mutex_);
    arrivals.swap(arrivals_);
  }
  const base::Instant now = clock_.now();
  for (const Arrival& arrival : arrivals) take(arrival, now);
  if (connected_ && !statistics_.connected.load(std::memory_order_relaxed)) disconnect();
  if (!connected_) return;
  if (configuration_) configuration_->run();
  if (jobs_) jobs_->run(metrics_ ? &*metrics_ : nullptr, now);
  if (defender_) report_to_defender(now);
  publish(now);
  if (jobs_) jobs_->run(metrics_ ? &*metrics_ : nullptr, now);
}

// The metrics come once a minute; a report waits for the first.
void AwsDesk::report_to_defender(base::Instant now) {
  tell(defender_->take_notices());
  if (!metrics_ || !outside_.health || !defender_->is_due(now)) return;
  auto report = defender_->make(figures_of(*metrics_, outside_.health()), now, clock_.wall_now());
  outside_.send(std::move(report.topic), std::move(report.payload));
}

template <class Use>
void AwsDesk::each_client(Use use) {
  if (configuration_) use(configuration_->shadow());
  if (jobs_) use(jobs_->client());
  if (defender_) use(*defender_);
  for (Twin& twin : twins_) use(twin.shadow);
}

void AwsDesk::take(const Arrival& arrival, base::Instant now) {
  if (arrival.topic.empty()) {
    connect(arrival.refused, now);
    return;
  }
  if (configuration_ && configuration_->shadow().take(arrival.topic, arrival.payload, now)) return;
  if (jobs_ && jobs_->client().take(arrival.topic, arrival.payload, now)) return;
  if (defender_ && defender_->take(arrival.topic, arrival.payload)) return;
  for (Twin& twin : twins_) {
    if (twin.shadow.take(arrival.topic, arrival.payload, now)) return;
  }
}

// A part one of whose topics is refused does nothing: it would hear no answer. The refusal itself is told already.
void AwsDesk::connect(const std::vector<std::string>& refused, base::Instant now) {
  connected_ = true;
  const auto can = [&refused](const std::vector<std::string>& topics) {
    return std::none_of(topics.begin(), topics.end(), [&](const std::string& topic) {
      return std::find(refused.begin(), refused.end(), topic) != refused.end();
    });
  };
  const auto start = [&](auto& client) {
    if (can(client.topics())) {
      client.connected(now);
    } else {
      client.disconnected();
    }
  };
  each_client(start);
}

void AwsDesk::disconnect() {
  connected_ = false;
  each_client([](auto& client) { client.disconnected(); });
}

void AwsDesk::publish(base::Instant now) {
  std::size_t waiting = configuration_ && configuration_->shadow().waiting() ? 1 : 0;
  waiting += jobs_ && jobs_->client().waiting() ? 1 : 0;
  for (const Twin& twin : twins_) waiting += twin.shadow.waiting() ? 1 : 0;
  const auto let = [&](auto& client) {
    const bool waited = client.waiting();
    if (!waited && waiting >= kMostRequests) return;
    if (auto publication = client.due(now)) {
      outside_.send(std::move(publication->topic), std::move(publication->payload));
      if (!waited) ++waiting;
    }
    tell(client.take_notices());
  };
  if (configuration_) let(configuration_->shadow());
  if (jobs_) let(jobs_->client());
  // In turn, so that none waits behind the others for ever.
  for (std::size_t i = 0; i < twins_.size(); ++i) {
    Twin& twin = twins_[(first_ + i) % twins_.size()];
    if (twin.fresh && now - twin.looked_at >= kLookEvery && twin.shadow.may_update(now)) {
      twin.fresh = false;
      twin.looked_at = now;
      twin.shadow.report(twin_shadow(twin.description, twin.step, twin.anomalies, plan_.config.uplink->digits));
    }
    let(twin.shadow);
  }
  if (!twins_.empty()) first_ = (first_ + 1) % twins_.size();
}

void AwsDesk::tell(std::vector<aws::Notice> notices) {
  for (aws::Notice& notice : notices) {
    events_.raise({signals::EventLevel::warning, "aws", std::move(notice.code), std::move(notice.text)});
  }
}

}  // namespace twinkeeper::app
