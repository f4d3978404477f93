#include "app/event_log.hpp"

#include "support/catch.hpp"

using twinkeeper::app::escape_control_bytes;

TEST_CASE("control bytes of outside text cannot forge a log line") {
  CHECK(escape_control_bytes("host\nERROR forged\x1b[31m") == "host\\x0aERROR forged\\x1b[31m");
  CHECK(escape_control_bytes("naïve {text} stays") == "naïve {text} stays");
}
