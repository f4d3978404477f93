#include "app/capture_replay.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "app/capture_writer.hpp"
#include "app/twin_loop.hpp"
#include "drivers/endpoint_poller.hpp"
#include "support/catch.hpp"
#include "support/collected_events.hpp"
#include "support/temporary_folder.hpp"
#include "unit/drivers/capture_rig.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;

namespace {

constexpr base::Instant kOrigin{1000s};

// Two controllers with a device each; one twin of two states measured through either, every 100 ms.
app::Plan make_plan() {
  app::Plan plan;
  for (std::size_t d = 0; d < 2; ++d) {
    config::DeviceConfig device;
    device.driver.name = d == 0 ? "plc" : "meter";
    device.driver.address = {"slave" + std::to_string(d), 502};
    device.driver.controller = "tcp://" + device.driver.address.host;
    device.driver.poll_interval = 100ms;
    device.driver.timeout = 60ms;
    for (std::size_t r = 0; r < 3; ++r) {
      drivers::RegisterSettings reg;
      reg.name = "r" + std::to_string(r);
      reg.tag = static_cast<signals::TagIndex>(3 * d + r);
      reg.address = static_cast<std::uint16_t>(200 * r);
      reg.type = drivers::ValueType::INT16;
      reg.scale = 1e-4;
      reg.poll_interval = 100ms;
      device.driver.registers.push_back(reg);
      config::RegisterOptions options;
      options.validation.max_age = 300ms;
      options.validation.stuck_rule = acquisition::StuckRule::off;
      device.registers.push_back(options);
    }
    plan.config.devices.push_back(device);
  }
  config::TwinConfig twin;
  twin.name = "tanks";
  twin.period = 100ms;
  twin.model.name = "tanks";
  twin.model.sample_time = 0.1;
  twin.model.states = {{"a", "m", 0.0, 1.0, {}, {}}, {"b", "m", 0.0, 1.0, {}, {}}};
  twin.model.outputs = {{"a", "m", {}, {}, {}}, {"b", "m", {}, {}, {}}};
  twin.model.A = {{0.99, 0.02}, {0.0, 0.98}};
  twin.model.C = {{1.0, 0.0}, {0.0, 1.0}};
  twin.model.noise.Q = model::Rows{{0.01, 0.0}, {0.0, 0.01}};
  twin.model.noise.R = model::Rows{{2.0, 0.0}, {0.0, 2.0}};
  twin.outputs = {{signals::TagIndex{1}}, {signals::TagIndex{5}}};
  twin.publish.state_interval = 100ms;
  plan.config.twins.push_back(twin);
  auto built = model::build(twin.model, 0.1);
  REQUIRE(std::holds_alternative<model::StateSpace>(built));
  plan.models.push_back(std::get<model::StateSpace>(std::move(built)));
  return plan;
}

drivers::CaptureHeader header_of(const app::Plan& plan) {
  drivers::CaptureHeader header;
  header.version = "test";
  header.gateway = "gw";
  header.config_hash = "sha256:0";
  header.wall_start = base::WallTime{1'800'000'000s};
  header.monotonic_start = kOrigin - 1s;
  header.grid_origin = kOrigin;
  for (const auto& device : plan.config.devices) {
    header.endpoints.push_back({device.driver.controller, {device.driver.name}});
  }
  return header;
}

struct Collected final : app::ReplayOutput {
  void sample(const signals::Sample&) override { ++samples; }
  void anomaly(const diagnosis::AnomalyEvent& event) override { anomalies.push_back(event.id); }
  void step(std::size_t, const app::TwinRecord& record) override { steps.push_back(record.step); }
  std::size_t samples = 0;
  std::vector<estimation::TwinStep> steps;
  std::vector<std::string> anomalies;
};

// Waits for room: these tests run faster than any disk.
struct PatientSink final : drivers::CaptureSink {
  explicit PatientSink(drivers::CaptureSink& behind) : sink(behind) {}
  bool take(std::string&& block) override {
    while (!sink.take(std::string(block))) std::this_thread::yield();
    return true;
  }
  drivers::CaptureSink& sink;
};

// One controller as the live service has it, on a clock of its own: a poller in front of a faulty slave, captured,
// whose samples come to the twin loop when that poller's time has come.
struct LiveEndpoint final : drivers::SampleSink {
  LiveEndpoint(const app::Plan& plan, std::size_t index, unsigned seed, app::CaptureWriter& writer,
               test::CollectedEvents& events)
      : sink(writer.sink(index)),
        clock(kOrigin - 10ms, seed),
        recorder(index, kOrigin, sink),
        capturing(clock, recorder),
        queue(capacity) {
    poller = std::make_unique<drivers::EndpointPoller>(
        std::vector{plan.config.devices[index].driver}, kOrigin, capturing, *this, events,
        drivers::make_capturing_transport(std::make_unique<test::FaultySlave>(clock, seed + 100), recorder));
  }
  void accept(signals::Sample&& sample) override { arrivals.emplace_back(clock.now(), std::move(sample)); }
  // Turns until the poller's time is past `now`; hands over what has come by then.
  void live(base::Instant now) {
    while (clock.now() <= now) {
      const base::Instant next = poller->poll_due({});
      // As the device loop does while the poller runs; the turn is whole before anything of it is needed.
      for (; recorded < arrivals.size(); ++recorded) recorder.sample(arrivals[recorded].second);
      recorder.end_turn(false);
      clock.sleep_until(next);
    }
    for (; !arrivals.empty() && arrivals.front().first <= now; arrivals.pop_front(), --recorded) {
      REQUIRE(queue.try_push(std::move(arrivals.front().second)));
    }
  }

  static constexpr std::size_t capacity = 4096;
  PatientSink sink;
  test::RestlessClock clock;
  drivers::TurnRecorder recorder;
  drivers::CapturingClock capturing;
  app::SampleQueue queue;
  std::deque<std::pair<base::Instant, signals::Sample>> arrivals;
  std::size_t recorded = 0;
  std::unique_ptr<drivers::EndpointPoller> poller;
};

// The twin thread's clock: now and then it is called late, so that samples of the meantime have come.
class StallingClock final : public base::Clock {
 public:
  StallingClock(base::Instant start, unsigned seed, std::function<void(base::Instant)> on_wake)
      : now_(start), random_(seed), on_wake_(std::move(on_wake)) {}
  [[nodiscard]] base::Instant now() const override { return now_; }
  [[nodiscard]] base::WallTime wall_now() const override { return {}; }
  [[nodiscard]] bool synchronised() const override { return true; }
  void sleep_until(base::Instant deadline) const override {
    now_ = std::max(now_, deadline) + base::Duration{random_() % 3'000'000};
    if (random_() % 20 == 0) now_ += 130ms;
    on_wake_(now_);
  }

 private:
  mutable base::Instant now_;
  mutable std::mt19937 random_;
  std::function<void(base::Instant)> on_wake_;
};

std::string record(const app::Plan& plan, const std::string& file, unsigned seed, Collected& live,
                   std::size_t& late_notes) {
  test::CollectedEvents events;
  auto opened = app::CaptureWriter::open(file, 1ULL << 30, events);
  REQUIRE(opened.ok());
  app::CaptureWriter& writer = *opened.value();
  writer.start(header_of(plan));
  std::vector<std::unique_ptr<LiveEndpoint>> endpoints;
  std::vector<app::SampleQueue*> queues;
  for (std::size_t e = 0; e < 2; ++e) {
    endpoints.push_back(std::make_unique<LiveEndpoint>(plan, e, seed + static_cast<unsigned>(e), writer, events));
    queues.push_back(&endpoints.back()->queue);
  }
  app::Outbox outbox(plan);
  const auto collect = [&] {
    diagnosis::AnomalyEvent event;
    while (outbox.anomalies.try_pop(event)) live.anomaly(event);
    while (auto* step = outbox.steps[0]->try_receive()) {
      live.step(0, *step);
      outbox.steps[0]->recycle(step);
    }
  };
  std::stop_source stop;
  // Five minutes pass in a moment here; the writer keeps up with them as it does with real ones.
  base::Instant catch_up_at = kOrigin;
  const StallingClock clock(kOrigin - 50ms, seed, [&](base::Instant now) {
    collect();
    if (now >= catch_up_at) {
      catch_up_at = now + 60s;
      while (!writer.caught_up()) std::this_thread::yield();
    }
    if (now > kOrigin + 300s) stop.request_stop();
    for (auto& endpoint : endpoints) endpoint->live(now);
  });
  auto twins = app::make_twins(plan);
  app::TwinLoop loop(
      plan, std::move(std::get<std::vector<estimation::Twin>>(twins)), queues, outbox, [] {}, kOrigin, clock);
  loop.note_to(writer.twin_notes());
  app::Heartbeat heart("twins", 1h, kOrigin);
  loop.run(stop.get_token(), heart);
  collect();
  writer.finish("stopped");
  std::ifstream in(file);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  late_notes = 0;
  for (std::size_t at = text.find("\nK "); at != std::string::npos; at = text.find("\nK ", at + 1)) ++late_notes;
  return text;
}

void write(const std::string& file, const std::string& text) { std::ofstream(file) << text; }

bool same_bits(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; }

bool same(const estimation::TwinStep& a, const estimation::TwinStep& b) {
  bool same = a.step == b.step && a.time == b.time && a.mode == b.mode && same_bits(a.nis, b.nis) &&
              a.nis_dof == b.nis_dof && a.x.size() == b.x.size() && a.outputs.size() == b.outputs.size();
  for (std::size_t i = 0; same && i < a.x.size(); ++i) {
    same = same_bits(a.x[i], b.x[i]) && same_bits(a.std[i], b.std[i]);
  }
  for (std::size_t i = 0; same && i < a.outputs.size(); ++i) {
    const auto& p = a.outputs[i];
    const auto& q = b.outputs[i];
    same = same_bits(p.measured, q.measured) && same_bits(p.expected, q.expected) &&
           same_bits(p.innovation, q.innovation) && same_bits(p.std, q.std) && same_bits(p.test_ratio, q.test_ratio) &&
           p.fused == q.fused && p.quality == q.quality && p.reason == q.reason && p.age == q.age;
  }
  return same;
}

}  // namespace

TEST_CASE("A capture of faulty devices and a stalling twin thread gives every step and anomaly again, bit by bit") {
  const test::TemporaryFolder folder;
  const app::Plan plan = make_plan();
  for (const unsigned seed : {1U, 2U, 3U}) {
    INFO("seed " << seed);
    const std::string file = folder.file("line.capture");
    Collected live;
    std::size_t late_notes = 0;
    record(plan, file, seed, live, late_notes);
    Collected again;
    auto summary = app::replay_capture(plan, file, again);
    INFO((summary.ok() ? summary.value().fault.value_or(summary.value().end_reason) : summary.error().message()));
    REQUIRE(summary.ok());
    CHECK(summary.value().whole);
    CHECK(summary.value().turns > 2500);
    // The devices' last turns end a little after or before the twins' last step.
    REQUIRE(again.steps.size() > 2900);
    REQUIRE(live.steps.size() + 2 >= again.steps.size());
    std::size_t differing = 0;
    std::size_t fused = 0;
    for (std::size_t k = 0; k < std::min(live.steps.size(), again.steps.size()); ++k) {
      differing += same(live.steps[k], again.steps[k]) ? 0 : 1;
      for (const auto& output : again.steps[k].outputs) fused += output.fused ? 1 : 0;
    }
    CHECK(differing == 0);
    CHECK(again.anomalies.size() > 5);
    live.anomalies.resize(std::min(live.anomalies.size(), again.anomalies.size()));
    again.anomalies.resize(live.anomalies.size());
    CHECK(again.anomalies == live.anomalies);
    // Otherwise this was no test: fused steps, and samples that came late.
    CHECK(fused > 1000);
    CHECK(late_notes > 20);
  }
}

TEST_CASE("Without its notes of late samples a capture would give other steps") {
  const test::TemporaryFolder folder;
  const app::Plan plan = make_plan();
  Collected live;
  std::size_t late_notes = 0;
  std::string text = record(plan, folder.file("line.capture"), 1, live, late_notes);
  for (std::size_t at = text.find("\nK "); at != std::string::npos; at = text.find("\nK ", at)) {
    text.erase(at, text.find('\n', at + 1) - at);
  }
  write(folder.file("bare.capture"), text);
  Collected again;
  REQUIRE(app::replay_capture(plan, folder.file("bare.capture"), again).ok());
  std::size_t differing = 0;
  for (std::size_t k = 0; k < std::min(live.steps.size(), again.steps.size()); ++k) {
    differing += same(live.steps[k], again.steps[k]) ? 0 : 1;
  }
  CHECK(differing > 0);
}

TEST_CASE("A replay ends before the first loss of a capture and says so") {
  const test::TemporaryFolder folder;
  const app::Plan plan = make_plan();
  Collected live;
  std::size_t late_notes = 0;
  const std::string text = record(plan, folder.file("line.capture"), 4, live, late_notes);
  const auto replayed = [&](const std::string& damaged) {
    write(folder.file("damaged.capture"), damaged);
    auto collected = std::make_unique<Collected>();
    auto summary = app::replay_capture(plan, folder.file("damaged.capture"), *collected);
    REQUIRE(summary.ok());
    CHECK_FALSE(summary.value().whole);
    CHECK(collected->steps.size() > 200);
    CHECK(collected->steps.size() < live.steps.size());
    for (std::size_t k = 0; k < collected->steps.size(); ++k) REQUIRE(same(collected->steps[k], live.steps[k]));
    return summary.value().end_reason;
  };
  const std::size_t middle = text.find("\nT 1", text.size() / 2) + 1;
  CHECK(replayed(text.substr(0, middle) + "L 1 7\n" + text.substr(middle)).find("lost 7 turns of tcp://slave1") !=
        std::string::npos);
  CHECK(replayed(text.substr(0, middle + 20)) == "the file breaks off");
  CHECK(replayed(text.substr(0, middle) + "Z limit\n") == "limit");
  CHECK(replayed(text.substr(0, middle) + "G 60000000000\n" + text.substr(middle)).find("gave up steps") !=
        std::string::npos);
}

TEST_CASE("A capture that can't be written any more ends with one event, in whole turns") {
  const test::TemporaryFolder folder;
  const app::Plan plan = make_plan();
  test::CollectedEvents events;
  const std::string file = folder.file("small.capture");
  auto opened = app::CaptureWriter::open(file, 1ULL << 30, events);
  REQUIRE(opened.ok());
  const app::Plan small = make_plan();
  opened.value()->start(header_of(small));
  // The kernel refuses to let the file grow, as a full disk would.
  signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  rlimit tight = before;
  tight.rlim_cur = 300'000;
  REQUIRE(setrlimit(RLIMIT_FSIZE, &tight) == 0);
  PatientSink sink(opened.value()->sink(0));
  drivers::TurnRecorder recorder(0, kOrigin, sink);
  for (int i = 0; i < 10'000; ++i) {
    recorder.reading(kOrigin + i * 1ms);
    recorder.line("> 000100000006010300000004000100000006010300000004");
    recorder.end_turn(false);
  }
  opened.value()->finish("stopped");
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  REQUIRE(events.raised.size() == 1);
  CHECK(events.raised[0].code == "error");
  CHECK(events.raised[0].message.find("the capture has ended, the service goes on") != std::string::npos);
  CHECK(std::filesystem::file_size(file) <= 300'000);
  std::ifstream in(file);
  auto reader = drivers::CaptureReader::open(in);
  REQUIRE(reader.ok());
  std::string end;
  while (true) {
    auto block = reader.value().next();
    REQUIRE(block.ok());
    if (!block.value()) break;
    if (block.value()->kind == drivers::CaptureBlock::Kind::end) end = block.value()->reason;
  }
  CHECK(end == "error");
}

TEST_CASE("Turns that found no room at the very end of a capture are told, too") {
  const test::TemporaryFolder folder;
  test::CollectedEvents events;
  const std::string file = folder.file("a.capture");
  auto opened = app::CaptureWriter::open(file, 1 << 30, events);
  REQUIRE(opened.ok());
  opened.value()->start(header_of(make_plan()));
  const std::string block(17U << 20, 'n');
  CHECK_FALSE(opened.value()->sink(1).take(std::string(block)));
  CHECK_FALSE(opened.value()->sink(1).take(std::string(block)));
  opened.value()->finish("stopped");
  std::ifstream in(file);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  CHECK(text.find("\nL 1 2\nZ stopped\n") != std::string::npos);
}

TEST_CASE("A capture is its owner's alone and replaces nothing") {
  const test::TemporaryFolder folder;
  test::CollectedEvents events;
  const std::string file = folder.file("a.capture");
  for (int i = 0; i < 2; ++i) {
    auto opened = app::CaptureWriter::open(file, 1 << 20, events);
    REQUIRE(opened.ok());
  }
  struct stat status {};
  REQUIRE(::stat(file.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK(std::filesystem::exists(file + ".old"));
  CHECK_FALSE(app::CaptureWriter::open(folder.file("absent/a.capture"), 1 << 20, events).ok());
  std::filesystem::create_symlink("/dev/null", folder.file("link"));
  CHECK_FALSE(app::CaptureWriter::open(folder.file("link"), 1 << 20, events).ok());
}
