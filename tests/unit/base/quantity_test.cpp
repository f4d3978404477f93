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

TEST_CASE("parse_duration takes fractions of a unit that are whole nanoseconds and no others") {
  CHECK(parse_duration("0.5s").value() == 500ms);
  CHECK(parse_duration("1.50s").value() == 1500ms);
  CHECK(parse_duration("0.000001ms").value() == 1ns);
  CHECK(parse_duration("1.000000001s").value() == 1s + 1ns);
  CHECK(parse_duration("0.00000000000001157407407407407407407407407407d").ok() == false);
  for (const char* text : {"10.0000001ms", "0.0000005ms", "1.0000000001s", "0.3333333333333min"}) {
    INFO(text);
    REQUIRE_FALSE(parse_duration(text).ok());
    CHECK(parse_duration(text).error().message().find("is not a whole number of nanoseconds") != std::string::npos);
  }
}

TEST_CASE("durations and sizes with a leading zero are refused by name") {
  for (const char* text : {"01s", "00100ms", "00s", "01.5s"}) {
    INFO(text);
    REQUIRE_FALSE(parse_duration(text).ok());
    CHECK(parse_duration(text).error().message().find("has a leading zero") != std::string::npos);
  }
  CHECK(parse_size("01MiB").error().message().find("has a leading zero") != std::string::npos);
  CHECK(parse_duration("0ms").value() == 0ms);
}

TEST_CASE("quantities are exact up to the largest one and too large above it") {
  CHECK(parse_size("9223372036854775807B").value() == 9223372036854775807u);
  CHECK(parse_size("8589934591.5GiB").value() == 9223372036317904896u);
  CHECK(parse_duration("9223372036854.775807ms").value() == Duration::max());
  for (const char* text : {"9223372036854775808B", "8589934592GiB", "99999999999999999999999B"}) {
    INFO(text);
    REQUIRE_FALSE(parse_size(text).ok());
    CHECK(parse_size(text).error().message().find("is too large") != std::string::npos);
  }
  CHECK_FALSE(parse_duration("9223372036854.775808ms").ok());
}

TEST_CASE("a quantity of endless digits is told in short") {
  CHECK(parse_duration(std::string(1000, '7')).error().message().size() < 300);
}

TEST_CASE("format_duration writes what parse_duration reads back") {
  for (const auto duration : {Duration{0}, Duration{100ms}, Duration{90s}, Duration{60s}, Duration{7 * 24h}, Duration{1500us}, Duration{1ns},
                              Duration{9'007'199'254'740'993ns}, Duration::max()}) {
    CHECK(parse_duration(format_duration(duration)).value() == duration);
  }
  CHECK(format_duration(60s) == "1min");
  CHECK(format_duration(90s) == "90s");
  CHECK(format_duration(1500us) == "1.5ms");
  CHECK(format_duration(-1500us) == "-1.5ms");
  CHECK(format_duration(-1ns) == "-0.000001ms");
}

TEST_CASE("parse_size knows binary units only") {
  CHECK(parse_size("256MiB").value() == 256ull << 20);
  CHECK(parse_size("0.5KiB").value() == 512);
  CHECK_FALSE(parse_size("256MB").ok());
  CHECK_FALSE(parse_size("256").ok());
  CHECK_FALSE(parse_size("0.3KiB").ok());
  CHECK_FALSE(parse_size("1048575.5B").ok());
  CHECK(parse_size("0.000000000931322574615478515625GiB").value() == 1);
  CHECK(parse_size(format_size(3ull << 30)).value() == 3ull << 30);
}

TEST_CASE("parse_size tells which binary unit may be meant, and speaks of no minutes") {
  const auto told = [](const char* text) { return parse_size(text).error().message(); };
  CHECK(told("1m").find("did you mean MiB?") != std::string::npos);
  CHECK(told("1m").find("minutes") == std::string::npos);
  CHECK(told("256MB").find("did you mean MiB?") != std::string::npos);
  CHECK(told("1kB").find("did you mean KiB?") != std::string::npos);
  CHECK(told("1G").find("did you mean GiB?") != std::string::npos);
  CHECK(told("1ms").find("did you mean") == std::string::npos);
}

TEST_CASE("units agree by meaning, and an absent unit agrees with any") {
  CHECK(units_agree("°C", "degC"));
  CHECK(units_agree("", "V"));
  CHECK_FALSE(units_agree("V", "A"));
}
