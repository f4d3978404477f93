#include "twinkeeper/base/quantity.hpp"

#include "support/catch.hpp"

using namespace twinkeeper::base;
using namespace std::chrono_literals;

TEST_CASE("parse_duration reads every unit of the configuration") {
  CHECK(parse_duration("100ms").value() == 100ms);
  CHECK(parse_duration("1.5s").value() == 1500ms);
  CHECK(parse_duration("15min").value() == 15min);
  CHECK(parse_duration("2h").value() == 2h);
  CHECK(parse_duration("7d").value() == 7 * 24h);
  CHECK(parse_duration("0s").value() == 0s);
}

TEST_CASE("parse_duration refuses what could be read two ways, and says what is accepted") {
  for (const char* text : {"", "5", "1m", "-1s", "+1s", "1 s", "1e3s", "s", ".5s", "1.s", "1sec", "99999999999d", "nan"}) {
    INFO(text);
    CHECK_FALSE(parse_duration(text).ok());
  }
  CHECK(parse_duration("1m").error().message().find("min for minutes") != std::string::npos);
}

TEST_CASE("format_duration writes what parse_duration reads back") {
  for (const auto duration : {Duration{0}, Duration{100ms}, Duration{90s}, Duration{60s}, Duration{7 * 24h}, Duration{1500us}}) {
    CHECK(parse_duration(format_duration(duration)).value() == duration);
  }
  CHECK(format_duration(60s) == "1min");
  CHECK(format_duration(90s) == "90s");
}

TEST_CASE("parse_size knows binary units only") {
  CHECK(parse_size("256MiB").value() == 256ull << 20);
  CHECK(parse_size("0.5KiB").value() == 512);
  CHECK_FALSE(parse_size("256MB").ok());
  CHECK_FALSE(parse_size("256").ok());
  CHECK(parse_size(format_size(3ull << 30)).value() == 3ull << 30);
}

TEST_CASE("units agree by meaning, and an absent unit agrees with any") {
  CHECK(units_agree("°C", "degC"));
  CHECK(units_agree("", "V"));
  CHECK_FALSE(units_agree("V", "A"));
}
