// What `doctor` makes of what it finds: exit codes, access, what systemd shows, days left.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "app/doctor.hpp"
#include "support/catch.hpp"
#include "support/fake_clock.hpp"
#include "support/temporary_folder.hpp"

using namespace twinkeeper;
using namespace twinkeeper::app::doctor;
using namespace std::chrono_literals;

namespace {

int code_of(const std::vector<int>& failures) {
  Examination examination;
  Group group("any");
  group.ok("well", "", "all is well");
  group.warning("so so", "", "it will do", "do this");
  for (const int code : failures) group.failure("bad", "", "it is wrong", "do that", code);
  examination.groups.push_back(group);
  return examination.exit_code();
}

Account somebody() { return {"gateway", "gateway", 4711, {4711, 20}}; }

struct stat node_of(uid_t user, gid_t group, mode_t mode) {
  struct stat status {};
  status.st_uid = user;
  status.st_gid = group;
  status.st_mode = mode;
  return status;
}

const char* const kShown =
    "LoadState=loaded\nActiveState=active\nUser=twinkeeper\nSupplementaryGroups=dialout tss\nDevicePolicy=closed\n"
    "DeviceAllow=char-ttyUSB rw\nDeviceAllow=/dev/tpmrm0 rw\n"
    "ExecStart={ path=/usr/bin/twinkeeper ; argv[]=/usr/bin/twinkeeper run --config CONFIG ; ignore_errors=no }\n";

std::string shown_with(const std::string& config_file) {
  std::string text = kShown;
  return text.replace(text.find("CONFIG"), 6, config_file);
}

}  // namespace

TEST_CASE("Warnings do not fail, and the exit code of several failures is that of the worst") {
  CHECK(code_of({}) == 0);
  CHECK(code_of({69}) == 69);
  CHECK(code_of({69, 74}) == 74);
  CHECK(code_of({69, 78, 74}) == 78);
  CHECK(code_of({78, 66}) == 66);
}

TEST_CASE("77 is for modes alone") {
  CHECK(code_of({77, 77}) == 77);
  CHECK(code_of({77, 69}) == 78);
  CHECK(code_of({78, 77}) == 78);
}

TEST_CASE("Text has a line per finding and one that mends it, JSON the same") {
  Examination examination;
  examination.config_file = "a.yaml";
  examination.account = "twinkeeper";
  Group group("certificates");
  group.ok("certificate", "a.crt", "300 days left");
  group.failure("key", "a.key", "is open", "chmod 440 a.key", 77, "not_private");
  examination.groups = {Group("empty"), group};
  std::ostringstream text;
  print(examination, text);
  CHECK(text.str() ==
        "certificates\n"
        "  ok       certificate: a.crt: 300 days left\n"
        "  FAILURE  key: a.key: is open\n"
        "           mend: chmod 440 a.key\n"
        "1 ok, 0 warnings, 1 failure; access judged for twinkeeper\n");
  const auto document = json_of(examination);
  CHECK(document["failures"] == 1);
  CHECK(document["exit_code"] == 77);
  REQUIRE(document["findings"].size() == 2);
  CHECK(document["findings"][0]["mend"].is_null());
  CHECK(document["findings"][1] == nlohmann::ordered_json({{"group", "certificates"},
                                                           {"id", "key"},
                                                           {"subject", "a.key"},
                                                           {"state", "failure"},
                                                           {"found", "is open"},
                                                           {"cause", "not_private"},
                                                           {"mend", "chmod 440 a.key"}}));
}

TEST_CASE("Owner, then group, then others decide what an account may do") {
  CHECK(lets(node_of(4711, 0, 0600), somebody(), kRead | kWrite));
  CHECK_FALSE(lets(node_of(4711, 20, 0077), somebody(), kRead));
  CHECK(lets(node_of(0, 20, 0660), somebody(), kRead | kWrite));
  CHECK_FALSE(lets(node_of(0, 20, 0640), somebody(), kWrite));
  CHECK_FALSE(lets(node_of(0, 20, 0604), somebody(), kRead));
  CHECK_FALSE(lets(node_of(0, 0, 0660), somebody(), kRead));
  CHECK(lets(node_of(0, 0, 0604), somebody(), kRead));
  Account root = somebody();
  root.user = 0;
  CHECK(lets(node_of(1, 1, 0), root, kRead | kWrite));
}

TEST_CASE("What is in the way of a file is named: the file or the folder above it") {
  const test::TemporaryFolder folder;
  std::filesystem::create_directories(folder.file("outer/inner"));
  std::ofstream(folder.file("outer/inner/key")) << "secret";
  const std::string key = folder.file("outer/inner/key");
  const auto set_mode = [&](const std::string& name, mode_t mode) {
    REQUIRE(::chmod(folder.file(name).c_str(), mode) == 0);
  };
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  set_mode("outer", 0755);
  set_mode("outer/inner", 0755);
  set_mode("outer/inner/key", 0644);
  CHECK_FALSE(obstacle(somebody(), key, kRead));
  set_mode("outer/inner/key", 0600);
  CHECK(obstacle(somebody(), key, kRead) == key);
  set_mode("outer", 0700);
  CHECK(obstacle(somebody(), key, kRead) == std::filesystem::canonical(folder.file("outer")).string());
  CHECK_FALSE(obstacle(somebody(), folder.file("nowhere"), kRead));
}

TEST_CASE("What systemctl shows is understood") {
  const test::TemporaryFolder folder;
  const std::string file = folder.file("twinkeeper.yaml");
  std::ofstream(file) << "gateway: {}\n";
  std::ofstream(folder.file("other.yaml")) << "gateway: {}\n";
  const Unit unit = unit_of(shown_with(file));
  CHECK(unit.installed());
  CHECK(unit.get("User") == "twinkeeper");
  CHECK(unit.groups() == std::vector<std::string>{"dialout", "tss"});
  CHECK(unit.runs_with(file));
  CHECK_FALSE(unit.runs_with(folder.file("other.yaml")));
  CHECK_FALSE(unit.runs_with(folder.file("nowhere.yaml")));
  CHECK(unit.allows_device("/dev/ttyUSB3"));
  CHECK(unit.allows_device("/dev/tpmrm0"));
  CHECK_FALSE(unit.allows_device("/dev/ttyS0"));
  CHECK_FALSE(unit_of("").known);
  CHECK_FALSE(unit_of("LoadState=not-found\n").installed());
}

TEST_CASE("The class of a device is its name without the number") {
  CHECK(class_of_device("/dev/ttyUSB12") == "ttyUSB");
  CHECK(class_of_device("/dev/ttymxc0") == "ttymxc");
  CHECK(class_of_device("/dev/pts/7").empty());
}

TEST_CASE("An address is allowed by a network that has it") {
  const std::string networks = "127.0.0.0/8 192.0.2.0/25 2001:db8::/33 198.51.100.7/32 203.0.113.9";
  CHECK(address_is_allowed("127.1.2.3", networks));
  CHECK(address_is_allowed("192.0.2.127", networks));
  CHECK_FALSE(address_is_allowed("192.0.2.128", networks));
  CHECK(address_is_allowed("198.51.100.7", networks));
  CHECK_FALSE(address_is_allowed("198.51.100.6", networks));
  CHECK(address_is_allowed("203.0.113.9", networks));
  CHECK(address_is_allowed("2001:db8:7fff::1", networks));
  CHECK_FALSE(address_is_allowed("2001:db8:8000::1", networks));
  CHECK_FALSE(address_is_allowed("10.0.0.1", ""));
}

TEST_CASE("What ends within a month is a warning, within a week a failure") {
  CHECK(health_of_days(30.0) == Health::ok);
  CHECK(health_of_days(29.9) == Health::warning);
  CHECK(health_of_days(7.0) == Health::warning);
  CHECK(health_of_days(6.9) == Health::failure);
  CHECK(health_of_days(-1.0) == Health::failure);
}

TEST_CASE("A clock that was never set fails, one without a time source is warned of") {
  support::FakeClock clock{base::Instant{}};
  CHECK(examine_clock(clock).findings().front().health == Health::ok);
  clock.set_synchronised(false);
  CHECK(examine_clock(clock).findings().front().health == Health::warning);
  clock.set_synchronised(true);
  clock.step_wall_clock(base::kClockIsSet - clock.wall_now() - 1s);
  CHECK(examine_clock(clock).findings().front().health == Health::failure);
}

TEST_CASE("The service is judged by its unit only if that runs with this configuration") {
  Circumstances circumstances;
  circumstances.config_file = "a.yaml";
  circumstances.account = somebody();
  const auto health = [&](const std::string& id) {
    const Group group = examine_service(nullptr, circumstances);
    for (const auto& finding : group.findings()) {
      if (finding.id == id) return to_string(finding.health);
    }
    return "not there";
  };
  CHECK(std::string(health("unit")) == "ok");  // systemd does not run: nothing can be said
  circumstances.unit = unit_of("LoadState=not-found\n");
  CHECK(std::string(health("unit")) == "warning");
  circumstances.unit = unit_of(
      "LoadState=loaded\nUser=gateway\nActiveState=active\nNRestarts=1\nUnitFileState=enabled\nNeedDaemonReload=no\n");
  CHECK(std::string(health("unit")) == "warning");
  CHECK(std::string(health("service")) == "not there");
  circumstances.unit_configuration = true;
  for (const char* id : {"unit", "user", "service", "enabled"}) CHECK(std::string(health(id)) == "ok");
  circumstances.unit.properties["NRestarts"] = "3";
  CHECK(std::string(health("service")) == "warning");
  circumstances.unit.properties["ActiveState"] = "inactive";
  CHECK(std::string(health("service")) == "warning");
  circumstances.unit.properties["ActiveState"] = "failed";
  CHECK(std::string(health("service")) == "failure");
  circumstances.unit.properties["UnitFileState"] = "disabled";
  CHECK(std::string(health("enabled")) == "warning");
  circumstances.unit.properties["User"] = "nobody-else";
  CHECK(std::string(health("user")) == "failure");
}

TEST_CASE("A word of the shell is quoted if need be") {
  CHECK(shell_quoted("/etc/twinkeeper/a-b_c.yaml") == "/etc/twinkeeper/a-b_c.yaml");
  CHECK(shell_quoted("it's here") == "'it'\\''s here'");
  CHECK(shell_quoted("") == "''");
}
