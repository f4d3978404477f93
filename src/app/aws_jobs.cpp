#include "app/aws_jobs.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <string_view>
#include <utility>

#include "app/calibration.hpp"
#include "app/log_record.hpp"
#include "app/version.hpp"
#include "base/durable_file.hpp"
#include "config/sha256.hpp"
#include "telemetry/json_writer.hpp"

namespace twinkeeper::app {
namespace {

using aws::JobStatus;
using aws::Json;

constexpr std::size_t kUsualLines = 200;
constexpr std::size_t kMostLines = 500;
constexpr std::size_t kMostLogBytes = 48 * 1024;
constexpr std::size_t kMostConfigurationBytes = 32 * 1024;
constexpr std::size_t kEnvelopeBytes = 2 * 1024;  // more than it takes
constexpr const char* kOperations = "reload-config, update-model, recalibrate, collect-logs";

std::string asker(const std::string& job) { return "job " + job; }

std::string joined(const std::vector<std::string>& faults) {
  std::string out;
  for (const std::string& fault : faults) out += (out.empty() ? "" : "; ") + fault;
  return out;
}

// What of the document has no meaning, or is missing; empty: nothing.
std::string fault_of(const Json& document, const std::vector<std::string>& needed,
                     const std::vector<std::string>& possible = {}) {
  for (const std::string& name : needed) {
    if (aws::text(document, name.c_str()).empty()) return name + " is missing or no text";
  }
  for (const auto& entry : document.items()) {
    const auto is_in = [&entry](const auto& list) {
      return std::find(list.begin(), list.end(), entry.key()) != list.end();
    };
    if (entry.key() != "operation" && !is_in(needed) && !is_in(possible)) return "unknown member " + entry.key();
  }
  return {};
}

// `line` is one of the block style that the effective configuration is written in: a key a line.
bool is_private(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of(" -"), line.size()));
  const auto starts_with = [line](std::string_view word) { return line.substr(0, word.size()) == word; };
  return starts_with("username:") || starts_with("password") || starts_with("passphrase");
}

// The first lines of `text` that take no more than `most` bytes within a JSON string.
std::string first_lines(const std::string& text, std::size_t most) {
  std::size_t taken = 0;
  for (std::size_t bytes = 0; taken < text.size();) {
    const std::size_t end = std::min(text.find('\n', taken), text.size() - 1) + 1;
    for (std::size_t i = taken; i < end; ++i) bytes += text[i] == '"' || text[i] == '\\' || text[i] == '\n' ? 2 : 1;
    if (bytes > most) break;
    taken = end;
  }
  return taken == text.size() ? text : text.substr(0, taken) + "# cut here: the rest is too long\n";
}

}  // namespace

std::string configuration_to_collect(const config::Config& config) {
  if (!config.uplink || !config.uplink->jobs.value_or(false)) return {};
  std::string out;
  std::istringstream lines(config.expanded);
  for (std::string line; std::getline(lines, line);) {
    if (is_private(line)) line.replace(line.find(':') + 1, std::string::npos, " (not told)");
    out += line + '\n';
  }
  return first_lines(out, kMostConfigurationBytes);
}

AwsJobs::AwsJobs(const Plan& plan, ReloadRequests& requests, signals::EventSink& events, const std::string& token,
                 Outside outside)
    : plan_(plan),
      requests_(requests),
      events_(events),
      outside_(std::move(outside)),
      file_(plan.config.gateway.state_directory + "/job.json"),
      kept_(base::content_if_any(file_)),
      client_(plan.config.uplink->client_id, token, kept_, std::hash<std::string>{}(token)) {}

AwsJobs::~AwsJobs() { stop_ = true; }

void AwsJobs::run(const telemetry::MetricsReport* metrics, base::Instant now) {
  if (const std::string id = client_.under_way(); !id.empty()) {
    if (const auto outcome = requests_.take_outcome(asker(id))) {
      if (outcome->done) {
        end(JobStatus::succeeded, {{"config_hash", plan_.config.hash}});
      } else {
        reject(outcome->faults.empty() ? outcome->why : joined(outcome->faults));
      }
    }
  }
  take_recalibrated();
  if (const auto job = client_.take_job()) {
    keep();
    // Begun all the same, a reload would come again with every start.
    if (keeping_failed_) {
      end(JobStatus::failed, {{"reason", "the job can't be kept on disk"}});
    } else {
      begin(*job, metrics, now);
    }
  }
  keep();
}

void AwsJobs::begin(const aws::Job& job, const telemetry::MetricsReport* metrics, base::Instant now) {
  events_.raise({signals::EventLevel::info, "aws", "job_begun", "the job " + job.id + " begins"});
  const std::string operation = job.document.is_object() ? aws::text(job.document, "operation") : "";
  if (operation == "reload-config") {
    if (const std::string fault = fault_of(job.document, {}); !fault.empty()) return reject(fault);
    requests_.ask({asker(job.id), {}});
  } else if (operation == "update-model") {
    update_model(job.document);
  } else if (operation == "recalibrate") {
    recalibrate(job.document);
  } else if (operation == "collect-logs") {
    collect_logs(job.document, metrics, now);
  } else if (operation.empty()) {
    reject(std::string("the document names no operation; accepted: ") + kOperations);
  } else {
    reject("the operation " + operation.substr(0, 64) + " is not supported by this version; accepted: " + kOperations);
  }
}

void AwsJobs::update_model(const Json& document) {
  if (const std::string fault = fault_of(document, {"twin", "model", "sha256"}); !fault.empty()) return reject(fault);
  const auto twin = twin_with_file(document);
  if (!twin) return;
  const std::string model = aws::text(document, "model");
  // The gateway's environment is nobody else's business.
  if (model.find("${") != std::string::npos) return reject("a variable has no meaning in a model that comes by a job");
  const std::string hash = config::sha256(model);
  const std::string given = aws::text(document, "sha256");
  if (hash != given && hash != "sha256:" + given) return reject("the model's text has the hash " + hash);
  requests_.ask({asker(client_.under_way()), {{plan_.config.twins[*twin].model.file, model}}});
}

std::optional<std::size_t> AwsJobs::twin_with_file(const Json& document) {
  const std::string name = aws::text(document, "twin");
  const auto& twins = plan_.config.twins;
  const auto twin = std::find_if(twins.begin(), twins.end(), [&](const auto& t) { return t.name == name; });
  if (twin == twins.end()) {
    reject("there is no twin " + name.substr(0, 64));
  } else if (twin->model.file.empty()) {
    reject("the model of " + name + " stands in the configuration file itself");
  } else {
    return static_cast<std::size_t>(twin - twins.begin());
  }
  return std::nullopt;
}

void AwsJobs::recalibrate(const Json& document) {
  if (const std::string fault = fault_of(document, {"twin", "log"}, {"rows", "false_alarms_per_day"}); !fault.empty()) {
    return reject(fault);
  }
  const auto twin = twin_with_file(document);
  if (!twin) return;
  const std::filesystem::path log = aws::text(document, "log");
  const bool climbs = std::any_of(log.begin(), log.end(), [](const auto& part) { return part == ".."; });
  if (log.is_absolute() || climbs) return reject("log: accepted: a file below the state directory");
  CalibrationJob job;
  job.plan = plan_;
  job.twin = *twin;
  job.log_file = plan_.config.gateway.state_directory + "/" + log.string();
  if (document.contains("rows")) {
    const auto rows = parse_rows(aws::text(document, "rows"));
    if (!rows) return reject("rows: accepted: A:B, zero-based, the row B not included");
    job.rows = *rows;
  }
  if (document.contains("false_alarms_per_day")) {
    const Json& asked = document["false_alarms_per_day"];
    if (!asked.is_number() || !(asked.get<double>() > 0.0)) return reject("false_alarms_per_day: accepted: above 0");
    job.false_alarms_per_day = asked.get<double>();
  }
  job.stop = [this] { return stop_.load(); };
  model_file_ = plan_.config.twins[*twin].model.file;
  recalibrated_ = std::async(std::launch::async, [job = std::move(job), file = model_file_]() mutable {
    Recalibrated out;
    const auto fail = [&out](const std::string& why) {
      out.fault = why;
      return std::move(out);
    };
    const auto opened = logs::LogReader::open(job.log_file);
    if (!opened.ok()) return fail(opened.error().message());
    const logs::LogReader& reader = opened.value();
    const auto tags = match_columns({reader.file(), reader.columns()}, job.plan, job.twin, tag_names(job.plan.config),
                                    InputsNeeded::none);
    if (!tags) return fail("the log's columns are not those of the twin's tags; see the service's log");
    job.tags = *tags;
    const auto loaded = load_model_file(file, job.plan.config.twins[job.twin].period, {});
    const auto* model = std::get_if<config::ModelFile>(&loaded);
    if (model == nullptr) return fail(file + " can't be read any more");
    const auto overlap = made_the_model(model->provenance, job.log_file, job.rows);
    if (!overlap.ok()) return fail(overlap.error().message());
    job.rows_made_the_model = overlap.value();
    const auto calibrated = calibrate_twin(job);
    if (!calibrated.ok()) return fail(calibrated.error().message());
    const CalibrationOutcome& outcome = calibrated.value();
    out.told = told_of(outcome, job);
    const std::string rows = std::to_string(job.rows.begin) + ":" + std::to_string(job.rows.begin + outcome.rows);
    const auto now = std::chrono::time_point_cast<base::Duration>(std::chrono::system_clock::now());
    out.model = calibrated_model_file(outcome, model->provenance, job.log_file, rows, now);
    return out;
  });
}

void AwsJobs::take_recalibrated() {
  if (!recalibrated_.valid() || recalibrated_.wait_for(std::chrono::seconds{0}) != std::future_status::ready) return;
  const Recalibrated found = recalibrated_.get();
  if (!found.fault.empty()) return reject(found.fault);
  for (const std::string& line : found.told) {
    events_.raise({signals::EventLevel::info, "aws", "recalibrated", line});
  }
  requests_.ask({asker(client_.under_way()), {{model_file_, found.model}}});
}

void AwsJobs::collect_logs(const Json& document, const telemetry::MetricsReport* metrics, base::Instant now) {
  if (const std::string fault = fault_of(document, {}, {"lines"}); !fault.empty()) return reject(fault);
  const std::uint64_t wanted = aws::natural(document, "lines").value_or(kUsualLines);
  std::vector<std::string> lines =
      outside_.log_lines(static_cast<std::size_t>(std::min<std::uint64_t>(wanted, kMostLines)));
  std::size_t bytes = 0;
  std::size_t first = lines.size();
  while (first > 0 && bytes + lines[first - 1].size() <= kMostLogBytes) bytes += lines[--first].size();
  lines.erase(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(first));
  signals::Message message;
  message.stream = "logs";
  message.schema = "twinkeeper.logs/1";
  message.message_class = signals::MessageClass::info;
  message.time = now;
  telemetry::JsonWriter writer(message.members);
  writer.text("job", client_.under_way());
  writer.text("version", kVersion);
  writer.text("config_hash", plan_.config.hash);
  writer.key("overlay");
  message.members += plan_.config.overlay ? plan_.config.overlay->text : "null";
  writer.texts("lines", lines);
  writer.key("metrics");
  if (metrics == nullptr) {
    message.members += "null";
  } else {
    signals::Message figures;
    telemetry::encode_metrics(telemetry::shares_of(*metrics).front(), now, figures);
    message.members += "{" + figures.members + "}";
  }
  const std::size_t taken = std::min(message.members.size() + kEnvelopeBytes, kMostCollectedBytes);
  writer.text("configuration", first_lines(plan_.config.expanded, kMostCollectedBytes - taken));
  outside_.publish(std::move(message));
  end(JobStatus::succeeded, {{"lines", std::to_string(lines.size())}, {"stream", "logs"}});
}

void AwsJobs::reject(const std::string& why) { end(JobStatus::rejected, {{"reason", why}}); }

void AwsJobs::end(JobStatus status, aws::JobDetails details) {
  const std::string id = client_.under_way();
  const auto reason = details.find("reason");
  const bool done = status == JobStatus::succeeded;
  const std::string word = done ? "done" : status == JobStatus::failed ? "failed" : "rejected";
  events_.raise({done ? signals::EventLevel::info : signals::EventLevel::warning, "aws", "job_" + word,
                 "the job " + id + (status == JobStatus::failed ? " has " : " is ") + word +
                     (done || reason == details.end() ? "" : ": " + reason->second)});
  client_.finish(status, std::move(details));
  keep();
}

void AwsJobs::keep() {
  std::string text = client_.keep();
  if (text == kept_) {
    keeping_failed_ = false;
    return;
  }
  if (text.empty()) {
    ::unlink(file_.c_str());
  } else if (const auto status = base::replace_file(file_, text); !status) {
    if (!keeping_failed_) {
      events_.raise({signals::EventLevel::error, "aws", "job_not_kept",
                     file_ + ": the job under way can't be kept: " + status.error().message()});
    }
    keeping_failed_ = true;
    return;
  }
  keeping_failed_ = false;
  kept_ = std::move(text);
}

}  // namespace twinkeeper::app
