// The jobs of a thing: one at a time, each carried out once, or again if the service died on the way.
//
//   connected     which job is next is asked for; one that was under way is taken up where it stands
//   notify-next   the next one is started, if none is under way
//   take_job()    the job to be carried out. keep() must be durable before: it tells after a restart what was under way
//   finish()      keep() must be durable again; then the status goes out until the service has it
//
// Statuses carry the version and number of the execution. No answer, a version mismatch: the execution is asked for, and
// the status is sent once more if the job is still ours. An execution that is over, cancelled or gone is forgotten.
// Answers come to the requester whether or not it subscribed to them; those of `update` have the job in their topic and
// are not subscribed to, as that would take a wildcard. Where they do not come, notify-next tells that the job is over.
// Thread rule: one thread. No I/O. Allocates.
// Source: AWS IoT Core developer guide, jobs-mqtt-api.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "aws/document.hpp"

namespace twinkeeper::aws {

enum class JobStatus { succeeded, failed, rejected };

// Names [A-Za-z0-9:_-]; control characters of values are escaped, and values cut at 1024 bytes, which is what the service
// takes. Details that it refuses all the same are left out.
using JobDetails = std::map<std::string, std::string>;

struct Job {
  std::string id;
  std::uint64_t execution = 1;
  Json document;
};

class JobClient {
 public:
  // `kept`: what keep() was before the restart; anything else counts as nothing.
  JobClient(std::string thing, std::string token, const std::string& kept, std::uint64_t seed);

  [[nodiscard]] std::vector<std::string> topics() const;
  void connected(base::Instant now);
  void disconnected();
  bool take(const std::string& topic, const std::string& payload, base::Instant now);
  [[nodiscard]] std::optional<Publication> due(base::Instant now);
  [[nodiscard]] bool waiting() const { return request_.has_value(); }

  [[nodiscard]] std::optional<Job> take_job();
  void finish(JobStatus status, JobDetails details);
  // Of the job that was handed up, or was under way before the restart; empty: none.
  [[nodiscard]] std::string under_way() const;
  [[nodiscard]] std::string keep() const;  // empty: nothing is under way
  [[nodiscard]] std::vector<Notice> take_notices();

 private:
  enum class Kind { get, start, update };
  struct Request {
    Kind kind = Kind::get;
    std::string token;
    base::Instant since;
  };
  struct Execution {
    std::string id;
    std::uint64_t number = 1;
    std::uint64_t version = 0;  // 0: not known since the connection
    Json document;
    bool handed = false;
    bool from_before = false;  // the restart
    std::string status;        // that has to be sent; empty: none
    JobDetails details;
    bool done = false;
  };

  [[nodiscard]] Publication request(Kind kind, const std::string& end, Json message, base::Instant now);
  void next_is(const Json& execution);
  void updated(const std::string& id);
  void rejected(const Json& answer, base::Instant now);

  const std::string topic_;
  const std::string token_;
  Pause pause_;
  bool connected_ = false;
  bool ask_ = false;    // what is next is not known
  bool start_ = false;  // there may be one to start
  std::optional<Execution> job_;
  std::optional<Request> request_;
  base::Instant not_before_{};
  std::uint64_t requests_ = 0;
  std::vector<Notice> notices_;
  std::string told_;
};

}  // namespace twinkeeper::aws
