// What the poller learns of a device that refuses some requests, and what that costs: nothing but the registers at
// fault.
#include "drivers/learned_plan.hpp"

#include <map>
#include <random>
#include <set>

#include "poller_bench.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::drivers;
using namespace std::chrono_literals;
using test::Bench;
using test::device;

namespace {

constexpr std::uint8_t kIllegalAddress = 2;
constexpr std::uint8_t kIllegalValue = 3;

std::vector<RegisterSettings> words(std::size_t count, std::uint16_t first = 0, std::uint16_t step = 1) {
  std::vector<RegisterSettings> registers;
  for (std::size_t i = 0; i < count; ++i) {
    registers.push_back(test::word(static_cast<signals::TagIndex>(i), static_cast<std::uint16_t>(first + i * step)));
  }
  return registers;
}

bool covers(const ReadRequest& request, int address) {
  return request.address <= address && address < request.address + request.count;
}

// One sample of every register, good exactly for those that `good` says, with the right value.
void check_samples(std::vector<signals::Sample> samples, std::size_t count,
                   const std::function<bool(signals::TagIndex)>& good, std::uint16_t first = 0,
                   std::uint16_t step = 1) {
  REQUIRE(samples.size() == count);
  std::set<signals::TagIndex> seen;
  for (const auto& sample : samples) {
    REQUIRE(seen.insert(sample.tag).second);
    if (good(sample.tag)) {
      REQUIRE(sample.quality == signals::Quality::good);
      REQUIRE(sample.value == 100.0 + first + sample.tag * step);
    } else {
      REQUIRE(sample.quality == signals::Quality::bad);
      REQUIRE(sample.reason == signals::Reason::exception);
    }
  }
}

}  // namespace

TEST_CASE("One bad register among a hundred costs the other 99 not one cycle") {
  for (const int bad : {0, 1, 49, 50, 98, 99}) {
    Bench bench({device(words(100))});
    bench.transport->refuse = [bad](const ReadRequest& request) {
      return covers(request, bad) ? kIllegalAddress : std::uint8_t{0};
    };
    const auto good = [bad](signals::TagIndex tag) { return tag != static_cast<signals::TagIndex>(bad); };
    bench.turn();
    CHECK(bench.transport->requests.size() <= 1 + 2 * 7);
    check_samples(bench.samples.take(), 100, good);
    bench.turn();
    check_samples(bench.samples.take(), 100, good);
    bench.transport->requests.clear();
    // From then on two requests (one at an end of the map) and, only from time to time, one for the bad register.
    for (int i = 0; i < 50; ++i) {
      bench.turn();
      check_samples(bench.samples.take(), 100, good);
    }
    CHECK(bench.transport->requests.size() == (bad == 0 || bad == 99 ? 50U : 100U));
    CHECK(bench.poller.statistics(0).state == DeviceState::degraded);
    CHECK(bench.poller.statistics(0).refused_registers == 1);
    CHECK(bench.poller.statistics(0).suggested_configuration.get() ==
          "# refused:  (holding " + std::to_string(bad) + ": illegal data address)");
    CHECK(bench.events.codes() == std::vector<std::string>{"degraded", "plan_learned"});
  }
}

TEST_CASE("A refused register is asked again ever more rarely and joins the others when it is read") {
  Bench bench({device(words(10))});
  bool refuses = true;
  bench.transport->refuse = [&](const ReadRequest& request) {
    return refuses && covers(request, 4) ? kIllegalAddress : std::uint8_t{0};
  };
  bench.turn();
  bench.transport->requests.clear();
  std::vector<base::Duration> asked;
  while (bench.clock.now() < bench.origin + 3h) {
    bench.turn();
    for (const ReadRequest& request : bench.transport->requests) {
      if (covers(request, 4)) asked.push_back(bench.clock.now() - bench.origin);
    }
    bench.transport->requests.clear();
    bench.samples.take();
  }
  REQUIRE(asked.size() == 11);  // in the next cycle, after 10, 30, 70, … 5110 s, then every hour
  CHECK(asked[0] < 1s);
  CHECK(asked[1] >= 10s);
  CHECK(asked[1] < 11s);
  CHECK(asked[10] - asked[9] >= 1h);
  CHECK(asked[10] - asked[9] < 1h + 1s);
  refuses = false;
  while (bench.poller.statistics(0).refused_registers != 0) bench.turn();
  bench.samples.take();
  bench.transport->requests.clear();
  bench.turn();
  check_samples(bench.samples.take(), 10, [](signals::TagIndex) { return true; });
  CHECK(bench.transport->requests.size() == 1);
  CHECK(bench.poller.statistics(0).suggested_configuration.get().empty());
}

TEST_CASE("A register that is refused and not asked is no sign of life of a device that is silent") {
  Bench bench({device(words(10))});
  bench.transport->refuse = [](const ReadRequest& request) {
    return covers(request, 9) ? kIllegalAddress : std::uint8_t{0};
  };
  for (int i = 0; i < 3; ++i) bench.turn();
  REQUIRE(bench.poller.statistics(0).state == DeviceState::degraded);
  bench.transport->silent = [](const ReadRequest&) { return true; };
  bench.samples.take();
  for (int i = 0; i < 100; ++i) {
    bench.turn();
    CHECK(bench.poller.statistics(0).state == DeviceState::down);
    for (const signals::Sample& sample : bench.samples.take()) CHECK(sample.reason == signals::Reason::timeout);
  }
  CHECK(bench.events.codes() == std::vector<std::string>{"degraded", "plan_learned", "connection_lost"});
}

TEST_CASE("A new connection asks at once for what was refused before") {
  Bench bench({device(words(10))});
  bool refuses = true;
  bench.transport->refuse = [&](const ReadRequest&) { return refuses ? kIllegalAddress : std::uint8_t{0}; };
  for (int i = 0; i < 3; ++i) {
    bench.turn();
    check_samples(bench.samples.take(), 10, [](signals::TagIndex) { return false; });
  }
  refuses = false;
  bench.transport->close();
  bench.turn();
  bench.samples.take();
  bench.turn();
  check_samples(bench.samples.take(), 10, [](signals::TagIndex) { return true; });
}

TEST_CASE("A gap that the device refuses is read over no more, other gaps are") {
  // 0, 10, 20, … 90; address 43 doesn't exist.
  Bench bench({device(words(10, 0, 10))});
  bench.transport->refuse = [](const ReadRequest& request) {
    return covers(request, 43) ? kIllegalAddress : std::uint8_t{0};
  };
  const auto all = [](signals::TagIndex) { return true; };
  bench.turn();
  check_samples(bench.samples.take(), 10, all, 0, 10);
  bench.turn();
  check_samples(bench.samples.take(), 10, all, 0, 10);
  bench.transport->requests.clear();
  bench.turn();
  check_samples(bench.samples.take(), 10, all, 0, 10);
  REQUIRE(bench.transport->requests.size() == 2);
  CHECK(bench.transport->requests[1].address == 50);
  CHECK(bench.poller.statistics(0).suggested_configuration.get() == "{optimization_max_register_fill: 8}");
  CHECK(bench.poller.statistics(0).state == DeviceState::up);
}

TEST_CASE("A device that takes fewer words per request than the protocol allows is asked for fewer") {
  Bench bench({device(words(120))});
  bench.transport->refuse = [](const ReadRequest& request) {
    return request.count > 32 ? kIllegalValue : std::uint8_t{0};
  };
  const auto all = [](signals::TagIndex) { return true; };
  bench.turn();
  check_samples(bench.samples.take(), 120, all);
  bench.transport->requests.clear();
  bench.turn();
  check_samples(bench.samples.take(), 120, all);
  CHECK(bench.transport->requests.size() == 4);
  CHECK(bench.poller.statistics(0).suggested_configuration.get() ==
        "{workarounds: {max_word_registers_per_request: 30}}");
}

TEST_CASE("A function that the device does not have takes only its own registers away, without a search") {
  std::vector<RegisterSettings> registers = words(4);
  for (std::uint16_t i = 0; i < 40; ++i) registers.push_back(test::word(4 + i, i, RegisterKind::input));
  Bench bench({device(registers)});
  bench.transport->refuse = [](const ReadRequest& request) {
    return request.function == 4 ? std::uint8_t{1} : std::uint8_t{0};
  };
  bench.turn();
  CHECK(bench.transport->requests.size() == 2);
  bench.turn();
  CHECK(bench.transport->requests.size() == 4);
  bench.turn();
  CHECK(bench.transport->requests.size() == 5);
  const auto samples = bench.samples.take();
  REQUIRE(samples.size() == 3 * 44);
  for (const auto& sample : samples) CHECK((sample.quality == signals::Quality::good) == (sample.tag < 4));
}

TEST_CASE("A device that refuses everything is searched with bounded effort and comes back whole") {
  Bench bench({device(words(300))});
  bool refuses = true;
  bench.transport->refuse = [&](const ReadRequest&) { return refuses ? kIllegalAddress : std::uint8_t{0}; };
  for (int i = 0; i < 30; ++i) {
    bench.transport->requests.clear();
    bench.turn();
    CHECK(bench.transport->requests.size() <= 4 + 2 * 32);
    check_samples(bench.samples.take(), 300, [](signals::TagIndex) { return false; });
  }
  refuses = false;
  while (bench.clock.now() < bench.origin + 60s) bench.turn();
  bench.samples.take();
  bench.transport->requests.clear();
  bench.turn();
  check_samples(bench.samples.take(), 300, [](signals::TagIndex) { return true; });
  CHECK(bench.transport->requests.size() == 3);
}

// Devices with absent addresses, blocks that no request may cross and limits on its length. The oracle is the device
// itself, asked for each register alone.
TEST_CASE("Whatever a device refuses, every register that it gives alone is read, and in the end without a refusal") {
  std::mt19937 random(2024);
  for (int round = 0; round < 300; ++round) {
    std::vector<RegisterSettings> registers;
    const std::size_t count = 1 + random() % 60;
    const auto spread = static_cast<unsigned>(1 + random() % 300);
    for (std::size_t i = 0; i < count; ++i) {
      const auto kind = static_cast<RegisterKind>(random() % 4);
      RegisterSettings reg =
          test::word(static_cast<signals::TagIndex>(i), static_cast<std::uint16_t>(random() % spread), kind);
      if (!is_bit_kind(kind) && random() % 2 == 0) reg.type = ValueType::UINT32;
      registers.push_back(reg);
    }
    std::set<std::pair<int, int>> absent;  // function, address
    for (auto i = random() % 8; i > 0; --i) {
      absent.emplace(1 + random() % 4, static_cast<int>(random() % spread));
    }
    const int block = random() % 3 == 0 ? 8 << (random() % 4) : 65536;
    const int longest = random() % 3 == 0 ? 4 + static_cast<int>(random() % 100) : 2000;
    const bool honest = random() % 2 == 0;
    const auto refusal = [&](const ReadRequest& request) -> std::uint8_t {
      if (request.count > longest) return honest ? kIllegalValue : kIllegalAddress;
      if (request.address / block != (request.address + request.count - 1) / block) return kIllegalAddress;
      for (int a = request.address; a < request.address + request.count; ++a) {
        if (absent.count({request.function, a}) != 0) return kIllegalAddress;
      }
      return 0;
    };
    Bench bench({device(registers)});
    bench.transport->refuse = refusal;
    const auto given = [&](signals::TagIndex tag) {
      ReadRequest alone;
      alone.function = function_code(registers[tag].kind);
      alone.address = registers[tag].address;
      alone.count = static_cast<std::uint16_t>(is_bit_kind(registers[tag].kind) ? 1 : word_count(registers[tag]));
      return refusal(alone) == 0;
    };
    const auto check_all = [&](bool settled) {
      const auto samples = bench.samples.take();
      REQUIRE(samples.size() == count);
      std::set<signals::TagIndex> seen;
      for (const auto& sample : samples) {
        INFO("round " << round << " tag " << sample.tag);
        REQUIRE(seen.insert(sample.tag).second);
        if (sample.quality == signals::Quality::good) {
          REQUIRE(given(sample.tag));
        } else if (settled) {
          REQUIRE_FALSE(given(sample.tag));
        }
      }
    };
    for (int i = 0; i < 60; ++i) {
      bench.turn();
      check_all(i >= 20);
    }
    const auto before = bench.poller.statistics(0).exceptions_total.load();
    for (int i = 0; i < 20; ++i) {
      bench.turn();
      check_all(true);
    }
    REQUIRE(bench.poller.statistics(0).exceptions_total == before);
  }
}
