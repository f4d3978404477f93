#include "twinkeeper/base/timestamp.hpp"

#include "support/catch.hpp"

using namespace twinkeeper::base;
using namespace std::chrono_literals;

TEST_CASE("format_rfc3339 writes UTC with milliseconds for known instants") {
  CHECK(format_rfc3339(WallTime{}) == "1970-01-01T00:00:00.000Z");
  CHECK(format_rfc3339(WallTime{1'700'000'000s + 42ms}) == "2023-11-14T22:13:20.042Z");
  CHECK(format_rfc3339(WallTime{951'782'400s}) == "2000-02-29T00:00:00.000Z");
  CHECK(format_rfc3339(WallTime{4'102'444'799s + 999ms}) == "2099-12-31T23:59:59.999Z");
}

TEST_CASE("format_rfc3339 and unix_milliseconds round down on both sides of 1970") {
  CHECK(format_rfc3339(WallTime{1s + 999'999'999ns}) == "1970-01-01T00:00:01.999Z");
  CHECK(unix_milliseconds(WallTime{1s + 999'999'999ns}) == 1999);
  CHECK(format_rfc3339(WallTime{-1ns}) == "1969-12-31T23:59:59.999Z");
  CHECK(unix_milliseconds(WallTime{-1ns}) == -1);
}

TEST_CASE("format_rfc3339 writes the first and the last instant there is") {
  CHECK(format_rfc3339(WallTime::min()) == "1677-09-21T00:12:43.145Z");
  CHECK(format_rfc3339(WallTime::max()) == "2262-04-11T23:47:16.854Z");
}

TEST_CASE("append_rfc3339 keeps what the text holds already") {
  std::string text = "at ";
  append_rfc3339(text, WallTime{1500ms});
  CHECK(text == "at 1970-01-01T00:00:01.500Z");
}

TEST_CASE("parse_rfc3339 reads back what format_rfc3339 writes") {
  for (const WallTime time : {WallTime{}, WallTime{951'782'400s}, WallTime{1'700'000'000s + 42ms}, WallTime{-1s}}) {
    CHECK(parse_rfc3339(format_rfc3339(time)) == time);
  }
}

TEST_CASE("parse_rfc3339 takes decimals of any number and offsets") {
  const WallTime time{1'700'000'000s};
  CHECK(parse_rfc3339("2023-11-14T22:13:20Z") == time);
  CHECK(parse_rfc3339("2023-11-14T22:13:20.000000001Z") == time + 1ns);
  CHECK(parse_rfc3339("2023-11-14T22:13:20.5000000000009Z") == time + 500ms);
  CHECK(parse_rfc3339("2023-11-15T00:13:20+02:00") == time);
  CHECK(parse_rfc3339("2023-11-14T16:43:20-05:30") == time);
}

TEST_CASE("parse_rfc3339 refuses everything else") {
  for (const char* text :
       {"", "2023-11-14", "2023-11-14T22:13:20", "2023-11-14 22:13:20Z", "2023-11-14T22:13:20z ", "2023-11-14T22:13Z",
        "2023-02-29T00:00:00Z", "2023-13-01T00:00:00Z", "2023-11-14T24:00:00Z", "2023-11-14T22:60:00Z",
        "2023-11-14T22:13:60Z", "2023-11-14T22:13:20.Z", "2023-11-14T22:13:20+0200", "2023-11-14T22:13:20+24:00",
        "2023-11-14T22:13:20Zjunk", "+023-11-14T22:13:20Z", "1677-12-31T23:59:59Z", "2262-01-01T00:00:00Z"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_rfc3339(text).has_value());
  }
}
