#include "aws/document.hpp"

#include <random>

#include "support/catch.hpp"

using namespace twinkeeper;
using aws::Json;
using namespace std::chrono_literals;

namespace {

Json random_document(std::mt19937_64& random, int depth) {
  Json out = Json::object();
  for (std::uint64_t i = 0; i < 1 + random() % 4; ++i) {
    const std::string key(1, static_cast<char>('a' + random() % 5));
    switch (random() % 4) {
      case 0: out[key] = random() % 3; break;
      case 1: out[key] = "text" + std::to_string(random() % 2); break;
      case 2: out[key] = Json::array({random() % 2, random() % 2}); break;
      default:
        if (depth > 0) out[key] = random_document(random, depth - 1);
    }
  }
  return aws::tidied(out);
}

}  // namespace

TEST_CASE("what differs, laid over the old document, gives the new one") {
  std::mt19937_64 random(1);
  for (int i = 0; i < 2000; ++i) {
    const Json from = random_document(random, 3);
    const Json to = random_document(random, 3);
    Json merged = from;
    merged.merge_patch(aws::difference(from, to));
    CHECK(merged == to);
    CHECK(aws::difference(to, to).empty());
  }
}

TEST_CASE("a document without nulls and empty objects is left as it is") {
  const Json good = {{"a", 1}, {"b", {{"c", Json::array({1, 2})}}}};
  CHECK(aws::tidied(good) == good);
  CHECK(aws::tidied({{"a", nullptr}, {"b", {{"c", nullptr}}}, {"d", Json::array({nullptr, 1})}}) ==
        Json{{"d", Json::array({1})}});
}

TEST_CASE("text from outside is an object or nothing") {
  CHECK(aws::parse_object("{\"a\":1}"));
  for (const char* text : {"", "[]", "1", "{", "{\"a\":1}x", "\xff"}) CHECK_FALSE(aws::parse_object(text));
  std::string deep;
  for (int i = 0; i < 50'000; ++i) deep += "{\"a\":";
  CHECK_FALSE(aws::parse_object(deep + "1" + std::string(50'000, '}')));
}

TEST_CASE("pauses double up to their limit and half of each is random") {
  aws::Pause pause(1s, 60s, 7);
  base::Duration whole = 1s;
  for (int i = 0; i < 12; ++i) {
    const auto next = pause.next();
    CHECK(next >= whole / 2);
    CHECK(next <= whole);
    whole = std::min<base::Duration>(60s, 2 * whole);
  }
  pause.reset();
  CHECK(pause.next() <= 1s);
}
