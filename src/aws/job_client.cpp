#include "aws/job_client.hpp"

#include <utility>

namespace twinkeeper::aws {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMostValue = 1024;
constexpr base::Duration kAfterJobRefusal = 5min;

std::string word(JobStatus status) {
  switch (status) {
    case JobStatus::succeeded: return "SUCCEEDED";
    case JobStatus::failed: return "FAILED";
    case JobStatus::rejected: break;
  }
  return "REJECTED";
}

// The service takes no control characters (C0, DEL, C1) in a value.
std::string escaped(const std::string& value) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  const auto append = [&out](unsigned char code) {
    out += code == '\n' ? std::string("\\n") : std::string("\\x") + kHex[code / 16U] + kHex[code % 16U];
  };
  for (std::size_t i = 0; i < value.size(); ++i) {
    const auto byte = static_cast<unsigned char>(value[i]);
    const auto after = i + 1 < value.size() ? static_cast<unsigned char>(value[i + 1]) : 0U;
    if (byte < 0x20U || byte == 0x7FU) {
      append(byte);
    } else if (byte == 0xC2U && after >= 0x80U && after < 0xA0U) {
      append(static_cast<unsigned char>(after));
      ++i;
    } else {
      out += value[i];
    }
  }
  return out;
}

// Cut between characters.
std::string cut(std::string value) {
  if (value.size() <= kMostValue) return value;
  std::size_t end = kMostValue - 3;
  while (end > 0 && (static_cast<unsigned char>(value[end]) & 0xC0U) == 0x80U) --end;
  return value.substr(0, end) + "...";
}

JobDetails cut(JobDetails details) {
  for (auto& [name, value] : details) value = cut(escaped(value));
  std::erase_if(details, [](const auto& detail) { return detail.second.empty(); });
  return details;
}

}  // namespace

JobClient::JobClient(std::string thing, std::string token, const std::string& kept, std::uint64_t seed)
    : topic_("$aws/things/" + std::move(thing) + "/jobs/"), token_(std::move(token)), pause_(1s, 5min, seed) {
  const auto document = parse_object(kept);
  if (!document || text(*document, "job").empty()) return;
  Execution job;
  job.id = text(*document, "job");
  job.number = natural(*document, "execution").value_or(1);
  job.status = text(*document, "status");
  job.done = !job.status.empty();
  job.from_before = true;
  const Json details = object(*document, "details");
  for (const auto& [name, value] : details.items()) {
    if (value.is_string()) job.details[name] = value.get<std::string>();
  }
  job_ = std::move(job);
}

std::vector<std::string> JobClient::topics() const {
  std::vector<std::string> topics;
  for (const char* end :
       {"notify-next", "$next/get/accepted", "$next/get/rejected", "start-next/accepted", "start-next/rejected"}) {
    topics.push_back(topic_ + end);
  }
  return topics;
}

void JobClient::connected(base::Instant now) {
  connected_ = true;
  ask_ = true;
  start_ = false;
  request_.reset();
  not_before_ = now;
  pause_.reset();
}

void JobClient::disconnected() {
  connected_ = false;
  request_.reset();
}

bool JobClient::take(const std::string& topic, const std::string& payload, base::Instant now) {
  if (topic.compare(0, topic_.size(), topic_) != 0) return false;
  const std::string what = topic.substr(topic_.size());
  const auto message = parse_object(payload);
  if (!message) return true;
  const auto ends_with = [&what](const std::string& end) {
    return what.size() > end.size() && what.compare(what.size() - end.size(), end.size(), end) == 0;
  };
  if (what == "notify-next") {
    const Json execution = object(*message, "execution");
    if (!job_ && !execution.empty()) start_ = true;
    if (job_ && text(execution, "jobId") != job_->id) {
      ask_ = true;  // ours is over: ended by our status, whose answer may not come, or cancelled
      if (request_ && request_->kind == Kind::update) request_.reset();
    }
    return true;
  }
  const std::string token = text(*message, "clientToken");
  if (!request_ || token != request_->token) return true;
  if (ends_with("/rejected")) {
    rejected(*message, now);
  } else if (what == "$next/get/accepted" || what == "start-next/accepted") {
    request_.reset();
    pause_.reset();
    told_.clear();
    next_is(object(*message, "execution"));
  } else if (ends_with("/update/accepted")) {
    request_.reset();
    pause_.reset();
    told_.clear();
    updated(what.substr(0, what.find('/')));
  }
  return true;
}

void JobClient::next_is(const Json& execution) {
  ask_ = false;
  start_ = false;
  const std::string id = text(execution, "jobId");
  if (id.empty()) {
    job_.reset();
    return;
  }
  const std::uint64_t number = natural(execution, "executionNumber").value_or(1);
  const bool known = job_ && job_->id == id && job_->number == number;
  if (text(execution, "status") == "QUEUED") {
    if (!known) job_.reset();
    start_ = true;
    return;
  }
  if (!known) {
    job_ = Execution{};
    job_->id = id;
    job_->number = number;
  }
  job_->version = natural(execution, "versionNumber").value_or(1);
  const auto document = execution.find("jobDocument");
  if (document != execution.end()) job_->document = *document;
}

void JobClient::updated(const std::string& id) {
  if (!job_ || job_->id != id) return;
  job_.reset();
  start_ = true;
}

void JobClient::rejected(const Json& answer, base::Instant now) {
  const Kind kind = std::exchange(request_, std::nullopt)->kind;
  const std::string code = text(answer, "code");
  not_before_ = now + pause_.next();
  ask_ = true;
  if (code == "VersionMismatch" || code == "RequestThrottled" || code == "InternalError") return;
  if (kind == Kind::update &&
      (code == "InvalidStateTransition" || code == "ResourceNotFound" || code == "TerminalStateReached")) {
    job_.reset();  // it is over without us
    return;
  }
  if (code == "ResourceNotFound" && kind == Kind::get) {
    next_is(Json::object());
    return;
  }
  if (kind == Kind::update && code == "InvalidRequest" && job_ && !job_->details.empty()) {
    job_->details.clear();  // rather the bare status than a job that never ends
    notices_.push_back({"job_details_refused", "the details of the job " + job_->id + " are refused: " +
                                                   text(answer, "message") + "; its status is told without them"});
    return;
  }
  not_before_ = now + kAfterJobRefusal;
  const std::string why = "the broker's jobs can't be had: " + code + " " + text(answer, "message");
  if (told_ != why) notices_.push_back({"jobs_refused", why});
  told_ = why;
}

std::optional<Job> JobClient::take_job() {
  if (!job_ || job_->handed || job_->done || job_->version == 0) return std::nullopt;
  job_->handed = true;
  return Job{job_->id, job_->number, job_->document};
}

void JobClient::finish(JobStatus status, JobDetails details) {
  if (!job_ || job_->done) return;
  job_->status = word(status);
  job_->details = cut(std::move(details));
  job_->done = true;
}

std::string JobClient::under_way() const {
  return job_ && (job_->handed || job_->done || job_->from_before) ? job_->id : std::string();
}

std::string JobClient::keep() const {
  if (under_way().empty()) return {};
  Json out{{"job", job_->id}, {"execution", job_->number}};
  if (job_->done) {
    out["status"] = job_->status;
    out["details"] = job_->details;
  }
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::vector<Notice> JobClient::take_notices() { return std::exchange(notices_, {}); }

Publication JobClient::request(Kind kind, const std::string& end, Json message, base::Instant now) {
  request_ = Request{kind, token_ + "-job" + std::to_string(++requests_), now};
  message["clientToken"] = request_->token;
  return {topic_ + end, message.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

std::optional<Publication> JobClient::due(base::Instant now) {
  if (!connected_) return std::nullopt;
  if (request_) {
    if (now - request_->since < kAnswerWithin) return std::nullopt;
    request_.reset();
    ask_ = true;
    not_before_ = now + pause_.next();
  }
  if (now < not_before_) return std::nullopt;
  if (ask_) return request(Kind::get, "$next/get", Json::object(), now);
  if (start_) return request(Kind::start, "start-next", Json::object(), now);
  if (!job_ || job_->status.empty() || job_->version == 0) return std::nullopt;
  Json message{{"status", job_->status},
               {"expectedVersion", job_->version},
               {"executionNumber", job_->number},
               {"includeJobExecutionState", true}};
  if (!job_->details.empty()) message["statusDetails"] = job_->details;
  return request(Kind::update, job_->id + "/update", std::move(message), now);
}

}  // namespace twinkeeper::aws
