// Runs the poller of one connection over a capture of it: the same samples come out, bit by bit, or an error that says
// where the two parted.
//
// The poller's clock and transport are answers read from the capture (capture.hpp); no time passes and nothing is
// opened. A poller that asks for anything else than the recorded one did, or sends other bytes, has parted from it: the
// settings are not those of the recording, or the program decides otherwise. So has one whose samples differ in number
// or checksum.
// Errors: corrupt (a line that is no answer), protocol (parted); nothing can be replayed after either.
// Thread rule: one thread. Allocates.
#pragma once

#include <memory>
#include <vector>

#include "drivers/capture_file.hpp"
#include "drivers/poller.hpp"
#include "drivers/settings.hpp"
#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::drivers {

struct ReplayedSample {
  signals::Sample sample;
  bool found_room = true;  // in the twin thread's queue
};

class EndpointReplay {
 public:
  // `devices` are those that the capture names for the endpoint. `events` outlives the replay.
  EndpointReplay(std::vector<DeviceSettings> devices, base::Instant grid_origin, signals::EventSink& events);
  ~EndpointReplay();
  EndpointReplay(EndpointReplay&&) noexcept;

  // Turns of this endpoint one after the other, none left out. The samples in the order in which they were given.
  [[nodiscard]] base::Result<std::vector<ReplayedSample>> replay(CaptureBlock turn);
  // The newest reading of the clock.
  [[nodiscard]] base::Instant now() const noexcept;
  [[nodiscard]] const DeviceStatistics& statistics(std::size_t device) const;  // after the first turn

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace twinkeeper::drivers
