#include <algorithm>
#include <iostream>

#include "app/capture_replay.hpp"
#include "app/commands.hpp"
#include "app/event_log.hpp"
#include "app/exit_codes.hpp"
#include "app/replay_csv.hpp"
#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::app {
namespace {

// Events and anomalies as lines, steps and samples into their files.
class Report final : public ReplayOutput {
 public:
  Report(const Plan& plan, std::optional<CsvFile> steps, std::size_t twin, std::optional<CsvFile> samples)
      : plan_(plan), twin_(twin), steps_(std::move(steps)), samples_(std::move(samples)), sample_table_(plan) {
    if (steps_) steps_->row(step_header(plan.models[twin]));
    if (samples_) samples_->row(SampleTable::header());
  }

  void begin(const drivers::CaptureHeader& header) override {
    header_ = header;
    if (header.config_hash != plan_.config.hash) {
      std::cerr << "warning: the capture was made with another configuration (" << header.config_hash
                << "); this one is " << plan_.config.hash << '\n';
    }
    std::cout << "capture of " << header.gateway << " by twinkeeper " << header.version << ", begun "
              << base::format_rfc3339(header.wall_start) << std::endl;
  }
  void sample(const signals::Sample& sample) override {
    if (samples_) samples_->row(sample_table_.row(sample, wall(sample.time)));
  }
  void event(base::Instant time, const signals::Event& event) override {
    std::cout << base::format_rfc3339(wall(time)) << "  " << escape_control_bytes(event.subject) << " " << event.code
              << ": " << escape_control_bytes(event.message) << '\n';
  }
  void anomaly(const diagnosis::AnomalyEvent& event) override {
    if (event.event != diagnosis::AnomalyEventKind::raised && event.event != diagnosis::AnomalyEventKind::cleared)
      return;
    std::cout << base::format_rfc3339(wall(event.time)) << "  anomaly " << diagnosis::to_string(event.event) << " "
              << event.id << ": " << escape_control_bytes(event.message) << '\n';
  }
  void step(std::size_t twin, const TwinRecord& record) override {
    if (!steps_ || twin != twin_) return;
    write_step(line_, base::format_rfc3339(wall(record.step.time)), record.step.step, record.step,
               regime_of(record.step), !record.anomalies.active.empty());
    steps_->row(line_);
  }

  // False: a file could not be written, and it has been told.
  bool close() {
    bool good = true;
    for (auto* file : {&steps_, &samples_}) {
      if (!*file) continue;
      if (const auto status = (*file)->close(); !status.ok()) {
        std::cerr << "twinkeeper: " << status.error().message() << '\n';
        good = false;
      }
    }
    return good;
  }

 private:
  [[nodiscard]] base::WallTime wall(base::Instant instant) const {
    return header_.wall_start + (instant - header_.monotonic_start);
  }

  [[nodiscard]] std::string_view regime_of(const estimation::TwinStep& step) const {
    if (step.regime < 0) return {};
    return plan_.config.twins[twin_].regimes[static_cast<std::size_t>(step.regime)].name;
  }

  const Plan& plan_;
  const std::size_t twin_;
  std::optional<CsvFile> steps_;
  std::optional<CsvFile> samples_;
  std::string line_;
  SampleTable sample_table_;
  drivers::CaptureHeader header_;
};

int usage(const std::string& what) {
  std::cerr << "twinkeeper replay: " << what << "\nSee twinkeeper replay --help\n";
  return kExitUsage;
}

std::string names_of_twins(const Plan& plan) {
  std::string names;
  for (const auto& twin : plan.config.twins) names += (names.empty() ? "" : ", ") + twin.name;
  return names;
}

int exit_code_of_replay(const base::Error& error) {
  switch (error.code()) {
    case base::ErrorCode::not_found: return kExitNoInput;
    case base::ErrorCode::corrupt:
    case base::ErrorCode::invalid_argument: return kExitBadData;
    case base::ErrorCode::internal: return kExitInternal;
    default: return kExitIo;
  }
}

}  // namespace

int replay_command(const ReplayArguments& arguments) {
  auto loaded = load_or_report(*arguments.config_file, false, arguments.diagnosis_file);
  if (const int* code = std::get_if<int>(&loaded)) return *code;
  const Plan& plan = std::get<Plan>(loaded);

  const auto& twins = plan.config.twins;
  std::size_t twin = 0;
  if (arguments.twin) {
    const auto found =
        std::find_if(twins.begin(), twins.end(), [&](const auto& t) { return t.name == *arguments.twin; });
    if (found == twins.end())
      return usage("--twin: no twin " + *arguments.twin + "; accepted: " + names_of_twins(plan));
    twin = static_cast<std::size_t>(found - twins.begin());
  } else if (arguments.output_file && twins.size() != 1) {
    return usage(twins.empty() ? "--output: the configuration has no twin"
                               : "--output is of one twin: give --twin; accepted: " + names_of_twins(plan));
  }
  std::optional<CsvFile> steps;
  std::optional<CsvFile> samples;
  for (const auto& [name, file] : {std::pair{&arguments.output_file, &steps}, {&arguments.samples_file, &samples}}) {
    if (!*name) continue;
    auto opened = CsvFile::open(**name);
    if (!opened.ok()) {
      std::cerr << "twinkeeper: " << opened.error().message() << '\n';
      return kExitIo;
    }
    file->emplace(std::move(opened).value());
  }

  Report report(plan, std::move(steps), twin, std::move(samples));
  auto replayed = replay_capture(plan, *arguments.capture_file, report);
  const bool written = report.close();
  if (!replayed.ok()) {
    std::cerr << "twinkeeper: " << replayed.error().message() << '\n';
    return exit_code_of_replay(replayed.error());
  }
  const ReplaySummary& summary = replayed.value();
  std::cout << summary.turns << " turns, " << summary.samples << " samples (" << summary.samples_bad << " bad), "
            << summary.steps << " steps over " << std::chrono::duration<double>(summary.length).count()
            << " s, each as recorded; ended: " << summary.end_reason << std::endl;
  if (summary.fault) {
    std::cerr << "twinkeeper: " << *arguments.capture_file << ": replay and recording part: " << *summary.fault << '\n';
    return kExitBadData;
  }
  if (!summary.whole) {
    std::cerr << "warning: " << *arguments.capture_file << " is not whole (" << summary.end_reason
              << "); replayed up to there\n";
  }
  return written ? kExitDone : kExitIo;
}

}  // namespace twinkeeper::app
