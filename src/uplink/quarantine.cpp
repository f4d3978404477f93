#include "uplink/quarantine.hpp"

#include <algorithm>
#include <optional>

#include "uplink/outgoing.hpp"
#include "uplink/topics.hpp"

namespace twinkeeper::uplink {
namespace {

constexpr int kMostLosses = 3;
constexpr int kMostLossesOfPackets = 2;  // nothing is set aside for it: what was packed goes plain
constexpr const char* kHungUp = "it hung up at it again and again";

}  // namespace

bool packable(const StoredMessage& message) {
  return message.message.message_class == signals::MessageClass::samples ||
         message.message.message_class == signals::MessageClass::state;
}

const std::string& Quarantine::topic_of(const StoredMessage& message) const {
  return packs(message) ? kPacketStream : message.message.stream;
}

bool Quarantine::packs(const StoredMessage& message) const {
  return settings_.backlog == BacklogFormat::packed && packable(message) &&
         refusals_.may_pack(message.message.stream) && age_of(message, clock_) > settings_.backlog_after;
}

bool Quarantine::takes(const StoredMessage& message, base::Instant now) {
  const std::string& stream = message.message.stream;
  if (!refusals_.barred(stream, now)) return false;
  set_aside(message, refusals_.reason(stream));
  return true;
}

bool Quarantine::passes(const StoredMessage& message, base::Instant now) {
  if (takes(message, now)) return false;
  const std::string& stream = message.message.stream;
  const std::string& topic = topic_of(message);
  if (topic == stream && refusals_.has_record(stream) && !hang_ups_.withheld(topic)) {
    // A stream that was barred has waited; one of which a message was given up has not.
    const bool barred = refusals_.was_barred(stream);
    hang_ups_.put_on_probation({topic, message.row, lane_of(message.message.message_class),
                                barred ? kMostLosses - 1 : 1, barred ? now : now + HangUps::kLongWait});
    spool_.hold(message.row);
  }
  return !hang_ups_.withheld(topic);
}

bool Quarantine::passed(const Flight& flight) {
  if (flight.packed) {
    refusals_.packet_passed();
  } else {
    refusals_.passed(flight.stream());
  }
  return hang_ups_.passed(flight.topic());
}

bool Quarantine::refused(const Flight& flight, const std::string& reason) {
  const bool withheld = hang_ups_.passed(flight.topic());  // the broker has a word for it
  if (flight.packed) {
    refuse_packets(reason);
  } else {
    refuse_stream(flight.messages.front(), reason);
  }
  return withheld;
}

void Quarantine::broke(const std::vector<Flight>& in_flight) {
  std::vector<HangUps::Suspect> topics;
  for (const Flight& flight : in_flight) {
    topics.push_back({flight.topic(), flight.row(), lane_of(flight.messages.front().message.message_class)});
  }
  if (const auto suspect = hang_ups_.broke(topics, clock_.now())) {
    const Flight& flight = *std::find_if(in_flight.begin(), in_flight.end(),
                                         [&](const Flight& one) { return one.topic() == suspect->topic; });
    const std::string topic = topic_for(settings_, suspect->topic);
    if (suspect->losses >= (flight.packed ? kMostLossesOfPackets : kMostLosses)) {
      hang_ups_.forget(suspect->topic);
      blame(flight);
    } else if (suspect->losses == kMostLosses - 1 && suspect->row != told_row_) {
      told_row_ = suspect->row;
      events_.raise({signals::EventLevel::warning, "uplink", "topic_withheld",
                     "the connection broke twice at a publication on " + topic +
                         ", which the broker may not allow; its messages wait and one is tried again in 5 min"});
    }
  }
  for (const HangUps::Suspect& suspect : hang_ups_.suspects()) spool_.hold(suspect.row);  // it is needed as a probe
}

// One message says nothing about its stream, two in a row do.
void Quarantine::blame(const Flight& flight) {
  if (flight.packed) {
    if (refusals_.packets_pass()) {
      refusals_.never_pack(flight.stream());
    } else {
      refuse_packets(kHungUp);
    }
    return;
  }
  const StoredMessage& message = flight.messages.front();
  if (!refusals_.doubt(flight.stream())) {
    refuse_stream(message, kHungUp);
    return;
  }
  set_aside(message, kHungUp);
  events_.raise({signals::EventLevel::error, "uplink", "message_set_aside",
                 "a message on " + topic_for(settings_, flight.stream()) + " was set aside: " + kHungUp});
}

// What is refused is the packets' topic or size: their messages may pass on their own.
void Quarantine::refuse_packets(const std::string& reason) {
  if (!refusals_.packets_refused()) return;
  events_.raise({signals::EventLevel::warning, "uplink", "refused_publish",
                 "the broker refused a publication on " + topic_for(settings_, kPacketStream) + " (" + reason +
                     "); the backlog is sent message by message"});
}

void Quarantine::refuse_stream(const StoredMessage& message, const std::string& reason) {
  const std::string& stream = message.message.stream;
  const bool news = refusals_.refused(stream, reason, clock_.now());
  set_aside(message, refusals_.reason(stream));
  if (!news) return;
  events_.raise({signals::EventLevel::error, "uplink", "refused_publish",
                 "the broker refused a publication on " + topic_for(settings_, stream) + " (" + reason +
                     "); its messages are set aside and one is tried again every few minutes"});
}

void Quarantine::set_aside(const StoredMessage& message, const std::string& reason) {
  spool_.release(message.row);
  spool_.refuse(message, reason);
  statistics_.refused_total.fetch_add(1, std::memory_order_relaxed);
  tell();
}

void Quarantine::tell() { statistics_.refused.set(dead_topics(spool_.dead(), settings_)); }

}  // namespace twinkeeper::uplink
