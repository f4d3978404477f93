// One MQTT connection, from its CONNECT to its end. Behind it stands paho-mqtt-cpp; no other file includes that
// library.
//
// An object is used for one connection: built, connected, published on, destroyed. Destroying it settles every
// outstanding publication as failed, on the destroying thread. Acknowledgements go straight into the Link from the
// library's threads, which hold the library's lock: nothing there calls back into the library.
// Errors: no exception leaves it. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <functional>
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

class PahoConnection {
 public:
  // Publications with this bit in their token are statuses: they are not told to the Link.
  static constexpr std::uint64_t kStatusToken = std::uint64_t{1} << 63;

  // `inbox` may be nullptr; arrived() is called on the library's threads.
  PahoConnection(const UplinkSettings& settings, std::uint64_t number, std::size_t window, Link& link, Inbox* inbox);
  ~PahoConnection();
  PahoConnection(const PahoConnection&) = delete;
  PahoConnection& operator=(const PahoConnection&) = delete;

  // The window the broker allows. `alive` is called several times a second and returns whether to go on.
  // Errors: unavailable (no TCP or TLS), permission_denied (CONNACK refused), timeout, cancelled.
  [[nodiscard]] base::Result<std::size_t> connect(const Will& will, const std::function<bool()>& alive);
  [[nodiscard]] base::Status publish(std::uint64_t token, const std::string& topic, const std::string& payload,
                                     bool retain);
  // Why the connection is gone; absent while it is there.
  [[nodiscard]] std::optional<std::string> lost() const;
  // When the oldest publication still waiting for its PUBACK was made.
  [[nodiscard]] std::optional<base::Instant> oldest_outstanding() const;
  [[nodiscard]] bool outstanding(std::uint64_t token) const;
  struct RefusedTopic {
    std::string topic;
    std::string reason;  // what the broker said, or that it said nothing in time
  };
  // Those that can't be had; none: all were granted.
  [[nodiscard]] std::vector<RefusedTopic> subscribe(const std::vector<std::string>& topics,
                                                    const std::function<bool()>& alive);
  void disconnect(base::Duration limit);

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace twinkeeper::uplink
