#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <iostream>
#include <thread>

#include <nlohmann/json.hpp>

#include "acquisition/validator.hpp"
#include "app/commands.hpp"
#include "app/control_client.hpp"
#include "app/device_loop.hpp"
#include "app/endpoints.hpp"
#include "app/event_log.hpp"
#include "app/exit_codes.hpp"
#include "app/log_recorder.hpp"
#include "app/progress_line.hpp"
#include "app/twin_run.hpp"
#include "twinkeeper/base/quantity.hpp"

namespace twinkeeper::app {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr base::Duration kTurn = 100ms;
constexpr base::Duration kAnswerPatience = 20s;
constexpr base::Duration kShowInterval = 1s;

// Readable once the recording is to end: SIGINT or SIGTERM.
SocketDescriptor catch_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return SocketDescriptor(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

bool wait_for_signal(int descriptor, base::Duration within) {
  pollfd set{descriptor, POLLIN, 0};
  return ::poll(&set, 1, static_cast<int>(within / 1ms)) > 0;
}

void take_signal(int descriptor) {
  signalfd_siginfo signal{};
  [[maybe_unused]] const auto taken = ::read(descriptor, &signal, sizeof signal);
}

class Recording {
 public:
  Recording(const base::Clock& clock, std::string file, std::optional<base::Duration> length)
      : clock_(clock), file_(std::move(file)), length_(length) {}

  base::Status begin(std::vector<RecordedTag> tags, base::Instant origin, base::Instant now, base::WallTime wall) {
    columns_ = tags.size();
    auto out = CsvFile::open(file_);
    if (!out.ok()) return std::move(out).error();
    log_.emplace(std::move(tags), std::move(out).value(), origin, now, wall);
    return base::Success{};
  }
  LogRecorder& recorder() { return *log_; }
  // A signal: what has been is still waited for; at the second one no more. False: it was the second.
  bool end_now(int signals) {
    take_signal(signals);
    if (std::exchange(ending_, true)) return false;
    const base::Duration length = std::max(clock_.now() - log_->first_row(), base::Duration::zero());
    if (!length_ || length < *length_) length_ = length;
    return true;
  }
  // False: all that was asked for is there, or can't be written.
  bool goes_on() {
    const base::Instant now = clock_.now();
    log_->advance(length_ ? std::min(now, end() + log_->patience()) : now);
    if (now >= next_show_) {
      next_show_ = now + kShowInterval;
      progress_.tell(std::to_string(log_->rows()) + " rows");
    }
    return log_->good() && (!length_ || now < end() + log_->patience());
  }
  // The exit code, unless `code` says that something else went wrong.
  int finish(int code) {
    const base::Instant now = clock_.now();
    const auto written = log_->finish(length_ ? std::min(now, end()) : now);
    progress_.end();
    if (!written.ok()) return told("record: " + written.error().message(), kExitIo);
    std::cout << log_->rows() << " rows of " << columns_ << " tags in " << file_ << '\n';
    if (log_->late() > 0) {
      told("record: " + std::to_string(log_->late()) + " values came too late for their row and are missing", 0);
    }
    if (code == kExitDone && log_->rows() > 0 && log_->values() == 0) {
      return told("record: nothing was heard of any device", kExitUnavailable);
    }
    return code;
  }

 private:
  [[nodiscard]] base::Instant end() const { return log_->first_row() + *length_; }

  const base::Clock& clock_;
  const std::string file_;
  std::optional<base::Duration> length_;
  bool ending_ = false;
  ProgressLine progress_{"record"};
  std::optional<LogRecorder> log_;
  std::size_t columns_ = 0;
  base::Instant next_show_;
};

std::optional<std::vector<RecordedTag>> tags_of(const json& begun) {
  std::vector<RecordedTag> tags;
  for (const json& tag : begun.value("tags", json::array())) {
    tags.push_back({tag.value("name", ""), tag.value("unit", ""), tag.value("number", true),
                    base::Duration{tag.value("interval_ns", std::int64_t{})},
                    base::Duration{tag.value("timeout_ns", std::int64_t{})}});
    if (tags.back().name.empty() || tags.back().interval <= base::Duration::zero()) return std::nullopt;
  }
  if (tags.empty()) return std::nullopt;
  return tags;
}

int record_from_service(ControlClient client, Recording& recording, int stop) {
  if (const auto asked = client.ask("record", "{}"); !asked.ok())
    return told("record: " + asked.error().message(), kExitUnavailable);
  const auto first = client.line(kAnswerPatience, stop);
  if (!first.ok()) return told("record: " + first.error().message(), kExitUnavailable);
  const json begun = json::parse(first.value(), nullptr, false);
  if (!begun.is_object() || begun.value("result", "") != "accepted") {
    const std::string reason = begun.is_object() ? begun.value("reason", "no reason") : "no JSON";
    return told("record: the service refuses: " + reason, kExitUnavailable);
  }
  auto tags = tags_of(begun);
  if (!tags) return told("record: the service has no tags", kExitBadData);
  const auto opened =
      recording.begin(std::move(*tags), base::Instant{base::Duration{begun.value("origin_ns", std::int64_t{})}},
                      base::Instant{base::Duration{begun.value("monotonic_ns", std::int64_t{})}},
                      base::WallTime{base::Duration{begun.value("unix_ns", std::int64_t{})}});
  if (!opened.ok()) return told("record: " + opened.error().message(), kExitIo);
  std::uint64_t lost = 0;
  int code = kExitDone;
  while (recording.goes_on()) {
    const auto line = client.line(kTurn, stop);
    if (line.ok()) {
      const json told_samples = json::parse(line.value(), nullptr, false);
      if (!told_samples.is_object()) continue;
      lost += told_samples.value("lost", std::uint64_t{});
      for (const json& sample : told_samples.value("samples", json::array())) {
        if (!sample.is_array() || sample.size() != 3 || !sample[0].is_number_unsigned() || !sample[2].is_number()) {
          continue;  // null: bad
        }
        recording.recorder().take(sample[0].get<std::size_t>(),
                                  base::Instant{base::Duration{sample[1].get<std::int64_t>()}},
                                  sample[2].get<double>());
      }
    } else if (line.error().code() == base::ErrorCode::cancelled) {
      if (!recording.end_now(stop)) break;
    } else if (line.error().code() != base::ErrorCode::timeout) {
      code = told("record: " + line.error().message() + "; the log ends here", kExitUnavailable);
      break;
    }
  }
  if (lost > 0) told("record: " + std::to_string(lost) + " samples found no room on their way and are missing", 0);
  return recording.finish(code);
}

int record_from_devices(const Plan& plan, Recording& recording, const base::Clock& clock, int stop) {
  EventLog events(clock);
  const base::Instant now = clock.now();
  const base::Instant origin{std::chrono::ceil<std::chrono::seconds>(now.time_since_epoch())};
  std::vector<RecordedTag> tags;
  for (const auto& device : plan.config.devices) {
    for (const auto& reg : device.driver.registers) {
      tags.push_back({device.driver.name + "." + reg.name, reg.unit, reg.type != drivers::ValueType::STRING,
                      reg.poll_interval, device.driver.timeout});
    }
  }
  if (const auto opened = recording.begin(std::move(tags), origin, now, clock.to_wall(now)); !opened.ok()) {
    return told("record: " + opened.error().message(), kExitIo);
  }
  std::vector<std::unique_ptr<DeviceLoop>> loops;
  std::vector<std::unique_ptr<Heartbeat>> heartbeats;
  std::vector<std::jthread> threads;
  for (const auto& group : group_by_controller(plan.config)) {
    std::vector<drivers::DeviceSettings> devices;
    for (const std::size_t d : group) devices.push_back(plan.config.devices[d].driver);
    loops.push_back(std::make_unique<DeviceLoop>(std::move(devices), origin, clock, events));
    heartbeats.push_back(std::make_unique<Heartbeat>("device", 1h, now));
    threads.emplace_back([&loop = *loops.back(), &heart = *heartbeats.back()](std::stop_token stop_token) {
      loop.run(std::move(stop_token), heart);
    });
  }
  acquisition::Validator validator(tag_rules(plan));
  while (recording.goes_on()) {
    if (wait_for_signal(stop, kTurn) && !recording.end_now(stop)) break;
    for (const auto& loop : loops) {
      while (signals::Sample* sample = loop->queue().peek()) {
        validator.validate(*sample);
        if (sample->quality != signals::Quality::bad) {
          recording.recorder().take(sample->tag, sample->time, sample->value);
        }
        loop->queue().pop();
      }
    }
  }
  for (auto& thread : threads) thread.request_stop();
  threads.clear();
  return recording.finish(kExitDone);
}

}  // namespace

int record_command(const RecordArguments& arguments) {
  std::optional<base::Duration> length;
  if (arguments.length) length = base::parse_duration(*arguments.length).value();
  auto loaded = load_or_report(arguments.config_file, false);
  if (const int* code = std::get_if<int>(&loaded)) return *code;
  const Plan& plan = std::get<Plan>(loaded);
  if (plan.config.devices.empty()) return told("record: " + arguments.config_file + " has no devices", kExitConfig);
  const SocketDescriptor stop = catch_signals();
  const base::SystemClock clock;
  Recording recording(clock, arguments.output_file, length);
  const std::string path = control_socket_path(plan.config.gateway.control_socket);
  auto client = ControlClient::connect(path);
  if (client.ok()) {
    std::cerr << "record: from the service at " << path << '\n';
    return record_from_service(std::move(client).value(), recording, stop.get());
  }
  // One that is there but may not be asked reads the devices already.
  if (client.error().code() != base::ErrorCode::unavailable) {
    return told("record: " + client.error().message(),
                client.error().code() == base::ErrorCode::permission_denied ? kExitPermission : kExitUnavailable);
  }
  std::cerr << "record: " << client.error().message() << "; reads the devices itself\n";
  return record_from_devices(plan, recording, clock, stop.get());
}

}  // namespace twinkeeper::app
