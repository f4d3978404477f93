#include <fstream>
#include <optional>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"
#include "uplink/subscriptions.hpp"

using namespace twinkeeper;
using namespace twinkeeper::uplink;
using std::chrono::minutes;

namespace {

using Topics = std::vector<std::string>;
using Packets = std::vector<Topics>;

const std::string kHere = "broker:8883";
const base::Instant kNow{std::chrono::hours{1}};

Subscriptions::Plan plan(Subscriptions& subscriptions, const Topics& wanted, bool present = false,
                         base::Instant now = kNow) {
  return subscriptions.plan(kHere, wanted, present, 8, now);
}

}  // namespace

TEST_CASE("topics are asked for in packets of a few") {
  Subscriptions subscriptions("", "gw");
  Topics wanted;
  for (int i = 0; i < 19; ++i) wanted.push_back("t/" + std::to_string(i));
  const auto packets = plan(subscriptions, wanted).packets;
  REQUIRE(packets.size() == 3);
  CHECK(packets[0].size() == 8);
  CHECK(packets[2].size() == 3);
}

TEST_CASE("a session that is present is asked for what it lacks and one that is gone for all") {
  Subscriptions subscriptions("", "gw");
  CHECK(plan(subscriptions, {"a", "b"}, true).packets == Packets{{"a", "b"}});  // another process's session
  subscriptions.granted(kHere, {"a"});
  CHECK(plan(subscriptions, {"a", "b"}, true).packets == Packets{{"b"}});
  CHECK(subscriptions.plan("other:8883", {"a", "b"}, true, 8, kNow).packets == Packets{{"a", "b"}});
  CHECK(plan(subscriptions, {"a", "b"}, false).packets == Packets{{"a", "b"}});
  CHECK(plan(subscriptions, {"a", "b"}, true).packets == Packets{{"a", "b"}});
}

TEST_CASE("a session with a topic that nobody wants any more is not gone on with") {
  Subscriptions subscriptions("", "gw");
  CHECK(subscriptions.session_serves(kHere, {"a"}));
  subscriptions.granted(kHere, {"a", "b c"});
  CHECK(subscriptions.session_serves(kHere, {"b c", "a", "d"}));
  CHECK_FALSE(subscriptions.session_serves(kHere, {"a"}));
  CHECK(subscriptions.session_serves("other:8883", {"a"}));
}

TEST_CASE("what a session holds is known after a restart unless the process died while it was in doubt") {
  const test::TemporaryFolder folder;
  const std::string file = folder.path() + "/session";
  {
    Subscriptions subscriptions(file, "gw");
    static_cast<void>(plan(subscriptions, {"a", "with a space"}));
    subscriptions.granted(kHere, {"a", "with a space"});
    subscriptions.store(kHere);
  }
  {
    Subscriptions again(file, "gw");
    CHECK(plan(again, {"a", "with a space"}, true).packets.empty());
    Subscriptions other(file, "gw2");
    CHECK(plan(other, {"a"}, true).packets == Packets{{"a"}});
  }
  {
    Subscriptions dies(file, "gw");
    dies.doubt(kHere);
    CHECK(plan(dies, {"a", "with a space"}, true).packets.empty());
  }
  Subscriptions heir(file, "gw");
  CHECK(plan(heir, {"a"}, true).packets == Packets{{"a"}});
}

TEST_CASE("a rubbish session file costs a SUBSCRIBE and nothing else") {
  const test::TemporaryFolder folder;
  const std::string file = folder.path() + "/session";
  std::ofstream(file) << "gw\n\n \ngw broker:8883\nrubbish rubbish rubbish\n";
  Subscriptions subscriptions(file, "gw");
  CHECK(plan(subscriptions, {"a"}, true).packets == Packets{{"a"}});
}

TEST_CASE("the topic at which the broker hangs up is found among others and left out for a while") {
  Subscriptions subscriptions("", "gw");
  const Topics wanted{"a", "b", "bad", "c"};
  for (int loss = 0; loss < 2; ++loss) {
    const auto packets = plan(subscriptions, wanted).packets;
    REQUIRE(packets == Packets{wanted});
    CHECK_FALSE(subscriptions.broke(packets.front(), kNow));
  }
  CHECK(plan(subscriptions, wanted).packets == Packets{{"a"}, {"b"}, {"bad"}, {"c"}});
  subscriptions.granted(kHere, {"a"});
  subscriptions.granted(kHere, {"b"});
  CHECK(subscriptions.broke({"bad"}, kNow) == std::optional<std::string>("bad"));
  auto next = plan(subscriptions, wanted);
  CHECK(next.left_out == Topics{"bad"});
  CHECK(next.packets == Packets{{"a"}, {"b"}, {"c"}});
  subscriptions.granted(kHere, {"a", "b", "c"});
  subscriptions.settled();

  // Tried again later, alone, so that one loss is enough; and not at all before.
  CHECK(plan(subscriptions, wanted, true, kNow + minutes{4}).packets.empty());
  next = plan(subscriptions, wanted, true, kNow + minutes{6});
  CHECK(next.packets == Packets{{"bad"}});
  CHECK(subscriptions.broke({"bad"}, kNow + minutes{6}) == std::optional<std::string>("bad"));
  next = plan(subscriptions, wanted, true, kNow + minutes{12});
  subscriptions.granted(kHere, next.packets.front());
  subscriptions.settled();
  CHECK(plan(subscriptions, wanted, false, kNow + minutes{13}).packets == Packets{wanted});
}

TEST_CASE("a session that a CONNECT may have begun is not believed before it was subscribed on") {
  const test::TemporaryFolder folder;
  const std::string file = folder.path() + "/session";
  const bool restarted = GENERATE(false, true);
  std::optional<Subscriptions> subscriptions(std::in_place, file, "gw");
  const auto subscribe = [&](const std::string& endpoint) {
    subscriptions->granted(endpoint, {"a", "b"});
    subscriptions->store(endpoint);
  };
  subscriptions->doubt(kHere);
  CHECK(plan(*subscriptions, {"a", "b"}).packets == Packets{{"a", "b"}});
  subscribe(kHere);
  CHECK(plan(*subscriptions, {"a", "b"}, true).packets.empty());  // on the same connection
  if (restarted) subscriptions.emplace(file, "gw");

  // Its CONNACK is lost, or the connection ends before the plan.
  subscriptions->doubt(kHere);
  CHECK(subscriptions->session_serves(kHere, {"a", "b"}));
  CHECK_FALSE(subscriptions->session_serves(kHere, {"a"}));
  subscriptions->doubt(kHere);
  CHECK(plan(*subscriptions, {"a", "b"}, true).packets == Packets{{"a", "b"}});
  subscribe(kHere);
  CHECK(plan(*subscriptions, {"a", "b"}, true).packets.empty());
  subscriptions->doubt(kHere);
  CHECK(plan(*subscriptions, {"a", "b"}, true).packets.empty());
  subscribe(kHere);

  // Another door to the same broker.
  subscriptions->doubt("broker:443");
  subscriptions->doubt(kHere);
  CHECK(plan(*subscriptions, {"a", "b"}, true).packets == Packets{{"a", "b"}});
}

TEST_CASE("a CONNECT that began no session leaves what is known") {
  Subscriptions subscriptions("", "gw");
  subscriptions.doubt(kHere);
  static_cast<void>(plan(subscriptions, {"a"}));
  subscriptions.granted(kHere, {"a"});
  subscriptions.store(kHere);
  for (int i = 0; i < 2; ++i) {
    subscriptions.doubt(kHere);
    subscriptions.began_none();
  }
  subscriptions.doubt(kHere);
  CHECK(plan(subscriptions, {"a"}, true).packets.empty());
  subscriptions.doubt(kHere);
  subscriptions.began_none();  // before anything was sure of it again: nothing becomes so
  subscriptions.doubt(kHere);
  CHECK(plan(subscriptions, {"a"}, true).packets == Packets{{"a"}});
}
