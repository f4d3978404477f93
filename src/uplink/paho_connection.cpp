#include "uplink/paho_connection.hpp"

#include <mqtt/async_client.h>

#include <atomic>
#include <map>
#include <mutex>
#include <utility>

namespace twinkeeper::uplink {
namespace {

constexpr int kMostPacketBytes = 128 * 1024;
constexpr std::size_t kTopicsInPacket = 8;  // of AWS IoT Core; nobody minds more packets

base::Instant monotonic_now() { return base::SystemClock{}.now(); }

// Codes that will be given again however often the publication is repeated (MQTT 5, section 3.4.2.1).
bool permanent(int reason) {
  switch (reason) {
    case 0x87:  // not authorised
    case 0x90:  // topic name invalid
    case 0x95:  // packet too large
    case 0x99:  // payload format invalid
    case 0x9A:  // retain not supported
    case 0x9B:  // QoS not supported
      return true;
    default: return false;
  }
}

std::string reason_text(int reason) {
  char number[8];
  std::snprintf(number, sizeof number, "0x%02X", static_cast<unsigned>(reason) & 0xFFu);
  const char* name = nullptr;
  switch (reason) {
    case 0x80: name = "unspecified error"; break;
    case 0x81: name = "malformed packet"; break;
    case 0x82: name = "protocol error"; break;
    case 0x83: name = "implementation specific error"; break;
    case 0x84: name = "protocol version not supported"; break;
    case 0x85: name = "client id not valid"; break;
    case 0x86: name = "bad user name or password"; break;
    case 0x87: name = "not authorized"; break;
    case 0x88: name = "server unavailable"; break;
    case 0x89: name = "server busy"; break;
    case 0x8A: name = "banned"; break;
    case 0x90: name = "topic name not valid"; break;
    case 0x95: name = "packet too large"; break;
    case 0x97: name = "quota exceeded"; break;
    case 0x99: name = "payload format not valid"; break;
    case 0x9A: name = "retain not supported"; break;
    case 0x9B: name = "QoS not supported"; break;
    case 0x9F: name = "connection rate exceeded"; break;
    default: name = "refused"; break;
  }
  return std::string(name) + ", reason " + number;
}

}  // namespace

class PahoConnection::Implementation final : public virtual mqtt::callback, public virtual mqtt::iaction_listener {
 public:
  Implementation(const UplinkSettings& settings, std::uint64_t number, std::size_t window, Link& link, Inbox* inbox)
      : settings_(settings), number_(number), window_(window), link_(link), inbox_(inbox) {}

  // The client goes first: destroying it calls the listener for all that is outstanding.
  ~Implementation() override { client_.reset(); }

  base::Result<std::size_t> connect(const Will& will, const std::function<bool()>& alive) {
    try {
      return try_connect(will, alive);
    } catch (const mqtt::exception& failure) {
      const int reason = static_cast<int>(failure.get_reason_code());
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
      return base::Error(base::ErrorCode::unavailable, failure.what(), true);
    } catch (const std::exception& failure) {
      return base::Error(base::ErrorCode::internal, failure.what(), true);
    }
  }

  base::Status publish(std::uint64_t token, const std::string& topic, const std::string& payload, bool retain) {
    if (lost_) return base::Error(base::ErrorCode::connection_lost, "the connection is gone", true);
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

  std::vector<RefusedTopic> subscribe(const std::vector<std::string>& topics, const std::function<bool()>& alive) {
    std::vector<RefusedTopic> refused;
    for (std::size_t first = 0; first < topics.size(); first += kTopicsInPacket) {
      const std::size_t end = std::min(topics.size(), first + kTopicsInPacket);
      subscribe_packet(
          {topics.begin() + static_cast<std::ptrdiff_t>(first), topics.begin() + static_cast<std::ptrdiff_t>(end)},
          alive, refused);
    }
    return refused;
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
  // Adds the topics that the broker does not grant.
  void subscribe_packet(const std::vector<std::string>& topics, const std::function<bool()>& alive,
                        std::vector<RefusedTopic>& refused) {
    const auto refuse_all = [&](const std::string& reason) {
      for (const std::string& topic : topics) refused.push_back({topic, reason});
    };
    try {
      const auto filters = std::make_shared<mqtt::string_collection>(topics);
      const mqtt::token_ptr token = client_->subscribe(filters, mqtt::iasync_client::qos_collection(topics.size(), 1));
      const base::Instant deadline = monotonic_now() + settings_.connect_timeout;
      while (!token->wait_for(std::chrono::milliseconds{200})) {
        if (lost_) return refuse_all("the connection broke");
        if (!alive() || monotonic_now() > deadline) return refuse_all("the broker did not answer in time");
      }
      const std::vector<mqtt::ReasonCode> reasons = token->get_subscribe_response().get_reason_codes();
      for (std::size_t i = 0; i < topics.size(); ++i) {
        const int reason = i < reasons.size() ? static_cast<int>(reasons[i]) : 0;
        if (reason >= 0x80) refused.push_back({topics[i], "the broker refused it (" + reason_text(reason) + ")"});
      }
    } catch (const mqtt::exception& failure) {
      const int reason = static_cast<int>(failure.get_reason_code());
      refuse_all(reason >= 0x80 ? "the broker refused it (" + reason_text(reason) + ")" : failure.what());
    } catch (const std::exception& failure) {
      refuse_all(failure.what());
    }
  }

  base::Result<std::size_t> try_connect(const Will& will, const std::function<bool()>& alive) {
    const bool v5 = settings_.mqtt_version == MqttVersion::v5;
    const int version = v5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
    const bool bare = settings_.endpoint.host.find(':') != std::string::npos;  // an IPv6 address
    const std::string host = bare ? "[" + settings_.endpoint.host + "]" : settings_.endpoint.host;
    const std::string uri = "ssl://" + host + ":" + std::to_string(settings_.endpoint.port);

    mqtt::create_options create(version, static_cast<int>(window_) + 8);
    create.set_send_while_disconnected(false);
    client_ = std::make_unique<mqtt::async_client>(uri, settings_.client_id, create, nullptr);
    client_->set_callback(*this);

    mqtt::ssl_options tls;
    tls.set_trust_store(settings_.root_ca);
    tls.set_key_store(settings_.cert);
    tls.set_private_key(settings_.key);
    tls.set_verify(true);
    tls.set_enable_server_cert_auth(true);
    tls.set_enabled_cipher_suites("ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2");
    if (settings_.endpoint.port == 443) tls.set_alpn_protos({"x-amzn-mqtt-ca"});

    options_.set_mqtt_version(version);  // before the clean flag, which it resets
    if (v5) {
      options_.set_clean_start(true);
    } else {
      options_.set_clean_session(true);
    }
    options_.set_automatic_reconnect(false);
    options_.set_keep_alive_interval(std::chrono::duration_cast<std::chrono::seconds>(settings_.keep_alive));
    options_.set_connect_timeout(std::chrono::duration_cast<std::chrono::seconds>(settings_.connect_timeout));
    options_.set_max_inflight(static_cast<int>(window_) + 4);
    options_.set_ssl(tls);
    if (!will.topic.empty()) options_.set_will(mqtt::will_options(will.topic, will.payload, 1, will.retain));
    if (v5) {
      mqtt::properties properties;
      properties.add({mqtt::property::MAXIMUM_PACKET_SIZE, kMostPacketBytes});
      options_.set_properties(std::move(properties));  // last: copies of the options would point here
    }

    const mqtt::token_ptr token = client_->connect(options_);
    const base::Instant deadline = monotonic_now() + settings_.connect_timeout + std::chrono::seconds{5};
    while (!token->wait_for(std::chrono::milliseconds{200})) {
      if (!alive()) return base::Error(base::ErrorCode::cancelled, "a stop was requested");
      if (monotonic_now() > deadline) {
        return base::Error(base::ErrorCode::timeout, "the broker did not answer the CONNECT in time", true);
      }
    }
    std::size_t window = window_;
    if (v5) {
      const mqtt::connect_response response = token->get_connect_response();
      const mqtt::properties& properties = response.get_properties();
      if (properties.contains(mqtt::property::RECEIVE_MAXIMUM)) {
        const auto most = mqtt::get<std::uint16_t>(properties, mqtt::property::RECEIVE_MAXIMUM);
        window = std::min(window, static_cast<std::size_t>(std::max(2, static_cast<int>(most))) - 1);
      }
    }
    return window;
  }

  void settle(std::uint64_t token) noexcept {
    const std::lock_guard lock(mutex_);
    outstanding_.erase(token);
  }

  void tell(const mqtt::token& token, LinkEvent::Kind kind, std::string reason) noexcept {
    try {
      const auto number = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(token.get_user_context()));
      if (number == 0) return;
      settle(number);
      if ((number & kStatusToken) != 0) {
        link_.connection_wake_up().ring();
      } else {
        link_.send_up({kind, number_, number, 0, std::move(reason)});
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
      cause_ = std::move(cause);
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
  mutable std::mutex mutex_;  // never held around a call of the library
  std::string cause_;
  std::map<std::uint64_t, base::Instant> outstanding_;
  mqtt::connect_options options_;  // the library keeps pointers into it
  std::unique_ptr<mqtt::async_client> client_;
};

PahoConnection::PahoConnection(const UplinkSettings& settings, std::uint64_t number, std::size_t window, Link& link,
                               Inbox* inbox)
    : implementation_(std::make_unique<Implementation>(settings, number, window, link, inbox)) {}
PahoConnection::~PahoConnection() = default;

base::Result<std::size_t> PahoConnection::connect(const Will& will, const std::function<bool()>& alive) {
  return implementation_->connect(will, alive);
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
std::vector<PahoConnection::RefusedTopic> PahoConnection::subscribe(const std::vector<std::string>& topics,
                                                                    const std::function<bool()>& alive) {
  return implementation_->subscribe(topics, alive);
}
void PahoConnection::disconnect(base::Duration limit) { implementation_->disconnect(limit); }

}  // namespace twinkeeper::uplink
