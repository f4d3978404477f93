// The job client against a service that keeps executions as the developer guide says.
#include "aws/job_client.hpp"

#include <algorithm>
#include <deque>
#include <random>
#include <set>

#include "support/catch.hpp"

using namespace twinkeeper;
using aws::Job;
using aws::JobClient;
using aws::JobStatus;
using aws::Json;
using namespace std::chrono_literals;

namespace {

const std::string kTopic = "$aws/things/gw/jobs/";

struct JobClientService {
  struct Execution {
    std::string id;
    Json document;
    std::string status = "QUEUED";
    Json details = Json::object();
    std::uint64_t version = 1;
  };
  std::vector<Execution> executions;
  bool refuse_details = false;

  Execution* next() {
    for (auto& e : executions) {
      if (e.status == "IN_PROGRESS") return &e;
    }
    for (auto& e : executions) {
      if (e.status == "QUEUED") return &e;
    }
    return nullptr;
  }
  static Json as_json(const Execution& e) {
    return {{"jobId", e.id},      {"thingName", "gw"},          {"jobDocument", e.document},
            {"status", e.status}, {"versionNumber", e.version}, {"executionNumber", 1}};
  }
  std::vector<aws::Publication> handle(const aws::Publication& request) {
    const Json message = Json::parse(request.payload);
    const std::string what = request.topic.substr(kTopic.size());
    Json answer{{"clientToken", message["clientToken"]}, {"timestamp", 1}};
    const auto refused = [&](const std::string& code) {
      answer["code"] = code;
      answer["message"] = "refused";
      return std::vector<aws::Publication>{{request.topic + "/rejected", answer.dump()}};
    };
    if (what == "$next/get" || what == "start-next") {
      if (Execution* e = next()) {
        if (what == "start-next" && e->status == "QUEUED") {
          e->status = "IN_PROGRESS";
          ++e->version;
        }
        answer["execution"] = as_json(*e);
      }
      return {{request.topic + "/accepted", answer.dump()}};
    }
    for (auto& e : executions) {
      if (what != e.id + "/update") continue;
      if (e.status != "IN_PROGRESS" && e.status != "QUEUED") return refused("InvalidStateTransition");
      if (message["expectedVersion"] != e.version) return refused("VersionMismatch");
      if (refuse_details && message.contains("statusDetails")) return refused("InvalidRequest");
      e.status = message["status"].get<std::string>();
      e.details = message.value("statusDetails", Json::object());
      ++e.version;
      answer["executionState"] = {{"status", e.status}, {"versionNumber", e.version}};
      std::vector<aws::Publication> out{{request.topic + "/accepted", answer.dump()}};
      Json notify{{"timestamp", 1}};
      if (const Execution* e2 = next()) notify["execution"] = as_json(*e2);
      out.push_back({kTopic + "notify-next", notify.dump()});
      return out;
    }
    return refused("ResourceNotFound");
  }
};

struct JobClientRig {
  explicit JobClientRig(const std::string& kept = {}) : client("gw", "t1", kept, 1) { client.connected(now); }
  void talk() {
    while (const auto publication = client.due(now)) {
      ++sent;
      for (const auto& answer : service.handle(*publication)) client.take(answer.topic, answer.payload, now);
    }
  }
  JobClientService service;
  JobClient client;
  base::Instant now{1h};
  int sent = 0;
};

}  // namespace

TEST_CASE("queued jobs are carried out one after the other") {
  JobClientRig rig;
  rig.service.executions = {{"one", {{"operation", "a"}}}, {"two", {{"operation", "b"}}}};
  rig.talk();
  auto job = rig.client.take_job();
  REQUIRE(job);
  CHECK(job->id == "one");
  CHECK(job->document == Json{{"operation", "a"}});
  CHECK_FALSE(rig.client.take_job());
  CHECK(rig.service.executions[0].status == "IN_PROGRESS");
  rig.client.finish(JobStatus::succeeded, {{"text", std::string(3000, 'x')}});
  rig.talk();
  CHECK(rig.service.executions[0].status == "SUCCEEDED");
  CHECK(rig.service.executions[0].details["text"].get<std::string>().size() <= 1024);
  job = rig.client.take_job();
  REQUIRE(job);
  CHECK(job->id == "two");
  rig.client.finish(JobStatus::rejected, {});
  rig.talk();
  CHECK(rig.service.executions[1].status == "REJECTED");
  CHECK(rig.client.keep().empty());
  CHECK_FALSE(rig.client.take_job());
}

TEST_CASE("details have no control character, whatever the reason had") {
  JobClientRig rig;
  rig.service.executions = {{"one", {{"operation", "a"}}}};
  rig.talk();
  REQUIRE(rig.client.take_job());
  std::string reason =
      "twin \"ä\xC2\x9B"
      "b\" is\tno\n\x1B[31mtwin\x7F\u2026";
  for (int i = 0; i < 400; ++i) reason += '\x01';
  rig.client.finish(JobStatus::rejected, {{"reason", reason}, {"nothing", ""}});
  rig.talk();
  CHECK(rig.service.executions[0].status == "REJECTED");
  const Json details = rig.service.executions[0].details;
  REQUIRE(details.size() == 1);
  const auto told = details["reason"].get<std::string>();
  CHECK(told.rfind("twin \"ä\\x9bb\" is\\x09no\\n\\x1b[31mtwin\\x7f\u2026\\x01", 0) == 0);
  CHECK(told.size() <= 1024);
  CHECK(std::none_of(told.begin(), told.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }));
}

TEST_CASE("a status whose details are refused goes out without them, and the next job begins") {
  JobClientRig rig;
  rig.service.refuse_details = true;
  rig.service.executions = {{"one", {{"operation", "a"}}}, {"two", {{"operation", "b"}}}};
  rig.talk();
  REQUIRE(rig.client.take_job());
  rig.client.finish(JobStatus::rejected, {{"reason", "odd"}});
  rig.talk();
  rig.now += 10s;
  rig.talk();
  CHECK(rig.service.executions[0].status == "REJECTED");
  const auto job = rig.client.take_job();
  REQUIRE(job);
  CHECK(job->id == "two");
  CHECK(rig.client.take_notices().size() == 1);
}

TEST_CASE("a job that is announced later is started") {
  JobClientRig rig;
  rig.talk();
  CHECK_FALSE(rig.client.take_job());
  rig.service.executions = {{"one", {{"operation", "a"}}}};
  rig.client.take(kTopic + "notify-next",
                  Json{{"execution", JobClientService::as_json(rig.service.executions[0])}}.dump(), rig.now);
  rig.talk();
  CHECK(rig.client.take_job());
}

TEST_CASE("a job under way at a restart comes again, a finished one is only told") {
  for (const bool finished : {false, true}) {
    CAPTURE(finished);
    JobClientRig first;
    first.service.executions = {{"one", {{"operation", "a"}}}};
    first.talk();
    REQUIRE(first.client.take_job());
    if (finished) first.client.finish(JobStatus::failed, {{"why", "because"}});
    JobClientRig second(first.client.keep());
    second.service = first.service;
    second.talk();
    if (finished) {
      CHECK_FALSE(second.client.take_job());
      CHECK(second.service.executions[0].status == "FAILED");
      CHECK(second.service.executions[0].details == Json{{"why", "because"}});
    } else {
      const auto job = second.client.take_job();
      REQUIRE(job);
      CHECK(job->document == Json{{"operation", "a"}});
      second.client.finish(JobStatus::succeeded, {});
      second.talk();
      CHECK(second.service.executions[0].status == "SUCCEEDED");
    }
    CHECK(second.client.keep().empty());
  }
}

TEST_CASE("a job that was cancelled or deleted meanwhile is forgotten") {
  for (const bool deleted : {false, true}) {
    JobClientRig rig;
    rig.service.executions = {{"one", {{"operation", "a"}}}};
    rig.talk();
    REQUIRE(rig.client.take_job());
    deleted ? rig.service.executions.clear() : static_cast<void>(rig.service.executions[0].status = "CANCELED");
    rig.client.finish(JobStatus::succeeded, {});
    rig.talk();
    rig.now += 10s;
    rig.talk();
    CHECK(rig.client.keep().empty());
    CHECK(rig.client.take_notices().empty());
  }
}

TEST_CASE("what is no answer to a request changes nothing") {
  JobClientRig rig;
  CHECK_FALSE(rig.client.take("$aws/things/other/jobs/notify-next", "{}", rig.now));
  for (const char* payload : {"", "{}", "[]", "{\"execution\":7}", "{\"execution\":{}}",
                              "{\"clientToken\":\"x\",\"execution\":{\"jobId\":\"one\",\"status\":\"IN_PROGRESS\"}}"}) {
    for (const char* end : {"notify-next", "$next/get/accepted", "start-next/accepted", "one/update/accepted",
                            "start-next/rejected", "x"}) {
      CHECK(rig.client.take(kTopic + end, payload, rig.now));
    }
  }
  CHECK_FALSE(rig.client.take_job());
}

TEST_CASE("whatever is lost, repeated or turned around, each job ends once and with its own outcome") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    JobClientService service;
    for (int i = 0; i < 4; ++i) service.executions.push_back({"job" + std::to_string(i), {{"n", i}}});
    std::string disk;
    std::optional<JobClient> client(std::in_place, "gw", "t0", disk, seed);
    base::Instant now{1h};
    client->connected(now);
    std::deque<aws::Publication> to_service, to_client;
    std::map<std::string, int> begun;
    const auto chance = [&random](unsigned percent) { return random() % 100 < percent; };
    const auto carry = [&](std::deque<aws::Publication>& way, const aws::Publication& what, bool faulty) {
      const int copies = faulty && chance(20) ? 0 : faulty && chance(20) ? 2 : 1;
      for (int i = 0; i < copies; ++i) {
        const std::size_t at = faulty && !way.empty() ? random() % (way.size() + 1) : way.size();
        way.insert(way.begin() + static_cast<std::ptrdiff_t>(at), what);
      }
    };
    int restarts = 0;
    for (int second = 0; second < 2000; ++second, now += 1s) {
      const bool faulty = second < 400;
      if (faulty && chance(2)) {
        client.emplace("gw", "t" + std::to_string(++restarts), disk, seed);
        client->connected(now);
      }
      if (const auto job = client->take_job()) {
        disk = client->keep();
        ++begun[job->id];
        if (!(faulty && chance(10))) {  // else it dies on the way
          client->finish(JobStatus::succeeded, {{"n", std::to_string(job->document["n"].get<int>())}});
          disk = client->keep();
        } else {
          client.emplace("gw", "t" + std::to_string(++restarts), disk, seed);
          client->connected(now);
        }
      }
      if (const auto publication = client->due(now)) carry(to_service, *publication, faulty);
      if (!to_service.empty()) {
        for (const auto& answer : service.handle(to_service.front())) carry(to_client, answer, faulty);
        to_service.pop_front();
      }
      while (!to_client.empty() && (!faulty || chance(60))) {
        client->take(to_client.front().topic, to_client.front().payload, now);
        to_client.pop_front();
      }
      disk = client->keep();
    }
    for (std::size_t i = 0; i < service.executions.size(); ++i) {
      CHECK(service.executions[i].status == "SUCCEEDED");
      CHECK(service.executions[i].details == Json{{"n", std::to_string(i)}});
      CHECK(begun[service.executions[i].id] >= 1);
    }
    CHECK(client->keep().empty());
  }
}
