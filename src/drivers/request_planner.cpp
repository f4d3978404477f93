#include "drivers/request_planner.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "drivers/decoder.hpp"
#include "drivers/pdu.hpp"

namespace twinkeeper::drivers {
namespace {

std::size_t width(const RegisterSettings& settings) noexcept {
  return is_bit_kind(settings.kind) ? 1 : word_count(settings);
}

struct Extent {
  std::size_t begin = 0;  // words or bits
  std::size_t end = 0;
  friend bool operator==(const Extent&, const Extent&) = default;
};

Extent extent(const RegisterSettings& settings) noexcept {
  return {settings.address, settings.address + width(settings)};
}

PlannedRequest request_for(const RegisterSettings& settings, std::size_t reg) {
  return {settings.kind, settings.address, static_cast<std::uint16_t>(width(settings)), {{reg, 0}}};
}

class Joiner {
 public:
  Joiner(const DeviceSettings& device, const DeviceLimits& limits) : device_(device), limits_(limits) {}

  // Whether `next`, whose address is not below that of the request, may be read along with it.
  [[nodiscard]] bool joins(const PlannedRequest& request, const RegisterSettings& next) const {
    if (device_.workarounds.one_request_per_field || request.kind != next.kind) return false;
    const std::size_t begin = request.address;
    const std::size_t end = begin + request.count;
    const Extent taken = extent(next);
    if (taken.begin > end + fill(next.kind)) return false;
    const auto cut = limits_.cuts.upper_bound({request.kind, request.address});
    if (cut != limits_.cuts.end() && cut->first == request.kind && cut->second <= taken.begin) return false;
    if (taken.begin > end && refused_between(request.kind, end, taken.begin)) return false;
    // A register wholly inside costs nothing, also where one wide register alone exceeds a limit.
    return taken.end <= end || taken.end - begin <= limit(next.kind);
  }

 private:
  [[nodiscard]] std::size_t fill(RegisterKind kind) const noexcept {
    if (device_.optimization != Optimization::max_insert) return 0;
    const auto words = static_cast<std::size_t>(std::max(0, device_.optimization_max_register_fill));
    return is_bit_kind(kind) ? 16 * words : words;
  }
  [[nodiscard]] std::size_t limit(RegisterKind kind) const noexcept {
    const Workarounds& wanted = device_.workarounds;
    return static_cast<std::size_t>(
        is_bit_kind(kind)
            ? std::clamp(std::min(wanted.max_bit_registers_per_request, limits_.max_bits), 1, kMaxBitsPerRequest)
            : std::clamp(std::min(wanted.max_word_registers_per_request, limits_.max_words), 1, kMaxWordsPerRequest));
  }
  [[nodiscard]] bool refused_between(RegisterKind kind, std::size_t begin, std::size_t end) const {
    return std::any_of(limits_.refused.begin(), limits_.refused.end(), [&](std::size_t reg) {
      const RegisterSettings& settings = device_.registers[reg];
      const Extent taken = extent(settings);
      return settings.kind == kind && taken.begin < end && taken.end > begin;
    });
  }

  const DeviceSettings& device_;
  const DeviceLimits& limits_;
};

// The fields from..to of `request` as a request of their own.
PlannedRequest part_of(const DeviceSettings& device, const PlannedRequest& request, std::size_t from, std::size_t to) {
  PlannedRequest part{request.kind, device.registers[request.fields[from].reg].address, 0, {}};
  for (std::size_t i = from; i < to; ++i) {
    const RegisterSettings& settings = device.registers[request.fields[i].reg];
    const std::size_t offset = std::size_t{settings.address} - part.address;
    part.count = std::max(part.count, static_cast<std::uint16_t>(offset + width(settings)));
    part.fields.push_back({request.fields[i].reg, offset});
  }
  return part;
}

}  // namespace

std::vector<PollGroup> plan_requests(const DeviceSettings& device) {
  std::map<base::Duration, std::vector<std::size_t>> by_interval;
  for (std::size_t reg = 0; reg < device.registers.size(); ++reg) {
    const base::Duration own = device.registers[reg].poll_interval;
    by_interval[own > base::Duration::zero() ? own : device.poll_interval].push_back(reg);
  }
  std::vector<PollGroup> groups;
  for (auto& [interval, regs] : by_interval) {
    groups.push_back({interval, regs, plan_requests(device, regs, DeviceLimits{})});
  }
  return groups;
}

std::vector<PlannedRequest> plan_requests(const DeviceSettings& device, std::vector<std::size_t> registers,
                                          const DeviceLimits& limits) {
  const auto& settings = device.registers;
  std::sort(registers.begin(), registers.end(), [&](std::size_t a, std::size_t b) {
    return std::tuple{settings[a].kind, settings[a].address, a} < std::tuple{settings[b].kind, settings[b].address, b};
  });
  const Joiner joiner(device, limits);
  std::vector<PlannedRequest> requests;
  for (const std::size_t reg : registers) {
    const RegisterSettings& next = settings[reg];
    if (requests.empty() || !joiner.joins(requests.back(), next)) {
      requests.push_back(request_for(next, reg));
      continue;
    }
    PlannedRequest& last = requests.back();
    const std::size_t offset = std::size_t{next.address} - last.address;
    last.count = static_cast<std::uint16_t>(std::max<std::size_t>(last.count, offset + width(next)));
    last.fields.push_back({reg, offset});
  }
  return requests;
}

bool divisible(const DeviceSettings& device, const PlannedRequest& request) noexcept {
  return std::any_of(request.fields.begin(), request.fields.end(), [&](const PlannedField& field) {
    return extent(device.registers[field.reg]) != extent(device.registers[request.fields.front().reg]);
  });
}

std::pair<PlannedRequest, PlannedRequest> halves(const DeviceSettings& device, const PlannedRequest& request) {
  const std::size_t count = request.fields.size();
  std::size_t best = count / 2;
  std::tuple<int, std::size_t> least{3, 0};  // gap, boundary, overlap; distance from the middle
  std::size_t end = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Extent taken = extent(device.registers[request.fields[i].reg]);
    if (i > 0) {
      const bool apart = extent(device.registers[request.fields[i - 1].reg]) != taken;
      const int kind = taken.begin > end ? 0 : taken.begin == end ? 1 : apart ? 2 : 3;
      const std::size_t twice = 2 * i;
      const std::tuple here{kind, twice > count ? twice - count : count - twice};
      if (kind < 3 && here < least) {
        least = here;
        best = i;
      }
    }
    end = std::max(end, taken.end);
  }
  return {part_of(device, request, 0, best), part_of(device, request, best, count)};
}

}  // namespace twinkeeper::drivers
