#include "app/inbox_router.hpp"

#include "support/catch.hpp"

using namespace twinkeeper;

namespace {

struct RememberingInbox final : uplink::Inbox {
  std::vector<std::string> heard;
  [[nodiscard]] std::vector<std::string> topics() const override { return {"a/b"}; }
  void connected(const std::vector<std::string>& refused) override {
    heard.push_back("connected, refused " + std::to_string(refused.size()));
  }
  void arrived(std::string topic, std::string payload, bool retained) override {
    heard.push_back(topic + " " + payload + (retained ? " retained" : ""));
  }
};

using Heard = std::vector<std::string>;

}  // namespace

TEST_CASE("what arrives between two desks waits for the second, which hears of the connection first") {
  app::InboxRouter router;
  RememberingInbox first, second;
  router.attach({&first}, false);
  router.connected({"a/c"});
  router.arrived("a/b", "1", false);
  router.detach();
  router.arrived("a/b", "2", true);
  CHECK(first.heard == Heard{"connected, refused 1", "a/b 1"});
  CHECK(router.topics() == std::vector<std::string>{"a/b"});  // as the connection may begin anew just now
  router.attach({&second}, true);
  router.arrived("a/b", "3", false);
  CHECK(second.heard == Heard{"connected, refused 1", "a/b 2 retained", "a/b 3"});
  CHECK(first.heard.size() == 2);
}

TEST_CASE("the inbox between two desks is bounded") {
  app::InboxRouter router;
  for (std::size_t i = 0; i < app::InboxRouter::kMostWaiting + 5; ++i) router.arrived("t", std::to_string(i), false);
  RememberingInbox inbox;
  router.attach({&inbox}, false);
  REQUIRE(inbox.heard.size() == app::InboxRouter::kMostWaiting);
  CHECK(inbox.heard.front() == "t 0");
}
