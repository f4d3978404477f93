// Samples as a healthy device gives them.
#pragma once

#include "twinkeeper/signals/sample.hpp"

namespace twinkeeper::test {

[[nodiscard]] inline signals::Sample good_sample(signals::TagIndex tag, double value, base::Instant time) {
  signals::Sample sample;
  sample.tag = tag;
  sample.value = value;
  sample.raw.kind = signals::RawKind::float64;
  sample.raw.real = value;
  sample.quality = signals::Quality::good;
  sample.time = time;
  return sample;
}

}  // namespace twinkeeper::test
