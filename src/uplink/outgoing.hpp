// The final texts of stored messages: one by one on their own topic, or packed on `P/backlog`.
// Thread rule: one thread. Allocates the texts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "uplink/spool.hpp"

namespace twinkeeper::uplink {

// A message not handed to the connection within this time of its making is a replay.
inline constexpr base::Duration kLiveFor = std::chrono::seconds{5};
inline const std::string kPacketStream = "backlog";
inline constexpr std::size_t kPacketBytes = 122880;
inline constexpr std::size_t kPacketMessages = 500;

[[nodiscard]] base::Duration age_of(const StoredMessage& message, const base::Clock& clock);
[[nodiscard]] bool is_replay(const StoredMessage& message, const base::Clock& clock);
[[nodiscard]] std::string message_text(const StoredMessage& message, std::string_view gateway, const base::Clock& clock,
                                       bool replay);

// twinkeeper.backlog/1: whole messages of one stream and epoch in ascending order of seq.
class BacklogPacket {
 public:
  BacklogPacket(std::string_view gateway, const StoredMessage& first, std::size_t most_bytes = kPacketBytes);

  // False: it does not fit (bytes or number), or is of another stream or epoch, or not behind the last one.
  bool try_add(const StoredMessage& message, const base::Clock& clock);
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] std::string text() const;

 private:
  std::string gateway_;
  std::string stream_;
  std::uint64_t epoch_;
  std::size_t most_bytes_;
  std::uint64_t first_seq_ = 0;
  std::uint64_t last_seq_ = 0;
  std::size_t count_ = 0;
  std::string messages_;
};

}  // namespace twinkeeper::uplink
