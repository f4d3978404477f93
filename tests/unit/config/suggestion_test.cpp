#include "config/suggestion.hpp"

#include "support/catch.hpp"

using namespace twinkeeper::config;

TEST_CASE("edit_distance counts swaps of neighbours once and ignores case") {
  CHECK(edit_distance("level", "levle") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("TCP", "tcp") == 0);
  CHECK(edit_distance("", "abc") == 3);
}

TEST_CASE("nearest names a candidate only if it is near") {
  const std::vector<std::string> keys{"poll_interval", "timeout", "name", "A"};
  CHECK(nearest("poll_intervall", keys) == "poll_interval");
  CHECK(nearest("pollinterval", keys) == "poll_interval");
  CHECK(nearest("nmae", keys) == "name");
  CHECK(nearest("colour", keys).empty());
  CHECK(nearest("x", keys).empty());
  CHECK(nearest(std::string(1000, 'p'), keys).empty());
  CHECK(did_you_mean("timeuot", keys) == ", did you mean \"timeout\"?");
}
