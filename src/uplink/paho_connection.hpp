// One MQTT connection, from its CONNECT to its end. Behind it stands paho-mqtt-cpp; no other file includes that
// library.
//
// An object is used for one connection: built, connected, published on, destroyed. The loss of the connection and the
// destruction tell the Link of every outstanding publication as failed; statuses stay outstanding. Acknowledgements go straight into the Link from the
// library's threads, which hold the library's lock: nothing there calls back into the library.
// Errors: no exception leaves it. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"
#include "uplink/inbox.hpp"
#include "uplink/link.hpp"
#include "uplink/settings.hpp"

namespace twinkeeper::uplink {

struct Will {
  std::string topic;  // empty: there is none
  std::string payload;
  bool retain = true;
};

struct Connect {
  Endpoint endpoint;
  Will will;
  base::Duration keep_alive{};
  bool fresh = true;                // what the broker has kept of an earlier session is dropped
  base::Duration session_expiry{};  // how long it keeps this one; 0: it ends with the connection
};

// What a CONNACK says.
struct Accepted {
  std::size_t window = 1;  // publications that may be outstanding
  std::size_t most_packet_bytes = std::numeric_limits<std::size_t>::max();
  std::optional<base::Duration> keep_alive;  // the server's own, which replaces the one asked for
  bool session_present = false;
  bool retain_available = true;
};

class PahoConnection {
 public:
  // Publications with this bit in their token are statuses: they are not told to the Link. The library keeps tokens as
  // pointers, so it is the highest bit of those.
  static constexpr std::uint64_t kStatusToken = std::uint64_t{1} << (8 * sizeof(void*) - 1);

  // `inbox` may be nullptr; arrived() is called on the library's threads.
  PahoConnection(const UplinkSettings& settings, std::uint64_t number, std::size_t window, Link& link, Inbox* inbox);
  ~PahoConnection();
  PahoConnection(const PahoConnection&) = delete;
  PahoConnection& operator=(const PahoConnection&) = delete;

  // `alive` is called several times a second and returns whether to go on.
  // Errors: unavailable (no TCP or TLS), connection_lost (it may have come to the CONNECT), permission_denied (CONNACK refused), invalid_argument (refused for a retained
  // will), timeout, cancelled.
  [[nodiscard]] base::Result<Accepted> connect(const Connect& request, const std::function<bool()>& alive);
  // Errors: connection_lost, full (to be tried again), invalid_argument (larger than the broker takes: never sent).
  [[nodiscard]] base::Status publish(std::uint64_t token, const std::string& topic, const std::string& payload,
                                     bool retain);
  // Why the connection is gone; absent while it is there.
  [[nodiscard]] std::optional<std::string> lost() const;
  // When the oldest publication still waiting for its PUBACK was made.
  [[nodiscard]] std::optional<base::Instant> oldest_outstanding() const;
  [[nodiscard]] bool outstanding(std::uint64_t token) const;
  // The newest refused status is this one.
  [[nodiscard]] bool refused(std::uint64_t token) const;

  struct RefusedTopic {
    std::string topic;
    std::string reason;
  };
  struct Subscribed {
    enum class Answer : std::uint8_t { given, none, broke };
    Answer answer = Answer::given;      // none: not in time; broke: the connection ended instead
    std::vector<RefusedTopic> refused;  // if an answer was given; none: all were granted
  };
  // One packet: at most kTopicsInPacket.
  static constexpr std::size_t kTopicsInPacket = 8;  // of AWS IoT Core; nobody minds more packets
  // Waits as long as for a CONNACK, unless there is a `limit`.
  [[nodiscard]] Subscribed subscribe(const std::vector<std::string>& topics, const std::function<bool()>& alive,
                                     std::optional<base::Duration> limit = std::nullopt);
  void disconnect(base::Duration limit);

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace twinkeeper::uplink
