#include "acquisition/snapshot_builder.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace twinkeeper::acquisition {

SnapshotBuilder::SnapshotBuilder(signals::DeviceIndex device, std::vector<signals::TagIndex> tags)
    : device_(device), tags_(std::move(tags)) {}

signals::DeviceSnapshot SnapshotBuilder::make_record() const {
  signals::DeviceSnapshot record;
  record.device = device_;
  record.tags.resize(tags_.size());
  return record;
}

void SnapshotBuilder::build(const Validator& validator, base::Instant now, signals::DeviceSnapshot& out) const {
  if (out.tags.size() != tags_.size()) std::abort();
  out.device = device_;
  out.first = out.last = now;
  bool found = false;
  for (std::size_t i = 0; i < tags_.size(); ++i) {
    signals::TagSnapshot& told = out.tags[i];
    told.last = validator.latest(tags_[i]);
    told.last.quality = validator.quality_at(tags_[i], now, told.last.reason);
    if (!validator.has_sample(tags_[i])) {
      told.age = base::Duration{-1};
      continue;
    }
    const base::Instant time = told.last.time;
    told.age = std::max(base::Duration{0}, now - time);
    out.first = found ? std::min(out.first, time) : time;
    out.last = found ? std::max(out.last, time) : time;
    found = true;
  }
}

}  // namespace twinkeeper::acquisition
