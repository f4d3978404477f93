// SnapshotBuilder: what a device's published registers said last, at one publishing instant.
//
// `first` and `last` are the oldest and newest sample time of the tags that have a sample; with none, the publishing
// instant. A tag whose newest sample is older than its max_age is told as bad, stale.
// Errors: none. Thread rule: the validator's thread. Allocation: none into a record from make_record(), except for
// text.
#pragma once

#include <vector>

#include "acquisition/validator.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/device_snapshot.hpp"

namespace twinkeeper::acquisition {

class SnapshotBuilder {
 public:
  SnapshotBuilder(signals::DeviceIndex device, std::vector<signals::TagIndex> tags);  // the published ones, in order

  [[nodiscard]] signals::DeviceSnapshot make_record() const;
  void build(const Validator& validator, base::Instant now, signals::DeviceSnapshot& out) const;

 private:
  signals::DeviceIndex device_;
  std::vector<signals::TagIndex> tags_;
};

}  // namespace twinkeeper::acquisition
