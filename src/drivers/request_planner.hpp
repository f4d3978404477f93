// The registers of one device → the fewest sensible read requests, one list per poll interval.
//
// Registers of one kind and one interval are sorted by address and joined greedily: the next one is taken in if the gap
// before it is at most `optimization_max_register_fill` registers or 16 times as many bits (max_insert), or zero
// (none), and the request stays within min(protocol limit, workaround limit, what the device is known to take). A value
// of several words is never split; overlapping registers share words. `one_request_per_field` switches all joining off.
// Edge rules: a register wider than a limit gets a request of its own width. The order of intervals is ascending; of
// requests coil, discrete, input, holding, then by address.
// Thread rule: free functions. Allocation: at start, and when a device refuses something.
// Source: Telegraf's inputs.modbus, `optimization` and `workarounds`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <utility>
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
  std::vector<std::size_t> registers;  // positions in DeviceSettings::registers
  std::vector<PlannedRequest> requests;
};

// What a device is known to refuse, beside what its configuration says.
struct DeviceLimits {
  int max_words = 125;                                    // per request
  int max_bits = 2000;                                    // per request
  std::set<std::pair<RegisterKind, std::uint16_t>> cuts;  // no request reaches from below such an address to it
  std::set<std::size_t> refused;                          // registers whose words no gap may take in
};

[[nodiscard]] std::vector<PollGroup> plan_requests(const DeviceSettings& device);
[[nodiscard]] std::vector<PlannedRequest> plan_requests(const DeviceSettings& device,
                                                        std::vector<std::size_t> registers, const DeviceLimits& limits);

// A request whose fields all lie on the same words can't be made smaller.
[[nodiscard]] bool divisible(const DeviceSettings& device, const PlannedRequest& request) noexcept;
// Two requests for the fields of a divisible one: parted at the gap nearest to the middle, without a gap between two
// fields, and through overlapping ones only if there is no other way.
[[nodiscard]] std::pair<PlannedRequest, PlannedRequest> halves(const DeviceSettings& device,
                                                               const PlannedRequest& request);

}  // namespace twinkeeper::drivers
