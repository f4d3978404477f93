#include "aws/provisioning.hpp"

#include "support/catch.hpp"

using namespace twinkeeper;
using aws::Json;
using aws::Provisioning;
using namespace std::chrono_literals;

namespace {

const std::string kCreate = "$aws/certificates/create-from-csr/json";
const std::string kProvision = "$aws/provisioning-templates/fleet/provision/json";

std::string certificate() {
  return Json{{"certificateId", "c1"}, {"certificatePem", "PEM"}, {"certificateOwnershipToken", "token"}}.dump();
}
std::string refusal(int status, const std::string& code) {
  return Json{{"statusCode", status}, {"errorCode", code}, {"errorMessage", "because"}}.dump();
}

}  // namespace

TEST_CASE("the template is asked only when the certificate is kept") {
  base::Instant now{1h};
  Provisioning client("fleet", "CSR", {{"SerialNumber", "7"}}, std::nullopt, 1);
  CHECK(client.topics().size() == 4);
  client.connected(now);
  const auto create = client.due(now);
  REQUIRE(create);
  CHECK(create->topic == kCreate);
  CHECK(Json::parse(create->payload) == Json{{"certificateSigningRequest", "CSR"}});
  CHECK_FALSE(client.due(now));
  client.take(kCreate + "/accepted", certificate(), now);
  REQUIRE(client.certificate());
  CHECK_FALSE(client.due(now + 1h));
  client.certificate_kept();
  const auto provision = client.due(now);
  REQUIRE(provision);
  CHECK(provision->topic == kProvision);
  CHECK(Json::parse(provision->payload) ==
        Json{{"certificateOwnershipToken", "token"}, {"parameters", {{"SerialNumber", "7"}}}});
  client.take(kProvision + "/accepted", R"({"thingName":"gw","deviceConfiguration":{"a":1}})", now);
  REQUIRE(client.done());
  CHECK(client.done()->name == "gw");
  CHECK_FALSE(client.due(now + 1h));
}

TEST_CASE("requests without an answer and throttled ones come again") {
  base::Instant now{1h};
  Provisioning client("fleet", "CSR", {}, std::nullopt, 1);
  client.connected(now);
  REQUIRE(client.due(now));
  now += 2min;
  static_cast<void>(client.due(now));  // gives it up
  now += 2min;
  CHECK(client.due(now));
  client.take(kCreate + "/rejected", refusal(429, "ResourceThrottled"), now);
  CHECK_FALSE(client.failure());
  CHECK_FALSE(client.due(now));
  now += 2min;
  CHECK(client.due(now));
}

TEST_CASE("a refusal ends it, a token that is over begins it anew") {
  base::Instant now{1h};
  Provisioning refused("fleet", "CSR", {}, std::nullopt, 1);
  refused.connected(now);
  refused.take(kCreate + "/rejected", refusal(403, "AccessDenied"), now);
  REQUIRE(refused.failure());
  CHECK(*refused.failure() == "the signing request was refused: 403 AccessDenied: because");
  CHECK_FALSE(refused.due(now + 1h));

  Provisioning resumed("fleet", "CSR", {}, Provisioning::Certificate{"c1", "", "old token"}, 1);
  resumed.connected(now);
  const auto first = resumed.due(now);
  REQUIRE(first);
  CHECK(first->topic == kProvision);
  resumed.take(kProvision + "/rejected", refusal(400, "InvalidCertificateOwnershipToken"), now);
  CHECK_FALSE(resumed.failure());
  now += 1min;
  const auto second = resumed.due(now);
  REQUIRE(second);
  CHECK(second->topic == kCreate);
}

TEST_CASE("what is malformed or on other topics is not believed") {
  base::Instant now{1h};
  Provisioning client("fleet", "CSR", {}, std::nullopt, 1);
  client.connected(now);
  client.take("twinkeeper/gw/x", certificate(), now);
  client.take(kProvision + "/accepted", R"({"thingName":"gw"})", now);  // nobody asked
  client.take(kCreate + "/accepted", "[]", now);
  CHECK_FALSE(client.certificate());
  CHECK_FALSE(client.done());
  client.take(kCreate + "/accepted", "{}", now);
  CHECK(client.failure());
}
