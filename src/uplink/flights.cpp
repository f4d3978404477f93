#include "uplink/flights.hpp"

#include <set>
#include <utility>

#include "uplink/outgoing.hpp"

namespace twinkeeper::uplink {
namespace {

constexpr base::Duration kSettling = std::chrono::seconds{1};
constexpr base::Duration kHangUpWithin = std::chrono::milliseconds{300};  // it comes right behind the acknowledgement
constexpr base::Duration kRetryPause = std::chrono::seconds{1};
constexpr base::Duration kSilence = std::chrono::seconds{5};

std::size_t bytes_of(const Flight& flight) {
  std::size_t bytes = 0;
  for (const StoredMessage& message : flight.messages) bytes += message.message.members.size();
  return bytes;
}

}  // namespace

const std::string& Flight::topic() const { return packed ? kPacketStream : stream(); }

void Flights::add(std::uint64_t token, Flight flight, base::Instant now) {
  flight.since = now;
  in_flight_.emplace(token, std::move(flight));
}

void Flights::acknowledged(std::uint64_t token, base::Instant now) {
  if (auto flight = take(token)) {
    flight->since = now;
    settling_bytes_ += bytes_of(*flight);
    settling_.push_back(std::move(*flight));
  }
}

void Flights::failed(std::uint64_t token, base::Instant now) {
  const auto found = in_flight_.find(token);
  if (found != in_flight_.end()) found->second.failed = now;
}

std::optional<Flight> Flights::take(std::uint64_t token) {
  const auto node = in_flight_.extract(token);
  return node.empty() ? std::nullopt : std::optional(std::move(node.mapped()));
}

const Flight* Flights::find(std::uint64_t token) const {
  const auto found = in_flight_.find(token);
  return found == in_flight_.end() ? nullptr : &found->second;
}

std::vector<Flight> Flights::take_settled(base::Instant now) {
  std::vector<Flight> settled;
  while (!settling_.empty() && (acknowledgements_tell_all_ || settling_.front().since + kSettling <= now)) {
    settling_bytes_ -= bytes_of(settling_.front());
    settled.push_back(std::move(settling_.front()));
    settling_.pop_front();
  }
  return settled;
}

std::vector<Flight> Flights::take_failed(base::Instant now) {
  std::vector<Flight> failed;
  for (auto it = in_flight_.begin(); it != in_flight_.end();) {
    Flight& flight = it->second;
    const bool due = flight.failed && *flight.failed + kRetryPause <= now;
    if (due) failed.push_back(std::move(flight));
    it = due ? in_flight_.erase(it) : std::next(it);
  }
  return failed;
}

std::optional<base::Instant> Flights::settles_at() const {
  return settling_.empty() ? std::nullopt : std::optional(settling_.front().since + kSettling);
}

std::vector<Flight> Flights::in_doubt(base::Instant now) const {
  std::vector<const Flight*> found;
  std::set<std::string> topics;
  const auto add = [&](const Flight& flight) {
    if (topics.insert(flight.topic()).second) found.push_back(&flight);
  };
  if (!settling_.empty() && now - settling_.back().since <= kHangUpWithin) add(settling_.back());
  for (const auto& [token, flight] : in_flight_) {
    if (now - flight.since <= kSilence) add(flight);
  }
  std::vector<Flight> in_doubt;
  for (const Flight* named : found) {
    const std::string& topic = named->topic();
    const auto consider = [&](const Flight& flight) {
      if (flight.row() < named->row() && flight.topic() == topic) named = &flight;
    };
    for (const Flight& flight : settling_) consider(flight);
    for (const auto& [token, flight] : in_flight_) consider(flight);
    in_doubt.push_back(*named);
  }
  return in_doubt;
}

void Flights::clear() {
  in_flight_.clear();
  settling_.clear();
  settling_bytes_ = 0;
}

}  // namespace twinkeeper::uplink
