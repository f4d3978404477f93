#include "uplink/outgoing.hpp"

#include "uplink/envelope.hpp"

namespace twinkeeper::uplink {
namespace {

constexpr std::size_t kPacketHead = 320;  // more than the packet's own members take, names at their longest

}  // namespace

base::Duration age_of(const StoredMessage& message, const base::Clock& clock) {
  if (message.this_boot) return clock.now() - message.made;
  return base::Duration::max();  // of another boot: older than anything that is asked for
}

bool is_replay(const StoredMessage& message, const base::Clock& clock) { return age_of(message, clock) > kLiveFor; }

std::string message_text(const StoredMessage& message, std::string_view gateway, const base::Clock& clock,
                         bool replay) {
  Envelope envelope;
  envelope.schema = message.message.schema;
  envelope.gateway = gateway;
  envelope.stream = message.message.stream;
  envelope.epoch = message.epoch;
  envelope.seq = message.seq;
  envelope.boot_id = message.boot_id;
  envelope.replay = replay;
  envelope.identity_in_id_only = message.message.message_class == signals::MessageClass::gap;
  envelope.clock_synced = message.clock_synced;
  if (message.this_boot && !message.clock_synced && clock.synchronised()) {
    envelope.time = clock.to_wall(message.message.time);
    envelope.clock_synced = true;
  } else {
    envelope.time = message.wall ? *message.wall : clock.to_wall(message.message.time);
  }
  return to_json(envelope, message.message.members);
}

BacklogPacket::BacklogPacket(std::string_view gateway, const StoredMessage& first, std::size_t most_bytes)
    : gateway_(gateway), stream_(first.message.stream), epoch_(first.epoch), most_bytes_(most_bytes) {}

bool BacklogPacket::try_add(const StoredMessage& message, const base::Clock& clock) {
  if (message.message.stream != stream_ || message.epoch != epoch_ || count_ >= kPacketMessages) return false;
  if (count_ > 0 && message.seq <= last_seq_) return false;
  const std::string text = message_text(message, gateway_, clock, true);
  if (messages_.size() + text.size() + 1 + kPacketHead > most_bytes_) return false;
  if (count_ == 0) {
    first_seq_ = message.seq;
  } else {
    messages_ += ',';
  }
  messages_ += text;
  last_seq_ = message.seq;
  ++count_;
  return true;
}

std::string BacklogPacket::text() const {
  std::string out = "{\"schema\":\"twinkeeper.backlog/1\",\"gateway\":";
  append_json_string(out, gateway_);
  out += ",\"stream\":";
  append_json_string(out, stream_);
  out += ",\"epoch\":" + std::to_string(epoch_) + ",\"first_seq\":" + std::to_string(first_seq_) +
         ",\"last_seq\":" + std::to_string(last_seq_) + ",\"messages\":[";
  out += messages_;
  out += "]}";
  return out;
}

}  // namespace twinkeeper::uplink
