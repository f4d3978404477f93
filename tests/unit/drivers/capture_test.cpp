#include "drivers/capture.hpp"

#include <cstring>
#include <sstream>

#include "capture_rig.hpp"
#include "drivers/builtin_drivers.hpp"
#include "drivers/capture_replay.hpp"
#include "line_poller_bench.hpp"
#include "poller_rig.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::drivers;
using namespace twinkeeper::test;
using namespace std::chrono_literals;

namespace {

constexpr base::Instant kOrigin{1000s};

std::vector<DeviceSettings> two_devices() {
  std::vector<DeviceSettings> devices(2);
  for (std::size_t d = 0; d < devices.size(); ++d) {
    devices[d].name = d == 0 ? "plc" : "meter";
    devices[d].controller = "tcp://slave:502";
    devices[d].slave_id = static_cast<int>(d + 1);
    devices[d].poll_interval = 100ms;
    devices[d].timeout = 20ms;
    devices[d].busy_retries = 1;
    for (std::uint16_t r = 0; r < 6; ++r) {
      RegisterSettings reg = word(static_cast<signals::TagIndex>(6 * d + r), static_cast<std::uint16_t>(40 * r));
      reg.type = r == 5 ? ValueType::FLOAT64 : ValueType::INT16;
      reg.scale = 0.1;
      reg.poll_interval = r % 2 == 0 ? 100ms : 250ms;
      devices[d].registers.push_back(reg);
    }
  }
  return devices;
}

CaptureHeader header() {
  CaptureHeader header;
  header.version = "0.0.0";
  header.gateway = "gw";
  header.config_hash = "sha256:0";
  header.wall_start = base::WallTime{1'800'000'000s};
  header.monotonic_start = kOrigin - 1s;
  header.grid_origin = kOrigin;
  header.endpoints = {{"tcp://slave:502", {"plc", "meter"}}};
  return header;
}

// A poller in front of the faulty slave, captured. Counts what a sink is given and refuses every 50th sample, as a full
// queue would.
struct Recording final : SampleSink {
  explicit Recording(unsigned seed) : clock(kOrigin - 10ms, seed) {
    auto transport = make_capturing_transport(std::make_unique<FaultySlave>(clock, seed + 1), recorder);
    poller = std::make_unique<EndpointPoller>(two_devices(), kOrigin, capturing, *this, events, std::move(transport));
  }
  void accept(signals::Sample&& sample) override {
    recorder.sample(sample);
    if (samples.size() % 50 == 49) recorder.sample_found_no_room();
    samples.push_back(std::move(sample));
  }
  void turn() {
    const base::Instant next = poller->poll_due({});
    recorder.end_turn(false);
    clock.sleep_until(next);
  }
  [[nodiscard]] std::string file() const { return capture_header_text(header()) + sink.text; }

  RememberingCapture sink;
  RestlessClock clock;
  TurnRecorder recorder{0, kOrigin, sink};
  CapturingClock capturing{clock, recorder};
  RememberingEvents events;
  std::vector<signals::Sample> samples;
  std::unique_ptr<EndpointPoller> poller;
};

struct Replay {
  std::vector<ReplayedSample> samples;
  RememberingEvents events;
  std::string error;
};

std::unique_ptr<Replay> replay(const std::string& file, std::vector<DeviceSettings> devices = two_devices()) {
  auto result = std::make_unique<Replay>();
  std::istringstream in(file);
  auto reader = CaptureReader::open(in);
  REQUIRE(reader.ok());
  EndpointReplay endpoint(std::move(devices), reader.value().header().grid_origin, result->events);
  while (true) {
    auto block = reader.value().next();
    if (!block.ok()) result->error = block.error().message();
    if (!block.ok() || !block.value()) return result;
    if (block.value()->kind != CaptureBlock::Kind::turn) continue;
    auto samples = endpoint.replay(std::move(*block.value()));
    if (!samples.ok()) {
      result->error = samples.error().message();
      return result;
    }
    for (auto& sample : samples.value()) result->samples.push_back(std::move(sample));
  }
}

bool same_bits(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; }

bool same(const signals::Sample& a, const signals::Sample& b) {
  return a.tag == b.tag && same_bits(a.value, b.value) && a.raw.kind == b.raw.kind && a.raw.integer == b.raw.integer &&
         a.raw.natural == b.raw.natural && same_bits(a.raw.real, b.raw.real) && a.raw.text == b.raw.text &&
         a.quality == b.quality && a.reason == b.reason && a.exception_code == b.exception_code && a.time == b.time;
}

}  // namespace

TEST_CASE("A capture of a poller in front of a faulty slave gives every sample and event again, bit by bit") {
  for (const unsigned seed : {1U, 2U, 3U}) {
    Recording recording(seed);
    for (int i = 0; i < 3000; ++i) recording.turn();
    const auto replayed = replay(recording.file());
    INFO("seed " << seed << ": " << replayed->error);
    CHECK(replayed->error.empty());
    REQUIRE(replayed->samples.size() == recording.samples.size());
    std::size_t differing = 0;
    std::size_t good = 0;
    for (std::size_t i = 0; i < recording.samples.size(); ++i) {
      differing += same(recording.samples[i], replayed->samples[i].sample) ? 0 : 1;
      differing += replayed->samples[i].found_room == (i % 50 != 49) ? 0 : 1;
      good += recording.samples[i].quality == signals::Quality::good ? 1 : 0;
    }
    CHECK(differing == 0);
    // Otherwise the slave was no test: good and bad in plenty.
    CHECK(good > 1000);
    CHECK(recording.samples.size() - good > 1000);
    CHECK(replayed->events.codes() == recording.events.codes());
    CHECK(recording.events.events.size() > 10);
  }
}

TEST_CASE("A capture of instruments that talk lines, asked or by themselves, gives every sample again, bit by bit") {
  std::vector<DeviceSettings> two_on_one_line{scale_settings("S1\r\n"), scale_settings("S2\r\n")};
  two_on_one_line[1].name = "scale_2";
  two_on_one_line[1].registers[0].tag = 1;
  for (const auto& devices : {std::vector{scale_settings()}, std::vector{scale_settings("")}, two_on_one_line}) {
    const bool asked = !devices.front().instrument.free_running();
    INFO((asked ? "asked, " : "free running, ") << devices.size());
    support::FakeClock clock{kOrigin - 10ms};
    RememberingCapture sink;
    TurnRecorder recorder(0, kOrigin, sink);
    const CapturingClock capturing(clock, recorder);
    struct Recorded final : SampleSink {
      explicit Recorded(TurnRecorder& to) : recorder(to) {}
      void accept(signals::Sample&& sample) override {
        recorder.sample(sample);
        samples.push_back(std::move(sample));
      }
      TurnRecorder& recorder;
      std::vector<signals::Sample> samples;
    } recorded(recorder);
    RememberingEvents events;
    auto owned = std::make_unique<FakeInstrument>(clock, false);
    FakeInstrument& instrument = *owned;
    std::mt19937 random(12);
    const auto say = [&] {
      std::string line = "S S   " + std::to_string(random() % 100'000) + " kg\r\n";
      if (random() % 6 == 0) line[random() % line.size()] = '\x07';
      if (random() % 6 != 0) instrument.arrive(line, std::chrono::milliseconds{1 + random() % 230});
    };
    if (asked) instrument.answer = say;
    const auto poller = make_poller(devices, kOrigin, capturing, recorded, events,
                                    make_capturing_transport(std::move(owned), recorder));
    CHECK(poller->device_count() == devices.size());
    for (int i = 0; i < 3000; ++i) {
      if (!asked && instrument.next_byte() == base::Instant::max() && random() % 2 == 0) say();
      const base::Instant next = poller->poll_due({});
      recorder.end_turn(false);
      const base::Instant readable = poller->descriptor() >= 0 ? instrument.next_byte() : base::Instant::max();
      clock.sleep_until(std::min(next, readable));
    }
    CaptureHeader of_scale = header();
    of_scale.endpoints = {{devices.front().controller, {}}};
    for (const auto& device : devices) of_scale.endpoints[0].devices.push_back(device.name);
    const auto replayed = replay(capture_header_text(of_scale) + sink.text, devices);
    INFO(replayed->error);
    CHECK(replayed->error.empty());
    REQUIRE(replayed->samples.size() == recorded.samples.size());
    std::size_t good = 0;
    for (std::size_t i = 0; i < recorded.samples.size(); ++i) {
      REQUIRE(same(replayed->samples[i].sample, recorded.samples[i]));
      good += recorded.samples[i].quality == signals::Quality::good ? 1 : 0;
    }
    CHECK(good > 100);
    CHECK(recorded.samples.size() - good > 100);
  }
}

TEST_CASE("A replay with other settings than the recording's says where the two parted") {
  Recording recording(4);
  for (int i = 0; i < 20; ++i) recording.turn();
  auto devices = two_devices();
  SECTION("another address is another request") { devices[0].registers[0].address = 1; }
  SECTION("another scale is another value") { devices[0].registers[0].scale = 0.2; }
  SECTION("another interval asks at other times") { devices[1].registers[0].poll_interval = 200ms; }
  SECTION("a register less is a sample less") { devices[1].registers.pop_back(); }
  const auto replayed = replay(recording.file(), devices);
  INFO(replayed->error);
  CHECK(replayed->error.find("(line ") != std::string::npos);
}

TEST_CASE("One changed byte anywhere in a turn is found, or changes nothing that was read") {
  Recording recording(5);
  for (int i = 0; i < 12; ++i) recording.turn();
  const std::string good = recording.file();
  const std::size_t begin = capture_header_text(header()).size();
  std::mt19937 random(6);
  std::size_t found = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string damaged = good;
    char& byte = damaged[begin + random() % (damaged.size() - begin)];
    byte = static_cast<char>(byte ^ (1 << random() % 7));
    const auto replayed = replay(damaged);
    if (!replayed->error.empty()) {
      ++found;
      continue;
    }
    // Texts of errors and readings that no sample shows (the end of a cycle) may differ: samples may not.
    REQUIRE(replayed->samples.size() <= recording.samples.size());
    for (std::size_t k = 0; k < replayed->samples.size(); ++k) {
      REQUIRE(same(replayed->samples[k].sample, recording.samples[k]));
    }
  }
  CHECK(found > 1000);
}

TEST_CASE("A turn that a stop cut short is replayed up to its last sample") {
  std::stop_source stop;
  RememberingCapture capture;
  RestlessClock clock(kOrigin - 10ms, 8);
  TurnRecorder recorder(0, kOrigin, capture);
  CapturingClock capturing(clock, recorder);
  struct Sink final : SampleSink {  // the stop comes while samples are given
    explicit Sink(TurnRecorder& to, std::stop_source& source) : recorder(to), stop(source) {}
    void accept(signals::Sample&& sample) override {
      recorder.sample(sample);
      samples.push_back(std::move(sample));
      if (samples.size() == 8) stop.request_stop();
    }
    TurnRecorder& recorder;
    std::stop_source& stop;
    std::vector<signals::Sample> samples;
  } sink(recorder, stop);
  RememberingEvents events;
  EndpointPoller poller(two_devices(), kOrigin, capturing, sink, events,
                        make_capturing_transport(std::make_unique<FaultySlave>(clock, 9), recorder));
  while (!stop.stop_requested()) {
    const base::Instant next = poller.poll_due(stop.get_token());
    recorder.end_turn(stop.stop_requested());
    clock.sleep_until(next);
  }
  const auto replayed = replay(capture_header_text(header()) + capture.text);
  INFO(replayed->error);
  CHECK(replayed->error.empty());
  REQUIRE(replayed->samples.size() == sink.samples.size());
  for (std::size_t i = 0; i < sink.samples.size(); ++i) CHECK(same(replayed->samples[i].sample, sink.samples[i]));
}

TEST_CASE("Lines that are no answers are refused with their place") {
  const std::string begin = capture_header_text(header()) + "T 0 0\n";
  const std::string end = "E 0 cbf29ce484222325\n";
  for (const std::string line : {"n", "n ", "n x", "n 99999999999999999999",
                                 "n 9223372036854775807 9223372036854775807", "", "y", "n 1\nc !", "n 1 2 3\no"}) {
    INFO(line);
    CHECK(replay(begin + line + "\n" + end)->error.find("(line 1") != std::string::npos);
  }
  for (const std::string block : {"T 0\n", "T 1 0\n", "T 0 99999999999999999999\n", "K 0 x 1\n", "\n", "E 0 0\n"}) {
    CHECK(replay(capture_header_text(header()) + block)->error.find("line 11: ") == 0);
  }
}

TEST_CASE("Turns that find no room are counted and told at their place") {
  Recording recording(10);
  for (int i = 0; i < 5; ++i) recording.turn();
  recording.sink.refuse = true;
  for (int i = 0; i < 3; ++i) recording.turn();
  recording.sink.refuse = false;
  recording.turn();
  std::istringstream in(recording.file());
  auto reader = CaptureReader::open(in);
  REQUIRE(reader.ok());
  std::vector<CaptureBlock::Kind> kinds;
  while (true) {
    auto block = reader.value().next();
    REQUIRE(block.ok());
    if (!block.value()) break;
    kinds.push_back(block.value()->kind);
    if (kinds.back() == CaptureBlock::Kind::lost) CHECK(block.value()->number == 3);
  }
  using Kind = CaptureBlock::Kind;
  CHECK(kinds == std::vector<Kind>{Kind::turn, Kind::turn, Kind::turn, Kind::turn, Kind::turn, Kind::lost, Kind::turn});
}

TEST_CASE("A capture that breaks off anywhere is read up to its last whole turn") {
  Recording recording(11);
  for (int i = 0; i < 6; ++i) recording.turn();
  const std::string file = recording.file();
  for (std::size_t size = capture_header_text(header()).size(); size <= file.size(); ++size) {
    const auto replayed = replay(file.substr(0, size));
    REQUIRE(replayed->error.empty());
  }
}

TEST_CASE("A capture's header comes back as it was written, and a damaged one is refused with its line") {
  CaptureHeader written = header();
  written.endpoints.push_back({"file:///dev/ttyUSB0", {"scale"}});
  written.models = {{"tanks", "sha256:1"}};
  const std::string text = capture_header_text(written);
  std::istringstream in(text);
  auto reader = CaptureReader::open(in);
  REQUIRE(reader.ok());
  CHECK(capture_header_text(reader.value().header()) == text);
  const auto refused = [](const std::string& damaged) {
    std::istringstream broken(damaged);
    auto attempt = CaptureReader::open(broken);
    REQUIRE_FALSE(attempt.ok());
    return attempt.error().message();
  };
  CHECK(refused("").find("line 1: no capture") == 0);
  CHECK(refused("twinkeeper capture 2\n\n").find("line 1: no capture") == 0);
  CHECK(refused(text.substr(0, text.size() - 1)).find("breaks off") != std::string::npos);
  CHECK(refused("twinkeeper capture 1\n\n").find("line 2: the header lacks") == 0);
}
