#include "app/capture_replay.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <fstream>
#include <functional>
#include <map>
#include <stop_token>
#include <utility>

#include "app/device_loop.hpp"
#include "app/twin_loop.hpp"
#include "drivers/capture_replay.hpp"

namespace twinkeeper::app {
namespace {

using drivers::CaptureBlock;

// What a first look at the whole file finds.
struct Survey {
  std::vector<std::map<std::uint64_t, base::Instant>> late;  // per endpoint: sample number, deadline
  base::Instant notes_whole_until;
  std::optional<base::Instant> given_up;
  std::string end_reason;  // empty: the file breaks off

  // Everything that was written had been handed over before: the service stopped in order.
  [[nodiscard]] bool orderly() const { return end_reason == "stopped" || end_reason == "reload"; }
};

base::Result<Survey> survey_of(drivers::CaptureReader& reader) {
  Survey survey;
  survey.late.resize(reader.header().endpoints.size());
  survey.notes_whole_until = reader.header().grid_origin;
  while (true) {
    auto block = reader.next();
    if (!block.ok()) return std::move(block).error();
    if (!block.value()) return survey;
    const CaptureBlock& found = *block.value();
    switch (found.kind) {
      case CaptureBlock::Kind::late_sample: survey.late[found.endpoint][found.number] = found.time; break;
      case CaptureBlock::Kind::whole_until: survey.notes_whole_until = found.time; break;
      case CaptureBlock::Kind::given_up:
        if (!survey.given_up || found.time < *survey.given_up) survey.given_up = found.time;
        break;
      case CaptureBlock::Kind::end: survey.end_reason = found.reason; break;
      case CaptureBlock::Kind::turn:
      case CaptureBlock::Kind::lost: break;
    }
  }
}

// The twin loop's clock: a sleep takes no time.
class OnTimeClock final : public base::Clock {
 public:
  OnTimeClock(base::Instant start, std::function<void(base::Instant)> on_wake)
      : now_(start), on_wake_(std::move(on_wake)) {}
  [[nodiscard]] base::Instant now() const override { return now_; }
  [[nodiscard]] base::WallTime wall_now() const override { return {}; }
  [[nodiscard]] bool synchronised() const override { return true; }
  void sleep_until(base::Instant deadline) const override {
    now_ = std::max(now_, deadline);
    on_wake_(now_);
  }

 private:
  mutable base::Instant now_;
  std::function<void(base::Instant)> on_wake_;
};

// One connection: its poller, and the samples that the twin loop has not been given yet.
struct Endpoint final : signals::EventSink {
  Endpoint(std::vector<drivers::DeviceSettings> devices, base::Instant origin, ReplayOutput& to)
      : queue(sample_queue_capacity(devices)), replay(std::move(devices), origin, *this), output(to) {}
  void raise(signals::Event event) override { output.event(replay.now(), event); }

  SampleQueue queue;
  drivers::EndpointReplay replay;
  ReplayOutput& output;
  std::deque<signals::Sample> waiting;
  std::uint64_t next_number = 0;  // of waiting.front(), in the queue
  base::Instant until;            // replayed so far
  bool over = false;
};

class Replay {
 public:
  Replay(const Plan& plan, drivers::CaptureReader reader, Survey survey, ReplayOutput& output)
      : plan_(plan), reader_(std::move(reader)), survey_(std::move(survey)), output_(output), outbox_(plan) {
    if (survey_.given_up) {
      bound(*survey_.given_up, "the twin thread gave up steps, or lost what it had to note");
    } else if (!survey_.orderly()) {
      bound(survey_.notes_whole_until, "");
    }
  }

  base::Result<ReplaySummary> run() {
    const drivers::CaptureHeader& header = reader_.header();
    for (const auto& captured : header.endpoints) {
      std::vector<drivers::DeviceSettings> devices;
      for (const auto& name : captured.devices) {
        const auto found = std::find_if(plan_.config.devices.begin(), plan_.config.devices.end(),
                                        [&](const auto& device) { return device.driver.name == name; });
        if (found == plan_.config.devices.end()) {
          return base::Error(base::ErrorCode::invalid_argument,
                             "the capture has a device " + name + ", the configuration has none of this name");
        }
        devices.push_back(found->driver);
      }
      endpoints_.push_back(std::make_unique<Endpoint>(std::move(devices), header.grid_origin, output_));
      endpoints_.back()->until = header.grid_origin;
    }
    output_.begin(header);
    auto twins = make_twins(plan_);
    std::vector<SampleQueue*> queues;
    for (auto& endpoint : endpoints_) queues.push_back(&endpoint->queue);
    const OnTimeClock clock(std::min(header.monotonic_start, header.grid_origin),
                            [this](base::Instant now) { wake(now); });
    TwinLoop loop(
        plan_, std::move(std::get<std::vector<estimation::Twin>>(twins)), std::move(queues), outbox_, [] {},
        header.grid_origin, clock);
    Heartbeat heartbeat("twins", std::chrono::hours{1}, clock.now());
    loop.run(stop_.get_token(), heartbeat);
    collect();
    if (error_) return std::move(*error_);
    for (std::size_t i = 0; i < plan_.config.twins.size(); ++i) {
      summary_.steps += loop.twin_figures(i).steps_total.load(std::memory_order_relaxed);
    }
    summary_.length = clock.now() - header.grid_origin;
    if (summary_.end_reason.empty()) {
      summary_.end_reason = survey_.end_reason.empty() ? "the file breaks off" : survey_.end_reason;
    }
    summary_.whole = summary_.whole && survey_.orderly();
    return summary_;
  }

 private:
  void bound(base::Instant end, const std::string& why) {
    if (end_ && *end_ <= end) return;
    end_ = end;
    if (why.empty()) return;
    summary_.whole = false;
    summary_.end_reason = why;
  }

  // Gives the twin loop all that it had been given at this deadline, after taking what it has computed before.
  void wake(base::Instant now) {
    collect();
    while (!file_over_ && !stop_.stop_requested() && wanted(now)) read_block();
    if (file_over_ && !end_) {
      base::Instant last = endpoints_.front()->until;
      for (const auto& endpoint : endpoints_) last = std::max(last, endpoint->until);
      bound(last, "");
    }
    if (end_ && now >= *end_) {
      stop_.request_stop();
      return;
    }
    for (std::size_t e = 0; e < endpoints_.size(); ++e) give(e, now);
  }

  [[nodiscard]] bool wanted(base::Instant now) const {
    return std::any_of(endpoints_.begin(), endpoints_.end(),
                       [now](const auto& endpoint) { return !endpoint->over && endpoint->until <= now; });
  }

  void read_block() {
    auto next = reader_.next();
    if (!next.ok()) return fail(std::move(next).error());
    if (!next.value()) {
      file_over_ = true;
      if (survey_.orderly()) return;
      for (const auto& endpoint : endpoints_) bound(endpoint->until, "");
      return;
    }
    CaptureBlock block = std::move(*next.value());
    if (block.kind != CaptureBlock::Kind::turn && block.kind != CaptureBlock::Kind::lost) return;
    const std::size_t at = block.endpoint;
    Endpoint& endpoint = *endpoints_[at];
    if (endpoint.over) return;
    if (block.kind == CaptureBlock::Kind::lost) {
      endpoint.over = true;
      return bound(endpoint.until, "the capture has lost " + std::to_string(block.number) + " turns of " +
                                       reader_.header().endpoints[at].controller);
    }
    auto samples = endpoint.replay.replay(std::move(block));
    if (!samples.ok()) {
      endpoint.over = true;
      summary_.fault = reader_.header().endpoints[at].controller + ": " + samples.error().message();
      return bound(endpoint.until, "replay and recording part");
    }
    ++summary_.turns;
    endpoint.until = endpoint.replay.now();
    for (drivers::ReplayedSample& replayed : samples.value()) {
      ++summary_.samples;
      if (replayed.sample.quality == signals::Quality::bad) ++summary_.samples_bad;
      output_.sample(replayed.sample);
      if (replayed.found_room) endpoint.waiting.push_back(std::move(replayed.sample));
    }
  }

  void give(std::size_t index, base::Instant now) {
    Endpoint& endpoint = *endpoints_[index];
    const auto& late = survey_.late[index];
    while (!endpoint.waiting.empty() && endpoint.waiting.front().time <= now) {
      const auto held = late.find(endpoint.next_number);
      if (held != late.end() && held->second > now) return;
      if (endpoint.queue.full()) {
        return fail({base::ErrorCode::internal, "more samples at one deadline than the live queue had room for"});
      }
      endpoint.queue.try_push(std::move(endpoint.waiting.front()));
      endpoint.waiting.pop_front();
      ++endpoint.next_number;
    }
  }

  void collect() {
    diagnosis::AnomalyEvent event;
    while (outbox_.anomalies.try_pop(event)) output_.anomaly(event);
    for (std::size_t i = 0; i < outbox_.steps.size(); ++i) {
      while (TwinRecord* record = outbox_.steps[i]->try_receive()) {
        output_.step(i, *record);
        outbox_.steps[i]->recycle(record);
      }
    }
    for (auto& snapshots : outbox_.snapshots) {
      while (SnapshotRecord* record = snapshots ? snapshots->try_receive() : nullptr) snapshots->recycle(record);
    }
  }

  void fail(base::Error error) {
    if (!error_) error_ = std::move(error);
    stop_.request_stop();
  }

  const Plan& plan_;
  drivers::CaptureReader reader_;
  const Survey survey_;
  ReplayOutput& output_;
  Outbox outbox_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
  ReplaySummary summary_;
  std::optional<base::Instant> end_;
  std::optional<base::Error> error_;
  bool file_over_ = false;
  std::stop_source stop_;
};

}  // namespace

base::Result<ReplaySummary> replay_capture(const Plan& plan, const std::string& file, ReplayOutput& output) {
  std::ifstream first(file);
  std::ifstream second(file);
  if (!first || !second) return base::Error(base::ErrorCode::not_found, file + ": " + std::strerror(errno));
  auto survey_reader = drivers::CaptureReader::open(first);
  auto reader = drivers::CaptureReader::open(second);
  if (!survey_reader.ok()) return std::move(survey_reader).error().with_context(file);
  if (!reader.ok()) return std::move(reader).error().with_context(file);
  auto survey = survey_of(survey_reader.value());
  if (!survey.ok()) return std::move(survey).error().with_context(file);
  auto summary = Replay(plan, std::move(reader).value(), std::move(survey).value(), output).run();
  if (!summary.ok()) return std::move(summary).error().with_context(file);
  return summary;
}

}  // namespace twinkeeper::app
