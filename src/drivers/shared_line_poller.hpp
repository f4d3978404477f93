// Several instruments that talk lines of text on one line, each asked by a request of its own: on RS-485, or behind one
// TCP port. Has no thread of its own.
//
// Holds one LinePoller for each of them over one transport; line_poller.hpp says what they must know of each other, so
// that the late answer of one is never the value of another. Here:
// Order       The instrument that has been due longest is asked, one for each poll_due; of several that are due since
//             the same instant the one that was not asked for longest. So none waits longer than one exchange of each.
// Connecting  An attempt that failed stands for all: for 0.5, 1, 2 … 10 s every other one fails in the same way at
// once. Errors, events, statistics: those of each instrument. Thread rule: as Poller.
#pragma once

#include <memory>
#include <vector>

#include "drivers/line_poller.hpp"

namespace twinkeeper::drivers {

class SharedLinePoller final : public Poller {
 public:
  // `devices` as LinePoller's, at least one, none of them free running, on one line. References outlive the poller.
  SharedLinePoller(std::vector<DeviceSettings> devices, base::Instant grid_origin, const base::Clock& clock,
                   SampleSink& samples, signals::EventSink& events, std::unique_ptr<Transport> transport);
  ~SharedLinePoller() override;

  base::Instant poll_due(std::stop_token stop) override;
  [[nodiscard]] std::size_t device_count() const noexcept override { return pollers_.size(); }
  [[nodiscard]] const DeviceStatistics& statistics(std::size_t device) const override;
  [[nodiscard]] base::Duration longest_block() const noexcept override;

 private:
  class Line;
  class View;
  [[nodiscard]] LinePoller& earliest() const noexcept;

  std::unique_ptr<Line> line_;
  std::vector<std::unique_ptr<LinePoller>> pollers_;
};

}  // namespace twinkeeper::drivers
