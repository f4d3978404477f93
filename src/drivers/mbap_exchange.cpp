#include <array>

#include "drivers/exchange.hpp"
#include "drivers/mbap.hpp"
#include "drivers/transport_errors.hpp"

namespace twinkeeper::drivers {
namespace {

class MbapExchange final : public Exchange {
 public:
  MbapExchange(Transport& transport, const base::Clock& clock) : transport_(transport), clock_(clock) {}

  ExchangeResult run(ReadRequest request, base::Duration timeout) override {
    request.transaction = ++transaction_;
    ExchangeResult result;
    result.sent = clock_.now();
    const auto frame = mbap::encode_request(request, frame_);
    if (const base::Status status = transport_.send(frame, result.sent + timeout); !status.ok()) {
      result.error = device_error(status.error());
      result.finished = clock_.now();
      return result;
    }
    return receive_reply(request, timeout, result);
  }

  base::Duration longest_extra(base::Duration) const noexcept override { return base::Duration::zero(); }

 private:
  ExchangeResult receive_reply(const ReadRequest& request, base::Duration timeout, ExchangeResult result) {
    const base::Instant deadline = result.sent + timeout;
    const auto mismatch = [&](Mismatch what) {
      result.error = DeviceError::mismatch;
      result.mismatch = what;
      return result;
    };
    std::size_t wanted = mbap::kHeaderSize;  // never more than this frame: what follows is found by Transport::quiet
    std::size_t got = 0;
    base::Instant newest_byte = result.sent;
    while (got < wanted) {
      const base::Result<std::size_t> received =
          transport_.receive(std::span{frame_}.subspan(got, wanted - got), deadline);
      result.finished = clock_.now();
      if (!received.ok()) {
        result.error = device_error(received.error());
        // A reply that broke off in the first half of the time is too short; one that still comes is too slow.
        const bool broke_off = got > 0 && newest_byte < deadline - timeout / 2;
        return result.error == DeviceError::no_answer && broke_off ? mismatch(Mismatch::short_frame) : result;
      }
      got += received.value();
      newest_byte = result.finished;
      if (got == mbap::kHeaderSize) {
        const mbap::HeaderCheck header = mbap::check_header(request, std::span{frame_}.first(got));
        if (header.mismatch != Mismatch::none) return mismatch(header.mismatch);
        wanted = header.frame_size;
      }
      if (got < wanted && result.finished >= deadline) {
        result.error = DeviceError::no_answer;
        return result;
      }
    }
    const Reply reply = mbap::check_reply(request, std::span{frame_}.first(got));
    if (reply.mismatch != Mismatch::none) return mismatch(reply.mismatch);
    if (reply.exception_code != 0) result.error = DeviceError::exception;
    result.exception_code = reply.exception_code;
    result.data = reply.data;
    return result;
  }

  Transport& transport_;
  const base::Clock& clock_;
  std::uint16_t transaction_ = 0;
  std::array<std::uint8_t, mbap::kMaxFrameSize> frame_{};
};

}  // namespace

std::unique_ptr<Exchange> make_mbap_exchange(Transport& transport, const base::Clock& clock) {
  return std::make_unique<MbapExchange>(transport, clock);
}

}  // namespace twinkeeper::drivers
