// What the broker sends to the gateway: which topics are asked for, and where what arrives on them is left.
//
// The topics are exact (no wildcards) and are subscribed to with QoS 1. Whoever receives must expect anything on them:
// repetitions, old words after a reconnect, and on brokers that answer without being asked also topics that nobody
// subscribed to.
#pragma once

#include <string>
#include <vector>

namespace twinkeeper::uplink {

class Inbox {
 public:
  virtual ~Inbox() = default;
  // Called on the connection thread at each connect.
  [[nodiscard]] virtual std::vector<std::string> topics() const = 0;
  // The connection stands and the broker has answered for all topics; those in `refused` bring nothing. Called on the
  // connection thread.
  virtual void connected(const std::vector<std::string>& refused) = 0;
  // Returns at once. Thread rule: any thread.
  virtual void arrived(std::string topic, std::string payload, bool retained) = 0;
};

}  // namespace twinkeeper::uplink
