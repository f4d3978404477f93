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

std::size_t request_limit(const DeviceSettings& device, RegisterKind kind) noexcept {
  const int protocol = is_bit_kind(kind) ? kMaxBitsPerRequest : kMaxWordsPerRequest;
  const int wanted = is_bit_kind(kind) ? device.workarounds.max_bit_registers_per_request
                                       : device.workarounds.max_word_registers_per_request;
  return static_cast<std::size_t>(std::clamp(wanted, 1, protocol));
}

PlannedRequest request_for(const RegisterSettings& settings, std::size_t reg) {
  return {settings.kind, settings.address, static_cast<std::uint16_t>(width(settings)), {{reg, 0}}};
}

std::vector<PlannedRequest> join(const DeviceSettings& device, std::vector<std::size_t> regs, std::size_t fill) {
  const auto& settings = device.registers;
  std::sort(regs.begin(), regs.end(), [&](std::size_t a, std::size_t b) {
    return std::tuple{settings[a].kind, settings[a].address, a} < std::tuple{settings[b].kind, settings[b].address, b};
  });
  std::vector<PlannedRequest> requests;
  for (const std::size_t reg : regs) {
    const RegisterSettings& next = settings[reg];
    if (!requests.empty() && !device.workarounds.one_request_per_field && requests.back().kind == next.kind) {
      PlannedRequest& last = requests.back();
      const std::size_t offset = std::size_t{next.address} - last.address;
      const std::size_t count = std::max<std::size_t>(last.count, offset + width(next));
      const bool near = offset <= last.count + fill;
      // A register wholly inside costs nothing, also where one wide register alone exceeds a workaround limit.
      if (near && (count <= request_limit(device, next.kind) || count == last.count)) {
        last.count = static_cast<std::uint16_t>(count);
        last.fields.push_back({reg, offset});
        continue;
      }
    }
    requests.push_back(request_for(next, reg));
  }
  return requests;
}

}  // namespace

std::vector<PollGroup> plan_requests(const DeviceSettings& device) {
  std::map<base::Duration, std::vector<std::size_t>> by_interval;
  for (std::size_t reg = 0; reg < device.registers.size(); ++reg) {
    const base::Duration own = device.registers[reg].poll_interval;
    by_interval[own > base::Duration::zero() ? own : device.poll_interval].push_back(reg);
  }
  const std::size_t fill = device.optimization == Optimization::max_insert
                               ? static_cast<std::size_t>(std::max(0, device.optimization_max_register_fill))
                               : 0;
  std::vector<PollGroup> groups;
  for (auto& [interval, regs] : by_interval) groups.push_back({interval, join(device, std::move(regs), fill)});
  return groups;
}

std::vector<PlannedRequest> split_request(const DeviceSettings& device, const PlannedRequest& request) {
  std::vector<std::size_t> regs;
  for (const PlannedField& field : request.fields) regs.push_back(field.reg);
  std::vector<PlannedRequest> pieces = join(device, regs, 0);
  if (pieces.size() > 1) return pieces;
  pieces.clear();
  for (const std::size_t reg : regs) pieces.push_back(request_for(device.registers[reg], reg));
  return pieces;
}

}  // namespace twinkeeper::drivers
