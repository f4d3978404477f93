#include "app/twin_run.hpp"

#include <algorithm>
#include <bit>
#include <random>

#include "support/catch.hpp"
#include "support/samples.hpp"
#include "twinkeeper/base/archive.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;

namespace {

constexpr base::Instant kRunOrigin{500s};

struct Settings {
  std::string model = "cascaded_tanks";  // of docs/models/examples
  std::optional<base::Duration> sample_time;
  base::Duration delay{};  // of the first input
  std::int64_t history = 100;
  std::int64_t lateness = 0;
  acquisition::Combine combine = acquisition::Combine::last;
};

app::Plan plan_of(const Settings& settings) {
  const std::string file = TWINKEEPER_SOURCE_DIR "/docs/models/examples/" + settings.model + ".yaml";
  auto loaded = app::load_model_file(file, settings.sample_time, {});
  REQUIRE(std::holds_alternative<config::ModelFile>(loaded));
  auto& model = std::get<config::ModelFile>(loaded);
  model.diagnosis = {};
  model.has_diagnosis = true;
  std::vector<std::string> columns;
  for (const auto& output : model.model.outputs) columns.push_back(output.name);
  app::Plan plan = app::plan_of_model(model, columns);
  config::TwinConfig& twin = plan.config.twins[0];
  twin.late = {settings.history * twin.period, settings.lateness * twin.period};
  for (auto& output : twin.outputs) output.combine = settings.combine;
  twin.inputs[0].delay = settings.delay;
  std::vector<double> dead_times(twin.inputs.size(), 0.0);
  dead_times[0] = std::chrono::duration<double>(settings.delay).count();
  const double period = std::chrono::duration<double>(twin.period).count();
  plan.models[0] = std::get<model::StateSpace>(model::build(twin.model, period, dead_times));
  return plan;
}

app::TwinRun run_of(const app::Plan& plan) {
  auto twins = std::get<std::vector<estimation::Twin>>(app::make_twins(plan));
  return std::move(app::make_twin_runs(plan, std::move(twins), kRunOrigin)[0]);
}

bool same_told(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

bool same_told(const estimation::TwinStep& a, const estimation::TwinStep& b) {
  bool equal =
      a.step == b.step && a.mode == b.mode && same_told(a.nis, b.nis) && a.nis_dof == b.nis_dof &&
      std::equal(a.x.begin(), a.x.end(), b.x.begin(), [](double x, double y) { return same_told(x, y); }) &&
      std::equal(a.std.begin(), a.std.end(), b.std.begin(), [](double x, double y) { return same_told(x, y); });
  for (std::size_t j = 0; j < a.inputs.size(); ++j) {
    equal = equal && same_told(a.inputs[j].value, b.inputs[j].value) && a.inputs[j].quality == b.inputs[j].quality;
  }
  for (std::size_t i = 0; i < a.outputs.size(); ++i) {
    const estimation::OutputStep& y = a.outputs[i];
    const estimation::OutputStep& z = b.outputs[i];
    equal = equal && same_told(y.measured, z.measured) && same_told(y.expected, z.expected) &&
            same_told(y.innovation, z.innovation) && same_told(y.std, z.std) && y.fused == z.fused &&
            y.quality == z.quality && y.reason == z.reason;
  }
  return equal;
}

struct Arrival {
  signals::Sample sample;
  std::int64_t tick = 0;
  std::int64_t after = 0;  // comes when this tick has been closed
};

// A walk of each signal around its usual value, with jumps, bad samples and dropouts; some samples come late.
std::vector<Arrival> arrivals_of(const app::Plan& plan, std::int64_t ticks, std::int64_t latest,
                                 std::mt19937_64& random) {
  std::vector<double> usual;
  const model::StateSpace& model = plan.models[0];
  for (Eigen::Index j = 0; j < model.n_u(); ++j) usual.push_back(model.u_op(j));
  for (Eigen::Index i = 0; i < model.n_y(); ++i) usual.push_back(model.y_op(i));
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> chance;
  const base::Duration period = plan.config.twins[0].period;
  std::vector<Arrival> arrivals;
  for (std::int64_t tick = 0; tick < ticks; ++tick) {
    for (std::size_t tag = 0; tag < usual.size(); ++tag) {
      const int samples = chance(random) < 0.1 ? 0 : chance(random) < 0.2 ? 2 : 1;
      for (int s = 0; s < samples; ++s) {
        const double value = usual[tag] * (1.0 + 0.02 * normal(random)) + (chance(random) < 0.01 ? usual[tag] : 0.0);
        const auto offset =
            static_cast<std::int64_t>((chance(random) - 0.5) * 0.98 * static_cast<double>(period.count()));
        signals::Sample sample = test::good_sample(static_cast<signals::TagIndex>(tag), value,
                                                   kRunOrigin + tick * period + base::Duration{offset});
        if (chance(random) < 0.03) {
          sample.quality = signals::Quality::bad;
          sample.reason = signals::Reason::timeout;
          sample.value = std::nan("");
        }
        const bool late = chance(random) < 0.3;
        arrivals.push_back(
            {sample, tick,
             tick - 1 + (late ? 1 + static_cast<std::int64_t>(chance(random) * static_cast<double>(latest)) : 0)});
      }
    }
  }
  return arrivals;
}

std::vector<estimation::TwinStep> steps_of(app::TwinRun& run, std::vector<Arrival> arrivals, std::int64_t ticks,
                                           bool in_order, std::vector<diagnosis::AnomalyEvent>& anomalies) {
  const auto when = [&](const Arrival& arrival) { return in_order ? arrival.tick - 1 : arrival.after; };
  std::stable_sort(arrivals.begin(), arrivals.end(), [&](const Arrival& a, const Arrival& b) {
    return when(a) != when(b) ? when(a) < when(b) : in_order && a.sample.time < b.sample.time;
  });
  std::vector<estimation::TwinStep> steps(static_cast<std::size_t>(ticks));
  auto next = arrivals.begin();
  for (std::int64_t tick = 0; tick < ticks; ++tick) {
    for (; next != arrivals.end() && when(*next) < tick; ++next) run.accept(next->sample);
    steps[static_cast<std::size_t>(tick)] = run.step(tick, anomalies);
  }
  for (; next != arrivals.end(); ++next) run.accept(next->sample);
  run.revise();
  for (std::int64_t tick = 0; tick < ticks; ++tick) {
    if (const estimation::TwinStep* step = run.at(tick)) steps[static_cast<std::size_t>(tick)] = *step;
  }
  return steps;
}

}  // namespace

TEST_CASE("Samples out of order give the same state as samples in order, bit for bit") {
  const auto [name, settings] = GENERATE(table<std::string, Settings>({
      {"a template, relinearised", {}},
      {"a linear template", {"tclab", 1s}},
      {"a dead time of one step and a part", {"tclab", 1s, 1300ms}},
      {"a dead time of whole steps", {"cascaded_tanks", std::nullopt, 12s}},
      {"means", {"tclab", 1s, 0ms, 100, 0, acquisition::Combine::mean}},
  }));
  constexpr std::int64_t kTicks = 300;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(name, seed);
    const app::Plan plan = plan_of(settings);
    std::mt19937_64 random(seed);
    const auto arrivals = arrivals_of(plan, kTicks, 90, random);
    app::TwinRun in_order = run_of(plan);
    app::TwinRun out_of_order = run_of(plan);
    std::vector<diagnosis::AnomalyEvent> ignored;
    const auto expected = steps_of(in_order, arrivals, kTicks, true, ignored);
    const auto steps = steps_of(out_of_order, arrivals, kTicks, false, ignored);
    CHECK(in_order.steps_revised() == 0);
    CHECK(out_of_order.steps_revised() > 1000);
    CHECK(out_of_order.synchroniser().counters().dropped_total == 0);
    // What is further back than the history when the run ends has been overwritten with what came later.
    for (std::size_t tick = kTicks - 100; tick < kTicks; ++tick) {
      CAPTURE(tick);
      CHECK(same_told(steps[tick], expected[tick]));
    }
    CHECK(std::any_of(expected.begin(), expected.end(), [](const auto& step) { return step.nis_dof > 0; }));
  }
}

TEST_CASE("Alarms behind the watermark are those of samples in order, and are told by so much later") {
  constexpr std::int64_t kTicks = 600;
  Settings settings{"tclab", 1s};
  settings.lateness = 40;
  const app::Plan plan = plan_of(settings);
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    auto arrivals = arrivals_of(plan, kTicks, 39, random);
    for (Arrival& arrival : arrivals) {  // one sensor lies for a while
      const std::size_t first_output = plan.config.twins[0].inputs.size();
      if (arrival.sample.tag == first_output && arrival.tick >= 200 && arrival.tick < 300) arrival.sample.value += 40.0;
    }
    app::TwinRun in_order = run_of(plan);
    app::TwinRun out_of_order = run_of(plan);
    std::vector<diagnosis::AnomalyEvent> expected, told;
    steps_of(in_order, arrivals, kTicks, true, expected);
    steps_of(out_of_order, arrivals, kTicks, false, told);
    REQUIRE(!expected.empty());
    REQUIRE(told.size() == expected.size());
    for (std::size_t i = 0; i < told.size(); ++i) {
      CAPTURE(i, told[i].id);
      CHECK(told[i].id == expected[i].id);
      CHECK(told[i].event == expected[i].event);
      CHECK(told[i].time == expected[i].time);
      CHECK(told[i].onset == expected[i].onset);
      CHECK(told[i].statistic == expected[i].statistic);
    }
  }
}

TEST_CASE("A tick is judged once it is behind the watermark, and ticks left out are stepped on the way") {
  Settings settings{"tclab", 1s};
  settings.lateness = 3;
  const app::Plan plan = plan_of(settings);
  app::TwinRun run = run_of(plan);
  std::vector<diagnosis::AnomalyEvent> anomalies;
  signals::Sample sample;
  sample.tag = static_cast<signals::TagIndex>(plan.config.twins[0].inputs.size());
  sample.value = std::nan("");
  sample.raw.kind = signals::RawKind::float64;
  std::int64_t first_told = -1;
  for (std::int64_t tick = 0; tick < 20 && first_told < 0; ++tick) {
    sample.time = kRunOrigin + tick * 1s;
    sample.quality = signals::Quality::bad;
    sample.reason = signals::Reason::not_finite;
    run.accept(sample);
    run.step(tick, anomalies);
    if (!anomalies.empty()) first_told = tick;
  }
  REQUIRE(first_told >= 3);
  CHECK(anomalies[0].time == kRunOrigin + (first_told - 3) * 1s);

  app::TwinRun patient = run;
  for (std::int64_t tick = first_told + 1; tick <= first_told + 50; ++tick) patient.step(tick, anomalies);
  const estimation::TwinStep& step = run.step(first_told + 50, anomalies);
  CHECK(same_told(step, patient.newest()));
  CHECK(run.at(first_told + 20) != nullptr);
  CHECK(run.at(-1) == nullptr);
}

TEST_CASE("A run that is archived at any step and read into a new one goes on bit for bit, alarms included") {
  const auto [name, settings] = GENERATE(table<std::string, Settings>({
      {"a template", {"cascaded_tanks", std::nullopt, 12s}},
      {"a dead time, means, late alarms", {"tclab", 1s, 1300ms, 50, 20, acquisition::Combine::mean}},
      {"no history", {"tclab", 1s, 0ms, 0}},
  }));
  constexpr std::int64_t kTicks = 300;
  const app::Plan plan = plan_of(settings);
  std::mt19937_64 random(5);
  auto arrivals = arrivals_of(plan, kTicks, 1, random);
  for (Arrival& arrival : arrivals) {
    arrival.after = arrival.tick - 1 - static_cast<std::int64_t>(arrival.sample.tag % 3);  // some wait for their tick
    const std::size_t first_output = plan.config.twins[0].inputs.size();
    if (arrival.sample.tag == first_output && arrival.tick >= 100 && arrival.tick < 200) arrival.sample.value += 40.0;
  }
  std::stable_sort(arrivals.begin(), arrivals.end(),
                   [](const Arrival& a, const Arrival& b) { return a.after < b.after; });
  // Two of them side by side: one goes through bytes again and again, and each time is another object.
  app::TwinRun whole = run_of(plan);
  app::TwinRun restarted = run_of(plan);
  base::Duration shift{};
  std::int64_t own = 0;
  std::vector<diagnosis::AnomalyEvent> expected, told;
  std::size_t seen = 0;
  auto next = arrivals.begin();
  for (std::int64_t tick = 0; tick < kTicks; ++tick) {
    CAPTURE(name, tick);
    for (; next != arrivals.end() && next->after < tick; ++next) {
      whole.accept(next->sample);
      signals::Sample moved = next->sample;
      moved.time += shift;
      restarted.accept(moved);
    }
    const estimation::TwinStep& step = whole.step(tick, expected);
    const estimation::TwinStep& same_step = restarted.step(tick - own, told);
    estimation::TwinStep as_counted = same_step;
    as_counted.step += own;
    REQUIRE(same_told(as_counted, step));
    CHECK(same_step.time == step.time + shift);
    REQUIRE(told.size() == expected.size());
    for (; seen < told.size(); ++seen) {
      CHECK(told[seen].id == expected[seen].id);
      CHECK(told[seen].event == expected[seen].event);
      CHECK(told[seen].occurrence == expected[seen].occurrence);
      CHECK(told[seen].time == expected[seen].time + shift);
      CHECK(told[seen].onset == expected[seen].onset + shift);
      CHECK(told[seen].statistic == expected[seen].statistic);
    }
    CHECK(restarted.alarms().active_ids() == whole.alarms().active_ids());
    if (tick % 7 != 0) continue;
    std::vector<std::byte> bytes;
    base::ArchiveWriter writer(bytes);
    writer(restarted);
    app::TwinRun fresh = run_of(plan);
    const base::Duration by = tick % 2 == 0 ? 1h : -1h;
    base::ArchiveReader reader(bytes, by);
    reader(fresh);
    REQUIRE(reader.done());
    fresh.count_from(tick + 1);
    shift += by;
    own = tick + 1;
    restarted = fresh;
  }
  CHECK_FALSE(expected.empty());
}

TEST_CASE("The bytes of a run have the layout that the checkpoint schema stands for") {
  Settings settings{"tclab", 1s};
  settings.history = 10;
  const app::Plan plan = plan_of(settings);
  app::TwinRun run = run_of(plan);
  std::vector<std::byte> bytes;
  base::ArchiveWriter writer(bytes);
  writer(run);
  // If this has changed, what was written before can't be read: raise kCheckpointSchema in src/app/checkpoint.cpp, then this
  // number.
  CHECK(bytes.size() == (sizeof(std::size_t) == 8 ? 30926 : 30762));
}
