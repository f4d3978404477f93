// A Frame: everything one twin uses in one fixed step, on its own grid t_k = t_0 + k·period.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/quality.hpp"

namespace twinkeeper::signals {

struct FrameValue {
  double value = std::numeric_limits<double>::quiet_NaN();  // last known value in engineering units, NaN if none yet
  Quality quality = Quality::bad;
  Reason reason = Reason::stale;
  base::Duration age{-1};  // t_k minus the sample's time, negative if there has been no sample at all
  bool fresh = false;      // a sample of this very tick (nearest to t_k); outputs are fused only when fresh and not bad
  std::uint32_t samples = 1;  // of an output: values of this tick that `value` is the mean of
  bool stand_in = false;   // of an input: no good value within max_age, `value` is what on_stale puts in its place
};

struct Frame {
  std::int64_t step = 0;
  base::Instant time;              // t_k
  std::vector<FrameValue> inputs;   // model's order; inputs hold their last value (zero-order hold)
  std::vector<FrameValue> outputs;  // model's order
};

}  // namespace twinkeeper::signals
