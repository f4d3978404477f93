#include "app/twin_loop.hpp"

#include <cmath>

#include "support/catch.hpp"
#include "support/fake_clock.hpp"
#include "support/samples.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;

namespace {

constexpr base::Instant kLoopOrigin{1000s};

// One device with one register, one twin with one state that the register measures, both every 100 ms.
app::Plan make_loop_plan() {
  app::Plan plan;
  config::DeviceConfig device;
  device.driver.name = "plc";
  device.driver.poll_interval = 100ms;
  device.driver.timeout = 50ms;
  drivers::RegisterSettings reg;
  reg.name = "level";
  reg.type = drivers::ValueType::FLOAT64;
  reg.poll_interval = 100ms;
  device.driver.registers.push_back(reg);
  config::RegisterOptions options;
  options.validation.max_age = 300ms;
  options.validation.stuck_rule = acquisition::StuckRule::off;
  device.registers.push_back(options);
  device.publish.interval = 1s;
  plan.config.devices.push_back(device);

  config::TwinConfig twin;
  twin.name = "tank";
  twin.period = 100ms;
  twin.model.name = "tank";
  twin.model.sample_time = 0.1;
  twin.model.states = {{"level", "m", 0.0, 1.0, {}, {}}};
  twin.model.outputs = {{"level", "m", {}, {}, {}}};
  twin.model.A = {{1.0}};
  twin.model.C = {{1.0}};
  twin.model.noise.Q = model::Rows{{0.01}};
  twin.model.noise.R = model::Rows{{1.0}};
  twin.outputs = {{signals::TagIndex{0}}};
  twin.publish.state_interval = 100ms;
  plan.config.twins.push_back(twin);
  auto built = model::build(twin.model, 0.1);
  REQUIRE(std::holds_alternative<model::StateSpace>(built));
  plan.models.push_back(std::get<model::StateSpace>(std::move(built)));
  return plan;
}

struct TwinLoopRig {
  app::Plan plan = make_loop_plan();
  support::FakeClock clock{kLoopOrigin - 50ms};
  app::SampleQueue queue{4096};
  app::Outbox outbox{plan};
  std::vector<estimation::TwinStep> steps;
  std::vector<app::Unsent> unsent;  // before each step
  std::uint64_t unsent_snapshots = 0;
  bool spool_stalls = false;
  std::vector<diagnosis::AnomalyEvent> anomalies;
  std::size_t snapshots = 0;
  app::Heartbeat heart{"twins", 1h, kLoopOrigin};

  std::unique_ptr<app::TwinLoop> make_loop() {
    estimation::TwinSettings settings;
    settings.period = 100ms;
    auto twin = estimation::Twin::create(plan.models[0], settings);
    std::vector<estimation::Twin> twins;
    twins.push_back(std::get<estimation::Twin>(std::move(twin)));
    return std::make_unique<app::TwinLoop>(
        plan, std::move(twins), std::vector{&queue}, outbox, [] {}, kLoopOrigin, clock);
  }
  void send(double value, base::Instant time) { queue.try_push(test::good_sample(0, value, time)); }
  void collect() {
    if (spool_stalls) return;
    while (auto* record = outbox.steps[0]->try_receive()) {
      steps.push_back(record->step);
      unsent.push_back(record->unsent);
      outbox.steps[0]->recycle(record);
    }
    while (auto* record = outbox.snapshots[0]->try_receive()) {
      ++snapshots;
      unsent_snapshots += record->unsent.count;
      outbox.snapshots[0]->recycle(record);
    }
    diagnosis::AnomalyEvent event;
    while (outbox.anomalies.try_pop(event)) anomalies.push_back(event);
  }
  // Runs the loop until the clock has reached `end`; `world` acts at each wake-up.
  void run(app::TwinLoop& loop, base::Instant end, const std::function<void(base::Instant)>& world) {
    std::stop_source stop;
    clock.on_wake([&](base::Instant now) {
      world(now);
      collect();
      if (now >= end) stop.request_stop();
    });
    loop.run(stop.get_token(), heart);
    collect();
  }
};

}  // namespace

TEST_CASE("TwinLoop closes each tick half a period after it and fuses the sample of that tick") {
  TwinLoopRig rig;
  auto loop = rig.make_loop();
  int polls = 0;
  rig.run(*loop, kLoopOrigin + 5s, [&](base::Instant now) {
    for (; kLoopOrigin + polls * 100ms + 3ms <= now; ++polls)
      rig.send(1.0 + 0.001 * (polls % 7), kLoopOrigin + polls * 100ms + 3ms);
  });
  REQUIRE(rig.steps.size() >= 48);
  for (std::size_t k = 0; k < rig.steps.size(); ++k) {
    CHECK(rig.steps[k].step == static_cast<std::int64_t>(k));
    CHECK(rig.steps[k].time == kLoopOrigin + static_cast<std::int64_t>(k) * 100ms);
    CHECK(rig.steps[k].outputs[0].fused);
  }
  CHECK(loop->twin_figures(0).steps_missed_total == 0);
  CHECK(loop->device_figures(0).samples_late_total == 0);
  CHECK(rig.snapshots == 4);
  CHECK(rig.anomalies.empty());
}

TEST_CASE("TwinLoop computes after a stall what a punctual run computes, and counts the steps that were late") {
  const auto value = [](int poll) { return std::sin(0.3 * poll); };
  const auto run = [&](bool stalled) {
    TwinLoopRig rig;
    auto loop = rig.make_loop();
    int polls = 0;
    bool stall = stalled;
    rig.run(*loop, kLoopOrigin + 6s, [&](base::Instant now) {
      if (stall && now >= kLoopOrigin + 2s) {
        stall = false;
        rig.clock.advance(1500ms);  // the machine did not run this thread
        now = rig.clock.now();
      }
      for (; kLoopOrigin + polls * 100ms + 3ms <= now; ++polls)
        rig.send(value(polls), kLoopOrigin + polls * 100ms + 3ms);
    });
    return std::pair(std::move(rig.steps), loop->twin_figures(0).steps_missed_total.load());
  };
  const auto [punctual, none_missed] = run(false);
  const auto [late, missed] = run(true);
  CHECK(none_missed == 0);
  CHECK(missed >= 13);
  CHECK(missed <= 16);
  REQUIRE(late.size() == punctual.size());
  for (std::size_t k = 0; k < late.size(); ++k) CHECK(late[k].x[0] == punctual[k].x[0]);
}

TEST_CASE("TwinLoop raises one connection alarm for a device that stays silent and the twin goes on predicting") {
  TwinLoopRig rig;
  auto loop = rig.make_loop();
  int polls = 0;
  rig.run(*loop, kLoopOrigin + 20s, [&](base::Instant now) {
    for (; kLoopOrigin + polls * 100ms + 3ms <= now; ++polls) {
      if (polls < 50) rig.send(1.0 + 0.001 * (polls % 7), kLoopOrigin + polls * 100ms + 3ms);
    }
  });
  REQUIRE(rig.anomalies.size() == 1);
  CHECK(rig.anomalies[0].id == "plc.connection");
  CHECK(rig.anomalies[0].tags == std::vector<std::string>{"plc.level"});
  CHECK(rig.steps.back().mode == estimation::Mode::predict_only);
  CHECK(rig.steps.back().outputs[0].reason == signals::Reason::stale);
  CHECK(rig.steps.back().std[0] > rig.steps[49].std[0]);
}

TEST_CASE("TwinLoop bridges a stall of the spool thread, and says which steps a longer one has cost") {
  const auto run = [](base::Duration stall) {
    auto rig = std::make_unique<TwinLoopRig>();
    auto loop = rig->make_loop();
    int polls = 0;
    rig->run(*loop, kLoopOrigin + 40s, [&](base::Instant now) {
      rig->spool_stalls = now >= kLoopOrigin + 2s && now < kLoopOrigin + 2s + stall;
      for (; kLoopOrigin + polls * 100ms + 3ms <= now; ++polls) rig->send(1.0, kLoopOrigin + polls * 100ms + 3ms);
    });
    return rig;
  };
  const auto bridged = run(19s);
  CHECK(bridged->outbox.steps[0]->dropped() == 0);
  CHECK(bridged->outbox.snapshots[0]->dropped() == 0);
  CHECK(bridged->snapshots == 39);

  const auto rig = run(30s);
  CHECK(rig->outbox.steps[0]->dropped() > 90);
  CHECK(rig->snapshots + rig->unsent_snapshots == 39);
  std::int64_t expected = 0;
  for (std::size_t i = 0; i < rig->steps.size(); ++i) {
    const app::Unsent& unsent = rig->unsent[i];
    if (unsent.count > 0) {
      CHECK(unsent.first == kLoopOrigin + expected * 100ms);
      expected += static_cast<std::int64_t>(unsent.count);
      CHECK(unsent.last == kLoopOrigin + (expected - 1) * 100ms);
    }
    CHECK(rig->steps[i].step == expected++);
  }
  CHECK(expected >= 398);
}

TEST_CASE("A loop goes on from what another remembered, and is as it was where that does not fit or takes too long") {
  using Resumed = app::TwinLoop::Resumed;
  const auto feed = [](TwinLoopRig& rig, int& polls) {
    return [&rig, &polls](base::Instant now) {
      for (; kLoopOrigin + polls * 100ms <= now; ++polls)
        rig.send(1.0 + 0.001 * (polls % 7), kLoopOrigin + polls * 100ms);
    };
  };
  TwinLoopRig first;
  auto remembered = first.make_loop();
  app::CheckpointRecord record;
  CHECK_FALSE(remembered->remember(0, record));  // it has not begun
  int polls = 0;
  first.run(*remembered, kLoopOrigin + 20s, feed(first, polls));
  REQUIRE(remembered->remember(0, record));
  CHECK(record.step.mode == estimation::Mode::tracking);
  app::Checkpoint checkpoint;
  checkpoint.archive = record.archive;
  checkpoint.header.tick = record.tick;

  const base::Duration shift = kLoopOrigin - 3 * 100ms - record.step.time;
  const auto steps_of = [&](const std::function<void(app::TwinLoop&)>& prepare) {
    TwinLoopRig rig;
    auto loop = rig.make_loop();
    prepare(*loop);
    int sent = 0;
    rig.run(*loop, kLoopOrigin + 1s, feed(rig, sent));
    return rig.steps;
  };
  const auto fresh = steps_of([](app::TwinLoop&) {});
  const auto refused = steps_of([&](app::TwinLoop& loop) {
    app::Checkpoint cut = checkpoint;
    cut.archive.pop_back();
    CHECK(loop.resume(0, cut, shift, 3, base::Instant::max()) == Resumed::misfit);
    CHECK(loop.resume(0, checkpoint, shift, 3, kLoopOrigin - 1h) == Resumed::too_slow);
  });
  const auto resumed = steps_of([&](app::TwinLoop& loop) {
    CHECK(loop.resume(0, checkpoint, shift, 3, base::Instant::max()) == Resumed::done);
    CHECK(loop.twin_figures(0).mode == estimation::Mode::tracking);
  });
  REQUIRE(fresh.size() == refused.size());
  REQUIRE(resumed.size() >= 9);
  for (std::size_t k = 0; k < fresh.size(); ++k) {
    CHECK(refused[k].x == fresh[k].x);
    CHECK(refused[k].std == fresh[k].std);
  }
  CHECK(resumed[0].step == 0);
  CHECK(resumed[0].time == kLoopOrigin);
  CHECK(resumed[0].mode == estimation::Mode::tracking);
  CHECK(resumed[0].x[0] == Approx(record.step.x[0]).margin(0.01));
  CHECK(resumed[0].std[0] < fresh[0].std[0]);
  CHECK(resumed[0].std[0] > record.step.std[0]);  // two steps were missed
}

TEST_CASE("TwinLoop obeys orders about alarms within a moment, and what it publishes says so") {
  TwinLoopRig rig;
  auto loop = rig.make_loop();
  std::vector<app::Outcome> outcomes;
  std::uint64_t number = 0;
  const auto order = [&](app::Order::Kind kind, const std::string& subject, base::Duration duration = 0s) {
    app::Order made;
    made.number = ++number;
    made.kind = kind;
    made.subject = subject;
    made.word = {"ann", "", rig.clock.now() + duration};
    loop->orders().give(made);
  };
  // The device is silent, so that its alarm of the connection stands by the first second.
  int turn = 0;
  rig.run(*loop, kLoopOrigin + 5s, [&](base::Instant now) {
    if (now >= kLoopOrigin + 1s && turn == 0) {
      order(app::Order::Kind::acknowledge, "plc.connection");
      order(app::Order::Kind::acknowledge, "tank.level.gate");
      order(app::Order::Kind::shelve, "nobody.connection", 1s);
      ++turn;
    }
    if (now >= kLoopOrigin + 2s && turn == 1) {
      order(app::Order::Kind::maintenance, "plc", 1s);
      ++turn;
    }
    app::Outcome outcome;
    while (loop->orders().take_outcome(outcome)) outcomes.push_back(outcome);
  });
  REQUIRE(outcomes.size() == 4);
  CHECK(outcomes[0].reason == "");
  CHECK(outcomes[1].reason == "tank.level.gate does not stand");
  CHECK_FALSE(outcomes[2].reason);
  CHECK(outcomes[3].reason == "");
  using Kind = diagnosis::AnomalyEventKind;
  std::vector<Kind> kinds;
  for (const auto& event : rig.anomalies) kinds.push_back(event.event);
  CHECK(kinds == std::vector<Kind>{Kind::raised, Kind::acknowledged, Kind::suppressed, Kind::unsuppressed});
  CHECK(rig.anomalies[1].by == "ann");
  CHECK(rig.anomalies[1].time <= kLoopOrigin + 1s + 300ms);
  CHECK(rig.anomalies[3].state == diagnosis::AnomalyState::acknowledged);
  const base::Duration held = rig.anomalies[3].time - rig.anomalies[2].time;
  CHECK(held >= 900ms);
  CHECK(held <= 1200ms);
}

TEST_CASE("TwinLoop publishes and hands out on demand what it would only later") {
  TwinLoopRig rig;
  rig.plan.config.twins[0].publish.state_interval = 1h;
  rig.plan.config.devices[0].publish.interval.reset();
  auto loop = rig.make_loop();
  app::Outcome outcome;
  std::vector<app::TappedSample> tapped;
  int polls = 0;
  int turn = 0;
  rig.run(*loop, kLoopOrigin + 3s, [&](base::Instant now) {
    for (; kLoopOrigin + polls * 100ms + 3ms <= now; ++polls) rig.send(1.0 + polls, kLoopOrigin + polls * 100ms + 3ms);
    if (now >= kLoopOrigin + 1s && turn == 0) {
      CHECK(rig.steps.size() == 1);  // tick 0
      for (const auto kind : {app::Order::Kind::snapshot, app::Order::Kind::remember}) {
        app::Order order;
        order.number = 7;
        order.kind = kind;
        order.twins = {0};
        if (kind == app::Order::Kind::snapshot) order.devices = {0};
        loop->orders().give(order);
      }
      ++turn;
    }
    loop->tap().set_open(now >= kLoopOrigin + 1s && now < kLoopOrigin + 2s);
    app::TappedSample sample;
    while (loop->tap().try_take(sample)) tapped.push_back(sample);
    app::Outcome next;
    while (loop->orders().take_outcome(next)) outcome = next;
  });
  REQUIRE(rig.steps.size() == 2);
  CHECK(rig.steps[1].time >= kLoopOrigin + 900ms);
  CHECK(rig.snapshots == 1);
  REQUIRE(outcome.records.size() == 1);
  CHECK(outcome.records[0].step.time == rig.steps[1].time);
  CHECK_FALSE(outcome.records[0].archive.empty());
  CHECK(tapped.size() >= 8);
  CHECK(tapped.size() <= 12);
  CHECK(tapped[1].value == tapped[0].value + 1.0);
}
