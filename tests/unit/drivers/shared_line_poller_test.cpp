#include "drivers/shared_line_poller.hpp"

#include <algorithm>
#include <map>
#include <random>

#include "shared_line_bench.hpp"
#include "support/catch.hpp"

namespace {

using namespace twinkeeper;
using namespace twinkeeper::test;
using drivers::DeviceError;
using drivers::DeviceState;
using signals::Quality;
using signals::Reason;

}  // namespace

TEST_CASE("instruments on one line are asked one after the other with the pause between any two") {
  auto settings = modules(3, false);
  for (auto& one : settings) one.workarounds.pause_between_requests = 10ms;
  SharedLineBench bench(settings, false);
  bench.wire->answer = [&] { bench.wire->arrive(bench.line(), 20ms); };
  bench.run_for(3s);
  REQUIRE(bench.wire->sent.size() == 9);
  for (std::size_t n = 1; n <= 9; ++n) {
    const auto slot = static_cast<std::int64_t>((n - 1) % 3);
    const auto second = static_cast<std::int64_t>((n - 1) / 3);
    CHECK(bench.asked(n) == static_cast<std::size_t>(slot));
    // 20 ms, eight bytes of which the last is there after seven, and the pause.
    CHECK(bench.wire->sent[n - 1].first == base::Instant{10s + second * 1s + slot * 37ms});
  }
  const auto counts = bench.count();
  CHECK(counts.good == std::vector{3, 3, 3});
  CHECK(counts.bad == std::vector{0, 0, 0});
  CHECK(counts.wrong == 0);
  CHECK(bench.wire->connects == 1);
  CHECK(bench.poller->device_count() == 3);
  CHECK(bench.poller->descriptor() == -1);
  for (std::size_t m = 0; m < 3; ++m) {
    CHECK(bench.state(m) == DeviceState::up);
    CHECK(bench.poller->statistics(m).requests_total == 3);
  }
  CHECK(bench.events.events.empty());
}

TEST_CASE("what an instrument says behind its line is discarded before the next one is asked") {
  SharedLineBench bench(modules(2, true), true);
  bench.wire->answer = [&] { bench.wire->arrive(bench.line() + "\n", 20ms); };
  bench.run_for(3s);
  CHECK(bench.count().good == std::vector{3, 3});
}

TEST_CASE("a line that is too slow for its intervals serves all instruments alike") {
  auto settings = modules(3, true);
  settings[0].poll_interval = 50ms;
  settings[1].poll_interval = settings[2].poll_interval = 100ms;
  SharedLineBench bench(settings, true);
  bench.wire->answer = [&] { bench.wire->arrive(bench.line(), 150ms); };
  bench.run_for(60s);
  const auto requests = bench.requests();
  CHECK(*std::max_element(requests.begin(), requests.end()) - *std::min_element(requests.begin(), requests.end()) <= 1);
  CHECK(requests[0] > 100);
  CHECK(bench.poller->statistics(1).missed_cycles_total > 400);
}

TEST_CASE("the late answer of an instrument is never the value of another with the same pattern") {
  // In the first cycle, when no line of the others is known, and in the second.
  for (const std::size_t first : {1U, 4U}) {
    for (const bool tcp : {false, true}) {
      for (auto late = 201ms; late <= 790ms; late += 7ms) {
        SharedLineBench bench(modules(3, false), false, tcp);
        bench.wire->answer = [&] { bench.wire->arrive(bench.line(), bench.wire->sent.size() == first ? late : 120ms); };
        bench.run_for(3900ms);
        INFO("late " << late.count() << " ms, " << (tcp ? "TCP" : "line") << ", request " << first);
        const auto counts = bench.count();
        CHECK(counts.wrong == 0);
        // Asked again as soon as nothing late can come any more, not only in the next cycle.
        CHECK(counts.good[1] >= (first == 1 ? 2 : 4));
        CHECK(counts.good[2] >= (first == 1 ? 2 : 3));
        CHECK(counts.good[0] >= (first == 1 ? 2 : 3));
        for (std::size_t m = 0; m < 3; ++m) CHECK(bench.state(m) == DeviceState::up);
      }
    }
  }
}

TEST_CASE("a line that may be another's late answer is listened over, told, and followed by a rest") {
  SharedLineBench bench(modules(2, false), false);
  bench.wire->answer = [&] {
    const std::size_t n = bench.wire->sent.size();
    if (n <= 2) bench.wire->arrive(bench.line(), n == 1 ? 300ms : 150ms);  // the first into the second's exchange
  };
  bench.run_for(500ms);
  REQUIRE(bench.samples.samples.size() == 2);
  CHECK(bench.samples.samples[0].reason == Reason::timeout);
  CHECK(bench.samples.samples[1].reason == Reason::no_match);
  CHECK(bench.state(0) == DeviceState::down);
  CHECK(bench.state(1) == DeviceState::degraded);
  CHECK(bench.poller->statistics(1).last_failure.get() == "a line that may be a late answer of module 01: \">+0.002\"");
  CHECK(bench.poller->statistics(1).failures(DeviceError::mismatch) == 1);
  // The second answered in 150 ms, but so might the first have: it is left alone as long as its own answer may come.
  bench.run_for(490ms);
  CHECK(bench.wire->sent.size() == 2);
  bench.run_for(1s);
  CHECK(bench.wire->sent[2].first >= base::Instant{11s});
}

TEST_CASE("an answer that comes late through a device server that dropped the connection is nobody's value") {
  for (auto late = 201ms; late <= 790ms; late += 7ms) {
    SharedLineBench bench(modules(3, false), false, true);
    bench.wire->answer = [&] {
      const bool dropped = bench.wire->sent.size() == 4;
      if (dropped) bench.wire->there = false;
      bench.wire->arrive(bench.line(), dropped ? late : 120ms);
    };
    bench.run_for(1100ms);
    REQUIRE_FALSE(bench.wire->there);
    bench.wire->there = true;
    bench.run_for(3900ms);
    INFO("late " << late.count() << " ms");
    CHECK(bench.poller->statistics(0).failures(DeviceError::closed) == 1);
    CHECK(bench.count().wrong == 0);
    for (std::size_t m = 0; m < 3; ++m) CHECK(bench.state(m) == DeviceState::up);
  }
}

TEST_CASE("an instrument without a value rests and stays degraded, unless the pattern knows what it says") {
  auto settings = modules(2, true);
  for (auto& one : settings) one.poll_interval = 250ms;
  settings[1].instrument.pattern = "^>02((?P<value>[+-]\\d+\\.\\d{3})|--)$";
  SharedLineBench bench(settings, true);
  bench.wire->answer = [&] { bench.wire->arrive(bench.asked() == 0 ? ">01--\r" : ">02--\r", 20ms); };
  bench.run_for(10s);
  CHECK(bench.requests() == std::vector{10, 40});  // the first one each 4 · 200 ms at most
  CHECK(bench.state(0) == DeviceState::degraded);
  CHECK(bench.state(1) == DeviceState::degraded);
  CHECK(bench.events.codes() == std::vector<std::string>{"degraded", "degraded"});
  CHECK(bench.poller->statistics(1).failures(DeviceError::mismatch) == 40);
}

TEST_CASE("garbage does not pass for the answer of an instrument whose answer is late") {
  for (const bool address : {false, true}) {
    SharedLineBench bench(modules(2, address), address);
    bench.wire->answer = [&] {
      const bool first = bench.wire->sent.size() == 1;
      if (first) bench.wire->arrive("noise\r", 10ms);
      bench.wire->arrive(bench.line(), first ? 260ms : 120ms);
    };
    bench.run_for(3s);
    const auto counts = bench.count();
    CHECK(counts.wrong == 0);
    CHECK(counts.good[0] >= 1);
    CHECK(counts.good[1] >= 2);
  }
}

TEST_CASE("a dead instrument costs the others nothing if lines say whose they are") {
  for (const bool tcp : {false, true}) {
    SharedLineBench bench(modules(3, true), true, tcp);
    bench.wire->answer = [&] {
      if (bench.asked() != 0) bench.wire->arrive(bench.line(), 20ms);
    };
    bench.run_for(60s);
    const auto counts = bench.count();
    CHECK(counts.good == std::vector{0, 60, 60});
    CHECK(counts.bad[1] + counts.bad[2] == 0);
    CHECK(counts.wrong == 0);
    CHECK(bench.requests()[0] < 12);
    CHECK(bench.state(0) == DeviceState::down);
    CHECK(bench.events.codes() == std::vector<std::string>{"connection_lost"});
    bench.wire->answer = [&] { bench.wire->arrive(bench.line(), 20ms); };
    bench.run_for(11s);
    CHECK(bench.state(0) == DeviceState::up);
  }
}

TEST_CASE("a dead instrument costs the others what may be late if lines do not say whose they are") {
  SharedLineBench bench(modules(3, false), false);
  bench.wire->answer = [&] {
    if (bench.asked() != 0) bench.wire->arrive(bench.line(), 20ms);
  };
  bench.run_for(120s);
  const auto counts = bench.count();
  CHECK(counts.wrong == 0);
  // Of each 10 s the 0.8 s in which the dead one may still answer.
  for (const std::size_t m : {1U, 2U}) {
    CHECK(counts.good[m] >= 105);
    CHECK(counts.bad[m] <= 20);
    CHECK(counts.bad[m] >= 5);
  }
  bench.wire->answer = [&] { bench.wire->arrive(bench.line(), 20ms); };
  bench.run_for(11s);
  for (const std::size_t m : {0U, 1U, 2U}) CHECK(bench.state(m) == DeviceState::up);
}

TEST_CASE("a dead instrument with a long time-out does not keep the others from being asked") {
  auto settings = modules(3, false);
  settings[0].timeout = 5s;  // may be late for 20 s, longer than it is ever left alone
  SharedLineBench bench(settings, false);
  bench.wire->answer = [&] {
    if (bench.asked() != 0) bench.wire->arrive(bench.line(), 20ms);
  };
  bench.run_for(600s);
  const auto counts = bench.count();
  CHECK(counts.wrong == 0);
  CHECK(counts.good[1] >= 28);
  CHECK(counts.good[2] >= 28);
  CHECK(bench.requests()[0] >= 25);
}

TEST_CASE("lines of another form count as those of whoever is late") {
  auto settings = modules(2, true);
  settings[0].instrument.terminator = "\n";
  SharedLineBench bench(settings, true);
  bench.wire->answer = [&] {
    if (bench.asked() != 0) bench.wire->arrive(bench.line(), 20ms);
  };
  bench.run_for(700ms);
  CHECK(bench.count().good[1] == 0);
  bench.run_for(60s);
  CHECK(bench.count().good[1] > 50);
}

TEST_CASE("a far end that can't be reached costs one attempt for all, and is found again by all") {
  for (const bool tcp : {false, true}) {
    SharedLineBench bench(modules(3, true), true, tcp);
    bench.wire->answer = [&] { bench.wire->arrive(bench.line(), 20ms); };
    bench.wire->there = false;
    bench.run_for(60s);
    CHECK(bench.wire->connects <= 10);  // after 0, 0.5, 1, 2, 4, 8, 10 … s
    for (std::size_t m = 0; m < 3; ++m) {
      CHECK(bench.state(m) == DeviceState::down);
      CHECK(bench.poller->statistics(m).last_failure.get() == "instrument: nobody there");
    }
    CHECK(bench.count().good == std::vector{0, 0, 0});
    bench.wire->there = true;
    while (bench.wire->connects == 0 || bench.wire->sent.empty()) bench.run_for(1s);
    bench.run_for(1s);
    for (std::size_t m = 0; m < 3; ++m) CHECK(bench.state(m) == DeviceState::up);
    // Unplugged while it is used.
    bench.wire->there = false;
    bench.run_for(20s);
    for (std::size_t m = 0; m < 3; ++m) CHECK(bench.state(m) == DeviceState::down);
    bench.wire->there = true;
    bench.run_for(12s);
    for (std::size_t m = 0; m < 3; ++m) CHECK(bench.state(m) == DeviceState::up);
    CHECK(bench.count().wrong == 0);
  }
}

TEST_CASE("no wait of a shared line takes longer than the longest block that is told") {
  auto settings = modules(3, false);
  for (auto& one : settings) {
    one.workarounds.pause_after_connect = 300ms;
    one.workarounds.pause_between_requests = 50ms;
  }
  settings[1].timeout = 400ms;
  SharedLineBench bench(settings, false);
  const base::Duration longest = longest_wait(bench, *bench.wire, 600);
  CHECK(longest <= bench.poller->longest_block());
  CHECK(longest > 400ms);
}

namespace {

class FaultyModules : RandomNoise {
 public:
  FaultyModules(SharedLineBench& bench, bool checksum, std::uint64_t seed)
      : RandomNoise(seed), bench_(bench), checksum_(checksum) {
    bench_.wire->answer = [this] { answer(); };
  }
  std::map<std::string, int> faults;

 private:
  void answer() {
    FakeInstrument& wire = *bench_.wire;
    const std::string line = bench_.line();
    const base::Duration in_time = 1ms * (1 + any(150));
    const base::Duration late = 100ms + 1ms * any(600);  // 0.5 to 3 time-outs; the line takes up to 15 ms more
    switch (any(checksum_ ? 14 : 12)) {
      case 0:
      case 1:
      case 2: ++faults["late"], wire.arrive(line, late); break;
      case 3: ++faults["silent"]; break;
      case 4: ++faults["truncated"], wire.arrive(line.substr(0, any(line.size())), late); break;
      case 5:
        ++faults["garbage before"];
        wire.arrive(garbage(30), 1ms, 100us);
        wire.arrive(line, late);
        break;
      case 6:
        ++faults["garbage line and late"];
        wire.arrive(garbage(20) + "\r", 1ms, 100us);
        wire.arrive(line, late);
        break;
      case 7: ++faults["no value"], wire.arrive(">--\r", in_time); break;
      case 12: ++faults["dripping"], wire.arrive(line, in_time, 1ms * (1 + any(40))); break;
      case 13: {
        ++faults["spoilt"];
        std::string spoilt = line;
        spoilt[any(spoilt.size())] ^= static_cast<char>(1 + any(255));
        wire.arrive(spoilt, late);
        break;
      }
      default: ++faults["none"], wire.arrive(line, in_time);
    }
  }

  SharedLineBench& bench_;
  const bool checksum_;
};

}  // namespace

TEST_CASE("of forty thousand faulty exchanges on a shared line none gives a wrong value") {
  for (const bool address : {false, true}) {
    for (const bool checksum : {false, true}) {
      for (const bool tcp : {false, true}) {
        auto settings = modules(4, address);
        for (auto& one : settings) {
          if (checksum) one.instrument.checksum = drivers::LineChecksum::crc16;
          one.poll_interval = 300ms;
        }
        SharedLineBench bench(settings, address, tcp);
        FaultyModules faults(bench, checksum, 7);
        std::vector<int> good(settings.size());
        int wrong = 0;
        while (bench.wire->sent.size() < 5000) {
          bench.run_for(10s);
          const auto counts = bench.count();
          wrong += counts.wrong;
          for (std::size_t m = 0; m < good.size(); ++m) good[m] += counts.good[m];
          bench.events.events.clear();
        }
        INFO((address ? "with" : "without")
             << " address, " << (checksum ? "with" : "without") << " checksum, over " << (tcp ? "TCP" : "a line"));
        CAPTURE(good);
        CHECK(wrong == 0);
        CHECK(faults.faults.size() == (checksum ? 9 : 7));
        CHECK(*std::min_element(good.begin(), good.end()) > (address ? 200 : 50));
        // Once all is well, all is well again.
        bench.wire->answer = [&] { bench.wire->arrive(bench.line(), 20ms); };
        bench.run_for(15s);
        for (std::size_t m = 0; m < settings.size(); ++m) CHECK(bench.state(m) == DeviceState::up);
        bench.count();
        bench.run_for(30s);
        CHECK(bench.count().bad == std::vector<int>(settings.size(), 0));
      }
    }
  }
}
