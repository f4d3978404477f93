// The registers of one device → the fewest sensible read requests, one list per poll interval.
//
// Registers of one kind and one interval are sorted by address and joined greedily: the next one is taken in if the gap
// before it is at most `optimization_max_register_fill` (max_insert) or zero (none) and the request stays within
// min(protocol limit, workaround limit). A value of several words is never split; overlapping registers share words.
// `one_request_per_field` switches all joining off.
// Edge rules: a register wider than a workaround limit gets a request of its own width. The order of intervals is
// ascending; of requests coil, discrete, input, holding, then by address.
// Thread rule: free functions. Allocation: at start only.
// Source: Telegraf's inputs.modbus, `optimization` and `workarounds`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "drivers/settings.hpp"

namespace twinkeeper::drivers {

struct PlannedField {
  std::size_t reg = 0;     // position in DeviceSettings::registers
  std::size_t offset = 0;  // words (or bits) from the start of the request
};

struct PlannedRequest {
  RegisterKind kind = RegisterKind::holding;
  std::uint16_t address = 0;
  std::uint16_t count = 0;  // words, or bits of coils and discrete inputs
  std::vector<PlannedField> fields;
};

struct PollGroup {
  base::Duration interval{};
  std::vector<PlannedRequest> requests;
};

[[nodiscard]] std::vector<PollGroup> plan_requests(const DeviceSettings& device);

// Smaller requests for the same fields, after the device refused the address range of `request`: without the registers
// that nobody asked for, or, if there are none, one per field. A request that can't be made smaller comes back alone.
[[nodiscard]] std::vector<PlannedRequest> split_request(const DeviceSettings& device, const PlannedRequest& request);

}  // namespace twinkeeper::drivers
