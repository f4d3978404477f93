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

TEST_CASE("append_rfc3339 keeps what the text holds already") {
  std::string text = "at ";
  append_rfc3339(text, WallTime{1500ms});
  CHECK(text == "at 1970-01-01T00:00:01.500Z");
}
