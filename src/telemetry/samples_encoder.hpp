// What a device's published registers said last, as a `samples` message (twinkeeper.samples/1).
//
// `tags` holds every published register, null where there is no trustworthy value; `bad` says why it is null,
// `uncertain` (only if there is one) why a value is to be taken with care, `age_ms` how old values are that are older
// than one publishing interval. The message's time is that of the newest sample, `first` that of the oldest.
// Errors: none. The snapshot must have the shape of the description, otherwise the process aborts.
// Thread rule: one thread. Allocation: none once `out` has held a message of this device.
#pragma once

#include <string>
#include <vector>

#include "telemetry/description.hpp"
#include "twinkeeper/signals/device_snapshot.hpp"
#include "twinkeeper/signals/message.hpp"

namespace twinkeeper::telemetry {

class SamplesEncoder {
 public:
  SamplesEncoder(const DeviceDescription& device, ToWall to_wall);

  void encode(const signals::DeviceSnapshot& snapshot, signals::Message& out) const;

 private:
  struct Register {
    std::string key;  // "level_1": with its quotes and colon
    bool scaled;
  };

  ToWall to_wall_;
  base::Duration interval_;
  std::string stream_;
  std::string head_;
  std::vector<Register> registers_;
};

}  // namespace twinkeeper::telemetry
