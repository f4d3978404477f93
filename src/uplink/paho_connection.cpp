#include "uplink/paho_connection.hpp"

// The wrapper lets one read the C library's connect options, among them what it has no setter for, only for its own
// tests; it is the accessor alone that this makes visible.
#define UNIT_TESTS
#include <mqtt/async_client.h>
#undef UNIT_TESTS

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <string_view>
#include <utility>

#include "uplink/reason_codes.hpp"
#include "uplink/revocation.hpp"
#include "uplink/secret.hpp"

namespace twinkeeper::uplink {
namespace {

constexpr int kMostPacketBytes = 129 * 1024;  // a payload of 128 KiB with its topic and properties
constexpr std::string_view kNotConnected = "TCP/TLS connect failure";  // the library's words; it has no code
constexpr int kLeastRetrySeconds = 10;                                 // the library's

// Of a CONNACK, and of a SUBACK with one topic under MQTT 3.1.1, the library puts it in the place of its own code.
int reason_of(const mqtt::exception& failure) {
  return std::max(static_cast<int>(failure.get_reason_code()), failure.get_return_code());
}

base::Instant monotonic_now() { return base::SystemClock{}.now(); }

}  // namespace

class PahoConnection::Implementation final : public virtual mqtt::callback, public virtual mqtt::iaction_listener {
 public:
  Implementation(const UplinkSettings& settings, std::uint64_t number, std::size_t window, Link& link, Inbox* inbox)
      : settings_(settings), number_(number), window_(window), link_(link), inbox_(inbox) {}

  // The client goes first: destroying it calls the listener for all that is outstanding.
  ~Implementation() override { client_.reset(); }

  base::Result<Accepted> connect(const Connect& request, const std::function<bool()>& alive) {
    try {
      return try_connect(request, alive);
    } catch (const mqtt::exception& failure) {
      const int reason = reason_of(failure);
      if (reason == kRetainNotSupported) return base::Error(base::ErrorCode::invalid_argument, reason_text(reason));
      if (reason >= 0x80) {
        return base::Error(base::ErrorCode::permission_denied,
                           "the broker refused the session (" + reason_text(reason) + ")", true);
      }
      const int code = failure.get_return_code();
      if (code >= 1 && code <= 5) {  // MQTT 3.1.1, section 3.2.2.3
        static constexpr const char* kNames[] = {"protocol version not supported", "client id not valid",
                                                 "server unavailable", "bad user name or password", "not authorized"};
        return base::Error(base::ErrorCode::permission_denied,
                           std::string("the broker refused the session (") + kNames[code - 1] + ")", true);
      }
      const bool sent = std::string_view(failure.what()).find(kNotConnected) == std::string_view::npos;
      return base::Error(sent ? base::ErrorCode::connection_lost : base::ErrorCode::unavailable, failure.what(), true);
    } catch (const std::exception& failure) {
      return base::Error(base::ErrorCode::internal, failure.what(), true);
    }
  }

  base::Status publish(std::uint64_t token, const std::string& topic, const std::string& payload, bool retain) {
    if (lost_) return base::Error(base::ErrorCode::connection_lost, "the connection is gone", true);
    if (packet_bytes(topic, payload) > most_packet_bytes_) {
      return base::Error(base::ErrorCode::invalid_argument,
                         "larger than the " + std::to_string(most_packet_bytes_) + " bytes the broker takes");
    }
    {
      const std::lock_guard lock(mutex_);
      outstanding_[token] = monotonic_now();
    }
    try {
      const auto message = mqtt::message::create(topic, payload, 1, retain);
      client_->publish(message, reinterpret_cast<void*>(static_cast<std::uintptr_t>(token)), *this);
      return base::Success{};
    } catch (const std::exception& failure) {
      settle(token);
      return base::Error(base::ErrorCode::full, failure.what(), true);
    }
  }

  std::optional<std::string> lost() const {
    if (!lost_) return std::nullopt;
    const std::lock_guard lock(mutex_);
    return cause_;
  }

  std::optional<base::Instant> oldest_outstanding() const {
    const std::lock_guard lock(mutex_);
    std::optional<base::Instant> oldest;
    for (const auto& [token, since] : outstanding_) {
      if (!oldest || since < *oldest) oldest = since;
    }
    return oldest;
  }

  bool outstanding(std::uint64_t token) const {
    const std::lock_guard lock(mutex_);
    return outstanding_.contains(token);
  }

  bool refused(std::uint64_t token) const { return last_refused_ == token; }

  Subscribed subscribe(const std::vector<std::string>& topics, const std::function<bool()>& alive,
                       std::optional<base::Duration> limit) {
    Subscribed subscribed;
    const auto refuse = [&](const std::string& topic, int reason) {
      subscribed.refused.push_back({topic, "the broker refused it (" + reason_text(reason) + ")"});
    };
    try {
      const auto filters = std::make_shared<mqtt::string_collection>(topics);
      const mqtt::token_ptr token = client_->subscribe(filters, mqtt::iasync_client::qos_collection(topics.size(), 1));
      const base::Instant deadline = monotonic_now() + limit.value_or(settings_.connect_timeout);
      while (!token->wait_for(std::chrono::milliseconds{200})) {
        if (lost_) return {Subscribed::Answer::broke, {}};
        if (!alive() || monotonic_now() > deadline) return {Subscribed::Answer::none, {}};
      }
      const std::vector<mqtt::ReasonCode> reasons = token->get_subscribe_response().get_reason_codes();
      for (std::size_t i = 0; i < topics.size(); ++i) {
        const int reason = i < reasons.size() ? static_cast<int>(reasons[i]) : 0;
        if (reason >= 0x80) refuse(topics[i], reason);
      }
    } catch (const mqtt::exception& failure) {
      const int reason = reason_of(failure);
      if (reason < 0x80) return {Subscribed::Answer::broke, {}};
      for (const std::string& topic : topics) refuse(topic, reason);
    } catch (const std::exception&) {
      return {Subscribed::Answer::broke, {}};
    }
    return subscribed;
  }

  void disconnect(base::Duration limit) {
    if (!client_ || lost_) return;
    try {
      const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(limit);
      client_->disconnect(static_cast<int>(milliseconds.count()))->wait_for(milliseconds);
    } catch (const std::exception&) {
      // It ends with the object either way.
    }
  }

 private:
  base::Result<Accepted> try_connect(const Connect& request, const std::function<bool()>& alive) {
    const bool v5 = settings_.mqtt_version == MqttVersion::v5;
    const int version = v5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1;

    auto trusted = TrustFile::open(settings_);
    if (!trusted.ok()) return trusted.error();
    trusted_.emplace(std::move(trusted).value());

    mqtt::create_options create(version, static_cast<int>(window_) + 8);
    create.set_send_while_disconnected(false);
    client_ =
        std::make_unique<mqtt::async_client>("ssl://" + request.endpoint.name(), settings_.client_id, create, nullptr);
    client_->set_callback(*this);
    client_->set_disconnected_handler([this](const mqtt::properties&, mqtt::ReasonCode reason) {
      end("the broker ended it (" + reason_text(static_cast<int>(reason)) + ")");
    });

    mqtt::ssl_options tls;
    tls.set_trust_store(trusted_->path());
    tls.set_key_store(settings_.cert);
    tls.set_private_key(settings_.key);
    tls.set_verify(true);
    tls.set_enable_server_cert_auth(true);
    tls.set_enabled_cipher_suites("ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2");
    if (request.endpoint.port == 443) tls.set_alpn_protos({"x-amzn-mqtt-ca"});

    options_.set_mqtt_version(version);  // before the clean flag, which it resets
    if (v5) {
      options_.set_clean_start(request.fresh);
    } else {
      options_.set_clean_session(request.fresh);
    }
    options_.set_automatic_reconnect(false);
    options_.set_keep_alive_interval(std::chrono::duration_cast<std::chrono::seconds>(request.keep_alive));
    options_.set_connect_timeout(std::chrono::duration_cast<std::chrono::seconds>(settings_.connect_timeout));
    options_.set_max_inflight(static_cast<int>(window_) + 4);
    options_.set_ssl(tls);
    if (!request.will.topic.empty()) {
      options_.set_will(mqtt::will_options(request.will.topic, request.will.payload, 1, request.will.retain));
    }
    if (!settings_.username.empty()) options_.set_user_name(settings_.username);
    if (!settings_.password_file.empty()) {
      const auto password = read_secret(settings_.password_file);
      if (!password.ok()) return password.error();
      options_.set_password(password.value());
    }
    // Without a scheme: the library would take http:// for a part of the name. The environment's proxy is its default;
    // `run` and `provision` have removed it by now.
    // The scheme is the library's word for the tunnel, not for TLS to the proxy: 1.3.13 and later do not do without it.
    if (settings_.proxy) options_.set_https_proxy("https://" + settings_.proxy->name());
    if (v5) {
      mqtt::properties properties;
      properties.add({mqtt::property::MAXIMUM_PACKET_SIZE, kMostPacketBytes});
      const auto expiry = std::chrono::duration_cast<std::chrono::seconds>(request.session_expiry).count();
      if (expiry > 0) properties.add({mqtt::property::SESSION_EXPIRY_INTERVAL, static_cast<int>(expiry)});
      options_.set_properties(std::move(properties));  // last: copies of the options would point here
    } else {
      resend_within_the_connection();
    }

    const mqtt::token_ptr token = client_->connect(options_);
    const base::Instant deadline = monotonic_now() + settings_.connect_timeout + std::chrono::seconds{5};
    while (!token->wait_for(std::chrono::milliseconds{200})) {
      if (!alive()) return base::Error(base::ErrorCode::cancelled, "a stop was requested");
      if (monotonic_now() > deadline) {
        return base::Error(base::ErrorCode::timeout, "the broker did not answer the CONNECT in time", true);
      }
    }
    return accepted(token->get_connect_response());
  }

  // What is not acknowledged in time is sent once more with the same packet id, before the connection is given up. MQTT
  // 5 forbids that. The options are an object of ours and not const, so writing through the accessor is well-defined.
  void resend_within_the_connection() {
    const auto half = std::chrono::duration_cast<std::chrono::seconds>(settings_.acknowledge_timeout / 2).count();
    const_cast<MQTTAsync_connectOptions&>(options_.c_struct()).retryInterval =
        std::max(kLeastRetrySeconds, static_cast<int>(half));
  }

  base::Result<Accepted> accepted(const mqtt::connect_response& response) {
    Accepted accepted;
    accepted.window = window_;
    accepted.session_present = response.is_session_present();
    if (settings_.mqtt_version != MqttVersion::v5) return accepted;
    const mqtt::properties& properties = response.get_properties();
    if (properties.contains(mqtt::property::MAXIMUM_QOS) &&
        mqtt::get<std::uint8_t>(properties, mqtt::property::MAXIMUM_QOS) == 0) {
      return base::Error(base::ErrorCode::permission_denied,
                         "the broker takes QoS 0 only, with which nothing is sure to arrive", true);
    }
    if (properties.contains(mqtt::property::RECEIVE_MAXIMUM)) {
      const auto most = mqtt::get<std::uint16_t>(properties, mqtt::property::RECEIVE_MAXIMUM);
      accepted.window = std::min(window_, static_cast<std::size_t>(std::max(2, static_cast<int>(most))) - 1);
    }
    if (properties.contains(mqtt::property::MAXIMUM_PACKET_SIZE)) {
      accepted.most_packet_bytes = mqtt::get<std::uint32_t>(properties, mqtt::property::MAXIMUM_PACKET_SIZE);
      most_packet_bytes_ = accepted.most_packet_bytes;
    }
    if (properties.contains(mqtt::property::SERVER_KEEP_ALIVE)) {
      accepted.keep_alive =
          std::chrono::seconds{mqtt::get<std::uint16_t>(properties, mqtt::property::SERVER_KEEP_ALIVE)};
    }
    if (properties.contains(mqtt::property::RETAIN_AVAILABLE)) {
      accepted.retain_available = mqtt::get<std::uint8_t>(properties, mqtt::property::RETAIN_AVAILABLE) != 0;
    }
    return accepted;
  }

  // Of the whole PUBLISH (MQTT 5, section 3.3): header, remaining length, topic, packet id, no properties, payload.
  static std::size_t packet_bytes(const std::string& topic, const std::string& payload) {
    const std::size_t remaining = 2 + topic.size() + 2 + 1 + payload.size();
    std::size_t length_bytes = 1;
    for (std::size_t left = remaining; left >= 128; left /= 128) ++length_bytes;
    return 1 + length_bytes + remaining;
  }

  void settle(std::uint64_t token) noexcept {
    const std::lock_guard lock(mutex_);
    outstanding_.erase(token);
  }

  void tell(const mqtt::token& token, LinkEvent::Kind kind, std::string reason) noexcept {
    try {
      const auto number = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(token.get_user_context()));
      if (number == 0) return;
      // Given up with the connection, not answered: whoever asks learns from outstanding() that it may be repeated.
      const bool given_up = kind == LinkEvent::Kind::failed && static_cast<int>(token.get_reason_code()) < 0x80;
      if ((number & kStatusToken) != 0) {
        if (!given_up) settle(number);
        if (!given_up && kind != LinkEvent::Kind::acknowledged) last_refused_ = number;
        link_.connection_wake_up().ring();
      } else {
        // First the word, then its end: whoever finds nothing outstanding may end the connection, and what is said behind
        // that is not heard.
        link_.send_up({kind, number_, number, 0, std::move(reason)});
        settle(number);
      }
    } catch (...) {
      // Without memory for the word the publication times out and the connection is renewed.
    }
  }

  // mqtt::iaction_listener, on the library's threads
  void on_success(const mqtt::token& token) override { tell(token, LinkEvent::Kind::acknowledged, {}); }
  void on_failure(const mqtt::token& token) override {
    const int reason = static_cast<int>(token.get_reason_code());
    if (reason >= 0x80 && permanent(reason)) {
      tell(token, LinkEvent::Kind::refused, reason_text(reason));
    } else {
      tell(token, LinkEvent::Kind::failed, {});
    }
  }

  // mqtt::callback, on the library's threads
  void message_arrived(mqtt::const_message_ptr message) override {
    if (inbox_ == nullptr || !message) return;
    try {
      inbox_->arrived(message->get_topic(), message->to_string(), message->is_retained());
    } catch (...) {
      // Without memory for it the message is lost, and who sent it hears nothing.
    }
  }
  void connection_lost(const std::string& cause) override { end(cause.empty() ? "the connection broke" : cause); }
  void end(std::string cause) noexcept {
    {
      const std::lock_guard lock(mutex_);
      if (cause_.empty()) cause_ = std::move(cause);
    }
    lost_ = true;
    link_.connection_wake_up().ring();
  }

  const UplinkSettings settings_;
  const std::uint64_t number_;
  const std::size_t window_;
  Link& link_;
  Inbox* const inbox_;
  std::atomic<bool> lost_{false};
  std::atomic<std::uint64_t> last_refused_{0};  // of the statuses
  std::size_t most_packet_bytes_ = std::numeric_limits<std::size_t>::max();
  mutable std::mutex mutex_;  // never held around a call of the library
  std::string cause_;
  std::map<std::uint64_t, base::Instant> outstanding_;
  std::optional<TrustFile> trusted_;
  mqtt::connect_options options_;  // the library keeps pointers into it
  std::unique_ptr<mqtt::async_client> client_;
};

PahoConnection::PahoConnection(const UplinkSettings& settings, std::uint64_t number, std::size_t window, Link& link,
                               Inbox* inbox)
    : implementation_(std::make_unique<Implementation>(settings, number, window, link, inbox)) {}
PahoConnection::~PahoConnection() = default;

base::Result<Accepted> PahoConnection::connect(const Connect& request, const std::function<bool()>& alive) {
  return implementation_->connect(request, alive);
}
base::Status PahoConnection::publish(std::uint64_t token, const std::string& topic, const std::string& payload,
                                     bool retain) {
  return implementation_->publish(token, topic, payload, retain);
}
std::optional<std::string> PahoConnection::lost() const { return implementation_->lost(); }
std::optional<base::Instant> PahoConnection::oldest_outstanding() const {
  return implementation_->oldest_outstanding();
}
bool PahoConnection::outstanding(std::uint64_t token) const { return implementation_->outstanding(token); }
bool PahoConnection::refused(std::uint64_t token) const { return implementation_->refused(token); }
PahoConnection::Subscribed PahoConnection::subscribe(const std::vector<std::string>& topics,
                                                     const std::function<bool()>& alive,
                                                     std::optional<base::Duration> limit) {
  return implementation_->subscribe(topics, alive, limit);
}
void PahoConnection::disconnect(base::Duration limit) { implementation_->disconnect(limit); }

}  // namespace twinkeeper::uplink
