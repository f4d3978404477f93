#include "uplink/topics.hpp"

#include "support/catch.hpp"

using namespace twinkeeper::uplink;

TEST_CASE("streams of the named kinds go to the rule and all else stays below the prefix") {
  UplinkSettings settings;
  settings.topic_prefix = "twinkeeper/gw";
  CHECK(topic_for(settings, "twins.tanks.state") == "twinkeeper/gw/twins/tanks/state");
  settings.basic_ingest = BasicIngest{"plant_rule", {"state", "backlog"}};
  CHECK(topic_for(settings, "twins.tanks.state") == "$aws/rules/plant_rule/twinkeeper/gw/twins/tanks/state");
  CHECK(topic_for(settings, "backlog") == "$aws/rules/plant_rule/twinkeeper/gw/backlog");
  for (const char* stream : {"metrics", "devices.plc.samples", "twins.tanks.anomaly", "status", "gap",
                             "twins.state.info", "twins.backlog.anomaly"}) {
    CHECK_FALSE(goes_to_rule(settings, stream));
    CHECK(topic_for(settings, stream).compare(0, 14, "twinkeeper/gw/") == 0);
  }
}
