#include "app/twin_loop.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "app/endpoints.hpp"
#include "twinkeeper/base/archive.hpp"

namespace twinkeeper::app {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kMostCaughtUp = 1000;
constexpr base::Duration kDrainInterval = 100ms;  // samples are taken off the queues at least this often
constexpr base::Duration kCheckpointInterval = 60s;
constexpr base::Duration kLongestTwinNap = 200ms;  // between two looks at the stop token

base::Duration shortest_poll(const config::DeviceConfig& device) {
  base::Duration shortest = device.driver.poll_interval;
  for (const auto& reg : device.driver.registers) shortest = std::min(shortest, reg.poll_interval);
  return shortest;
}

void tell_consistency(const estimation::Consistency& read, TwinFigures& figures) {
  const std::array<double, kConsistencyFigures.size()> values{
      read.short_window.mean_nis,    read.short_window.low,        read.short_window.high,
      read.short_window.gated_share, read.long_window.mean_nis,    read.long_window.low,
      read.long_window.high,         read.long_window.gated_share, read.autocorrelation};
  for (std::size_t i = 0; i < values.size(); ++i) figures.consistency[i].store(values[i], std::memory_order_relaxed);
}

}  // namespace

TwinLoop::TwinLoop(const Plan& plan, std::vector<estimation::Twin> twins, std::vector<SampleQueue*> queues,
                   Outbox& outbox, std::function<void()> wake, base::Instant grid_origin, const base::Clock& clock)
    : plan_(plan),
      queues_(std::move(queues)),
      outbox_(outbox),
      wake_(std::move(wake)),
      origin_(grid_origin),
      clock_(clock),
      validator_(tag_rules(plan)),
      twins_of_tag_(users_of_tags(plan)),
      tags_of_twins_(tags_of_twins(plan)),
      schedule_({}) {
  std::vector<Job> jobs;
  const auto add = [&](Task task, std::size_t subject, base::Instant first, base::Duration period) {
    tasks_.push_back({task, subject});
    jobs.push_back({first, period});
  };
  add(Task::drain, 0, origin_, kDrainInterval);
  for (auto& run : make_twin_runs(plan, std::move(twins), origin_)) {
    const std::size_t i = twins_.size();
    const auto& config = plan.config.twins[i];
    twins_.push_back({std::move(run), steps_per_state(config), config.period});
    twin_figures_.push_back(std::make_unique<TwinFigures>());
    add(Task::step, i, origin_ + config.period / 2, config.period);
    if (outbox_.checkpoints.empty()) continue;
    // One after the other, so that no two of many twins take the time of one step.
    const auto turn = static_cast<std::int64_t>(i + 1);
    const auto turns = static_cast<std::int64_t>(plan.config.twins.size() + 1);
    add(Task::checkpoint, i, origin_ + kCheckpointInterval / turns * turn, kCheckpointInterval);
  }
  std::vector<diagnosis::DeviceDiagnosisSetup> device_setups;
  signals::TagIndex next_tag = 0;
  for (std::size_t d = 0; d < plan.config.devices.size(); ++d) {
    const auto& device = plan.config.devices[d];
    const base::Duration poll = shortest_poll(device);
    std::vector<signals::TagIndex> published;
    diagnosis::DeviceDiagnosisSetup setup{device.driver.name, {}, poll, device.driver.timeout};
    for (std::size_t r = 0; r < device.registers.size(); ++r, ++next_tag) {
      device_of_tag_.push_back(d);
      if (device.registers[r].publish) published.push_back(next_tag);
      setup.tags.push_back({device.driver.registers[r].name, twins_of_tag_[next_tag].empty()});
    }
    conditions_.emplace_back(setup.tags.size());
    device_setups.push_back(setup);
    devices_.emplace_back(std::move(setup));
    device_figures_.push_back(std::make_unique<DeviceFigures>());
    snapshots_.emplace_back(static_cast<signals::DeviceIndex>(d), std::move(published));
    if (device.publish.interval) {
      add(Task::snapshot, d, origin_ + *device.publish.interval + poll / 2, *device.publish.interval);
    }
    // The first look waits until a first poll can have failed.
    add(Task::look, d, origin_ + std::max(poll, device.driver.timeout) + poll / 2, poll);
  }
  place_on_bus_.resize(devices_.size());
  for (const auto& group : group_by_controller(plan.config)) {
    if (group.size() < 2) continue;
    std::vector<diagnosis::DeviceDiagnosisSetup> setups;
    for (const std::size_t d : group) {
      place_on_bus_[d] = PlaceOnBus{buses_.size(), setups.size()};
      setups.push_back(device_setups[d]);
    }
    buses_.emplace_back(drivers::link_name(plan.config.devices[group.front()].driver), setups);
  }
  schedule_ = Schedule(std::move(jobs));
}

void TwinLoop::run(std::stop_token stop, Heartbeat& heartbeat) {
  while (!stop.stop_requested()) {
    const base::Instant now = clock_.now();
    heartbeat.beat(now);
    const Due due = schedule_.next();
    if (due.deadline > now) {
      // One ring for all that fell due together: the spool thread then stores and sends it as one batch.
      if (std::exchange(outbox_filled_, false)) wake_();
      clock_.sleep_until(std::min(due.deadline, now + kLongestTwinNap));
      continue;
    }
    drain_until(due.deadline);
    perform(due);
  }
}

// Queues hold samples in the order of their time, one queue per device thread.
void TwinLoop::drain_until(base::Instant deadline) {
  for (std::size_t q = 0; q < queues_.size(); ++q) {
    SampleQueue* queue = queues_[q];
    while (signals::Sample* sample = queue->peek()) {
      if (sample->time > deadline) break;
      if (notes_ != nullptr) notes_->sample_taken(q, sample->time, deadline, drained_until_);
      DeviceFigures& figures = *device_figures_[device_of_tag_[sample->tag]];
      validator_.validate(*sample);
      tap_.push(*sample);
      figures.samples_total.fetch_add(1, std::memory_order_relaxed);
      if (sample->quality == signals::Quality::bad) figures.samples_bad_total.fetch_add(1, std::memory_order_relaxed);
      for (const std::size_t twin : twins_of_tag_[sample->tag]) {
        TwinRun& run = twins_[twin].run;
        const acquisition::SynchroniserCounters before = run.synchroniser().counters();
        run.accept(*sample);
        const acquisition::SynchroniserCounters& after = run.synchroniser().counters();
        if (after.late_total > before.late_total) figures.samples_late_total.fetch_add(1, std::memory_order_relaxed);
        if (after.dropped_total > before.dropped_total) {
          figures.samples_too_late_total.fetch_add(1, std::memory_order_relaxed);
        }
      }
      queue->pop();
    }
  }
  drained_until_ = deadline;
  if (notes_ != nullptr) notes_->drained(deadline);
}

void TwinLoop::perform(const Due& due) {
  const TaskOf task = tasks_[due.job];
  switch (task.task) {
    case Task::drain: {
      obey_orders();
      // Only the newest turn matters.
      const std::int64_t behind = (clock_.now() - due.deadline) / kDrainInterval;
      schedule_.advance(std::max<std::int64_t>(1, behind));
      return;
    }
    case Task::step: step(task.subject, due); return;
    case Task::snapshot: take_snapshot(task.subject, due.deadline); break;
    case Task::look: look_at(task.subject, due); break;
    case Task::checkpoint: hand_over_checkpoint(task.subject); break;
  }
  schedule_.advance();
}

void TwinLoop::step(std::size_t index, const Due& due) {
  ScheduledTwin& twin = twins_[index];
  TwinFigures& figures = *twin_figures_[index];
  const base::Instant started = clock_.now();
  lateness_.record(started - due.deadline);
  const std::int64_t behind = (started - due.deadline) / twin.period;
  if (behind > kMostCaughtUp) {
    figures.steps_missed_total.fetch_add(static_cast<std::uint64_t>(behind), std::memory_order_relaxed);
    schedule_.advance(behind);
    twin.run.give_up();
    if (notes_ != nullptr) notes_->steps_given_up(due.deadline);
    return;
  }
  if (behind >= 1) figures.steps_missed_total.fetch_add(1, std::memory_order_relaxed);

  const std::size_t told = anomalies_.size();
  const estimation::TwinStep& step = twin.run.step(due.turn, anomalies_);
  figures.step_seconds.record(clock_.now() - started);
  figures.steps_total.fetch_add(1, std::memory_order_relaxed);
  figures.steps_revised_total.store(twin.run.steps_revised(), std::memory_order_relaxed);
  figures.mode.store(step.mode, std::memory_order_relaxed);
  if (twin.told_mode != step.mode && outbox_.modes.try_push({index, twin.told_mode, step.mode})) {
    twin.told_mode = step.mode;
    outbox_filled_ = true;
  }
  if ((due.turn + 1) % static_cast<std::int64_t>(estimation::ConsistencyMonitor::kSteps) == 0) {
    tell_consistency(twin.run.consistency().read(), figures);
  }
  // An alarm that has been told must not be told again, or forgotten, after a sudden end.
  if (anomalies_.size() > told && !outbox_.checkpoints.empty()) hand_over_checkpoint(index);
  send_anomalies();
  if (due.turn % twin.steps_per_state == 0) publish_state(index);
  schedule_.advance();
}

void TwinLoop::publish_state(std::size_t index) {
  const TwinRun& run = twins_[index].run;
  TwinRecord* record = outbox_.steps[index]->try_acquire(run.newest().time);
  if (record == nullptr) return;
  record->step = run.newest();
  run.alarms().active_ids(record->anomalies.active);
  run.alarms().shelved_ids(record->anomalies.shelved);
  record->anomalies.priority = run.alarms().highest_priority();
  outbox_.steps[index]->send(record);
  outbox_filled_ = true;
}

bool TwinLoop::remember(std::size_t twin, CheckpointRecord& record) {
  TwinRun& run = twins_[twin].run;
  if (!run.begun()) return false;
  run.revise();
  record.archive.clear();
  base::ArchiveWriter writer(record.archive);
  archive(tags_of_twins_[twin], validator_, writer);
  writer(run);
  record.step = run.newest();
  record.tick = run.own_tick();
  return true;
}

void TwinLoop::hand_over_checkpoint(std::size_t twin) {
  if (!twins_[twin].run.begun()) return;
  CheckpointRecord* record = outbox_.checkpoints[twin]->try_acquire();
  if (record == nullptr) return;  // the disk is slow; the next one counts
  remember(twin, *record);
  outbox_.checkpoints[twin]->send(record);
}

// All ticks from `first` to the one before the grid begins.
bool TwinLoop::step_through(std::size_t twin, std::int64_t first, base::Instant deadline) {
  constexpr std::int64_t kAtOnce = 1000;
  TwinRun& run = twins_[twin].run;
  for (std::int64_t tick = first; tick < 0; tick = std::min<std::int64_t>(tick + kAtOnce, 0)) {
    if (clock_.now() > deadline) return false;
    run.step(std::min<std::int64_t>(tick + kAtOnce, 0) - 1, anomalies_);
  }
  twin_figures_[twin]->mode.store(run.newest().mode, std::memory_order_relaxed);
  return true;
}

TwinLoop::Resumed TwinLoop::resume(std::size_t twin, const Checkpoint& checkpoint, base::Duration shift,
                                   std::int64_t missed, base::Instant deadline) {
  TwinRun& run = twins_[twin].run;
  const TwinRun run_before = run;
  std::vector<std::byte> tags_before;
  base::ArchiveWriter keep(tags_before);
  archive(tags_of_twins_[twin], validator_, keep);
  const std::size_t told = anomalies_.size();

  base::ArchiveReader reader(checkpoint.archive, shift);
  archive(tags_of_twins_[twin], validator_, reader);
  reader(run);
  const bool fits = reader.done();
  if (fits) run.count_from(checkpoint.header.tick + missed);
  if (fits && step_through(twin, 1 - missed, deadline)) return Resumed::done;

  run = run_before;
  base::ArchiveReader give_back(tags_before);
  archive(tags_of_twins_[twin], validator_, give_back);
  anomalies_.resize(told);
  return fits ? Resumed::too_slow : Resumed::misfit;
}

bool TwinLoop::begin(std::size_t twin, const Beginning& from, std::int64_t missed, base::Instant deadline) {
  TwinRun& run = twins_[twin].run;
  const TwinRun before = run;
  const std::size_t told = anomalies_.size();
  run.twin().start_at(from.x, from.std);
  run.twin().hold(from.held);
  if (step_through(twin, -missed, deadline)) return true;
  run = before;
  anomalies_.resize(told);
  return false;
}

void TwinLoop::take_snapshot(std::size_t device, base::Instant time) {
  if (SnapshotRecord* record = outbox_.snapshots[device]->try_acquire(time)) {
    snapshots_[device].build(validator_, time, record->snapshot);
    outbox_.snapshots[device]->send(record);
    outbox_filled_ = true;
  }
}

void TwinLoop::look_at(std::size_t device, const Due& due) {
  auto& conditions = conditions_[device];
  const auto first = static_cast<signals::TagIndex>(
      std::lower_bound(device_of_tag_.begin(), device_of_tag_.end(), device) - device_of_tag_.begin());
  std::uint32_t bad = 0;
  for (std::size_t r = 0; r < conditions.size(); ++r) {
    conditions[r].quality =
        validator_.quality_at(first + static_cast<signals::TagIndex>(r), due.deadline, conditions[r].reason);
    if (conditions[r].quality == signals::Quality::bad) ++bad;
  }
  device_figures_[device]->tags_bad.store(bad, std::memory_order_relaxed);
  diagnosis::Cover cover;
  if (const auto& place = place_on_bus_[device]) {
    const bool lost = diagnosis::DeviceDiagnosis::lost(conditions);
    cover = buses_[place->bus].evaluate(due.deadline, place->device, lost, anomalies_);
  }
  devices_[device].evaluate(due.deadline, conditions, anomalies_, cover);
  send_anomalies();
}

void TwinLoop::send_anomalies() {
  if (anomalies_.empty()) return;
  // Events are rare and worth most: those that find no room wait here for the next turn.
  std::size_t sent = 0;
  while (sent < anomalies_.size() && !outbox_.anomalies.full()) {
    outbox_.anomalies.try_push(std::move(anomalies_[sent++]));
  }
  anomalies_.erase(anomalies_.begin(), anomalies_.begin() + static_cast<std::ptrdiff_t>(sent));
  outbox_filled_ = true;
}

}  // namespace twinkeeper::app
