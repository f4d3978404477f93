// What the documents of AWS IoT Core have in common: JSON objects that come from outside, merged key by key, asked for
// by requests whose answers may be lost, repeated or late.
// Thread rule: free functions; Pause: one thread. Allocates.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::aws {

using Json = nlohmann::json;

struct Publication {
  std::string topic;
  std::string payload;
};

// Something a person may want to read about, once per change.
struct Notice {
  std::string code;
  std::string text;
};

// After this time without an answer a request counts as lost.
inline constexpr base::Duration kAnswerWithin = std::chrono::seconds{10};

// The object that `text` is; nothing if it is none, is no JSON or is nested deeper than 32 levels.
[[nodiscard]] std::optional<Json> parse_object(std::string_view text);
// The member of an object, or nothing.
[[nodiscard]] std::optional<std::uint64_t> natural(const Json& object, const char* name);
[[nodiscard]] std::string text(const Json& object, const char* name);
[[nodiscard]] Json object(const Json& from, const char* name);  // empty: there is none

// What has to be laid over `from` so that it becomes `to`: null for what disappears, objects by key, all else as a
// whole. Empty: nothing.
[[nodiscard]] Json difference(const Json& from, const Json& to);
// Without what such a document can't keep: nulls and empty objects.
[[nodiscard]] Json tidied(const Json& document);

// Between two attempts: doubles from `least` to `most`, half of it at random.
class Pause {
 public:
  Pause(base::Duration least, base::Duration most, std::uint64_t seed) : least_(least), most_(most), random_(seed) {}

  [[nodiscard]] base::Duration next();
  void reset() { failures_ = 0; }

 private:
  base::Duration least_;
  base::Duration most_;
  std::mt19937_64 random_;
  int failures_ = 0;
};

}  // namespace twinkeeper::aws
