#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "integration/uplink/uplink_rig.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::test;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

// Runs into the fault, keeps everything, says the cause once, and delivers all after the repair.
void fault_then_repair(UplinkRig& rig, const std::string& code, const std::string& pattern,
                       const std::function<void()>& repair) {
  rig.start();
  rig.submit_states(20, milliseconds{2});
  REQUIRE(eventually(seconds{20}, [&] { return rig.events.count(code) > 0; }));
  INFO(rig.events.message(code));
  CHECK(std::regex_search(rig.events.message(code), std::regex(pattern)));
  const auto failures = rig.statistics.connect_failures_total.load();
  const base::Instant said = rig.clock.now();
  REQUIRE(eventually(seconds{20}, [&] {
    return rig.statistics.connect_failures_total >= failures + 2 || rig.clock.now() - said > seconds{3};
  }));
  for (const auto& event : rig.events.events()) {
    INFO(event.code << ": " << event.message);
    CHECK((event.code == code || event.subject != "uplink"));
  }
  CHECK(rig.events.count(code) == 1);
  REQUIRE(eventually(seconds{10}, [&] { return rig.statistics.spool_messages == 20u; }));
  CHECK(rig.statistics.acknowledged_total == 0u);
  repair();
  REQUIRE(eventually(seconds{30}, [&] { return rig.statistics.acknowledged_total == 20u; }));
  REQUIRE(eventually(seconds{10}, [&] { return rig.statistics.spool_messages == 0u; }));
  CHECK(rig.statistics.dropped_total == 0u);
  rig.stop();
}

// Certificate files of the rig's own, to be spoilt and repaired.
struct OwnFiles {
  explicit OwnFiles(UplinkRig& rig) : folder(rig.folder.path()) {
    put(pki() + "/ca.crt", "own_ca.crt");
    put(pki() + "/gateway.crt", "own.crt");
    put(pki() + "/gateway.key", "own.key");
    rig.settings.root_ca = folder + "/own_ca.crt";
    rig.settings.cert = folder + "/own.crt";
    rig.settings.key = folder + "/own.key";
  }
  void put(const std::string& source, const std::string& name) const {
    const std::string fresh = folder + "/" + name + ".new";
    std::filesystem::copy_file(source, fresh, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::permissions(fresh, std::filesystem::perms{0600});
    std::filesystem::rename(fresh, folder + "/" + name);
  }
  std::string folder;
};

MosquittoOptions states_denied() {
  MosquittoOptions options;
  options.access_rules =
      "user gateway\ntopic deny twinkeeper/gw1/twins/tanks/state\ntopic readwrite #\nuser subscriber\ntopic readwrite "
      "#\n";
  return options;
}

}  // namespace

TEST_CASE("a wrong authority is told as such and the repaired file is noticed") {
  TemporaryFolder folder;
  Mosquitto broker(folder.path(), pki());
  broker.start();
  UplinkRig rig(broker.port());
  const OwnFiles files(rig);
  files.put(pki() + "/other_ca.crt", "own_ca.crt");
  fault_then_repair(rig, "unknown_issuer", "not signed by an authority in root_ca .*own_ca.crt",
                    [&] { files.put(pki() + "/ca.crt", "own_ca.crt"); });
}

TEST_CASE("a server with another name is told as such") {
  TemporaryFolder folder;
  MosquittoOptions options;
  options.server = "changing";
  std::filesystem::copy_file(pki() + "/wrong_host.crt", pki() + "/changing.crt");
  std::filesystem::copy_file(pki() + "/wrong_host.key", pki() + "/changing.key");
  Mosquitto broker(folder.path(), pki(), options);
  broker.start();
  UplinkRig rig(broker.port());
  fault_then_repair(rig, "wrong_host", "not valid for host name localhost \\(it is for elsewhere.example\\)", [&] {
    const auto overwrite = std::filesystem::copy_options::overwrite_existing;
    std::filesystem::copy_file(pki() + "/server.crt", pki() + "/changing.crt", overwrite);
    std::filesystem::copy_file(pki() + "/server.key", pki() + "/changing.key", overwrite);
    broker.stop();
    broker.start();
  });
}

TEST_CASE("an expired server certificate is told with its date") {
  TemporaryFolder folder;
  MosquittoOptions options;
  options.server = "expired_server";
  Mosquitto broker(folder.path(), pki(), options);
  broker.start();
  UplinkRig rig(broker.port());
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.events.count("server_certificate_expired") > 0; }));
  CHECK(std::regex_search(rig.events.message("server_certificate_expired"),
                          std::regex("the server certificate of localhost:[0-9]+ has expired on 20[0-9-]+")));
}

TEST_CASE("an expired client certificate is told with its date although connecting is tried") {
  TemporaryFolder folder;
  Mosquitto broker(folder.path(), pki());
  broker.start();
  UplinkRig rig(broker.port());
  const OwnFiles files(rig);
  files.put(pki() + "/expired.crt", "own.crt");
  files.put(pki() + "/expired.key", "own.key");
  fault_then_repair(rig, "certificate_expired", "own.crt has expired on 20", [&] {
    files.put(pki() + "/gateway.key", "own.key");
    files.put(pki() + "/gateway.crt", "own.crt");
  });
  CHECK(rig.statistics.connect_failures_total > 0u);
}

TEST_CASE("a client certificate of a foreign authority is refused by the broker and told as such") {
  TemporaryFolder folder;
  Mosquitto broker(folder.path(), pki());
  broker.start();
  UplinkRig rig(broker.port());
  const OwnFiles files(rig);
  files.put(pki() + "/stranger.key", "own.key");
  files.put(pki() + "/stranger.crt", "own.crt");
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.events.count("client_certificate_refused") > 0; }));
  CHECK(rig.events.message("client_certificate_refused").find("refused the certificate") != std::string::npos);
}

TEST_CASE("a key that does not match is told and replaced without a restart") {
  TemporaryFolder folder;
  Mosquitto broker(folder.path(), pki());
  broker.start();
  UplinkRig rig(broker.port());
  const OwnFiles files(rig);
  files.put(pki() + "/subscriber.key", "own.key");
  fault_then_repair(rig, "key_mismatch", "own.key does not match certificate .*own.crt",
                    [&] { files.put(pki() + "/gateway.key", "own.key"); });
}

TEST_CASE("a key readable by others is not used until its mode is repaired") {
  TemporaryFolder folder;
  Mosquitto broker(folder.path(), pki());
  broker.start();
  UplinkRig rig(broker.port());
  const OwnFiles files(rig);
  std::filesystem::permissions(rig.settings.key, std::filesystem::perms{0644});
  fault_then_repair(rig, "key_permissions", "chmod 600 .*own.key",
                    [&] { std::filesystem::permissions(rig.settings.key, std::filesystem::perms{0600}); });
}

TEST_CASE("a broker that is not there is told as refused until it comes") {
  TemporaryFolder folder;
  Mosquitto broker(folder.path(), pki());
  UplinkRig rig(broker.port());
  fault_then_repair(rig, "refused", "localhost:[0-9]+ refused the connection", [&] { broker.start(); });
}

TEST_CASE("a name that does not resolve is told as such") {
  UplinkRig rig(8883);
  rig.settings.endpoints.front().host = "no-such-broker.invalid";
  rig.start();
  REQUIRE(eventually(seconds{30}, [&] { return rig.events.count("name_not_resolved") > 0; }));
  CHECK(rig.events.message("name_not_resolved").find("no-such-broker.invalid can't be resolved") != std::string::npos);
}

TEST_CASE("a server without TLS is told as such") {
  TemporaryFolder folder;
  const std::uint16_t port = free_port();
  std::ofstream(folder.file("plain.conf")) << "user root\nlistener " << port << " 127.0.0.1\nallow_anonymous true\n";
  ChildProcess plain({"/usr/sbin/mosquitto", "-c", folder.file("plain.conf")}, folder.file("plain.log"));
  UplinkRig rig(port);
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.events.count("not_tls") + rig.events.count("tls_failed") > 0; }));
  CHECK(rig.statistics.connects_total == 0u);
}

TEST_CASE("a refused publication is told with its topic while the others go on") {
  TemporaryFolder folder;
  Mosquitto broker(folder.path(), pki(), states_denied());
  broker.start();
  Subscriber subscriber(folder.path(), pki(), broker.port(), "twinkeeper/#");
  UplinkRig rig(broker.port());
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load(); }));
  rig.submit_states(5, milliseconds{5});
  rig.submit(anomaly_message(rig.clock.now()));
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.refused_total == 5u; }));
  CHECK(rig.events.count("refused_publish") == 1);
  CHECK(rig.events.message("refused_publish").find("twinkeeper/gw1/twins/tanks/state (not authorized, reason 0x87)") !=
        std::string::npos);
  bool anomaly = false;
  nlohmann::json gap;
  REQUIRE(eventually(seconds{20}, [&] {
    std::uint64_t lost = 0;
    for (const auto& arrival : subscriber.arrivals()) {
      anomaly = anomaly || arrival.topic == "twinkeeper/gw1/twins/tanks/anomaly";
      if (arrival.topic != "twinkeeper/gw1/gap") continue;
      gap = nlohmann::json::parse(arrival.payload);
      lost += gap["count"].get<std::uint64_t>();
    }
    return anomaly && lost == 5;
  }));
  CHECK(gap["reason"] == "refused");
  CHECK(gap["stream"] == "twins.tanks.state");
}

// The broker acknowledges here what it refuses and then hangs up; nothing on the wire says why.
TEST_CASE("a refusal behind an acknowledgement is found within two reconnects under MQTT 3.1.1 and the others flow") {
  TemporaryFolder folder;
  MosquittoOptions options = states_denied();
  options.max_queued_messages = 0;
  Mosquitto broker(folder.path(), pki(), options);
  broker.start();
  Subscriber subscriber(folder.path(), pki(), broker.port(), "twinkeeper/#");
  UplinkRig rig(broker.port());
  rig.settings.mqtt_version = uplink::MqttVersion::v3_1_1;
  rig.settings.backlog = uplink::BacklogFormat::plain;  // packets would pass on their own topic
  rig.timing.backoff_cap = milliseconds{200};
  rig.timing.least_pause = milliseconds{50};
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load(); }));
  for (int i = 0; i < 5; ++i) {
    rig.submit(anomaly_message(rig.clock.now()));
    rig.submit(state_message(rig.clock.now()));
  }
  std::set<std::uint64_t> anomalies;
  REQUIRE(eventually(seconds{30}, [&] {
    for (const auto& arrival : subscriber.arrivals()) {
      if (arrival.topic != "twinkeeper/gw1/twins/tanks/anomaly") continue;
      anomalies.insert(nlohmann::json::parse(arrival.payload)["seq"].get<std::uint64_t>());
    }
    return anomalies.size() == 5 && rig.statistics.spool_messages == 5u;
  }));
  CHECK(rig.statistics.connects_total <= 3u);  // an acknowledged one is in doubt beside what was in flight
  CHECK(rig.statistics.connected.load());
  CHECK(rig.statistics.refused_total == 0u);  // they wait: the courier's tests show how they are found guilty
}

TEST_CASE("renewed certificate files are taken into use without a restart") {
  TemporaryFolder folder;
  Mosquitto broker(folder.path(), pki());
  broker.start();
  UplinkRig rig(broker.port());
  const OwnFiles files(rig);
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load(); }));
  files.put(pki() + "/subscriber.key", "own.key");  // does not match yet: the connection stays
  REQUIRE(eventually(seconds{20}, [&] { return rig.events.count("key_mismatch") == 1; }));
  CHECK(rig.statistics.connected.load());
  files.put(pki() + "/subscriber.crt", "own.crt");
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connects_total == 2u; }));
  CHECK(rig.events.count("certificate_renewed") == 1);
  CHECK(rig.events.count("connection_lost") == 0);
}

TEST_CASE("a renewed certificate that is not valid yet is taken into use when it is") {
  TemporaryFolder folder;
  Mosquitto broker(folder.path(), pki());
  broker.start();
  UplinkRig rig(broker.port());
  rig.timing.files_examined_again = milliseconds{500};
  const OwnFiles files(rig);
  rig.start();
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connected.load(); }));
  const std::string make =
      "cd " + folder.path() +
      " && : > index && printf '[ca]\\ndefault_ca=here\\n[here]\\ndatabase=%s/index\\nnew_certs_dir=%s\\n"
      "default_md=sha256\\nrand_serial=yes\\npolicy=any\\n[any]\\ncommonName=supplied\\n' $PWD $PWD > cnf"
      " && openssl req -new -key " +
      pki() +
      "/gateway.key -subj /CN=gateway -out csr 2>openssl.log"
      " && openssl ca -batch -notext -config cnf -startdate $(date -u -d '+5 seconds' +%Y%m%d%H%M%SZ) -days 5 -in csr"
      " -cert " +
      pki() + "/ca.crt -keyfile " + pki() + "/ca.key -out later.crt 2>>openssl.log";
  REQUIRE(std::system(make.c_str()) == 0);
  files.put(folder.path() + "/later.crt", "own.crt");
  REQUIRE(eventually(seconds{20}, [&] { return rig.events.count("certificate_not_yet_valid") == 1; }));
  CHECK(rig.statistics.connects_total == 1u);
  REQUIRE(eventually(seconds{20}, [&] { return rig.statistics.connects_total == 2u; }));
  CHECK(rig.events.count("certificate_renewed") == 1);
  CHECK(rig.events.count("certificate_not_yet_valid") == 1);
}
