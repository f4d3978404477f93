// Revoked certificates, user names, proxies.
#include <cstdlib>
#include <fstream>
#include <regex>

#include "integration/uplink/connect_proxy.hpp"
#include "integration/uplink/uplink_rig.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::test;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

Mosquitto broker_of(const TemporaryFolder& folder, const std::string& server) {
  MosquittoOptions options;
  options.server = server;
  return Mosquitto(folder.path(), pki(), options);
}

void replace(const std::string& source, const std::string& target) {
  std::filesystem::copy_file(source, target + ".new");
  std::filesystem::rename(target + ".new", target);
}

}  // namespace

TEST_CASE("a server certificate that the list does not name is accepted") {
  TemporaryFolder folder;
  Mosquitto broker = broker_of(folder, "server");
  broker.start();
  UplinkRig rig(broker.port());
  rig.settings.crl = pki() + "/ca.crl";
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load(); }));
}

TEST_CASE("a revoked server certificate is refused with a list and only with a list") {
  TemporaryFolder folder;
  Mosquitto broker = broker_of(folder, "revoked_server");
  broker.start();
  UplinkRig rig(broker.port());
  rig.settings.crl = pki() + "/ca.crl";
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.events.count("server_certificate_revoked") == 1; }));
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connect_failures_total >= 3u; }));
  CHECK(rig.events.count("server_certificate_revoked") == 1);
  CHECK(rig.statistics.connects_total == 0u);
  rig.stop();
  rig.settings.crl.clear();
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load(); }));
}

TEST_CASE("a list that is out of date or of another authority lets nobody in and is told as such") {
  const auto [file, code] =
      GENERATE(table<std::string, std::string>({{"/expired.crl", "crl_expired"}, {"/other_ca.crl", "crl_of_another"}}));
  TemporaryFolder folder;
  Mosquitto broker = broker_of(folder, "server");
  broker.start();
  UplinkRig rig(broker.port());
  rig.settings.crl = rig.folder.path() + "/list.crl";
  std::filesystem::copy_file(pki() + file, rig.settings.crl);
  rig.start();
  REQUIRE(eventually(seconds{20}, [&, expected = code] { return rig.events.count(expected) == 1; }));
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connect_failures_total >= 2u; }));
  CHECK(rig.statistics.connects_total == 0u);
  for (const auto& event : rig.events.events()) CHECK((event.code == code || event.subject != "uplink"));
  CHECK(rig.events.count(code) == 1);
  replace(pki() + "/ca.crl", rig.settings.crl);
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load(); }));
}

TEST_CASE("an authority in the chain is asked for when all in root_ca have lists") {
  const auto [lists, code] = GENERATE(table<std::vector<std::string>, std::string>({
      {{"/middle.crl"}, "connected"},
      {{"/middle.crl", "/ca.crl"}, "connected"},
      {{"/no_middle.crl", "/middle.crl"}, "server_certificate_revoked"},
      {{"/no_middle.crl"}, "crl_of_another"},
  }));
  CAPTURE(lists);
  TemporaryFolder folder;
  Mosquitto broker = broker_of(folder, "below_server");
  broker.start();
  UplinkRig rig(broker.port());
  rig.settings.crl = rig.folder.path() + "/list.crl";
  {
    std::ofstream whole(rig.settings.crl);
    for (const std::string& list : lists) whole << std::ifstream(pki() + list).rdbuf();
  }
  rig.start();
  const std::string expected = code;
  REQUIRE(eventually(seconds{20}, [&] { return rig.events.count(expected) == 1; }));
  CHECK(rig.statistics.connects_total == (code == "connected" ? 1u : 0u));
  if (code == "server_certificate_revoked") {
    CHECK(rig.events.message(code).find("an authority in the chain of localhost") != std::string::npos);
  }
}

TEST_CASE("a list that comes to name the server ends the connection that stands") {
  TemporaryFolder folder;
  Mosquitto broker = broker_of(folder, "revoked_server");
  broker.start();
  UplinkRig rig(broker.port());
  rig.settings.crl = rig.folder.path() + "/list.crl";
  const std::string make =
      "cd " + rig.folder.path() +
      " && : > index && printf '[ca]\\ndefault_ca=here\\n[here]\\n"
      "database=%s/index\\ndefault_md=sha256\\n' $PWD > cnf && openssl ca -config cnf -gencrl -cert " +
      pki() + "/ca.crt -keyfile " + pki() + "/ca.key -crlhours 5 -out list.crl 2>openssl.log";
  REQUIRE(std::system(make.c_str()) == 0);
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load(); }));
  replace(pki() + "/ca.crl", rig.settings.crl);
  REQUIRE(eventually(seconds{20}, [&] { return rig.events.count("server_certificate_revoked") == 1; }));
  CHECK_FALSE(rig.statistics.connected.load());
}

TEST_CASE("a user name and a password from a file are what the broker asks for") {
  TemporaryFolder folder;
  const std::string secrets = folder.path() + "/passwords";
  REQUIRE(std::system(("mosquitto_passwd -b -c " + secrets + " gatekeeper right").c_str()) == 0);
  MosquittoOptions options;
  options.lines = "use_identity_as_username false\nallow_anonymous false\npassword_file " + secrets + "\n";
  Mosquitto broker(folder.path(), pki(), options);
  broker.start();
  UplinkRig rig(broker.port());
  rig.settings.username = "gatekeeper";
  rig.settings.password_file = rig.folder.path() + "/password";
  std::ofstream(rig.settings.password_file) << "wrong\n";
  std::filesystem::permissions(rig.settings.password_file, std::filesystem::perms{0600});
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.events.count("session_refused") == 1; }));
  std::ofstream(rig.settings.password_file) << "right\n";
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load(); }));
  for (const auto& event : rig.events.events()) CHECK(event.message.find("wrong") == std::string::npos);
}

TEST_CASE("a password that others can read is not used") {
  TemporaryFolder folder;
  Mosquitto broker = broker_of(folder, "server");
  broker.start();
  UplinkRig rig(broker.port());
  rig.settings.username = "gatekeeper";
  rig.settings.password_file = rig.folder.path() + "/password";
  std::ofstream(rig.settings.password_file) << "right\n";
  std::filesystem::permissions(rig.settings.password_file, std::filesystem::perms{0644});
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.events.count("password_permissions") == 1; }));
  CHECK(rig.statistics.connects_total == 0u);
}

TEST_CASE("a proxy is tunnelled through with the server's name still verified") {
  TemporaryFolder folder;
  Mosquitto broker = broker_of(folder, "server");
  broker.start();
  ConnectProxy proxy;
  UplinkRig rig(broker.port());
  rig.settings.proxy = uplink::Endpoint{"127.0.0.1", proxy.port()};
  rig.start();
  rig.submit_states(20, milliseconds{2});
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.acknowledged_total == 20u; }));
  CHECK(proxy.requests() == 1);
  rig.stop();

  TemporaryFolder other_folder;
  Mosquitto other = broker_of(other_folder, "wrong_host");
  other.start();
  UplinkRig careful(other.port());
  careful.settings.proxy = rig.settings.proxy;
  careful.start();
  REQUIRE(eventually(seconds{20}, [&] { return careful.events.count("wrong_host") == 1; }));
  CHECK(careful.statistics.connects_total == 0u);
}

TEST_CASE("a proxy that denies or is not there is told as such") {
  TemporaryFolder folder;
  Mosquitto broker = broker_of(folder, "server");
  broker.start();
  ConnectProxy proxy(true);
  UplinkRig rig(broker.port());
  rig.settings.proxy = uplink::Endpoint{"127.0.0.1", proxy.port()};
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.events.count("proxy_refused") == 1; }));
  CHECK(rig.events.message("proxy_refused").find("HTTP/1.1 403 Forbidden") != std::string::npos);
  proxy.allow();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load(); }));
  rig.stop();

  UplinkRig alone(broker.port());
  alone.settings.proxy = uplink::Endpoint{"127.0.0.1", free_port()};
  alone.start();
  REQUIRE(eventually(seconds{20}, [&] { return alone.events.count("refused") == 1; }));
  CHECK(
      std::regex_search(alone.events.message("refused"), std::regex("proxy 127.0.0.1:[0-9]+ refused the connection")));
}
