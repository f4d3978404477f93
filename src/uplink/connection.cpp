#include "uplink/connection.hpp"

#include <algorithm>
#include <atomic>
#include <optional>
#include <random>
#include <utility>

#include "uplink/answers.hpp"
#include "uplink/back_off.hpp"
#include "uplink/endpoint_turn.hpp"
#include "uplink/envelope.hpp"
#include "uplink/file_stamps.hpp"
#include "uplink/outgoing.hpp"
#include "uplink/paho_connection.hpp"
#include "uplink/preflight.hpp"
#include "uplink/subscriber.hpp"

namespace twinkeeper::uplink {
namespace {

constexpr base::Duration kTurn = std::chrono::milliseconds{500};
constexpr base::Duration kStopWithin = std::chrono::seconds{2};
constexpr base::Duration kProbedAgainAfter = std::chrono::minutes{5};
constexpr base::Duration kFilesLookedAtEvery = std::chrono::seconds{1};

}  // namespace

ConnectionTiming ConnectionTiming::for_profile(Profile profile) {
  ConnectionTiming timing;
  if (profile == Profile::aws_iot_core) {
    timing.least_pause = std::chrono::seconds{10};
    timing.backoff_floor = std::chrono::seconds{4};  // so that the pauses grow visibly from the first one on
  } else {
    timing.backoff_cap = std::chrono::seconds{30};  // a broker of one's own: sooner back matters more than its load
  }
  return timing;
}

class Connection::Implementation {
 public:
  Implementation(Link& link, Statistics& statistics, UplinkSettings settings, std::string gateway_id,
                 std::string boot_id, StatusSource& status, const base::Clock& clock, signals::EventSink& events,
                 ConnectionTiming timing, ConnectTimes& connect_times, Inbox* inbox)
      : link_(link),
        statistics_(statistics),
        settings_(std::move(settings)),
        gateway_id_(std::move(gateway_id)),
        boot_id_(std::move(boot_id)),
        status_(status),
        clock_(clock),
        events_(events),
        timing_(timing),
        connect_times_(connect_times),
        inbox_(inbox),
        turn_(settings_.endpoints.size()),
        back_off_(timing.backoff_floor, timing.backoff_cap, std::random_device{}()),
        subscriber_(inbox, settings_, clock, events),
        told_causes_(settings_.endpoints.size() + 1),
        failures_after_tls_(settings_.endpoints.size()),
        keep_alive_(settings_.keep_alive),
        retain_(settings_.endpoints.size(), settings_.retain) {
    timing_.window = std::clamp<std::size_t>(timing_.window, 1, 100);
  }

  void run(const std::stop_token& stop) {
    const std::stop_callback wake(stop, [this] { link_.connection_wake_up().ring(); });
    pause(stop, false);  // somebody may have been here before
    while (!stop.stop_requested()) {
      Next next = connect(stop);
      if (next == Next::serve) next = serve(stop);
      if (!stop.stop_requested()) pause(stop, next == Next::back_off);
    }
    statistics_.connected = false;
  }

  void respond(signals::Message message) {
    std::string topic = topic_of_stream(settings_.topic_prefix, message.stream);
    answers_.add(std::move(topic), std::move(message));
    link_.connection_wake_up().ring();
  }

  void send(std::string topic, std::string payload) {
    answers_.add(std::move(topic), std::move(payload), clock_.now());
    link_.connection_wake_up().ring();
  }

  void status_changed() noexcept {
    status_wanted_ = true;
    link_.connection_wake_up().ring();
  }

 private:
  enum class Next : std::uint8_t {
    serve,     // connected
    again,     // as soon as the least pause between two CONNECTs is over
    back_off,  // after a pause
  };

  // What was no fault of TLS the last time.
  struct FailureAfterTls {
    std::string message;
    base::Instant probed_at{};
  };

  void beat() { Statistics::beat(statistics_.connection_heartbeat_ns, clock_.now()); }
  [[nodiscard]] const Endpoint& endpoint() const { return settings_.endpoints[turn_.index()]; }
  [[nodiscard]] std::string server() const { return endpoint().name(); }

  // Once per change of cause, of the files (0) and of each endpoint.
  void tell(std::size_t about, const LinkFault& fault) {
    if (std::exchange(told_causes_[about], fault.message) == fault.message) return;
    events_.raise({signals::EventLevel::error, "uplink", fault.code, fault.message});
  }
  void tell_of_endpoint(const LinkFault& fault) { tell(1 + turn_.index(), fault); }

  // False: connecting can't work with these files.
  bool files_serve() {
    stamps_ = stamps_of(settings_);
    minor_fault_.reset();
    for (const LinkFault& fault : check_certificates(settings_, clock_.wall_now())) {
      tell(0, fault);
      if (fault.fatal) return false;
      minor_fault_ = fault;
      break;  // the most basic one is the one to repair first
    }
    return true;
  }

  Next failed() { return turn_.failed() ? Next::back_off : Next::again; }

  Next connect(const std::stop_token& stop) {
    beat();
    statistics_.endpoint = turn_.index();
    if (!files_serve()) return Next::back_off;
    connect_times_.note(endpoint().host, clock_.now());
    session_ = link_.next_session();
    connection_ = link_.next_connection();
    Connect request;
    request.endpoint = endpoint();
    request.will = {status_topic(), status_text("offline", "connection_lost").first, retains()};
    request.keep_alive = keep_alive_;
    subscriber_.prepare(request);
    client_ = std::make_unique<PahoConnection>(settings_, connection_, timing_.window, link_, inbox_);
    const auto alive = [&] {
      beat();
      return !stop.stop_requested();
    };
    const auto accepted = client_->connect(request, alive);
    if (accepted.ok() || accepted.error().code() != base::ErrorCode::unavailable) {
      connect_times_.note(endpoint().host, clock_.now());
    }
    if (!accepted.ok()) {
      client_.reset();
      if (accepted.error().code() == base::ErrorCode::unavailable) subscriber_.began_no_session();
      return stop.stop_requested() ? Next::again : refused(accepted.error());
    }
    if (accepted.value().keep_alive.value_or(keep_alive_) < keep_alive_) {
      if (accepted.value().session_present) subscriber_.began_no_session();
      return take_keep_alive(accepted.value());
    }
    if (!accepted.value().retain_available) retain_nothing();
    connected_at_ = clock_.now();
    told_causes_[0] = minor_fault_ ? minor_fault_->message : std::string{};
    told_causes_[1 + turn_.index()].clear();
    failures_after_tls_[turn_.index()] = {};
    statistics_.connected = true;
    if (statistics_.connects_total.fetch_add(1, std::memory_order_relaxed) > 0) {
      statistics_.reconnects_total.fetch_add(1, std::memory_order_relaxed);
    }
    link_.forget_down();
    events_.raise({signals::EventLevel::info, "uplink", "connected", "connected to " + server()});
    // First: what was in flight when a broker hangs up at a SUBSCRIBE would be taken for the culprit.
    subscriber_.subscribe(*client_, server(), accepted.value().session_present, alive);
    link_.send_up({LinkEvent::Kind::connected, connection_, 0, accepted.value().window, {}});
    return Next::serve;
  }

  Next refused(const base::Error& failure) {
    if (failure.code() == base::ErrorCode::invalid_argument && retains()) {
      retain_nothing();
      return Next::again;
    }
    statistics_.connect_failures_total.fetch_add(1, std::memory_order_relaxed);
    explain(failure);
    return failed();
  }

  [[nodiscard]] bool retains() const { return retain_[turn_.index()]; }

  void retain_nothing() {
    if (!retains()) return;
    retain_[turn_.index()] = false;
    events_.raise({signals::EventLevel::warning, "uplink", "retain_not_supported",
                   server() + " does not retain messages: whoever subscribes later sees no status until the next one"});
  }

  // The library has no means to change the keep-alive of a connection that stands.
  Next take_keep_alive(const Accepted& accepted) {
    keep_alive_ = *accepted.keep_alive;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(keep_alive_).count();
    events_.raise({signals::EventLevel::info, "uplink", "keep_alive",
                   server() + " asks for a keep-alive of " + std::to_string(seconds) + " s; connecting again with it"});
    client_->disconnect(std::chrono::seconds{1});
    client_.reset();
    return Next::again;
  }

  void explain(const base::Error& failure) {
    beat();
    if (failure.code() == base::ErrorCode::permission_denied) {
      tell_of_endpoint({"session_refused", "connecting to " + server() + " failed: " + failure.message()});
      return;
    }
    // A broker that can't cope gets no second handshake for each attempt.
    FailureAfterTls& known = failures_after_tls_[turn_.index()];
    if (known.message == failure.message() && clock_.now() - known.probed_at < kProbedAgainAfter) return;
    const LinkFault fault = probe_server(settings_, endpoint(), settings_.connect_timeout);
    beat();
    // Told already, with the better reason.
    if (minor_fault_ && (fault.code == "client_certificate_refused" || fault.code == minor_fault_->code)) return;
    // Where the library came to no TLS, its words are the same for every cause.
    const bool after_tls = fault.code == "tls_works" && failure.code() != base::ErrorCode::unavailable;
    known = after_tls ? FailureAfterTls{failure.message(), clock_.now()} : FailureAfterTls{};
    if (fault.code == "tls_works") {
      tell_of_endpoint({"connect_failed", "connecting to " + server() + " failed after TLS: " + failure.message()});
    } else {
      tell_of_endpoint(fault);
    }
  }

  Next serve(const std::stop_token& stop) {
    status_wanted_ = true;
    status_at_.reset();
    std::string cause;
    base::Instant files_at = clock_.now();
    const auto alive = [&] {
      beat();
      return !stop.stop_requested();
    };
    while (!stop.stop_requested()) {
      beat();
      link_.connection_wake_up().wait_for(turn());
      const base::Instant now = clock_.now();
      if (auto lost = client_->lost()) {
        cause = *lost;
        break;
      }
      // Nothing may be in flight that a broker's hanging up could be blamed on.
      if (!client_->oldest_outstanding()) subscriber_.again(*client_, server(), alive);
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
          drain(stop);
          break;
        }
      }
    }
    const bool renewed = cause.empty() && !stop.stop_requested();
    const bool stood = clock_.now() - connected_at_ >= timing_.stable_after;
    end(stop.stop_requested(), cause);
    if (renewed) return Next::again;
    if (!stood) return failed();
    turn_.lost_after_standing();
    return Next::back_off;
  }

  // Only files that can work are worth a new connection; others are told and the connection stays. They are looked at
  // again, as time alone repairs some of them. A fault with which this connection stands is no obstacle to the next.
  bool files_renewed() {
    const FileStamps stamps = stamps_of(settings_);
    const base::Instant now = clock_.now();
    if (stamps == stamps_ || (stamps == examined_ && now - examined_at_ < timing_.files_examined_again)) return false;
    examined_ = stamps;
    examined_at_ = now;
    for (const LinkFault& fault : check_certificates(settings_, clock_.wall_now())) {
      if (!fault.fatal && minor_fault_ && fault.code == minor_fault_->code) continue;
      tell(0, fault);
      return false;
    }
    return true;
  }

  // Nothing new is published, and what is in flight gets some time to be acknowledged.
  void drain(const std::stop_token& stop) {
    const base::Instant deadline = clock_.now() + timing_.drain;
    while (client_->oldest_outstanding() && !client_->lost() && clock_.now() < deadline && !stop.stop_requested()) {
      beat();
      link_.connection_wake_up().wait_for(std::chrono::milliseconds{50});
    }
  }

  [[nodiscard]] base::Duration turn() const {
    if (!status_wanted_ || !status_at_) return kTurn;
    const base::Duration left = *status_at_ + timing_.status_least_interval - clock_.now();
    return std::clamp<base::Duration>(left, base::Duration::zero(), kTurn);
  }

  void publish() {
    for (const Publication& publication : link_.take_down()) {
      if (publication.connection != connection_) continue;
      const auto status =
          client_->publish(publication.token, publication.topic, publication.payload, publication.retain && retains());
      if (status.ok()) continue;
      const bool never = status.error().code() == base::ErrorCode::invalid_argument;
      link_.send_up({never ? LinkEvent::Kind::refused : LinkEvent::Kind::failed, connection_, publication.token, 0,
                     never ? status.error().message() : std::string{}});
    }
  }

  void publish_answers() {
    const base::Instant now = clock_.now();
    answers_.publish(
        now, [&](std::uint64_t token) { return client_->outstanding(token); },
        [&](const Answer& answer) -> std::uint64_t {
          const std::uint64_t token = PahoConnection::kStatusToken | ++status_number_;
          const std::string text = answer.message ? in_envelope(*answer.message, answer.seq, now) : answer.payload;
          return client_->publish(token, answer.topic, text, false).ok() ? token : 0;
        });
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
    std::string members = status_.status_members(state, reason, session_, first ? &*identity.previous : nullptr);
    members += ",\"endpoint\":";
    append_json_string(members, server());
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
      if (status_tells_ != 0 && !client_->refused(status_token_)) link_.status_acknowledged(status_tells_);
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
    if (!client_->publish(token, status_topic(), text, retains()).ok()) {
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
      if (client_->publish(token, status_topic(), text, retains()).ok()) {
        const base::Instant deadline = clock_.now() + kStopWithin / 2;
        while (client_->outstanding(token) && !client_->lost() && clock_.now() < deadline) {
          link_.connection_wake_up().wait_for(std::chrono::milliseconds{50});
        }
      }
      client_->disconnect(kStopWithin / 2);
    } else {
      if (cause.empty()) {
        events_.raise({signals::EventLevel::info, "uplink", "certificate_renewed",
                       "the certificate files were renewed; connecting to " + server() + " again"});
      } else {
        events_.raise({signals::EventLevel::warning, "uplink", "connection_lost",
                       "the connection to " + server() + " is lost: " + cause});
      }
      if (!client_->lost()) client_->disconnect(std::chrono::seconds{1});
    }
    link_.send_up({LinkEvent::Kind::lost, connection_, 0, 0, {}});
    answers_.take_back([&](std::uint64_t token) { return client_->outstanding(token); });
    client_.reset();
    status_token_ = 0;
    status_tells_ = 0;
  }

  // A change of the certificate files ends the back-off, but for the least pause: somebody has just repaired them.
  void pause(const std::stop_token& stop, bool with_back_off) {
    const base::Instant least = connect_times_.next(endpoint().host, timing_.least_pause);
    const base::Instant until =
        std::max(clock_.now(), least) + (with_back_off ? back_off_.next() : base::Duration::zero());
    while (!stop.stop_requested() && clock_.now() < until) {
      beat();
      link_.connection_wake_up().wait_for(std::min(kTurn, until - clock_.now()));
      if (clock_.now() >= least && stamps_of(settings_) != stamps_) return;
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
  ConnectTimes& connect_times_;
  Inbox* const inbox_;
  EndpointTurn turn_;
  BackOff back_off_;
  Subscriber subscriber_;
  Answers answers_;

  std::unique_ptr<PahoConnection> client_;
  std::uint64_t connection_ = 0;
  std::uint64_t session_ = 0;
  base::Instant connected_at_{};
  FileStamps stamps_{};    // what the connection is made with
  FileStamps examined_{};  // while it stands
  base::Instant examined_at_{};
  std::vector<std::string> told_causes_;
  std::optional<LinkFault> minor_fault_;
  std::vector<FailureAfterTls> failures_after_tls_;  // by endpoint
  base::Duration keep_alive_;
  std::vector<bool> retain_;  // by endpoint: until it says that it does not

  std::atomic<bool> status_wanted_{false};
  std::optional<base::Instant> status_at_;
  std::uint64_t status_number_ = 0;
  std::uint64_t status_token_ = 0;  // waiting for its PUBACK
  std::uint64_t status_tells_ = 0;  // the epoch of that status if it tells the previous one
};

Connection::Connection(Link& link, Statistics& statistics, UplinkSettings settings, std::string gateway_id,
                       std::string boot_id, StatusSource& status, const base::Clock& clock, signals::EventSink& events,
                       ConnectionTiming timing, ConnectTimes& connect_times, Inbox* inbox)
    : implementation_(std::make_unique<Implementation>(link, statistics, std::move(settings), std::move(gateway_id),
                                                       std::move(boot_id), status, clock, events, timing, connect_times,
                                                       inbox)) {}
Connection::~Connection() = default;
void Connection::run(std::stop_token stop) { implementation_->run(stop); }
void Connection::status_changed() noexcept { implementation_->status_changed(); }
void Connection::respond(signals::Message answer) { implementation_->respond(std::move(answer)); }
void Connection::send(std::string topic, std::string payload) {
  implementation_->send(std::move(topic), std::move(payload));
}

}  // namespace twinkeeper::uplink
