// Polls every device behind one controller over one connection, one request at a time. Has no thread of its own.
//
// When      Cycle m of a group of registers with one poll interval T is due at grid_origin + phase_of(device) + m·T.
//           A cycle whose time passed while another was running is skipped and counted, never run back-to-back.
//           When a device or its controller stops answering, or answers again, all groups concerned get one cycle out
//           of turn: a register that is read once an hour goes bad, and good again, with the others.
// Samples   Every register of a due cycle gives exactly one sample per cycle. Good ones carry the middle between the
//           instant at which the request was handed to the kernel and that of the last byte of its reply; bad ones the
//           instant of the failure. No value is ever given twice.
// Errors    cost only their own request:
//             exception reply          bad/exception with the code; the connection stays. Busy (5, 6) is repeated up to
//                                      `busy_retries` times in the same cycle. What is refused (1, 2, 3) is halved in
//                                      the same cycle until only the registers at fault stand alone; they are bad, and
//                                      asked again from time to time (see learned_plan.hpp).
//             no or incomplete reply, refused, unreachable, closed           bad/timeout,  connection closed
//             a reply that doesn't match its request (see exchange.hpp)      bad/no_match, connection closed
//           A reply that breaks off and is followed by silence (no byte in the second half of the time-out) is a short
//           frame: no_match; one whose bytes still drip at the deadline is late: timeout.
// RTU       A serial line stays open after such errors: opening it again would not discard what is on its way. Instead
//           the slave whose reply may come late is left alone for 4 time-outs (bad/timeout meanwhile); the others go
//           on.
// Recovery  A lost connection is opened again before the next request. If that fails, the controller is left alone for
//           0.5, 1, 2, … 10 s (no jitter). A device that left two requests in a row without a matching reply is left
//           alone in the same way, its connection is the others' to use; the next attempt begins with the request after
//           the last one that failed, and the groups take turns, so a dead range of addresses can't starve the live
//           ones. Meanwhile due cycles give their samples at once, bad with the reason that led there; nothing waits.
//           Bytes that nobody asked for, or a closed connection found before a request, reopen it without any loss.
// Events    subject = device, once per change: `connection_lost` (warning, no request was answered), `degraded`
//           (warning, some were), `restored` (info). The first successful cycle after start raises nothing.
// Writes    Without a WriteQueue there are none. Orders in it are carried out at the beginning of poll_due and between
//           cycles; see write_queue.hpp.
// Blocking  poll_due runs each due group at most once and looks at the stop token before each request, so it returns
//           within longest_block(); its return is the caller's heartbeat. Name resolution comes on top (resolver's
//           limits).
// Thread rule: one thread calls poll_due; statistics() may be read from any. Allocation: none per cycle but for text,
// events, and what the sink does.
#pragma once

#include <cstddef>
#include <memory>
#include <stop_token>
#include <vector>

#include "drivers/device_statistics.hpp"
#include "drivers/poller.hpp"
#include "drivers/settings.hpp"
#include "drivers/transport.hpp"
#include "drivers/write_queue.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/event.hpp"
#include "twinkeeper/signals/sample.hpp"

namespace twinkeeper::drivers {

class EndpointPoller final : public Poller {
 public:
  // `devices` share the controller that `transport` leads to; each poll interval is positive. References outlive the
  // poller.
  EndpointPoller(std::vector<DeviceSettings> devices, base::Instant grid_origin, const base::Clock& clock,
                 SampleSink& samples, signals::EventSink& events, std::unique_ptr<Transport> transport,
                 WriteQueue* writes = nullptr);
  ~EndpointPoller() override;
  EndpointPoller(const EndpointPoller&) = delete;
  EndpointPoller& operator=(const EndpointPoller&) = delete;

  // Instant::max() if there is no register at all.
  base::Instant poll_due(std::stop_token stop) override;
  [[nodiscard]] std::size_t device_count() const noexcept override;
  [[nodiscard]] const DeviceStatistics& statistics(std::size_t device) const override;
  // Every request of every group with its time-outs, repeats and pauses.
  [[nodiscard]] base::Duration longest_block() const noexcept override;

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace twinkeeper::drivers
