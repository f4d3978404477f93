// Regenerate after an intended change: TWINKEEPER_UPDATE_GOLDEN=1 unit_telemetry "each message*", then look at the
// difference and copy the texts into docs/formats/mqtt.md.
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "support/catch.hpp"
#include "unit/telemetry/example_messages.hpp"

using namespace twinkeeper::telemetry;

TEST_CASE("each message of the example plant has its golden text") {
  const bool update = std::getenv("TWINKEEPER_UPDATE_GOLDEN") != nullptr;
  for (const auto& [kind, text] : example::messages()) {
    const std::string path = std::string(TWINKEEPER_SOURCE_DIR) + "/tests/unit/telemetry/golden/" + kind + ".json";
    if (update) std::ofstream(path) << text << '\n';
    std::ostringstream golden;
    golden << std::ifstream(path).rdbuf();
    INFO(path);
    CHECK(text + "\n" == golden.str());
  }
}
