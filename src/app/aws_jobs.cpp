#include "app/aws_jobs.hpp"

#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <string_view>
#include <utility>

#include "app/version.hpp"
#include "base/durable_file.hpp"
#include "config/yaml_text.hpp"
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
constexpr const char* kOperations = "reload-config, update-model, collect-logs";

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
  const std::string name = aws::text(document, "twin");
  const auto& twins = plan_.config.twins;
  const auto twin = std::find_if(twins.begin(), twins.end(), [&](const auto& t) { return t.name == name; });
  if (twin == twins.end()) return reject("there is no twin " + name.substr(0, 64));
  if (twin->model.file.empty()) return reject("the model of " + name + " stands in the configuration file itself");
  const std::string model = aws::text(document, "model");
  // The gateway's environment is nobody else's business.
  if (model.find("${") != std::string::npos) return reject("a variable has no meaning in a model that comes by a job");
  const std::string hash = config::sha256(model);
  const std::string given = aws::text(document, "sha256");
  if (hash != given && hash != "sha256:" + given) return reject("the model's text has the hash " + hash);
  requests_.ask({asker(client_.under_way()), {{twin->model.file, model}}});
}

void AwsJobs::collect_logs(const Json& document, const telemetry::MetricsReport* metrics, base::Instant now) {
  if (const std::string fault = fault_of(document, {}, {"lines"}); !fault.empty()) return reject(fault);
  const std::size_t wanted = aws::natural(document, "lines").value_or(kUsualLines);
  std::vector<std::string> lines = outside_.log_lines(std::min(wanted, kMostLines));
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
