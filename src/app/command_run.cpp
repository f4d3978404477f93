#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iostream>

#include "app/aws_jobs.hpp"
#include "app/check_report.hpp"
#include "app/clock_source.hpp"
#include "app/commands.hpp"
#include "app/environment.hpp"
#include "app/exit_codes.hpp"
#include "app/file_change.hpp"
#include "app/gateway.hpp"
#include "app/last_good.hpp"
#include "app/memory.hpp"
#include "app/real_time.hpp"
#include "app/reload_requests.hpp"
#include "app/systemd.hpp"
#include "app/version.hpp"
#include "base/timespec.hpp"

namespace twinkeeper::app {
namespace {

// All threads inherit the mask: the signals are taken by the main thread alone, with sigtimedwait.
sigset_t block_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

// Key material must not reach a core file, and dozens of small threads do not need an arena each.
void limit_process() {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
#ifndef TWINKEEPER_SANITIZED  // the leak check at exit attaches to its own process
  prctl(PR_SET_DUMPABLE, 0);
#endif
  mallopt(M_ARENA_MAX, 2);
}

constexpr std::chrono::seconds kSettled{20};       // after a start
constexpr std::chrono::seconds kTidyInterval{10};  // and from then on

class Service {
 public:
  Service(RunArguments arguments, const base::Clock& clock)
      : config_file_(std::move(arguments.config_file)),
        capture_file_(std::move(arguments.capture_file)),
        capture_limit_(arguments.capture_limit),
        clock_(clock),
        log_(clock),
        process_start_(clock.now()) {}

  int run(const sigset_t& signals) {
    lock_memory_if_asked(log_);
    clock_source_.look(clock_.now());
    std::variant<Plan, int> loaded;
    out_of_real_time([&] { loaded = load_or_report(config_file_, true); });
    if (const int* code = std::get_if<int>(&loaded)) return with_way_back(*code);
    Plan& plan = std::get<Plan>(loaded);
    if (const int code = prepare(plan); code != kExitDone) return with_way_back(code);
    std::unique_ptr<CaptureWriter> capture;
    if (capture_file_ && plan.config.commands.allows("write")) {
      // What is written changes what the poller asks, which a capture does not hold.
      std::cerr << "twinkeeper: --capture: this configuration lets commands write, and such a capture could not be "
                   "replayed; accepted: a configuration whose commands do not allow write\n";
      return kExitUsage;
    }
    if (capture_file_) {
      auto opened = CaptureWriter::open(*capture_file_, capture_limit_, log_);
      if (!opened.ok()) {
        std::cerr << "twinkeeper: --capture: " << opened.error().message() << '\n';
        return kExitIo;
      }
      capture = std::move(opened).value();
    }
    if (const int code = start(std::move(plan), telemetry::StatusReason::start, std::move(capture)); code != kExitDone)
      return code;
    if (capture_file_) log_.info("capture", "captures what devices say to " + *capture_file_);
    systemd::ready(gateway_->summary());
    log_.info("service", "twinkeeper " + std::string(kVersion) + " runs " + config_file_);
    const auto interval = systemd::watchdog_interval();
    for (;;) {
      // Half the watchdog's interval at most, so that one slow turn does not cost the service its life.
      const base::Duration turn =
          std::min<base::Duration>(std::chrono::seconds{1}, interval.value_or(std::chrono::seconds{2}) / 2);
      const timespec timeout = base::to_timespec(turn);
      const int signal = sigtimedwait(&signals, nullptr, &timeout);
      if (signal == SIGTERM || signal == SIGINT) return stop();
      if (signal == SIGHUP) {
        if (const int code = reload({}); code != kExitDone) return code;
      }
      if (auto request = requests_.take()) {
        if (const int code = reload(std::move(*request)); code != kExitDone) return code;
      }
      supervise(interval.has_value());
    }
  }

 private:
  // What a start needs beyond a right configuration and can be found out without stopping anything.
  int prepare(const Plan& plan) const {
    if (!plan.config.uplink) {
      std::cerr
          << config_file_
          << ": uplink: the service needs a broker to publish to; accepted: a map with endpoint, cert, key, root_ca\n";
      return kExitConfig;
    }
    if (const Faults faults = refusals(plan); !faults.empty()) return report(faults, std::cerr);
    const std::string& directory = plan.config.gateway.state_directory;
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (!error && ::access(directory.c_str(), W_OK | X_OK) != 0) error.assign(errno, std::generic_category());
    if (!error && !std::filesystem::is_directory(directory)) error = std::make_error_code(std::errc::not_a_directory);
    if (!error) return kExitDone;
    std::cerr << plan.config
                     .locate({"gateway.state_directory", directory + " can't be used: " + error.message(),
                              "a directory that this process may create and write to"})
                     .text()
              << '\n';
    return kExitIo;
  }

  // What a person can do who had to leave a configuration that can't be started.
  int with_way_back(int code) const {
    const auto found = find_last_good(config_file_, likely_state_directories(config_file_));
    if (found && !changed_since(found->kept).empty()) {
      std::cerr << "twinkeeper: the last configuration that ran is kept in " << last_good_file(found->state_directory)
                << "; `twinkeeper rollback --config " << config_file_ << "` puts it back\n";
    }
    return code;
  }

  // Positions serve messages about the configuration only; of its text a job may ask for a part. The texts of its files
  // are kept on disk once it has run.
  void slim(Plan& plan) {
    if (plan.config.overlay) log_.info("service", plan.config.overlay->file + " is laid over the configuration file");
    plan.config.sources = {};
    plan.config.expanded = configuration_to_collect(plan.config);
    plan.config.expanded.shrink_to_fit();
    not_kept_ = std::exchange(plan.config.texts, {});
  }

  void keep_as_good() {
    const auto texts = std::exchange(not_kept_, {});
    if (texts.empty()) return;
    const auto kept =
        keep_last_good(gateway_->plan().config.gateway.state_directory, config_file_, texts, clock_.wall_now());
    if (kept) return;
    log_.raise({signals::EventLevel::warning, "service", "last_good",
                "this configuration can't be kept for a rollback: " + kept.error().message()});
  }

  int start(Plan plan, telemetry::StatusReason reason, std::unique_ptr<CaptureWriter> capture = nullptr) {
    log_.configure(plan.config.gateway.log_level);
    slim(plan);
    auto started = Gateway::start(std::move(plan), reason, process_start_, clock_, log_, requests_, connect_times_,
                                  std::move(capture));
    if (!started) {
      if (started.error().code() != base::ErrorCode::newer_version) return told(started.error().message(), kExitIo);
      return told(started.error().message() +
                      "; accepted: that version, or an empty spool: twinkeeper reset --config " + config_file_,
                  kExitConfig);
    }
    gateway_ = std::move(started).value();
    tidy();
    return kExitDone;
  }

  int stop() {
    systemd::stopping();
    log_.info("service", "stopping");
    requests_.end();
    gateway_->stop(telemetry::StatusReason::stop);
    log_.info("service", "stopped: " + gateway_->summary());
    return kExitDone;
  }

  // Checks first: a wrong configuration changes nothing. `request` is empty if a signal asked.
  int reload(ReloadRequest request) {
    systemd::reloading(clock_.now());
    config::LoadOptions options;
    options.replaced = request.files;
    std::variant<Plan, Faults> made;
    out_of_real_time([&] { made = make_plan(config_file_, options); });
    if (const auto* faults = std::get_if<Faults>(&made)) {
      const int code = report(*faults, std::cerr);
      return keep_old({std::move(request), false, texts_of(*faults),
                       "the new configuration has " + std::to_string(faults->size()) + " fault(s)", code});
    }
    for (const auto& warning : std::get<Plan>(made).config.warnings) {
      log_.raise({signals::EventLevel::warning, "service", warning.path, warning.text()});
    }
    if (const int code = prepare(std::get<Plan>(made)); code != kExitDone) {
      return keep_old({std::move(request), false, texts_of(refusals(std::get<Plan>(made))),
                       "the new configuration can't be started", code});
    }
    FileChange change(request.files);
    if (auto put = change.put(); !put) {
      return keep_old({std::move(request), false, {put.error().message()}, "the new files can't be written", kExitIo});
    }
    const std::string by = request.by;
    log_.info("service", "reloading " + config_file_ + (by.empty() ? "" : ", asked by " + by));
    ConfigChange change_of_config = change_between(gateway_->plan(), std::get<Plan>(made));
    // A capture is of one configuration, and twins that are captured have no checkpoints to go on from.
    if (capture_file_ && change_of_config > ConfigChange::level) change_of_config = ConfigChange::both;
    log_.configure(std::get<Plan>(made).config.gateway.log_level);
    const std::string restarted(restarted_by(change_of_config));
    if (change_of_config == ConfigChange::none) {
      settle({std::move(request), true, {}, {}, kExitDone, restarted});
      not_kept_ = std::move(std::get<Plan>(made).config.texts);  // a comment may have changed
      return reloaded(restarted);
    }
    if (change_of_config != ConfigChange::both) {
      Plan next = std::get<Plan>(made);
      slim(next);
      // Before anybody can ask for it again.
      const auto settled = [&] { settle({std::move(request), true, {}, {}, kExitDone, restarted}); };
      auto exchanged = gateway_->exchange(std::move(next), change_of_config, settled);
      tidy();
      if (exchanged) return reloaded(restarted);
      log_.warning("service", exchanged.error().message() + "; everything is restarted");
    }
    if (capture_file_) log_.info("capture", "ends with the reload: a capture is of one configuration");
    capture_file_.reset();
    Plan old = gateway_->plan();
    gateway_->stop(telemetry::StatusReason::reload);
    gateway_.reset();
    const std::string everything(restarted_by(ConfigChange::both));
    settle({std::move(request), true, {}, {}, kExitDone, everything});  // before anybody can ask for it again
    int code = start(std::move(std::get<Plan>(made)), telemetry::StatusReason::reload);
    if (code != kExitDone) {
      log_.warning("service", "the new configuration could not be started; the old one is started again");
      change.put_back();
      if (auto outcome = requests_.take_outcome(by)) {
        settle({std::move(outcome->request), false, {}, "the new configuration could not be started", code});
      }
      code = start(std::move(old), telemetry::StatusReason::reload);
      if (code == kExitDone) systemd::ready(gateway_->summary());
      return code;
    }
    return reloaded(everything);
  }

  int reloaded(const std::string& restarted) {
    log_.info("service", "reloaded: " + restarted);
    systemd::ready(gateway_->summary());
    return kExitDone;
  }

  static std::vector<std::string> texts_of(const Faults& faults) {
    std::vector<std::string> texts;
    for (const auto& fault : faults) texts.push_back(fault.text());
    return texts;
  }

  void settle(ReloadOutcome outcome) {
    if (!outcome.done && outcome.faults.empty()) outcome.why += "; the log says why";
    if (!outcome.request.by.empty()) requests_.settle(std::move(outcome));
  }

  int keep_old(ReloadOutcome outcome) {
    log_.warning("service", outcome.why + "; the old one keeps running");
    settle(std::move(outcome));
    systemd::ready(gateway_->summary());
    return kExitDone;
  }

  // As every message says it.
  void tell_clock() {
    if (const bool set = clock_.synchronised(); set != std::exchange(clock_set_, set)) {
      log_.raise({set ? signals::EventLevel::info : signals::EventLevel::warning, "clock", "clock_synced",
                  std::string("clock_synced=") + (set ? "true" : "false")});
    }
  }

  void tidy() {
    give_back_heap();
    give_back_code();
    tidy_at_ = clock_.now() + kSettled;
    code_again_ = true;
  }

  // Code once more after the first connection. The heap from then on: what an outage needed does not stay.
  void tidy_again() {
    if (clock_.now() < tidy_at_) return;
    give_back_heap();
    if (std::exchange(code_again_, false)) give_back_code();
    tidy_at_ = clock_.now() + kTidyInterval;
  }

  void supervise(bool watched) {
    tidy_again();
    clock_source_.look(clock_.now());
    tell_clock();
    std::vector<std::string> hung = gateway_->supervise();
    const auto among = [](const std::vector<std::string>& threads, const std::string& thread) {
      return std::find(threads.begin(), threads.end(), thread) != threads.end();
    };
    for (const auto& thread : hung) {
      if (!among(hung_, thread)) {
        log_.raise(
            {signals::EventLevel::error, "service", "hung:" + thread, "the thread " + thread + " does not answer"});
      }
    }
    for (const auto& thread : hung_) {
      if (!among(hung, thread)) log_.info("service", "the thread " + thread + " answers again");
    }
    hung_ = std::move(hung);
    if (hung_.empty() && watched) systemd::watchdog();
    if (hung_.empty()) keep_as_good();
    if (std::string text = gateway_->summary(); text != status_text_) {
      status_text_ = std::move(text);
      systemd::status(status_text_);
    }
  }

  const std::string config_file_;
  std::optional<std::string> capture_file_;  // until a reload
  const std::uint64_t capture_limit_;
  const base::Clock& clock_;
  EventLog log_;
  ClockSource clock_source_{log_};
  bool clock_set_ = true;  // as last told; at the start only that it is not
  ReloadRequests requests_;
  uplink::ConnectTimes connect_times_;
  const base::Instant process_start_;
  base::Instant tidy_at_;
  bool code_again_ = false;
  std::unique_ptr<Gateway> gateway_;
  std::string status_text_;
  std::vector<std::string> hung_;                // threads, as last told
  std::map<std::string, std::string> not_kept_;  // files of a configuration that has just begun to run
};

}  // namespace

int run_command(const RunArguments& arguments) {
  limit_process();
  forget_proxies();
  const sigset_t signals = block_signals();
  const base::SystemClock clock;
  return Service(arguments, clock).run(signals);
}

}  // namespace twinkeeper::app
