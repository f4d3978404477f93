// Connection: the connection thread's work, the only place that talks to the MQTT library.
//
// A client object lives for one connection: it is built for each attempt and destroyed on loss, without persistence,
// offline buffer and automatic reconnect. The endpoints are tried in turn (endpoint_turn.hpp). Between two CONNECTs to
// one host lies a least pause, whatever the reason of the second one and whichever connection made the first
// (connect_times.hpp); on top of it comes a full-jitter back-off that starts again after a connection was stable for a
// while. Before an attempt the certificate files are examined, after a failed one the server: one event tells which of
// key, certificate, chain, host name, date or network is wrong, once per change of cause. What the broker asks for in its
// CONNACK is obeyed. Renewed files lead to a new connection, after what is in flight was acknowledged.
//
// Status: the last will is the retained `offline` document of that CONNECT; after CONNACK the retained status is
// published, again when status_changed() was called (at most once in 5 s, the newest counts) and every status_interval;
// before a clean DISCONNECT the retained `offline` with reason `stop`.
// Inbound: the Inbox's topics are subscribed to after each CONNACK unless the broker's session holds them (subscriber.hpp),
// before anything is published. What is said in return, by respond() and send(), is not spooled (answers.hpp).
//
// Events (subject `uplink`): connected, connection_lost, certificate_renewed, keep_alive, retain_not_supported,
// subscription_refused, session_refused, connect_failed, and one code per cause (see preflight.hpp).
// Thread rule: run() is the body of one thread; status_changed(), respond() and send() may come from any.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/event.hpp"
#include "twinkeeper/signals/message.hpp"
#include "uplink/connect_times.hpp"
#include "uplink/inbox.hpp"
#include "uplink/link.hpp"
#include "uplink/settings.hpp"
#include "uplink/statistics.hpp"

namespace twinkeeper::uplink {

// Implemented by the application. Called from the connection thread.
class StatusSource {
 public:
  virtual ~StatusSource() = default;
  // `online` or `degraded`: what the gateway is while it is connected.
  [[nodiscard]] virtual std::string status_state() = 0;
  // `start` on the first connection, then `reload` or what else explains the newest change.
  [[nodiscard]] virtual std::string status_reason() = 0;
  // Members of the JSON object after the envelope, without braces, beginning with `"state":…`; `previous` is nullptr
  // unless this is one of the first statuses of an epoch.
  [[nodiscard]] virtual std::string status_members(std::string_view state, std::string_view reason,
                                                   std::uint64_t session, const PreviousEpoch* previous) = 0;
};

struct ConnectionTiming {
  base::Duration backoff_floor = std::chrono::seconds{1};  // upper bound of the first pause
  base::Duration backoff_cap = std::chrono::seconds{120};
  base::Duration least_pause = std::chrono::milliseconds{500};  // between two CONNECTs to a host; 10 s with AWS
  base::Duration stable_after = std::chrono::seconds{60};
  base::Duration status_least_interval = std::chrono::seconds{5};
  base::Duration files_examined_again = std::chrono::minutes{1};  // renewed ones that can't work yet
  base::Duration drain = std::chrono::seconds{5};                 // for what is in flight before a planned reconnect
  std::size_t window = 20;  // publications outstanding, at most 100 and the broker's receive maximum - 1

  [[nodiscard]] static ConnectionTiming for_profile(Profile profile);
};

class Connection {
 public:
  // The references outlive the connection.
  Connection(Link& link, Statistics& statistics, UplinkSettings settings, std::string gateway_id, std::string boot_id,
             StatusSource& status, const base::Clock& clock, signals::EventSink& events, ConnectionTiming timing,
             ConnectTimes& connect_times, Inbox* inbox = nullptr);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Connects, publishes and reconnects until `stop` is requested; then publishes `offline` and disconnects (at most 2
  // s). Stop the courier first: what is in flight then is not waited for.
  void run(std::stop_token stop);
  void status_changed() noexcept;
  void respond(signals::Message answer);              // under the prefix, in the envelope
  void send(std::string topic, std::string payload);  // as it is

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace twinkeeper::uplink
