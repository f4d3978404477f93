#include "drivers/request_planner.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <tuple>

#include "drivers/decoder.hpp"
#include "drivers/pdu.hpp"
#include "support/catch.hpp"

using namespace twinkeeper::drivers;
using namespace std::chrono_literals;

namespace {

RegisterSettings reg(RegisterKind kind, int address, ValueType type) {
  RegisterSettings settings;
  settings.kind = kind;
  settings.address = static_cast<std::uint16_t>(address);
  settings.type = type;
  return settings;
}

DeviceSettings device_with(std::vector<RegisterSettings> registers) {
  DeviceSettings device;
  device.poll_interval = 100ms;
  device.registers = std::move(registers);
  return device;
}

std::size_t width(const RegisterSettings& settings) { return is_bit_kind(settings.kind) ? 1 : word_count(settings); }

DeviceSettings random_device(std::mt19937& random) {
  DeviceSettings device = device_with({});
  const std::size_t count = 1 + random() % 40;
  const int spread = 1 + static_cast<int>(random() % 600);
  for (std::size_t i = 0; i < count; ++i) {
    const auto kind = static_cast<RegisterKind>(random() % 4);
    const bool bit = is_bit_kind(kind);
    RegisterSettings settings = reg(kind, static_cast<int>(random() % static_cast<unsigned>(spread)),
                                    bit ? ValueType::BIT : static_cast<ValueType>(random() % 11));
    if (settings.type == ValueType::STRING) settings.length = 1 + static_cast<int>(random() % 40);
    if (random() % 4 == 0) settings.poll_interval = 1s;
    device.registers.push_back(settings);
  }
  device.optimization = random() % 4 == 0 ? Optimization::none : Optimization::max_insert;
  device.optimization_max_register_fill = static_cast<int>(random() % 60);
  device.workarounds.max_word_registers_per_request = 4 + static_cast<int>(random() % 122);
  device.workarounds.max_bit_registers_per_request = 1 + static_cast<int>(random() % 2000);
  device.workarounds.one_request_per_field = random() % 8 == 0;
  return device;
}

// Fewest requests for the given fields, sorted by address, by trying every way to cut the list: f(i) = 1 + min f(j)
// over all j for which fields i … j−1 may share a request.
std::size_t fewest(const DeviceSettings& device, const std::vector<RegisterSettings>& sorted, std::size_t cap) {
  const std::size_t fill =
      device.optimization == Optimization::none ? 0 : static_cast<std::size_t>(device.optimization_max_register_fill);
  std::vector<std::size_t> best(sorted.size() + 1, 0);
  for (std::size_t i = sorted.size(); i-- > 0;) {
    best[i] = sorted.size();
    std::size_t end = sorted[i].address;
    for (std::size_t j = i; j < sorted.size(); ++j) {
      if (j > i && (device.workarounds.one_request_per_field || sorted[j].address > end + fill)) break;
      const std::size_t grown = std::max(end, sorted[j].address + width(sorted[j]));
      if (j > i && grown > end && grown - sorted[i].address > cap) break;
      end = grown;
      best[i] = std::min(best[i], 1 + best[j + 1]);
    }
  }
  return best[0];
}

}  // namespace

TEST_CASE("Every register is read once and whole within the limits in as few requests as brute force finds") {
  std::mt19937 random(99);
  for (int round = 0; round < 2000; ++round) {
    const DeviceSettings device = random_device(random);
    std::multiset<std::size_t> seen;
    std::map<std::pair<std::int64_t, RegisterKind>, std::vector<RegisterSettings>> wanted;
    std::map<std::pair<std::int64_t, RegisterKind>, std::size_t> made;
    for (const auto& settings : device.registers) {
      const auto interval = settings.poll_interval > 0ns ? settings.poll_interval : device.poll_interval;
      wanted[{interval.count(), settings.kind}].push_back(settings);
    }
    for (const PollGroup& group : plan_requests(device)) {
      for (const PlannedRequest& request : group.requests) {
        const bool bits = is_bit_kind(request.kind);
        const auto cap = static_cast<std::size_t>(bits ? device.workarounds.max_bit_registers_per_request
                                                       : device.workarounds.max_word_registers_per_request);
        std::size_t widest = 0;
        for (const PlannedField& field : request.fields) {
          const RegisterSettings& settings = device.registers[field.reg];
          seen.insert(field.reg);
          widest = std::max(widest, width(settings));
          REQUIRE(settings.kind == request.kind);
          REQUIRE((settings.poll_interval > 0ns ? settings.poll_interval : device.poll_interval) == group.interval);
          REQUIRE(request.address + field.offset == settings.address);
          REQUIRE(field.offset + width(settings) <= request.count);
        }
        REQUIRE(request.count <= std::max(cap, widest));
        REQUIRE(request.count <= (bits ? 2000 : 125));
        if (device.workarounds.one_request_per_field) REQUIRE(request.fields.size() == 1);
        ++made[{group.interval.count(), request.kind}];
      }
    }
    REQUIRE(seen.size() == device.registers.size());
    REQUIRE(std::set(seen.begin(), seen.end()).size() == device.registers.size());
    for (auto& [key, registers] : wanted) {
      std::stable_sort(registers.begin(), registers.end(),
                       [](const auto& a, const auto& b) { return a.address < b.address; });
      const auto cap =
          static_cast<std::size_t>(is_bit_kind(key.second) ? device.workarounds.max_bit_registers_per_request
                                                           : device.workarounds.max_word_registers_per_request);
      REQUIRE(made[key] == fewest(device, registers, cap));
    }
  }
}

TEST_CASE("Gaps are read along up to the fill and split requests beyond it") {
  DeviceSettings device =
      device_with({reg(RegisterKind::holding, 0, ValueType::FLOAT32), reg(RegisterKind::holding, 52, ValueType::INT16),
                   reg(RegisterKind::holding, 104, ValueType::INT16)});
  auto groups = plan_requests(device);
  REQUIRE(groups.size() == 1);
  REQUIRE(groups[0].requests.size() == 2);
  CHECK(groups[0].requests[0].count == 53);
  CHECK(groups[0].requests[1].address == 104);
  device.optimization = Optimization::none;
  CHECK(plan_requests(device)[0].requests.size() == 3);
}

TEST_CASE("A range that a device refuses is read without its gaps and then field by field") {
  const DeviceSettings device =
      device_with({reg(RegisterKind::holding, 0, ValueType::INT16), reg(RegisterKind::holding, 1, ValueType::INT16),
                   reg(RegisterKind::holding, 9, ValueType::INT16)});
  const auto groups = plan_requests(device);
  REQUIRE(groups[0].requests.size() == 1);
  const auto pieces = split_request(device, groups[0].requests[0]);
  REQUIRE(pieces.size() == 2);
  CHECK(pieces[0].count == 2);
  CHECK(pieces[1].address == 9);
  const auto fields = split_request(device, pieces[0]);
  REQUIRE(fields.size() == 2);
  CHECK(fields[1].address == 1);
  CHECK(fields[1].fields[0].reg == 1);
  CHECK(split_request(device, fields[1]).size() == 1);
}
