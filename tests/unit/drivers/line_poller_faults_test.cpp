// LINE instruments that do everything wrong, seeded: no wrong value is ever given as good.
#include <array>
#include <cstdio>
#include <map>
#include <random>

#include "line_poller_bench.hpp"
#include "support/catch.hpp"

namespace {

using namespace twinkeeper;
using namespace twinkeeper::test;
using drivers::LineChecksum;
using signals::Quality;

// The weight that the instrument shows in answer to request n: no two of them are equal.
std::string weight_of(std::size_t request) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3f", 0.001 * static_cast<double>(request));
  return text.data();
}

class FaultyScale : RandomNoise {
 public:
  FaultyScale(LineBench& bench, std::uint64_t seed) : RandomNoise(seed), bench_(bench) {
    bench_.instrument->answer = [this] { answer(); };
  }
  std::map<std::string, int> faults;

 private:
  void answer() {
    const std::string line = bench_.line("S S   " + weight_of(bench_.instrument->sent.size()) + " kg");
    base::Duration delay = 1ms * (1 + any(150));
    switch (any(10)) {
      case 0:
        ++faults["late"];
        delay = 200ms + 1ms * any(590);  // up to three time-outs more than allowed
        bench_.instrument->arrive(line, delay);
        break;
      case 1: {
        ++faults["spoilt"];
        std::string spoilt = line;
        const std::size_t at = any(spoilt.size());
        spoilt[at] = static_cast<char>(spoilt[at] ^ (1 + any(255)));
        bench_.instrument->arrive(spoilt, delay);
        break;
      }
      case 2:
        ++faults["truncated"];
        bench_.instrument->arrive(line.substr(0, any(line.size())), delay);
        break;
      case 3:
        ++faults["garbage before"];
        bench_.instrument->arrive(garbage(30), 1ms, 100us);
        bench_.instrument->arrive(line, delay + 5ms);
        break;
      case 4:
        ++faults["garbage line and late"];
        bench_.instrument->arrive(garbage(20) + "\r\n", 1ms, 100us);
        bench_.instrument->arrive(line, 200ms + 1ms * any(590));
        break;
      case 5:
        ++faults["over-long"];
        bench_.instrument->arrive(std::string(30 + any(100), '7') + line, delay, 100us);
        break;
      case 6:
        ++faults["wrong checksum"];
        bench_.instrument->arrive("S S   99.999 kg" + garbage(4) + "\r\n", delay);
        break;
      case 7: ++faults["silent"]; break;
      case 8:
        ++faults["dripping"];
        bench_.instrument->arrive(line, delay, 1ms * (1 + any(40)));
        break;
      default: ++faults["none"]; bench_.instrument->arrive(line, delay);
    }
  }

  LineBench& bench_;
};

}  // namespace

TEST_CASE("of a hundred thousand faulty exchanges with a checksum none gives a wrong value") {
  // Over a line, and over TCP to a device server that sends on what comes late.
  constexpr std::size_t kExchanges = 25'000;
  std::size_t exchanges = 0;
  std::size_t good = 0;
  std::size_t wrong = 0;
  for (const bool tcp : {false, true}) {
    for (const std::uint64_t seed : {1, 2}) {
      auto settings = scale_settings();
      settings.instrument.checksum = LineChecksum::crc16;
      settings.poll_interval = 250ms;
      LineBench bench(settings, tcp);
      FaultyScale scale(bench, seed);
      while (bench.instrument->sent.size() < kExchanges) {
        bench.run_for(10s);
        for (const auto& sample : bench.samples.take()) {
          if (sample.quality != Quality::good) continue;
          ++good;
          const auto n = static_cast<std::size_t>(sample.value * 1000 + 0.5);
          const bool known = n >= 1 && n <= bench.instrument->sent.size();
          const auto asked = known ? bench.instrument->sent[n - 1].first : base::Instant{};
          // The value that was asked for, with a time between its request and the time-out.
          if (!known || sample.time < asked || sample.time > asked + 100ms) ++wrong;
        }
        bench.events.events.clear();
      }
      exchanges += bench.instrument->sent.size();
      CHECK(scale.faults.size() == 10);
    }
  }
  CHECK(exchanges >= 100'000);
  CHECK(good > 10'000);
  CHECK(wrong == 0);
}

TEST_CASE("garbage from a free running instrument with a checksum gives no wrong value") {
  auto settings = scale_settings("");
  settings.instrument.checksum = LineChecksum::crc16;
  LineBench bench(settings);
  bench.run_for(5ms);
  std::mt19937_64 random(3);
  std::size_t said = 0;
  std::size_t good = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes;
    if (random() % 3 == 0) {
      for (std::size_t n = random() % 20; n > 0; --n) bytes += static_cast<char>(random());
    }
    std::string line = bench.line("S S   " + weight_of(++said) + " kg");
    if (random() % 3 == 0) line.erase(random() % line.size(), 1 + random() % 3);
    if (random() % 5 == 0) line[random() % line.size()] ^= static_cast<char>(1 + random() % 255);
    bench.instrument->arrive(bytes + line, 1ms, 100us);
    bench.run_for(40ms);
    for (const auto& sample : bench.samples.take()) {
      if (sample.quality != Quality::good) continue;
      ++good;
      CHECK(static_cast<std::size_t>(sample.value * 1000 + 0.5) == said);
    }
  }
  CHECK(good > 5000);
}
