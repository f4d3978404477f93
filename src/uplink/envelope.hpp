// The final text of a message: the envelope of the contract, then the members telemetry wrote.
//
//   {"schema":…,"gateway":…,"stream":…,"epoch":…,"seq":…,"id":"gateway/stream/epoch/seq","time":…,"time_ms":…,
//    "clock_synced":…,"boot_id":…,"replay":…,<members>}
// Thread rule: pure functions. Allocates the result.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::uplink {

struct Envelope {
  std::string_view schema;
  std::string_view gateway;
  std::string_view stream;
  std::uint64_t epoch = 0;
  std::uint64_t seq = 0;
  base::WallTime time{};
  bool clock_synced = false;
  std::string_view boot_id;
  bool replay = false;
  // A gap message is about another stream: its members name the lost `stream` and `epoch`, and its own identity is in
  // `id` alone.
  bool identity_in_id_only = false;
};

[[nodiscard]] std::string to_json(const Envelope& envelope, std::string_view members);

// "P/twins/tanks/state" of "twins.tanks.state".
[[nodiscard]] std::string topic_of_stream(std::string_view prefix, std::string_view stream);

// `text` as a JSON string with its quotes.
void append_json_string(std::string& out, std::string_view text);

}  // namespace twinkeeper::uplink
