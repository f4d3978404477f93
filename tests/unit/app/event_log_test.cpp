#include "app/event_log.hpp"

#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/fake_clock.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;
using app::escape_control_bytes;
using signals::EventLevel;

namespace {

struct EventLogRig {
  // How many lines one event of each level comes to.
  std::size_t lines() {
    const std::size_t before = log.newest(500).size();
    for (const auto level : {EventLevel::debug, EventLevel::info, EventLevel::warning, EventLevel::error}) {
      log.raise({level, "test", "code" + std::to_string(++codes), "an event"});
    }
    return log.newest(500).size() - before;
  }
  nlohmann::json level() { return nlohmann::json::parse("{" + log.level_members() + "}"); }

  support::FakeClock clock{base::Instant{1h}};
  app::EventLog log{clock};
  int codes = 0;
};

}  // namespace

TEST_CASE("control bytes of outside text cannot forge a log line") {
  CHECK(escape_control_bytes("host\nERROR forged\x1b[31m") == "host\\x0aERROR forged\\x1b[31m");
  CHECK(escape_control_bytes("naïve {text} stays") == "naïve {text} stays");
}

TEST_CASE("what is below the level of the log is not written, and another level ends by itself") {
  EventLogRig rig;
  CHECK(rig.lines() == 3);
  rig.log.configure(EventLevel::warning);
  CHECK(rig.lines() == 2);
  rig.log.set_level(EventLevel::debug, 10min);
  CHECK(rig.lines() == 4);
  CHECK(rig.level()["level"] == "debug");
  CHECK(rig.level()["configured"] == "warning");
  CHECK(rig.level()["until"].is_string());
  rig.clock.advance(9min);
  rig.log.configure(EventLevel::warning);  // a reload that leaves it alone
  CHECK(rig.lines() == 4);
  rig.clock.advance(1min);
  CHECK(rig.lines() == 2);
  CHECK(rig.level()["level"] == "warning");
  CHECK(rig.level()["until"].is_null());
  rig.log.set_level(EventLevel::error, base::Duration::zero());
  rig.clock.advance(1000h);
  CHECK(rig.lines() == 1);
  rig.log.configure(EventLevel::info);
  CHECK(rig.lines() == 3);
}

TEST_CASE("what repeats itself is counted, but written at the level trace") {
  EventLogRig rig;
  const auto burst = [&] {
    const std::size_t before = rig.log.newest(500).size();
    for (int i = 0; i < 25; ++i) rig.log.raise({EventLevel::info, "test", "same", "again"});
    return rig.log.newest(500).size() - before;
  };
  CHECK(burst() == 10);
  rig.log.set_level(EventLevel::trace, 10min);
  CHECK(burst() == 25);
}
