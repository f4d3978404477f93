// What jobs make of the gateway; the reload is played by the test.
#include "app/aws_jobs.hpp"

#include <filesystem>
#include <fstream>

#include "config/sha256.hpp"
#include "support/catch.hpp"
#include "support/collected_events.hpp"
#include "support/temporary_folder.hpp"

namespace {

using namespace twinkeeper;
using namespace std::chrono_literals;
using aws::Json;

const std::string kTopic = "$aws/things/gw/jobs/";

struct AwsJobsRig {
  AwsJobsRig() {
    plan.config.gateway.id = "gw";
    plan.config.gateway.state_directory = folder.path();
    plan.config.hash = "sha256:1";
    plan.config.uplink.emplace();
    plan.config.uplink->client_id = "gw";
    plan.config.twins.resize(2);
    plan.config.twins[0].name = "tanks";
    plan.config.twins[0].model.file = "models/tanks.yaml";
    plan.config.twins[1].name = "inline";
    start();
  }
  void start() {
    jobs.emplace(plan, requests, events, "t" + std::to_string(++starts),
                 app::AwsJobs::Outside{[this](std::size_t most) { return std::vector<std::string>(most, line); },
                                       [this](signals::Message message) {
                                         published.push_back(Json::parse("{" + message.members + "}"));
                                       }});
    jobs->client().connected(now);
  }
  // The service's next execution.
  void give(const Json& document, const std::string& id = "j1") {
    const auto ask = jobs->client().due(now);
    REQUIRE(ask);
    const Json execution{{"jobId", id},
                         {"status", "IN_PROGRESS"},
                         {"versionNumber", 2},
                         {"executionNumber", 1},
                         {"jobDocument", document}};
    jobs->client().take(
        ask->topic + "/accepted",
        Json{{"execution", execution}, {"clientToken", Json::parse(ask->payload)["clientToken"]}}.dump(), now);
    jobs->run(nullptr, now);
  }
  // The status that goes out.
  Json told() {
    const auto publication = jobs->client().due(now);
    return publication ? Json::parse(publication->payload) : Json();
  }
  std::string reason(const Json& document) {
    give(document);
    const Json status = told();
    CHECK(status["status"] == "REJECTED");
    jobs->client().take(kTopic + "j1/update/accepted", Json{{"clientToken", status["clientToken"]}}.dump(), now);
    jobs->run(nullptr, now);
    CHECK_FALSE(std::ifstream(folder.file("job.json")).good());
    return status["statusDetails"]["reason"].get<std::string>();
  }

  test::TemporaryFolder folder;
  app::Plan plan;
  app::ReloadRequests requests;
  test::CollectedEvents events;
  base::Instant now{1h};
  int starts = 0;
  std::string line = "a \"line\"";  // each of the log
  std::vector<Json> published;
  std::optional<app::AwsJobs> jobs;
};

Json update(const std::string& twin = "tanks") {
  return {{"operation", "update-model"},
          {"twin", twin},
          {"model", "model: {}\n"},
          {"sha256", config::sha256("model: {}\n")}};
}

}  // namespace

TEST_CASE("documents that can't be carried out are rejected with the reason") {
  AwsJobsRig rig;
  CHECK(rig.reason({{"operation", "format-disk"}}).find("format-disk is not supported by this version") !=
        std::string::npos);
  CHECK(rig.reason("text").find("names no operation") != std::string::npos);
  CHECK(rig.reason({{"operation", "reload-config"}, {"force", true}}) == "unknown member force");
  CHECK(rig.reason({{"operation", "update-model"}, {"twin", "tanks"}}) == "model is missing or no text");
  CHECK(rig.reason(update("other")) == "there is no twin other");
  CHECK(rig.reason(update("inline")) == "the model of inline stands in the configuration file itself");
  Json wrong = update();
  wrong["sha256"] = "00";
  CHECK(rig.reason(wrong).find("has the hash sha256:") != std::string::npos);
  Json curious = update();
  curious["model"] = "model: {name: \"${HOME}\"}\n";
  CHECK(rig.reason(curious).find("a variable has no meaning") == 0);
  CHECK_FALSE(rig.requests.take());
}

TEST_CASE("a model goes to the main thread and its outcome comes back, over a restart of everything") {
  for (const bool done : {true, false}) {
    AwsJobsRig rig;
    rig.give(update());
    auto request = rig.requests.take();
    REQUIRE(request);
    CHECK(request->files == std::map<std::string, std::string>{{"models/tanks.yaml", "model: {}\n"}});
    CHECK(rig.told().is_null());
    rig.requests.settle({std::move(*request), done, {"models/tanks.yaml:1:1: wrong"}});
    if (done) rig.start();
    rig.jobs->run(nullptr, rig.now);
    if (done) rig.give(update());
    CHECK_FALSE(rig.requests.take());  // not begun again
    const Json status = rig.told();
    CHECK(status["status"] == (done ? "SUCCEEDED" : "REJECTED"));
    if (!done) CHECK(status["statusDetails"]["reason"] == "models/tanks.yaml:1:1: wrong");
  }
}

TEST_CASE("a job whose outcome was lost with the process is begun again") {
  AwsJobsRig rig;
  rig.give({{"operation", "reload-config"}});
  REQUIRE(rig.requests.take());
  rig.start();
  rig.give({{"operation", "reload-config"}});
  CHECK(rig.requests.take());
}

TEST_CASE("a job that can't be kept on disk is not begun but fails") {
  AwsJobsRig rig;
  rig.plan.config.gateway.state_directory = rig.folder.file("missing");
  rig.start();
  rig.give({{"operation", "reload-config"}});
  CHECK_FALSE(rig.requests.take());
  const Json status = rig.told();
  REQUIRE(status.is_object());
  CHECK(status["status"] == "FAILED");
  CHECK(status["statusDetails"]["reason"] == "the job can't be kept on disk");
  rig.jobs->client().take(kTopic + "j1/update/accepted", Json{{"clientToken", status["clientToken"]}}.dump(), rig.now);
  rig.jobs->run(nullptr, rig.now);
  CHECK(rig.jobs->client().under_way().empty());
  std::filesystem::create_directory(rig.folder.file("missing"));
  rig.give({{"operation", "reload-config"}}, "j2");
  CHECK(rig.requests.take());
}

TEST_CASE("collected logs are one bounded message") {
  AwsJobsRig rig;
  rig.give({{"operation", "collect-logs"}, {"lines", 100'000}});
  REQUIRE(rig.published.size() == 1);
  CHECK(rig.published[0]["job"] == "j1");
  CHECK(rig.published[0]["lines"].size() == 500);
  CHECK(rig.published[0]["metrics"].is_null());
  CHECK(rig.published[0]["overlay"].is_null());
  CHECK(rig.told()["statusDetails"]["lines"] == "500");
}

TEST_CASE("collected logs tell the configuration without user names and passwords") {
  AwsJobsRig rig;
  rig.plan.config.expanded =
      "uplink:\n  username: alice\n  password_file: /etc/pass\n  digits: 5\nlist:\n  - username: bob\n";
  CHECK(app::configuration_to_collect(rig.plan.config).empty());  // no jobs
  rig.plan.config.uplink->jobs = true;
  rig.plan.config.expanded = app::configuration_to_collect(rig.plan.config);
  rig.give({{"operation", "collect-logs"}});
  REQUIRE(rig.published.size() == 1);
  CHECK(rig.published[0]["configuration"] ==
        "uplink:\n  username: (not told)\n  password_file: (not told)\n  digits: 5\nlist:\n  - username: (not told)\n");
}

TEST_CASE("of a long configuration collected logs have the first lines, as many as there is room for") {
  AwsJobsRig rig;
  rig.plan.config.uplink->jobs = true;
  for (int i = 0; i < 20'000; ++i) rig.plan.config.expanded += "- \"\\\\\"\n";
  const std::string whole = rig.plan.config.expanded;
  rig.plan.config.expanded = app::configuration_to_collect(rig.plan.config);
  rig.line = std::string(64, '"');  // twice as long in JSON
  rig.give({{"operation", "collect-logs"}, {"lines", 500}});
  REQUIRE(rig.published.size() == 1);
  CHECK(rig.published[0].dump().size() < app::kMostCollectedBytes);
  CHECK(rig.published[0]["lines"].size() == 500);
  const auto told = rig.published[0]["configuration"].get<std::string>();
  const std::size_t cut = told.find("# cut here: the rest is too long\n");
  REQUIRE(cut != std::string::npos);
  CHECK(cut > 10'000);
  CHECK(told.substr(0, cut) == whole.substr(0, cut));
}
