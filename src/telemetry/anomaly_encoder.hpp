// One event of an anomaly as an `anomaly` message (twinkeeper.anomaly/1) of at most 5 KB with its envelope.
//
// What does not fit is left out in this order: points of the trend (evenly, first and last stay), sources of tags, tags
// beyond the first ones, hypotheses and other lists beyond the first ones, the ends of long texts. Whatever was left
// out is counted in `omitted`, which is absent otherwise. Errors: none. Thread rule: one thread. Allocation: freely;
// anomalies are rare.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "telemetry/description.hpp"
#include "telemetry/number.hpp"
#include "twinkeeper/diagnosis/anomaly.hpp"
#include "twinkeeper/signals/message.hpp"

namespace twinkeeper::telemetry {

// 5 KB less the longest envelope that names, 64-bit numbers and a boot id can make.
inline constexpr std::size_t kMaxAnomalyBytes = 5120;
inline constexpr std::size_t kMaxEnvelopeBytes = 720;

struct AnomalyContext {
  std::function<const TagSource*(std::string_view tag)> source;  // nullptr: a tag that is no register
  ToWall to_wall;
  std::optional<ModelIdentity> model;  // of the twin; absent for devices and the gateway
  int digits = kDefaultDigits;
};

void encode_anomaly(const diagnosis::AnomalyEvent& event, const AnomalyContext& context, signals::Message& out);

}  // namespace twinkeeper::telemetry
