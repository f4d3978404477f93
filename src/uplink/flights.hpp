// Publications between their handing over and the broker's last word on them.
//
// An acknowledged one is done at once under MQTT 5. Without a reason code (3.1.1) it settles for a while first, as some
// brokers acknowledge what they refuse and then hang up. A failed one stays for a while too: failures come shortly
// before the loss of the connection that made them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "uplink/settings.hpp"
#include "uplink/spool.hpp"

namespace twinkeeper::uplink {

struct Flight {
  std::vector<StoredMessage> messages;  // at least one; several in a packet
  bool packed = false;
  base::Instant since{};  // handed over; while it settles: acknowledged
  std::optional<base::Instant> failed;

  [[nodiscard]] std::int64_t row() const { return messages.front().row; }
  [[nodiscard]] const std::string& stream() const { return messages.front().message.stream; }
  // The stream of its topic: its own or that of the packets.
  [[nodiscard]] const std::string& topic() const;
};

class Flights {
 public:
  explicit Flights(MqttVersion version) : acknowledgements_tell_all_(version == MqttVersion::v5) {}

  // Tokens ascend.
  void add(std::uint64_t token, Flight flight, base::Instant now);
  void acknowledged(std::uint64_t token, base::Instant now);
  void failed(std::uint64_t token, base::Instant now);
  [[nodiscard]] std::optional<Flight> take(std::uint64_t token);
  [[nodiscard]] const Flight* find(std::uint64_t token) const;

  [[nodiscard]] std::vector<Flight> take_settled(base::Instant now);
  [[nodiscard]] std::vector<Flight> take_failed(base::Instant now);
  [[nodiscard]] std::optional<base::Instant> settles_at() const;

  // If the connection breaks now, these may be why: the last one acknowledged, just now, and those in flight, one for
  // each topic, in the order they were handed over. What has been in flight for long is not: silence is no verdict. Named is
  // the topic's first row that has not settled: sent again alone, it must not overtake another of its stream.
  [[nodiscard]] std::vector<Flight> in_doubt(base::Instant now) const;

  template <class Predicate>
  [[nodiscard]] bool all_of(Predicate holds) const {
    return std::all_of(in_flight_.begin(), in_flight_.end(), [&](const auto& entry) { return holds(entry.second); }) &&
           std::all_of(settling_.begin(), settling_.end(), holds);
  }
  // One that has not been acknowledged is on another topic and `holds` of it.
  template <class Predicate>
  [[nodiscard]] bool any_on_another(const std::string& topic, Predicate holds) const {
    return std::any_of(in_flight_.begin(), in_flight_.end(),
                       [&](const auto& entry) { return entry.second.topic() != topic && holds(entry.second); });
  }
  // Since when the oldest has been in flight.
  [[nodiscard]] std::optional<base::Instant> waits_since() const {
    return in_flight_.empty() ? std::nullopt : std::optional(in_flight_.begin()->second.since);
  }
  [[nodiscard]] std::size_t in_flight() const { return in_flight_.size(); }
  // Backlog can be handed over: what settles keeps its messages, and a fast broker could acknowledge any amount of
  // them.
  [[nodiscard]] bool room_for_backlog() const { return settling_bytes_ < kMostSettlingBytes; }
  [[nodiscard]] bool none() const { return in_flight_.empty() && settling_.empty(); }
  void clear();

 private:
  static constexpr std::size_t kMostSettlingBytes = 4u << 20;

  const bool acknowledgements_tell_all_;
  std::map<std::uint64_t, Flight> in_flight_;  // in the order they were handed over
  std::deque<Flight> settling_;
  std::size_t settling_bytes_ = 0;
};

}  // namespace twinkeeper::uplink
