// Sees to it that what the Inbox asks for arrives, as far as the broker lets it.
//
// Everything that can go wrong with a subscription is told once per change of cause and stops nothing else: refused,
// not answered in time, or the broker hangs up at it (see subscriptions.hpp).
// Thread rule: the connection thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/event.hpp"
#include "uplink/inbox.hpp"
#include "uplink/paho_connection.hpp"
#include "uplink/settings.hpp"
#include "uplink/subscriptions.hpp"

namespace twinkeeper::uplink {

class Subscriber {
 public:
  // `inbox` may be nullptr: then nothing is subscribed to. The references outlive the object.
  Subscriber(Inbox* inbox, const UplinkSettings& settings, const base::Clock& clock, signals::EventSink& events);

  // Before a CONNECT: what is asked of the session.
  void prepare(Connect& request);
  // That CONNECT is over without a word of subscriptions, and the session is as it was before.
  void began_no_session();
  // After it. `alive` as in PahoConnection. When the connection broke meanwhile, it is found so by the caller.
  void subscribe(PahoConnection& connection, const std::string& endpoint, bool session_present,
                 const std::function<bool()>& alive);
  // While the connection stands and nothing is in flight on it, as often as one likes: asks once more for what is missing,
  // after some seconds if the broker was silent, then every five minutes. What it hangs up at waits for a later
  // connection.
  void again(PahoConnection& connection, const std::string& endpoint, const std::function<bool()>& alive);

 private:
  struct Refused {
    std::vector<std::string> topics;
    std::string cause;    // of the first one
    bool silent = false;  // a SUBSCRIBE was not answered
    void add(const std::string& topic, const std::string& reason);
  };
  // False: the connection broke, or a stop was requested.
  bool ask(PahoConnection& connection, const std::string& endpoint, const Subscriptions::Plan& plan,
           const std::function<bool()>& alive, std::optional<base::Duration> limit, Refused& refused);
  void tell(const Refused& refused);

  Inbox* const inbox_;
  const base::Duration session_expiry_;
  const base::Clock& clock_;
  signals::EventSink& events_;
  Subscriptions subscriptions_;
  std::vector<std::string> topics_;
  std::string told_;
  std::vector<std::string> refused_;  // as the inbox knows it
  base::Instant again_at_{};
};

}  // namespace twinkeeper::uplink
