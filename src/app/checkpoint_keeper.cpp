#include "app/checkpoint_keeper.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "app/file_change.hpp"
#include "app/real_time.hpp"
#include "twinkeeper/base/quantity.hpp"
#include "twinkeeper/base/timestamp.hpp"
#include "twinkeeper/model/analysis.hpp"
#include "twinkeeper/model/augmentation.hpp"

namespace twinkeeper::app {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kShortGap = 10min;
constexpr double kTimeConstants = 5.0;
constexpr double kLongestGap = 30.0 * 86400.0;  // s, whatever the time constants
constexpr base::Duration kResumeBudget =
    5s;                         // of all twins, for the steps that were missed: systemd waits for the start
constexpr double kDoubt = 2.0;  // on the variances of another model's states
constexpr base::Duration kLookInterval = 500ms;

base::Duration longest_gap(const model::StateSpace& model) {
  double slowest = 0.0;
  for (const model::Pole& pole : model::poles(model::without_augmentation(model))) {
    if (pole.time_constant > 0.0 && std::isfinite(pole.time_constant)) slowest = std::max(slowest, pole.time_constant);
  }
  const double seconds = std::min(kTimeConstants * slowest, kLongestGap);
  return std::max(kShortGap, base::Duration{static_cast<std::int64_t>(seconds * 1e9)});
}

// Rounded to what a person reads.
std::string duration_text(base::Duration duration) {
  const base::Duration unit = duration < 10s ? 1ms : 1s;
  return base::format_duration(duration / unit * unit);
}

}  // namespace

Resumption judge_checkpoint(const CheckpointHeader& header, const std::string& setup_hash, base::Duration period,
                            const model::StateSpace& model, const PresentTime& present) {
  Resumption found;
  base::Duration gap = present.origin - present.now;
  if (header.boot_id == present.boot_id && present.boot_id != "unknown") {
    gap += present.now - header.time;
  } else if (header.clock_synchronised && present.synchronised) {
    gap += present.wall - header.wall;
  } else {
    found.reason = "it is of another boot, and without synchronised clocks nobody knows how old it is";
    return found;
  }
  if (gap < base::Duration{0}) {
    found.reason = "it is of the future";
    return found;
  }
  const base::Duration longest = longest_gap(model);
  if (gap > longest) {
    found.reason = "it is " + duration_text(gap) + " old, more than " + duration_text(longest);
    return found;
  }
  found.missed = std::max<std::int64_t>(1, (gap + period - base::Duration{1}) / period);
  found.shift = base::grid_point(present.origin, period, -found.missed) - header.time;
  const bool same = header.model_hash == model.hash && header.setup_hash == setup_hash;
  found.kind = same ? Resumption::Kind::whole : Resumption::Kind::states;
  return found;
}

CheckpointKeeper::CheckpointKeeper(const Plan& plan, Outbox& outbox, const base::Clock& clock, std::string boot_id,
                                   signals::EventSink& events)
    : plan_(plan),
      outbox_(outbox),
      clock_(clock),
      boot_id_(std::move(boot_id)),
      events_(events),
      setup_hashes_(setup_hashes(plan)),
      failed_(plan.config.twins.size()) {}

std::string CheckpointKeeper::file_of(std::size_t twin) const {
  return checkpoint_file(plan_.config.gateway.state_directory, plan_.config.twins[twin].name);
}

void CheckpointKeeper::tell(signals::EventLevel level, std::size_t twin, std::string code, std::string message) {
  events_.raise({level, plan_.config.twins[twin].name, std::move(code), std::move(message)});
}

void CheckpointKeeper::resume(TwinLoop& loop, base::Instant origin) {
  PresentTime present{boot_id_, clock_.now(), clock_.wall_now(), clock_.synchronised(), origin};
  const base::Instant deadline = present.now + kResumeBudget;
  for (std::size_t twin = 0; twin < plan_.config.twins.size(); ++twin) resume(loop, twin, present, deadline);
}

void CheckpointKeeper::resume(TwinLoop& loop, std::size_t twin, const PresentTime& present, base::Instant deadline) {
  const std::string file = file_of(twin);
  const auto read = read_checkpoint(file);
  if (!read.ok() && read.error().code() == base::ErrorCode::not_found) return;
  if (!read.ok() && read.error().code() == base::ErrorCode::corrupt)
    return set_aside(file, read.error().message(), twin);
  if (!read.ok()) {
    return tell(signals::EventLevel::warning, twin, "checkpoint_unreadable",
                read.error().message() + "; the twin begins anew");
  }
  const Checkpoint& checkpoint = read.value();
  std::string of = "its checkpoint of " + base::format_rfc3339(checkpoint.header.wall);
  Resumption found = judge_checkpoint(checkpoint.header, setup_hashes_[twin], plan_.config.twins[twin].period,
                                      plan_.models[twin], present);
  if (!checkpoint.other_schema.empty()) {
    of += " (" + checkpoint.other_schema + ", of another version of twinkeeper" + kept_aside(file, ".other_version") +
          ")";
    if (found.kind == Resumption::Kind::whole) found.kind = Resumption::Kind::states;
  }
  const std::string missed = std::to_string(found.missed - 1) + " steps were missed and are predicted through";
  switch (found.kind) {
    case Resumption::Kind::none:
      return tell(signals::EventLevel::info, twin, "checkpoint_unused",
                  "begins anew without " + of + ": " + found.reason);
    case Resumption::Kind::states: return begin_at_states(loop, twin, checkpoint, of, found.missed, deadline);
    case Resumption::Kind::whole: break;
  }
  switch (loop.resume(twin, checkpoint, found.shift, found.missed, deadline)) {
    case TwinLoop::Resumed::misfit:
      return set_aside(file, file + " is not what a twin of this configuration writes", twin);
    case TwinLoop::Resumed::too_slow:
      return tell(signals::EventLevel::info, twin, "checkpoint_unused",
                  "begins anew without " + of + ": " + std::to_string(found.missed) +
                      " missed steps would keep the start waiting");
    case TwinLoop::Resumed::done: break;
  }
  tell(signals::EventLevel::info, twin, "resumed", "goes on from " + of + "; " + missed);
}

void CheckpointKeeper::begin_at_states(TwinLoop& loop, std::size_t twin, const Checkpoint& checkpoint,
                                       const std::string& of, std::int64_t missed, base::Instant deadline) {
  const model::StateSpace& model = plan_.models[twin];
  const estimation::Twin& fresh = loop.twin_run(twin).twin();
  Eigen::VectorXd x = fresh.usual_start();
  Eigen::VectorXd std = fresh.usual_start_std();
  std::string carried;
  for (std::size_t i = 0; i < model.states.size(); ++i) {
    const auto& state = model.states[i];
    const auto found = std::find_if(
        checkpoint.header.states.begin(), checkpoint.header.states.end(), [&](const CheckpointState& other) {
          return other.name == state.name && other.unit == state.unit && std::isfinite(other.value);
        });
    if (found == checkpoint.header.states.end()) continue;
    const auto index = static_cast<Eigen::Index>(i);
    x(index) = std::clamp(found->value, state.limits.min, state.limits.max);
    if (std::isfinite(found->std)) std(index) = std::sqrt(kDoubt) * found->std;
    carried += (carried.empty() ? "" : ", ") + state.name;
  }
  if (carried.empty()) {
    return tell(signals::EventLevel::info, twin, "checkpoint_unused",
                "begins anew: " + of + " has no state of the same name and unit");
  }
  std::vector<double> held;  // what drove the machine then
  for (const auto& input : model.inputs) {
    const auto found = std::find_if(
        checkpoint.header.inputs.begin(), checkpoint.header.inputs.end(),
        [&](const CheckpointInput& other) { return other.name == input.name && other.unit == input.unit; });
    held.push_back(found == checkpoint.header.inputs.end() ? std::nan("") : found->value);
  }
  if (!loop.begin(twin, {x, std, held}, missed, deadline)) {
    return tell(
        signals::EventLevel::info, twin, "checkpoint_unused",
        "begins anew without " + of + ": " + std::to_string(missed) + " missed steps would keep the start waiting");
  }
  tell(signals::EventLevel::info, twin, "resumed_states",
       of + " is not of this model and setup; carried over: " + carried + "; " + std::to_string(missed - 1) +
           " steps were missed and are predicted through");
}

void CheckpointKeeper::set_aside(const std::string& file, const std::string& what, std::size_t twin) {
  tell(signals::EventLevel::warning, twin, "checkpoint_damaged",
       what + "; the twin begins anew" + kept_aside(file, ".damaged"));
}

void CheckpointKeeper::start(Heartbeat& heartbeat) {
  thread_ = std::jthread([this, &heartbeat](const std::stop_token& stop) {
    begin_ordinary_thread("checkpoints");
    while (!stop.stop_requested()) {
      heartbeat.beat(clock_.now());
      write_waiting();
      bell_.wait_for(kLookInterval);
    }
  });
}

void CheckpointKeeper::write_waiting() {
  for (std::size_t twin = 0; twin < outbox_.checkpoints.size(); ++twin) {
    while (CheckpointRecord* record = outbox_.checkpoints[twin]->try_receive()) {
      write(twin, *record);
      outbox_.checkpoints[twin]->recycle(record);
    }
  }
}

void CheckpointKeeper::finish(TwinLoop& loop) {
  thread_.request_stop();
  bell_.ring();
  thread_ = {};
  for (std::size_t twin = 0; twin < plan_.config.twins.size(); ++twin) {
    CheckpointRecord record;
    if (loop.remember(twin, record)) write(twin, record);
  }
}

void CheckpointKeeper::write(std::size_t twin, const CheckpointRecord& record) {
  const model::StateSpace& model = plan_.models[twin];
  CheckpointHeader header;
  header.twin = plan_.config.twins[twin].name;
  header.model_name = model.name;
  header.model_hash = model.hash;
  header.setup_hash = setup_hashes_[twin];
  header.boot_id = boot_id_;
  header.time = record.step.time;
  header.wall = clock_.to_wall(record.step.time);
  header.clock_synchronised = clock_.synchronised();
  header.tick = record.tick;
  header.mode = estimation::to_string(record.step.mode);
  for (std::size_t i = 0; i < model.states.size(); ++i) {
    header.states.push_back({model.states[i].name, model.states[i].unit, record.step.x[i], record.step.std[i]});
  }
  for (std::size_t j = 0; j < model.inputs.size(); ++j) {
    header.inputs.push_back({model.inputs[j].name, model.inputs[j].unit, record.step.inputs[j].value});
  }
  const base::Status written = write_checkpoint(file_of(twin), encode_checkpoint(header, record.archive));
  if (!written.ok() && !failed_[twin]) {
    tell(signals::EventLevel::error, twin, "checkpoint_failed",
         written.error().message() + "; after a restart the twin would begin anew");
  }
  failed_[twin] = !written.ok();
}

}  // namespace twinkeeper::app
