#include <algorithm>
#include <array>

#include "drivers/exchange.hpp"
#include "drivers/rtu.hpp"
#include "drivers/transport_errors.hpp"

namespace twinkeeper::drivers {
namespace {

// Drivers and adapters hand bytes over in lumps (an FTDI adapter every 16 ms unless told otherwise), so a pause this
// short says nothing about the line.
constexpr base::Duration kLump = std::chrono::milliseconds{20};

class RtuExchange final : public Exchange {
 public:
  RtuExchange(Transport& transport, const base::Clock& clock, const SerialTiming& timing)
      : transport_(transport), clock_(clock), timing_(timing) {}

  ExchangeResult run(ReadRequest request, base::Duration timeout) override {
    ExchangeResult result = attempt(request, timeout);
    if (!collided_) return result;
    if (is_write(request.function)) {  // never twice: whether it was done is for a person to find out
      result.may_come_late = true;
      return result;
    }
    const base::Instant sent = result.sent;
    result = attempt(request, timeout);
    // Either may have been answered, and the other's reply would then stand for the next request to this slave.
    result.sent = sent;
    result.may_come_late = true;
    return result;
  }

  base::Duration longest_extra(base::Duration timeout) const noexcept override {
    return timeout + 4 * (timing_.frame_gap() + kLump);  // the repetition, and the silences
  }

 private:
  ExchangeResult attempt(const ReadRequest& request, base::Duration timeout) {
    collided_ = false;
    ExchangeResult result;
    wait_for_silence(timeout);
    result.sent = result.asked_last = clock_.now();
    const base::Instant deadline = result.sent + timeout;
    const auto frame = rtu::encode_request(request, request_);
    if (const base::Status status = transport_.send(frame, deadline); !status.ok()) {
      result.error = device_error(status.error());
      result.finished = active_ = clock_.now();
      return result;
    }
    active_ = result.sent + timing_.duration_of(frame.size());
    return receive_reply(request, timeout, result);
  }

  // Nobody speaks: 3.5 characters since the last byte, and nothing unread. Noise that never ends costs the time-out.
  void wait_for_silence(base::Duration timeout) {
    const base::Instant give_up = clock_.now() + timeout;
    while (true) {
      clock_.sleep_until(active_ + timing_.frame_gap());
      if (!transport_.discard_input()) return;
      active_ = clock_.now();
      if (active_ >= give_up) return;
    }
  }

  ExchangeResult receive_reply(const ReadRequest& request, base::Duration timeout, ExchangeResult result) {
    const base::Instant deadline = result.asked_last + timeout;
    std::size_t got = 0;
    bool whole_with_wrong_checksum = false;
    bool in_one_go = true;  // else the bytes may be several senders', and the reply still to come
    while (true) {
      const base::Instant until =
          whole_with_wrong_checksum ? std::min(deadline, active_ + timing_.frame_gap() + kLump) : deadline;
      if (got == buffer_.size()) got = forget_oldest(got);
      const base::Result<std::size_t> received = transport_.receive(std::span{buffer_}.subspan(got), until);
      result.finished = clock_.now();
      if (!received.ok()) {
        result.error = device_error(received.error());
        if (result.error != DeviceError::no_answer) {
          result.may_come_late = true;
          return result;
        }
        return judge(request, deadline - timeout / 2, got, whole_with_wrong_checksum, result);
      }
      if (got > 0 && result.finished - active_ > timing_.frame_gap() + kLump) in_one_go = false;
      got += received.value();
      active_ = result.finished;
      if (const auto frame = find_reply(request, std::span{buffer_}.first(got)); !frame.empty()) {
        const Reply reply = rtu::check_reply(request, frame);
        if (reply.mismatch == Mismatch::none) {
          collided_ = false;
          if (reply.exception_code != 0) result.error = DeviceError::exception;
          result.exception_code = reply.exception_code;
          result.data = reply.data;
          return result;
        }
      }
      whole_with_wrong_checksum = in_one_go && begins_with_spoilt_reply(request, std::span{buffer_}.first(got));
      if (result.finished >= deadline) {
        result.error = DeviceError::no_answer;
        return judge(request, deadline - timeout / 2, got, whole_with_wrong_checksum, result);
      }
    }
  }

  // The frame that answers the request, wherever it begins; also notes frames of other slaves.
  std::span<const std::uint8_t> find_reply(const ReadRequest& request, std::span<const std::uint8_t> bytes) {
    for (std::size_t at = 0; at + rtu::kLeastFrameSize <= bytes.size(); ++at) {
      const std::span<const std::uint8_t> rest = bytes.subspan(at);
      const auto size = rtu::reply_frame_size(rest);
      if (!size || *size == 0 || *size > rest.size() || !rtu::checksum_fits(rest.first(*size))) continue;
      const std::span<const std::uint8_t> frame = rest.first(*size);
      if (rtu::check_reply(request, frame).mismatch == Mismatch::none) return frame;
      if (frame[0] != request.unit) collided_ = true;
    }
    return {};
  }

  static bool begins_with_spoilt_reply(const ReadRequest& request, std::span<const std::uint8_t> bytes) {
    const auto size = rtu::reply_frame_size(bytes);
    return size && *size == bytes.size() && bytes[0] == request.unit && !rtu::checksum_fits(bytes);
  }

  // What it was that came instead of a reply, until `deadline` or an early end.
  ExchangeResult judge(const ReadRequest& request, base::Instant half_time, std::size_t got, bool spoilt,
                       ExchangeResult result) const {
    const std::span<const std::uint8_t> bytes = std::span{buffer_}.first(got);
    result.may_come_late = !spoilt;
    if (got == 0 || (active_ >= half_time && !collided_ && !spoilt)) return result;  // nothing, or still dripping
    result.error = DeviceError::mismatch;
    if (spoilt) {
      result.mismatch = Mismatch::checksum;
    } else if (collided_) {
      result.mismatch = Mismatch::unit;
    } else if (bytes[0] == request.unit && got < rtu::reply_size(request)) {
      result.mismatch = Mismatch::short_frame;
    } else {
      const auto size = rtu::reply_frame_size(bytes);
      const bool whole = size && *size > 0 && *size <= got && rtu::checksum_fits(bytes.first(*size));
      result.mismatch = whole ? rtu::check_reply(request, bytes.first(*size)).mismatch : Mismatch::checksum;
    }
    return result;
  }

  // Noise without end: the newest frame's worth of it is kept.
  std::size_t forget_oldest(std::size_t got) {
    const std::size_t kept = rtu::kMaxFrameSize;
    std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(got - kept),
              buffer_.begin() + static_cast<std::ptrdiff_t>(got), buffer_.begin());
    return kept;
  }

  Transport& transport_;
  const base::Clock& clock_;
  const SerialTiming timing_;
  base::Instant active_ = base::Instant::min() + std::chrono::hours{1};  // when a byte was last on the line
  bool collided_ = false;                                                // a frame of another slave came in between
  std::array<std::uint8_t, rtu::kMaxFrameSize> request_{};
  std::array<std::uint8_t, 4 * rtu::kMaxFrameSize> buffer_{};
};

}  // namespace

std::unique_ptr<Exchange> make_exchange(const DeviceSettings& settings, Transport& transport,
                                        const base::Clock& clock) {
  switch (settings.transmission_mode) {
    case TransmissionMode::LINE:  // no Modbus: LinePoller's business
    case TransmissionMode::TCP: break;
    case TransmissionMode::RTUoverTCP: return make_rtu_exchange(transport, clock, SerialTiming{});
    case TransmissionMode::RTU: return make_rtu_exchange(transport, clock, timing_of(settings.line));
  }
  return make_mbap_exchange(transport, clock);
}

std::unique_ptr<Exchange> make_rtu_exchange(Transport& transport, const base::Clock& clock,
                                            const SerialTiming& timing) {
  return std::make_unique<RtuExchange>(transport, clock, timing);
}

}  // namespace twinkeeper::drivers
