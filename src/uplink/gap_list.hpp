// GapList: what was lost and not told yet, as ranges of sequence numbers by stream, epoch and reason.
//
// Contiguous losses grow one range, so an outage of weeks ends in one range per stream; far too many ranges are merged
// (count then is less than last_seq - first_seq + 1). An unreadable file loses rows nobody can name: a range without
// stream and numbers.
// Thread rule: one thread. Allocates.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::uplink {

enum class GapReason : std::uint8_t { size, age, refused, corrupt, overrun };  // stored as numbers
[[nodiscard]] const char* to_string(GapReason reason) noexcept;

struct Gap {
  std::string stream;  // empty: unknown, as are the numbers
  std::uint64_t epoch = 0;
  std::uint64_t first_seq = 0;
  std::uint64_t last_seq = 0;
  std::optional<base::WallTime> first_time;
  std::optional<base::WallTime> last_time;
  std::uint64_t count = 0;  // 0: unknown
  GapReason reason = GapReason::size;
};

class GapList {
 public:
  void add(const Gap& gap);
  [[nodiscard]] bool empty() const noexcept { return gaps_.empty(); }
  [[nodiscard]] const std::vector<Gap>& gaps() const noexcept { return gaps_; }
  void replace(std::vector<Gap> gaps) { gaps_ = std::move(gaps); }
  [[nodiscard]] std::vector<Gap> take();

  static constexpr std::size_t kMostRanges = 256;

 private:
  std::vector<Gap> gaps_;
};

// Members of the message `twinkeeper.gap/1`.
[[nodiscard]] std::string gap_members(const Gap& gap);

}  // namespace twinkeeper::uplink
