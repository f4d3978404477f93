#include "uplink/connection.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <utility>

#include "uplink/back_off.hpp"
#include "uplink/envelope.hpp"
#include "uplink/outgoing.hpp"
#include "uplink/paho_connection.hpp"
#include "uplink/preflight.hpp"

namespace twinkeeper::uplink {
namespace {

constexpr std::uint64_t kSessionsPerEpoch = 1'000'000;
constexpr base::Duration kTurn = std::chrono::milliseconds{500};
constexpr base::Duration kAnswersKept = std::chrono::minutes{1};
constexpr std::size_t kMostAnswers = 64;
constexpr std::size_t kMostAnsweredIds = 10'000;
constexpr base::Duration kStopWithin = std::chrono::seconds{2};
constexpr base::Duration kFilesLookedAtEvery = std::chrono::seconds{1};

// Tells whether a file was replaced or rewritten.
using FileStamp = std::array<std::int64_t, 4>;
using FileStamps = std::array<FileStamp, 3>;

FileStamp stamp_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};
  return {static_cast<std::int64_t>(status.st_ino), status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
          static_cast<std::int64_t>(status.st_mode)};
}

FileStamps stamps_of(const UplinkSettings& settings) {
  return {stamp_of(settings.root_ca), stamp_of(settings.cert), stamp_of(settings.key)};
}

}  // namespace

ConnectionTiming ConnectionTiming::for_profile(Profile profile) {
  ConnectionTiming timing;
  if (profile == Profile::aws_iot_core) {
    timing.least_pause = std::chrono::seconds{10};
  } else {
    timing.backoff_cap = std::chrono::seconds{30};  // a broker of one's own: sooner back matters more than its load
  }
  return timing;
}

class Connection::Implementation {
 public:
  Implementation(Link& link, Statistics& statistics, UplinkSettings settings, std::string gateway_id,
                 std::string boot_id, StatusSource& status, const base::Clock& clock, signals::EventSink& events,
                 ConnectionTiming timing, Inbox* inbox)
      : link_(link),
        statistics_(statistics),
        settings_(std::move(settings)),
        gateway_id_(std::move(gateway_id)),
        boot_id_(std::move(boot_id)),
        status_(status),
        clock_(clock),
        events_(events),
        timing_(timing),
        inbox_(inbox),
        back_off_(timing.backoff_floor, timing.backoff_cap, timing.least_pause, std::random_device{}()) {
    timing_.window = std::clamp<std::size_t>(timing_.window, 1, 100);
  }

  void run(const std::stop_token& stop) {
    const std::stop_callback wake(stop, [this] { link_.connection_wake_up().ring(); });
    while (!stop.stop_requested()) {
      if (connect(stop)) serve(stop);
      if (!stop.stop_requested()) pause(stop);
    }
    statistics_.connected = false;
  }

  void respond(signals::Message message) {
    std::uint64_t seq = 0;
    {
      const std::lock_guard lock(answers_mutex_);
      // Streams are counted, as one id may be answered more than once; forgotten all at once when there are too many.
      if (answered_.size() >= kMostAnsweredIds) answered_.clear();
      seq = ++answered_[message.stream];
    }
    const base::Instant made = message.time;
    std::string topic = topic_of_stream(settings_.topic_prefix, message.stream);
    keep({std::move(topic), {}, std::move(message), seq, made, 0});
  }

  void send(std::string topic, std::string payload) {
    keep({std::move(topic), std::move(payload), std::nullopt, 0, clock_.now(), 0});
  }

  void status_changed() noexcept {
    status_wanted_ = true;
    link_.connection_wake_up().ring();
  }

 private:
  struct Answer {
    std::string topic;
    std::string payload;  // unless there is a message, whose envelope is made at publishing
    std::optional<signals::Message> message;
    std::uint64_t seq = 0;  // of the message
    base::Instant made{};
    std::uint64_t token = 0;  // not 0: published on the present connection
  };

  void keep(Answer answer) {
    {
      const std::lock_guard lock(answers_mutex_);
      if (answers_.size() >= kMostAnswers) answers_.erase(answers_.begin());
      answers_.push_back(std::move(answer));
    }
    link_.connection_wake_up().ring();
  }

  void beat() { Statistics::beat(statistics_.connection_heartbeat_ns, clock_.now()); }
  [[nodiscard]] std::string server() const {
    return settings_.endpoint.host + ":" + std::to_string(settings_.endpoint.port);
  }

  // Once per change of cause.
  void tell(const LinkFault& fault) {
    if (told_cause_ == fault.message) return;
    told_cause_ = fault.message;
    events_.raise({signals::EventLevel::error, "uplink", fault.code, fault.message});
  }

  // False: connecting can't work with these files.
  bool files_serve() {
    stamps_ = stamps_of(settings_);
    minor_fault_.reset();
    for (const LinkFault& fault : check_certificates(settings_, clock_.wall_now())) {
      tell(fault);
      if (fault.fatal) return false;
      minor_fault_ = fault;
      break;  // the most basic one is the one to repair first
    }
    return true;
  }

  bool connect(const std::stop_token& stop) {
    beat();
    if (!files_serve()) return false;
    // Epochs are durable and only grow, so sessions grow over restarts, too.
    session_ = std::max(session_ + 1, link_.epoch() * kSessionsPerEpoch + 1);
    const Will will{status_topic(), status_text("offline", "connection_lost").first, settings_.retain};
    client_ = std::make_unique<PahoConnection>(settings_, ++connection_, timing_.window, link_, inbox_);
    const auto alive = [&] {
      beat();
      return !stop.stop_requested();
    };
    auto window = client_->connect(will, alive);
    if (!window.ok()) {
      client_.reset();
      statistics_.connect_failures_total.fetch_add(1, std::memory_order_relaxed);
      if (!stop.stop_requested()) explain(window.error());
      return false;
    }
    connected_at_ = clock_.now();
    told_cause_.clear();
    if (minor_fault_) told_cause_ = minor_fault_->message;
    statistics_.connected = true;
    if (statistics_.connects_total.fetch_add(1, std::memory_order_relaxed) > 0) {
      statistics_.reconnects_total.fetch_add(1, std::memory_order_relaxed);
    }
    link_.forget_down();
    link_.send_up({LinkEvent::Kind::connected, connection_, 0, window.value(), {}});
    events_.raise({signals::EventLevel::info, "uplink", "connected", "connected to " + server()});
    subscribe(alive);
    return true;
  }

  // A broker that takes no subscription still takes what is measured. Told once per change of cause.
  void subscribe(const std::function<bool()>& alive) {
    if (inbox_ == nullptr) return;
    std::vector<std::string> refused;
    std::string cause;
    for (auto& [topic, reason] : client_->subscribe(inbox_->topics(), alive)) {
      if (cause.empty()) cause = "nothing arrives on " + topic + ": " + reason;
      refused.push_back(std::move(topic));
    }
    if (!cause.empty() && cause != told_subscription_) {
      const std::string more = refused.size() > 1 ? " (and on " + std::to_string(refused.size() - 1) + " more)" : "";
      events_.raise({signals::EventLevel::error, "uplink", "subscription_refused", cause + more});
    }
    told_subscription_ = cause;
    inbox_->connected(refused);
  }

  void explain(const base::Error& failure) {
    beat();
    if (failure.code() == base::ErrorCode::permission_denied) {
      tell({"session_refused", "connecting to " + server() + " failed: " + failure.message()});
      return;
    }
    const LinkFault fault = probe_server(settings_, settings_.connect_timeout);
    beat();
    if (minor_fault_ && fault.code == "client_certificate_refused") return;  // told, with the better reason
    if (fault.code == "tls_works") {
      tell({"connect_failed", "connecting to " + server() + " failed after TLS: " + failure.message()});
    } else {
      tell(fault);
    }
  }

  void serve(const std::stop_token& stop) {
    status_wanted_ = true;
    status_at_.reset();
    std::string cause;
    base::Instant files_at = clock_.now();
    while (!stop.stop_requested()) {
      beat();
      link_.connection_wake_up().wait_for(turn());
      const base::Instant now = clock_.now();
      if (auto lost = client_->lost()) {
        cause = *lost;
        break;
      }
      publish();
      publish_answers();
      publish_status(now);
      if (const auto oldest = client_->oldest_outstanding(); oldest && now - *oldest > settings_.acknowledge_timeout) {
        cause =
            "no acknowledgement in " +
            std::to_string(std::chrono::duration_cast<std::chrono::seconds>(settings_.acknowledge_timeout).count()) +
            " s";
        break;
      }
      if (now - connected_at_ >= timing_.stable_after) back_off_.reset();
      if (now - files_at >= kFilesLookedAtEvery) {
        files_at = now;
        if (files_renewed()) {
          cause = "the certificate files were renewed";
          break;
        }
      }
    }
    end(stop.stop_requested(), cause);
  }

  // Only files that can work are worth a new connection; others are told and the connection stays.
  bool files_renewed() {
    if (stamps_of(settings_) == stamps_) return false;
    stamps_ = stamps_of(settings_);
    const auto faults = check_certificates(settings_, clock_.wall_now());
    if (faults.empty()) return true;
    tell(faults.front());
    return false;
  }

  [[nodiscard]] base::Duration turn() const {
    if (!status_wanted_ || !status_at_) return kTurn;
    const base::Duration left = *status_at_ + timing_.status_least_interval - clock_.now();
    return std::clamp<base::Duration>(left, base::Duration::zero(), kTurn);
  }

  void publish() {
    for (const Publication& publication : link_.take_down()) {
      if (publication.connection != connection_) continue;
      auto status = client_->publish(publication.token, publication.topic, publication.payload, publication.retain);
      if (!status.ok()) link_.send_up({LinkEvent::Kind::failed, connection_, publication.token, 0, {}});
    }
  }

  void publish_answers() {
    const std::lock_guard lock(answers_mutex_);
    const base::Instant now = clock_.now();
    std::erase_if(answers_, [&](const Answer& answer) {
      const bool settled = answer.token != 0 && !client_->outstanding(answer.token);
      return settled || now - answer.made > kAnswersKept;
    });
    for (Answer& answer : answers_) {
      if (answer.token != 0) continue;
      const std::uint64_t token = PahoConnection::kStatusToken | ++status_number_;
      const std::string text = answer.message ? in_envelope(*answer.message, answer.seq, now) : answer.payload;
      if (client_->publish(token, answer.topic, text, false).ok()) answer.token = token;
    }
  }

  [[nodiscard]] std::string in_envelope(const signals::Message& message, std::uint64_t seq, base::Instant now) {
    Envelope envelope;
    envelope.schema = message.schema;
    envelope.gateway = gateway_id_;
    envelope.stream = message.stream;
    envelope.epoch = link_.epoch();
    envelope.seq = seq;
    envelope.time = clock_.to_wall(message.time);
    envelope.clock_synced = clock_.synchronised();
    envelope.boot_id = boot_id_;
    envelope.replay = now - message.time > kLiveFor;
    return to_json(envelope, message.members);
  }

  [[nodiscard]] std::string status_topic() const { return settings_.topic_prefix + "/status"; }

  // The text and the epoch whose predecessor it tells (0: of none).
  std::pair<std::string, std::uint64_t> status_text(std::string_view state, std::string_view reason) {
    const Link::StatusIdentity identity = link_.next_status();
    const bool first = identity.previous && state != "offline";
    const std::string members = status_.status_members(state, reason, session_, first ? &*identity.previous : nullptr);
    Envelope envelope;
    envelope.schema = "twinkeeper.status/1";
    envelope.gateway = gateway_id_;
    envelope.stream = "status";
    envelope.epoch = identity.epoch;
    envelope.seq = identity.seq;
    envelope.time = clock_.wall_now();
    envelope.clock_synced = clock_.synchronised();
    envelope.boot_id = boot_id_;
    return {to_json(envelope, members), first ? identity.epoch : 0};
  }

  void publish_status(base::Instant now) {
    if (status_token_ != 0 && !client_->outstanding(status_token_)) {
      if (status_tells_ != 0) link_.status_acknowledged(status_tells_);
      status_token_ = 0;
      status_tells_ = 0;
    }
    const bool due = !status_at_ || now - *status_at_ >= settings_.status_interval;
    const bool changed = status_wanted_ && (!status_at_ || now - *status_at_ >= timing_.status_least_interval);
    if (!due && !changed) return;
    status_wanted_ = false;
    status_at_ = now;
    const std::string state = status_.status_state();
    const auto [text, tells] = status_text(state, status_.status_reason());
    const std::uint64_t token = PahoConnection::kStatusToken | ++status_number_;
    if (!client_->publish(token, status_topic(), text, settings_.retain).ok()) {
      status_wanted_ = true;
      return;
    }
    status_token_ = token;
    status_tells_ = tells;
  }

  void end(bool stopping, const std::string& cause) {
    statistics_.connected = false;
    if (stopping) {
      publish();
      publish_answers();
      const std::uint64_t token = PahoConnection::kStatusToken | ++status_number_;
      const std::string text = status_text("offline", "stop").first;
      if (client_->publish(token, status_topic(), text, settings_.retain).ok()) {
        const base::Instant deadline = clock_.now() + kStopWithin / 2;
        while (client_->outstanding(token) && !client_->lost() && clock_.now() < deadline) {
          link_.connection_wake_up().wait_for(std::chrono::milliseconds{50});
        }
      }
      client_->disconnect(kStopWithin / 2);
    } else {
      events_.raise({signals::EventLevel::warning, "uplink", "connection_lost",
                     "the connection to " + server() + " is lost: " + cause});
      if (!client_->lost()) client_->disconnect(std::chrono::seconds{1});
    }
    link_.send_up({LinkEvent::Kind::lost, connection_, 0, 0, {}});
    {
      const std::lock_guard lock(answers_mutex_);
      for (Answer& answer : answers_) {
        if (client_->outstanding(answer.token)) answer.token = 0;  // to be published again
      }
    }
    client_.reset();
    status_token_ = 0;
    status_tells_ = 0;
  }

  // Ends early when a certificate file changes: somebody has just repaired or renewed it.
  void pause(const std::stop_token& stop) {
    const base::Instant until = clock_.now() + back_off_.next();
    while (!stop.stop_requested() && clock_.now() < until) {
      beat();
      link_.connection_wake_up().wait_for(std::min(kTurn, until - clock_.now()));
      if (stamps_of(settings_) != stamps_) return;
    }
  }

  Link& link_;
  Statistics& statistics_;
  const UplinkSettings settings_;
  const std::string gateway_id_;
  const std::string boot_id_;
  StatusSource& status_;
  const base::Clock& clock_;
  signals::EventSink& events_;
  ConnectionTiming timing_;
  Inbox* const inbox_;
  BackOff back_off_;

  std::unique_ptr<PahoConnection> client_;
  std::uint64_t connection_ = 0;
  std::uint64_t session_ = 0;
  base::Instant connected_at_{};
  FileStamps stamps_{};
  std::string told_cause_;
  std::optional<LinkFault> minor_fault_;

  std::string told_subscription_;
  std::mutex answers_mutex_;
  std::vector<Answer> answers_;
  std::map<std::string, std::uint64_t> answered_;

  std::atomic<bool> status_wanted_{false};
  std::optional<base::Instant> status_at_;
  std::uint64_t status_number_ = 0;
  std::uint64_t status_token_ = 0;  // waiting for its PUBACK
  std::uint64_t status_tells_ = 0;  // the epoch of that status if it tells the previous one
};

Connection::Connection(Link& link, Statistics& statistics, UplinkSettings settings, std::string gateway_id,
                       std::string boot_id, StatusSource& status, const base::Clock& clock, signals::EventSink& events,
                       ConnectionTiming timing, Inbox* inbox)
    : implementation_(std::make_unique<Implementation>(link, statistics, std::move(settings), std::move(gateway_id),
                                                       std::move(boot_id), status, clock, events, timing, inbox)) {}
Connection::~Connection() = default;
void Connection::run(std::stop_token stop) { implementation_->run(stop); }
void Connection::status_changed() noexcept { implementation_->status_changed(); }
void Connection::respond(signals::Message answer) { implementation_->respond(std::move(answer)); }
void Connection::send(std::string topic, std::string payload) {
  implementation_->send(std::move(topic), std::move(payload));
}

}  // namespace twinkeeper::uplink
