// The twin thread: validates samples, steps every twin on its absolute deadlines, runs the diagnosis, takes snapshots.
//
// Tick k of a twin is closed at t_k + period/2 (a sample belongs to its nearest tick). Jobs are taken in the order of
// their deadlines, samples only up to the deadline at hand: after a stall the results are those of a punctual run. A
// step that starts a period late or later is counted as missed; more than kMostCaughtUp of them are given up, and the
// twin begins anew.
// Thread rule: run() is the body of one thread; figures may be read from any. It never locks, logs or waits for
// anything but its next deadline; Twin::step allocates nothing.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "acquisition/snapshot_builder.hpp"
#include "acquisition/validator.hpp"
#include "app/alarm_list.hpp"
#include "app/checkpoint.hpp"
#include "app/device_loop.hpp"
#include "app/heartbeat.hpp"
#include "app/lateness.hpp"
#include "app/order_queue.hpp"
#include "app/outbox.hpp"
#include "app/plan.hpp"
#include "app/sample_tap.hpp"
#include "app/schedule.hpp"
#include "app/twin_notes.hpp"
#include "app/twin_run.hpp"
#include "twinkeeper/base/duration_histogram.hpp"
#include "twinkeeper/diagnosis/bus_diagnosis.hpp"
#include "twinkeeper/diagnosis/device_diagnosis.hpp"
#include "twinkeeper/estimation/twin.hpp"

namespace twinkeeper::app {

// Their names in `metrics`, in the order of TwinFigures::consistency.
inline constexpr std::array<const char*, 9> kConsistencyFigures{
    "nis_mean_60",    "nis_low_60",       "nis_high_60",
    "gated_share_60", "nis_mean_3600",    "nis_low_3600",
    "nis_high_3600",  "gated_share_3600", "innovation_autocorrelation"};

struct TwinFigures {
  std::atomic<std::uint64_t> steps_total{0};
  std::atomic<std::uint64_t> steps_missed_total{0};
  std::atomic<std::uint64_t> steps_revised_total{0};  // done again because of late samples
  std::atomic<estimation::Mode> mode{estimation::Mode::initializing};
  base::DurationHistogram step_seconds;
  // estimation::Consistency, told once a minute of steps; NaN until then
  std::array<std::atomic<double>, kConsistencyFigures.size()> consistency;

  TwinFigures() {
    for (auto& figure : consistency) figure.store(std::numeric_limits<double>::quiet_NaN());
  }
};

struct DeviceFigures {
  std::atomic<std::uint64_t> samples_total{0};
  std::atomic<std::uint64_t> samples_bad_total{0};
  std::atomic<std::uint64_t> samples_late_total{0};      // after the step of a twin, once for each twin
  std::atomic<std::uint64_t> samples_too_late_total{0};  // of those, the ones that were of no use
  std::atomic<std::uint32_t> tags_bad{0};                // at the newest look
};

class TwinLoop {
 public:
  // `wake` is called once the outbox holds all that fell due together. The twins must be built from the plan's models.
  TwinLoop(const Plan& plan, std::vector<estimation::Twin> twins, std::vector<SampleQueue*> queues, Outbox& outbox,
           std::function<void()> wake, base::Instant grid_origin, const base::Clock& clock);

  // For a capture, before run(); `notes` outlives the loop.
  void note_to(TwinNotes& notes) { notes_ = &notes; }

  // Where samples are left for whoever records.
  [[nodiscard]] SampleTap& tap() { return tap_; }

  // Before run(): a twin goes on from its checkpoint, `missed` ticks of it before the first of this grid, if the steps
  // in between are done before `deadline`. Else the twin is as it was.
  enum class Resumed { done, misfit, too_slow };
  Resumed resume(std::size_t twin, const Checkpoint& checkpoint, base::Duration shift, std::int64_t missed,
                 base::Instant deadline);
  // Before run(): a twin begins at a state that was known `missed` ticks before the first. False: too slow, as above.
  struct Beginning {
    Eigen::VectorXd x, std;    // absolute
    std::vector<double> held;  // inputs, absolute; NaN: not known
  };
  bool begin(std::size_t twin, const Beginning& from, std::int64_t missed, base::Instant deadline);
  // Between steps: what a twin remembers. False before its first step.
  bool remember(std::size_t twin, CheckpointRecord& record);
  [[nodiscard]] TwinRun& twin_run(std::size_t twin) { return twins_[twin].run; }

  // Before run(), once the twins have been resumed: what operators said before. After it, what stands is in `standing`.
  void restore(const OperatorWords& words, std::vector<diagnosis::AnomalyEvent>& standing);

  void run(std::stop_token stop, Heartbeat& heartbeat);

  // Orders about twins, devices and their alarms; obeyed within a turn or two of kDrainInterval.
  [[nodiscard]] OrderQueue& orders() { return orders_; }
  [[nodiscard]] TwinFigures& twin_figures(std::size_t twin) { return *twin_figures_[twin]; }
  [[nodiscard]] DeviceFigures& device_figures(std::size_t device) { return *device_figures_[device]; }
  [[nodiscard]] Lateness& lateness() { return lateness_; }

 private:
  enum class Task : std::uint8_t { drain, step, snapshot, look, checkpoint };
  struct TaskOf {
    Task task;
    std::size_t subject;  // twin or device
  };
  struct ScheduledTwin {
    TwinRun run;
    std::int64_t steps_per_state;
    base::Duration period;
    std::optional<estimation::Mode> told_mode{};
  };

  void drain_until(base::Instant deadline);
  void perform(const Due& due);
  void step(std::size_t twin, const Due& due);
  void take_snapshot(std::size_t device, base::Instant time);
  void look_at(std::size_t device, const Due& due);
  void send_anomalies();
  void hand_over_checkpoint(std::size_t twin);
  void publish_state(std::size_t twin);
  // twin_orders.cpp
  void obey_orders();
  [[nodiscard]] Outcome obey(const Order& order, base::Instant now);
  template <class Each>
  void each_alarm_book(const Each& each);
  [[nodiscard]] bool step_through(std::size_t twin, std::int64_t first, base::Instant deadline);

  const Plan& plan_;
  std::vector<SampleQueue*> queues_;
  Outbox& outbox_;
  std::function<void()> wake_;
  bool outbox_filled_ = false;  // since the last wake_()
  const base::Instant origin_;
  const base::Clock& clock_;
  TwinNotes* notes_ = nullptr;
  base::Instant drained_until_ = base::Instant::min();

  acquisition::Validator validator_;
  std::vector<ScheduledTwin> twins_;
  std::vector<std::vector<std::size_t>> twins_of_tag_;         // by TagIndex
  std::vector<std::vector<signals::TagIndex>> tags_of_twins_;  // per twin
  std::vector<std::size_t> device_of_tag_;
  std::vector<acquisition::SnapshotBuilder> snapshots_;
  std::vector<diagnosis::DeviceDiagnosis> devices_;
  struct PlaceOnBus {
    std::size_t bus = 0;
    std::size_t device = 0;
  };
  std::vector<diagnosis::BusDiagnosis> buses_;                    // controllers with several devices
  std::vector<std::optional<PlaceOnBus>> place_on_bus_;           // per device
  std::vector<std::vector<diagnosis::TagCondition>> conditions_;  // scratch of look_at, per device
  OrderQueue orders_;
  SampleTap tap_;
  std::vector<TaskOf> tasks_;
  Schedule schedule_;
  std::vector<diagnosis::AnomalyEvent> anomalies_;  // that the outbox has not taken yet
  std::vector<std::unique_ptr<TwinFigures>> twin_figures_;
  std::vector<std::unique_ptr<DeviceFigures>> device_figures_;
  Lateness lateness_;
};

}  // namespace twinkeeper::app
