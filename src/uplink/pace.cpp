#include "uplink/pace.hpp"

#include <algorithm>

#include "uplink/outgoing.hpp"

namespace twinkeeper::uplink {
namespace {

constexpr double kFirstMessages = 10.0;    // per second
constexpr double kFirstBytes = 1.0 / 8.0;  // of the limit
constexpr double kBurst = 0.25;            // of a second's: a broker may count whole seconds
constexpr double kReservedShare = 0.125;   // of a second's, less than the burst
constexpr double kBacklogBurst = 0.1;
constexpr std::size_t kLeastPacket = 8192;

std::optional<double> real(std::optional<std::uint64_t> value) {
  return value ? std::optional(static_cast<double>(*value)) : std::nullopt;
}

double share(const std::optional<double>& limit, double part) { return limit.value_or(0.0) * part; }

}  // namespace

Pace::Pace(std::optional<double> messages_per_second, std::optional<std::uint64_t> bytes_per_second, base::Instant now,
           std::uint64_t seed)
    : message_limit_(messages_per_second),
      byte_limit_(real(bytes_per_second)),
      messages_(message_limit_, share(message_limit_, kBurst), now),
      bytes_(byte_limit_, share(byte_limit_, kBurst), now),
      backlog_messages_(message_limit_, std::max(1.0, share(message_limit_, kBacklogBurst)), now),
      backlog_bytes_(byte_limit_, std::max(1.0, share(byte_limit_, kBacklogBurst)), now),
      random_(seed),
      ramp_from_(now) {}

void Pace::connected(base::Instant now) {
  ramp_from_ = now;
  if (connected_before_) {
    ramp_from_ += base::Duration{std::uniform_int_distribution<std::int64_t>(0, kMostPause.count())(random_)};
  }
  connected_before_ = true;
}

base::Duration Pace::wait_live(base::Instant now) { return std::max(messages_.wait(now), bytes_.wait(now)); }

base::Duration Pace::wait_backlog(base::Instant now) {
  if (!limited()) return base::Duration::zero();
  if (now < ramp_from_) return ramp_from_ - now;
  const double part = std::min(1.0, std::chrono::duration<double>(now - ramp_from_) / kRamp);
  const auto ramped = [&](double first, double limit) { return std::min(limit, first + (limit - first) * part); };
  if (message_limit_) backlog_messages_.set_rate(ramped(kFirstMessages, *message_limit_), now);
  if (byte_limit_) backlog_bytes_.set_rate(ramped(kFirstBytes * *byte_limit_, *byte_limit_), now);
  return std::max({messages_.wait(now, share(message_limit_, kReservedShare)),
                   bytes_.wait(now, share(byte_limit_, kReservedShare)), backlog_messages_.wait(now),
                   backlog_bytes_.wait(now)});
}

void Pace::take(std::size_t bytes, bool of_backlog, base::Instant now) {
  messages_.take(1.0, now);
  bytes_.take(static_cast<double>(bytes), now);
  if (!of_backlog) return;
  backlog_messages_.take(1.0, now);
  backlog_bytes_.take(static_cast<double>(bytes), now);
}

std::size_t Pace::packet_bytes() const {
  if (!byte_limit_) return kPacketBytes;
  return std::clamp(static_cast<std::size_t>(kReservedShare * *byte_limit_), kLeastPacket, kPacketBytes);
}

}  // namespace twinkeeper::uplink
