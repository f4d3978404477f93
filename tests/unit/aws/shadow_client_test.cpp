// The shadow client against a service that keeps documents as the developer guide says, over a way that loses, repeats
// and turns around what it carries.
#include "aws/shadow_client.hpp"

#include <cmath>
#include <deque>
#include <random>

#include "support/catch.hpp"

using namespace twinkeeper;
using aws::Json;
using namespace std::chrono_literals;

namespace {

const std::string kShadowTopic = "$aws/things/gw/shadow/name/twin-tanks/";

struct ShadowClientService {
  std::optional<Json> state;  // {"reported":…, "desired":…}
  std::uint64_t version = 0;
  int updates = 0;
  int refuse_with = 0;  // every update

  static aws::Publication refusal(const std::string& what, int code, const std::string& text, const Json& request) {
    Json out{{"code", code}, {"message", text}, {"timestamp", 1}};
    if (request.contains("clientToken")) out["clientToken"] = request["clientToken"];
    return {kShadowTopic + what + "/rejected", out.dump()};
  }

  std::vector<aws::Publication> handle(const aws::Publication& request) {
    const Json message = Json::parse(request.payload);
    if (request.topic == kShadowTopic + "get") {
      if (!state) return {refusal("get", 404, "No shadow exists with name: 'twin-tanks'", message)};
      return {{kShadowTopic + "get/accepted",
               Json{{"state", *state}, {"version", version}, {"clientToken", message["clientToken"]}}.dump()}};
    }
    REQUIRE(request.topic == kShadowTopic + "update");
    if (refuse_with != 0) {
      const int code = refuse_with;
      return {
          refusal("update", code, code == 413 ? "The payload exceeds the maximum size allowed" : "refused", message)};
    }
    if (message.contains("version") && message["version"] != version) {
      return {refusal("update", 409, "Version conflict", message)};
    }
    Json next = state.value_or(Json::object());
    next.merge_patch(message["state"]);
    next = aws::tidied(next);
    if (next.dump().size() > 8192) {
      return {refusal("update", 413, "The payload exceeds the maximum size allowed", message)};
    }
    state = next;
    ++version;
    ++updates;
    Json accepted{{"state", message["state"]}, {"version", version}, {"timestamp", 1}};
    if (message.contains("clientToken")) accepted["clientToken"] = message["clientToken"];
    std::vector<aws::Publication> out{{kShadowTopic + "update/accepted", accepted.dump()}};
    const Json reported = next.value("reported", Json::object());
    Json differs = aws::difference(reported, next.value("desired", Json::object()));
    for (auto it = differs.begin(); it != differs.end();) it = it->is_null() ? differs.erase(it) : std::next(it);
    if (!differs.empty()) {
      out.push_back({kShadowTopic + "update/delta", Json{{"state", differs}, {"version", version}}.dump()});
    }
    return out;
  }
  [[nodiscard]] Json reported() const { return state ? state->value("reported", Json::object()) : Json::object(); }
};

aws::ShadowSettings settings() {
  aws::ShadowSettings out;
  out.thing = "gw";
  out.name = "twin-tanks";
  out.token = "t1";
  out.with_desired = true;
  return out;
}

struct ShadowClientRig {
  explicit ShadowClientRig(aws::ShadowSettings with = settings()) : client(std::move(with)) { client.connected(now); }

  // Until there is nothing to send at this instant.
  void talk() {
    for (int turns = 0; const auto publication = client.due(now); ++turns) {
      REQUIRE(turns < 100);
      sent.push_back(*publication);
      for (const auto& answer : service.handle(*publication)) client.take(answer.topic, answer.payload, now);
    }
  }

  ShadowClientService service;
  aws::ShadowClient client;
  base::Instant now{1h};
  std::vector<aws::Publication> sent;
};

}  // namespace

TEST_CASE("a shadow that does not exist is created by the first report") {
  ShadowClientRig rig;
  rig.client.report({{"mode", "tracking"}});
  rig.talk();
  REQUIRE(rig.sent.size() == 2);
  CHECK(rig.sent[0].topic == kShadowTopic + "get");
  CHECK(Json::parse(rig.sent[1].payload)["state"] == Json{{"reported", {{"mode", "tracking"}}}});
  CHECK_FALSE(Json::parse(rig.sent[1].payload).contains("version"));
  CHECK(rig.service.reported() == Json{{"mode", "tracking"}});
  CHECK(rig.client.settled());
}

TEST_CASE("keys that disappeared are nulled, also those of an earlier start") {
  ShadowClientRig rig;
  rig.service.state = Json{{"reported", {{"old", 1}, {"states", {{"a", 1}, {"b", 2}}}}}};
  rig.service.version = 17;
  rig.client.report({{"states", {{"a", 1}}}});
  rig.talk();
  const Json update = Json::parse(rig.sent.back().payload);
  CHECK(update["state"]["reported"] == Json{{"old", nullptr}, {"states", {{"b", nullptr}}}});
  CHECK(update["version"] == 17);
  CHECK(rig.service.reported() == Json{{"states", {{"a", 1}}}});
  CHECK(rig.client.version() == 18);
}

TEST_CASE("updates keep their interval and the dead-band") {
  auto with = settings();
  with.same = [](const Json& a, const Json& b) {
    return a.is_number() && b.is_number() && std::abs(a.get<double>() - b.get<double>()) < 0.1;
  };
  ShadowClientRig rig(with);
  for (int second = 0; second < 600; ++second) {
    rig.client.report({{"level", 1.0 + 0.05 * (second % 2)}});
    rig.talk();
    rig.now += 1s;
  }
  CHECK(rig.service.updates == 1);
  for (int second = 0; second < 600; ++second) {
    rig.client.report({{"level", 1.0 + second}});
    rig.talk();
    rig.now += 1s;
  }
  CHECK(rig.service.updates >= 10);
  CHECK(rig.service.updates <= 12);
}

TEST_CASE("what is not worth an update is looked at once, not at every turn") {
  auto with = settings();
  int compared = 0;
  with.same = [&compared](const Json& a, const Json& b) {
    ++compared;
    return a.is_number() && b.is_number() && std::abs(a.get<double>() - b.get<double>()) < 0.1;
  };
  ShadowClientRig rig(with);
  rig.client.report({{"level", 1.0}});
  rig.talk();
  rig.now += 61s;
  rig.client.report({{"level", 1.05}});
  compared = 0;
  for (int turn = 0; turn < 1000; ++turn, rig.now += 250ms) rig.talk();
  CHECK(compared > 0);
  CHECK(compared < 5);
  rig.client.report({{"level", 2.0}});
  rig.talk();
  CHECK(rig.service.reported() == Json{{"level", 2.0}});
}

TEST_CASE("an update that rests on an old version is made again on the new one") {
  ShadowClientRig rig;
  rig.client.report({{"a", 1}});
  rig.talk();
  rig.service.state = Json{{"reported", {{"a", 1}, {"b", 2}}}, {"desired", {{"x", 1}}}};
  rig.service.version += 3;  // nobody told us
  rig.client.report({{"a", 2}});
  rig.now += 61s;
  rig.talk();
  rig.now += 10s;
  rig.talk();
  CHECK(rig.service.reported() == Json{{"a", 2}});
  const auto desired = rig.client.take_desired();
  REQUIRE(desired);
  CHECK(desired->state == Json{{"x", 1}});
}

TEST_CASE("what is desired is handed up once, whole and with its version") {
  ShadowClientRig rig;
  rig.service.state = Json{{"desired", {{"a", 1}, {"b", {{"c", 2}}}}}};
  rig.service.version = 5;
  rig.client.report({{"r", 1}});
  rig.talk();
  auto desired = rig.client.take_desired();
  REQUIRE(desired);
  CHECK(desired->state == Json{{"a", 1}, {"b", {{"c", 2}}}});
  CHECK_FALSE(rig.client.take_desired());
  const auto news = [&](const Json& change) {
    const Json request{{"state", {{"desired", change}}}};
    for (const auto& answer : rig.service.handle({kShadowTopic + "update", request.dump()})) {
      rig.client.take(answer.topic, answer.payload, rig.now);
    }
    rig.talk();
    return rig.client.take_desired();
  };
  desired = news({{"b", {{"c", 3}}}});
  REQUIRE(desired);
  CHECK(desired->state == Json{{"a", 1}, {"b", {{"c", 3}}}});
  CHECK(desired->version == rig.service.version);
  desired = news({{"b", nullptr}});
  REQUIRE(desired);
  CHECK(desired->state == Json{{"a", 1}});
  desired = news(nullptr);
  REQUIRE(desired);
  CHECK(desired->state.empty());
}

TEST_CASE("a shadow whose version is lower than before is taken up") {
  const bool reconnected = GENERATE(true, false);
  CAPTURE(reconnected);
  ShadowClientRig rig;
  rig.service.state = Json{{"desired", {{"a", 1}}}};
  rig.service.version = 17;
  rig.client.report({{"r", 1}});
  rig.talk();
  REQUIRE(rig.client.take_desired());
  // Another endpoint, or deleted and begun anew long after.
  rig.service.state = Json{{"desired", {{"a", 2}}}};
  rig.service.version = 3;
  const std::size_t before = rig.sent.size();
  if (reconnected) rig.client.connected(rig.now);
  rig.client.report({{"r", 2}});
  for (int second = 0; second < 300; ++second, rig.now += 1s) rig.talk();
  CHECK(rig.sent.size() - before <= 4);
  CHECK(rig.client.settled());
  CHECK(rig.client.version() == rig.service.version);
  CHECK(rig.service.reported() == Json{{"r", 2}});
  const auto desired = rig.client.take_desired();
  REQUIRE(desired);
  CHECK(desired->state == Json{{"a", 2}});
}

TEST_CASE("an answer to get that is older than what came meanwhile is asked for again, after a pause") {
  ShadowClientRig rig;
  rig.service.state = Json{{"desired", {{"a", 1}}}};
  rig.service.version = 5;
  const auto get = rig.client.due(rig.now);
  REQUIRE(get);
  const auto old = rig.service.handle(*get);
  for (const auto& answer :
       rig.service.handle({kShadowTopic + "update", Json{{"state", {{"desired", {{"b", 2}}}}}}.dump()})) {
    rig.client.take(answer.topic, answer.payload, rig.now);
  }
  for (const auto& answer : old) rig.client.take(answer.topic, answer.payload, rig.now);
  CHECK_FALSE(rig.client.take_desired());
  CHECK_FALSE(rig.client.due(rig.now));
  rig.now += 1s;
  rig.talk();
  CHECK(rig.sent.size() == 1);
  const auto desired = rig.client.take_desired();
  REQUIRE(desired);
  CHECK(desired->state == Json{{"a", 1}, {"b", 2}});
}

TEST_CASE("a part of what is desired is never taken for the whole") {
  ShadowClientRig rig;
  rig.service.state = Json{{"desired", {{"a", 1}}}};
  rig.service.version = 5;
  const auto get = rig.client.due(rig.now);
  REQUIRE(get);
  // Somebody's change overtakes the answer.
  for (const auto& answer :
       rig.service.handle({kShadowTopic + "update", Json{{"state", {{"desired", {{"b", 2}}}}}}.dump()})) {
    rig.client.take(answer.topic, answer.payload, rig.now);
  }
  CHECK_FALSE(rig.client.take_desired());
  for (const auto& answer : rig.service.handle(*get)) rig.client.take(answer.topic, answer.payload, rig.now);
  const auto desired = rig.client.take_desired();
  REQUIRE(desired);
  CHECK(desired->state == Json{{"a", 1}, {"b", 2}});
}

TEST_CASE("a document that is too large loses what matters least and says so once") {
  auto with = settings();
  with.least_important = {"outputs", "states"};
  ShadowClientRig rig(with);
  Json large{{"mode", "tracking"}};
  for (int i = 0; i < 300; ++i) {
    large["outputs"]["output_" + std::to_string(i)] = {{"value", i}, {"std", 0.5}};
    large["states"]["state_" + std::to_string(i)] = {{"value", i}, {"std", 0.5}};
  }
  rig.client.report(large);
  rig.talk();
  CHECK(rig.service.reported().dump().size() < 7500);
  CHECK(rig.service.reported()["mode"] == "tracking");
  CHECK_FALSE(rig.service.reported().contains("outputs"));
  CHECK(rig.service.reported()["states"].size() > 50);
  CHECK(rig.service.reported()["left_out"].get<int>() + rig.service.reported()["states"].size() == 600);
  CHECK(rig.client.take_notices().size() == 1);
  rig.now += 61s;
  large["mode"] = "lost";
  rig.client.report(large);
  rig.talk();
  CHECK(rig.service.reported()["mode"] == "lost");
  CHECK(rig.client.take_notices().empty());
  rig.now += 61s;
  rig.client.report({{"mode", "tracking"}});
  rig.talk();
  CHECK(rig.service.reported() == Json{{"mode", "tracking"}});
}

TEST_CASE("413 makes the document smaller until it is taken") {
  auto with = settings();
  with.least_important = {"states"};
  ShadowClientRig rig(with);
  Json large{{"mode", "tracking"}};
  for (int i = 0; i < 180; ++i) large["states"]["state_" + std::to_string(i)] = {{"value", i}, {"std", 0.5}};
  rig.client.report(large);
  rig.service.refuse_with = 413;
  rig.talk();
  rig.now += 10s;
  rig.talk();
  rig.service.refuse_with = 0;
  rig.now += 10min;
  rig.talk();
  CHECK(rig.service.updates == 1);
  CHECK(rig.service.reported().dump().size() < 6000);
}

TEST_CASE("throttled requests come again after pauses that grow, refused ones are told once") {
  ShadowClientRig rig;
  rig.client.report({{"a", 1}});
  rig.service.refuse_with = 429;
  for (int second = 0; second < 300; ++second, rig.now += 1s) rig.talk();
  CHECK(rig.sent.size() > 4);
  CHECK(rig.sent.size() < 16);
  CHECK(rig.client.take_notices().empty());
  rig.service.refuse_with = 403;
  rig.now += 10min;
  const std::size_t before = rig.sent.size();
  for (int second = 0; second < 1200; ++second, rig.now += 1s) rig.talk();
  CHECK(rig.sent.size() - before <= 10);  // get and update every 5 minutes
  const auto notices = rig.client.take_notices();
  REQUIRE(notices.size() == 1);
  CHECK(notices[0].text == "the shadow twin-tanks can't be updated: 403 refused");
}

TEST_CASE("what is no answer of this client changes nothing") {
  ShadowClientRig rig;
  rig.client.report({{"a", 1}});
  rig.talk();
  const std::uint64_t version = rig.client.version();
  CHECK_FALSE(rig.client.take("$aws/things/gw/shadow/name/other/get/accepted", "{}", rig.now));
  for (const char* payload : {"", "[]", "{}", "{\"version\":0,\"state\":{\"reported\":{\"a\":9}}}", "{\"version\":-1}",
                              "{\"version\":\"7\"}", "{\"code\":409,\"clientToken\":\"other\"}"}) {
    for (const char* end :
         {"get/accepted", "get/rejected", "update/accepted", "update/rejected", "update/delta", "x"}) {
      CHECK(rig.client.take(kShadowTopic + end, payload, rig.now));
    }
  }
  CHECK(rig.client.version() == version);
  CHECK(rig.client.held() == Json{{"a", 1}});
}

TEST_CASE("whatever the way loses, repeats or turns around, the right document is held in the end") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    auto with = settings();
    with.seed = seed;
    with.least_interval = 5s;
    ShadowClientRig rig(with);
    std::deque<aws::Publication> to_service, to_client;
    Json wanted = Json::object();
    const auto chance = [&random](unsigned percent) { return random() % 100 < percent; };
    const auto carry = [&](std::deque<aws::Publication>& way, const aws::Publication& what, bool faulty) {
      const int copies = faulty && chance(20) ? 0 : faulty && chance(20) ? 2 : 1;
      for (int i = 0; i < copies; ++i) {
        const std::size_t at = faulty && !way.empty() ? random() % (way.size() + 1) : way.size();
        way.insert(way.begin() + static_cast<std::ptrdiff_t>(at), what);
      }
    };
    for (int second = 0; second < 600; ++second, rig.now += 1s) {
      const bool faulty = second < 300;
      if (faulty && chance(30)) {
        const std::string key(1, static_cast<char>('a' + random() % 4));
        chance(30) ? static_cast<void>(wanted.erase(key)) : static_cast<void>(wanted[key] = {{"value", random() % 5}});
        wanted["always"] = 1;
        rig.client.report(wanted);
      }
      if (faulty && chance(5)) {  // somebody else
        const Json request{{"state", {{"desired", {{"x", random() % 3}}}, {"reported", {{"strange", random() % 3}}}}}};
        for (const auto& answer : rig.service.handle({kShadowTopic + "update", request.dump()})) {
          carry(to_client, answer, true);
        }
      }
      // A deletion is seen at the next connection, unless something is reported before.
      if (faulty ? chance(2) : second == 300) rig.client.connected(rig.now);
      if (faulty && chance(1)) rig.service.state.reset();
      if (const auto publication = rig.client.due(rig.now)) carry(to_service, *publication, faulty);
      if (!to_service.empty() && (!faulty || chance(60))) {
        for (const auto& answer : rig.service.handle(to_service.front())) carry(to_client, answer, faulty);
        to_service.pop_front();
      }
      while (!to_client.empty() && (!faulty || chance(60))) {
        rig.client.take(to_client.front().topic, to_client.front().payload, rig.now);
        to_client.pop_front();
      }
    }
    CHECK(rig.service.reported() == wanted);
    CHECK(rig.client.held() == wanted);
    CHECK(rig.client.settled());
    std::optional<aws::ShadowClient::Desired> desired = rig.client.take_desired();
    REQUIRE(desired);
    CHECK(desired->state == (rig.service.state ? rig.service.state->value("desired", Json::object()) : Json::object()));
  }
}
