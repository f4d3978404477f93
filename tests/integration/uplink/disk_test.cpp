#include <sys/mount.h>
#include <sys/statvfs.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "integration/uplink/uplink_rig.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::test;
using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

// A disk of its own for the state directory; needs root.
class SmallDisk {
 public:
  SmallDisk(std::string path, const std::string& size) : path_(std::move(path)) {
    std::filesystem::create_directory(path_);
    mounted_ = ::mount("tmpfs", path_.c_str(), "tmpfs", 0, ("size=" + size + ",mode=0700").c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  [[nodiscard]] bool mounted() const { return mounted_; }
  // What another program does.
  void fill() const {
    std::ofstream file(path_ + "/other", std::ios::binary);
    const std::string block(4096, 'x');
    while (file.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }
  void empty() const { std::filesystem::remove(path_ + "/other"); }

 private:
  std::string path_;
  bool mounted_ = false;
};

}  // namespace

TEST_CASE("a full disk is told and survived and every message arrives or is told as lost") {
  const bool by_another_program = GENERATE(false, true);
  CAPTURE(by_another_program);
  TemporaryFolder folder;
  Mosquitto broker(folder.path(), pki());
  broker.start();
  Subscriber subscriber(folder.path(), pki(), broker.port(), "twinkeeper/#");
  UplinkRig rig(broker.port());
  const SmallDisk disk(rig.folder.file("disk"), by_another_program ? "24m" : "9m");
  if (!disk.mounted()) {
    WARN("no tmpfs can be mounted here");
    return;
  }
  rig.spool_settings.directory = rig.folder.file("disk");
  rig.spool_settings.max_bytes = 64u << 20;
  rig.settings.connect_timeout = seconds{2};
  broker.freeze(true);
  rig.start();
  constexpr int kMessages = 12000;
  for (int i = 0; i < kMessages; ++i) {
    if (by_another_program && i == 1000) disk.fill();
    if (by_another_program && i == 10000) disk.empty();
    rig.submit(state_message(rig.clock.now(), 1000));
    if (i % 100 == 99) {
      REQUIRE(eventually(seconds{30}, [&] { return rig.statistics.appended_total >= static_cast<unsigned>(i) / 2; }));
    }
  }
  REQUIRE(eventually(seconds{30}, [&] { return rig.statistics.appended_total >= kMessages; }));
  CHECK(rig.events.count("disk_full") >= 1);
  CHECK(rig.events.events().size() < 30);  // the broker that is away among them
  CHECK(rig.events.count("corrupt") == 0);
  broker.freeze(false);
  std::map<std::uint64_t, int> known;
  const auto complete = [&] {
    if (rig.statistics.spool_messages > 0) return false;
    known.clear();
    std::map<std::string, json> by_id;
    for (const auto& arrival : subscriber.arrivals()) {
      const json document = json::parse(arrival.payload);
      if (document["schema"] == "twinkeeper.backlog/1") {
        for (const auto& message : document["messages"]) by_id[message["id"].get<std::string>()] = message;
      } else {
        by_id[document["id"].get<std::string>()] = document;
      }
    }
    for (const auto& [id, message] : by_id) {
      if (message["schema"] == "twinkeeper.gap/1") {
        for (auto seq = message["first_seq"].get<std::uint64_t>(); seq <= message["last_seq"]; ++seq) ++known[seq];
      } else if (message["stream"] == "twins.tanks.state") {
        ++known[message["seq"].get<std::uint64_t>()];
      }
    }
    return known.size() >= kMessages;
  };
  const bool all = eventually(seconds{60}, complete);
  CAPTURE(known.size(), rig.statistics.spool_messages.load());
  REQUIRE(all);
  CHECK(known.size() == kMessages);
  for (const auto& [seq, times] : known) {
    CAPTURE(seq);
    CHECK(times == 1);
  }
  CHECK(rig.statistics.dropped_total > 0);
}
