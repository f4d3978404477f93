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
                                    bit ? ValueType::BIT : static_cast<ValueType>(random() % 13));
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

// Fewest requests for the given fields of one kind, sorted by address, by trying every way to cut the list: f(i) = 1 +
// min f(j) over all j for which fields i … j−1 may share a request.
std::size_t fewest(const DeviceSettings& device, const std::vector<RegisterSettings>& sorted, std::size_t cap) {
  const bool bits = is_bit_kind(sorted.front().kind);
  const std::size_t fill = device.optimization == Optimization::none
                               ? 0
                               : (bits ? 16U : 1U) * static_cast<std::size_t>(device.optimization_max_register_fill);
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

TEST_CASE("A request is halved at a gap if it has one, at a boundary if it has one, and not at all on one word") {
  const auto words = [](std::vector<std::pair<int, ValueType>> list) {
    std::vector<RegisterSettings> registers;
    for (const auto& [address, type] : list) registers.push_back(reg(RegisterKind::holding, address, type));
    return device_with(std::move(registers));
  };
  const auto halved = [](const DeviceSettings& device) {
    const auto requests = plan_requests(device)[0].requests;
    REQUIRE(requests.size() == 1);
    REQUIRE(divisible(device, requests[0]));
    return halves(device, requests[0]);
  };
  {
    const auto [first, second] =
        halved(words({{0, ValueType::INT16}, {1, ValueType::INT16}, {2, ValueType::INT16}, {9, ValueType::INT16}}));
    CHECK(first.count == 3);
    CHECK(second.address == 9);
    CHECK(second.count == 1);
  }
  {
    const auto [first, second] =
        halved(words({{0, ValueType::UINT32}, {1, ValueType::UINT16}, {2, ValueType::UINT16}}));
    CHECK(first.count == 2);
    CHECK(first.fields.size() == 2);
    CHECK(second.address == 2);
  }
  DeviceSettings bits = words({{4, ValueType::BIT}, {4, ValueType::BIT}});
  CHECK_FALSE(divisible(bits, plan_requests(bits)[0].requests[0]));
}

// Every way of putting up to four registers of one, two or four words on ten addresses, under every small limit and
// fill.
TEST_CASE("Small maps are planned as brute force finds, exhaustively") {
  struct Place {
    int address;
    ValueType type;
  };
  std::vector<Place> places;
  for (int address = 0; address < 10; ++address) {
    for (const ValueType type : {ValueType::UINT16, ValueType::UINT32, ValueType::UINT64}) {
      places.push_back({address, type});
    }
  }
  std::size_t maps = 0;
  const auto check = [&](const std::vector<std::size_t>& chosen) {
    DeviceSettings device = device_with({});
    for (const std::size_t c : chosen) {
      device.registers.push_back(reg(RegisterKind::holding, places[c].address, places[c].type));
    }
    for (const int limit : {1, 3, 4, 7, 10}) {
      for (const int fill : {0, 1, 3}) {
        device.workarounds.max_word_registers_per_request = limit;
        device.optimization_max_register_fill = fill;
        const auto requests = plan_requests(device)[0].requests;
        std::set<std::size_t> seen;
        bool right = requests.size() == fewest(device, device.registers, static_cast<std::size_t>(limit));
        for (const PlannedRequest& request : requests) {
          std::size_t widest = 0;
          for (const PlannedField& field : request.fields) {
            const RegisterSettings& settings = device.registers[field.reg];
            right = right && seen.insert(field.reg).second && request.address + field.offset == settings.address &&
                    field.offset + width(settings) <= request.count;
            widest = std::max(widest, width(settings));
          }
          right = right && request.count <= std::max<std::size_t>(static_cast<std::size_t>(limit), widest);
        }
        if (!right || seen.size() != chosen.size()) FAIL("limit " << limit << " fill " << fill << " map " << maps);
        ++maps;
      }
    }
  };
  for (std::size_t a = 0; a < places.size(); ++a) {
    check({a});
    for (std::size_t b = a; b < places.size(); ++b) {
      check({a, b});
      for (std::size_t c = b; c < places.size(); c += 2) {
        check({a, b, c});
        if (c + 5 < places.size()) check({a, b, c, c + 5});
      }
    }
  }
  CHECK(maps > 60'000);
}

// One register at `start` and one that ends `length` on: read together exactly if the protocol carries that many.
TEST_CASE("Around the limits of the protocol two registers share a request exactly if it carries both") {
  for (const bool bits : {false, true}) {
    const int most = bits ? 2000 : 125;
    for (const int start : {0, 1, 7, 8, 124, 125, 126, 1999, 2000, 65535 - most, 65535 - most + 1}) {
      for (int length = most - 9; length <= most + 9; ++length) {
        const int last = start + length - 1;
        if (last > 65535) continue;
        DeviceSettings device = bits ? device_with({reg(RegisterKind::coil, start, ValueType::BIT),
                                                    reg(RegisterKind::coil, last, ValueType::BIT)})
                                     : device_with({reg(RegisterKind::input, start, ValueType::INT16),
                                                    reg(RegisterKind::input, last, ValueType::INT16)});
        device.optimization_max_register_fill = 125;
        const auto requests = plan_requests(device)[0].requests;
        INFO("start " << start << " length " << length);
        REQUIRE(requests.size() == (length <= most ? 1U : 2U));
        REQUIRE(requests[0].address == start);
        REQUIRE(requests[0].count == (length <= most ? length : 1));
      }
    }
  }
}
