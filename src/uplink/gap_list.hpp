// GapList: what was lost and not told yet, as ranges of sequence numbers by stream, epoch, reason and stride.
//
// A range names first_seq, first_seq + stride, … last_seq and nothing between them: contiguous losses have the stride 1
// and grow one range, so an outage of weeks ends in one range per stream; thinned ones have powers of two. Only where a
// damaged file is all that tells is `count` less than what the range spans. An unreadable file loses rows nobody can
// name: a range without stream and numbers. What the table of the spool has of the list is followed by numbers.
// Thread rule: one thread. Allocates.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::uplink {

enum class GapReason : std::uint8_t { size, age, refused, corrupt, overrun, thin, purged };  // stored as numbers
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
  std::uint64_t stride = 1;
};

class GapList {
 public:
  void add(const Gap& gap);
  [[nodiscard]] bool empty() const noexcept { return ranges_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return ranges_.size(); }
  [[nodiscard]] std::vector<Gap> gaps() const;
  [[nodiscard]] std::vector<Gap> take();

  // Numbered ranges that differ from what was written last, and whether all that was written before is gone; then these
  // are all.
  [[nodiscard]] std::map<std::int64_t, Gap> changed() const;
  [[nodiscard]] bool cleared() const noexcept { return cleared_; }
  [[nodiscard]] bool dirty() const noexcept { return cleared_ || !changed_.empty(); }
  void written(bool with_clearing);
  void rewrite() noexcept { cleared_ = true; }  // all of it next time

  static constexpr std::size_t kMostRanges = 4096;  // beyond it they should be told, connected or not

 private:
  struct Kind {
    std::string stream;
    std::uint64_t epoch = 0;
    GapReason reason = GapReason::size;
    std::uint64_t stride = 1;
    auto operator<=>(const Kind&) const = default;
  };
  std::map<std::int64_t, Gap> ranges_;
  std::map<Kind, std::vector<std::int64_t>> of_kind_;
  std::set<std::int64_t> changed_;
  std::int64_t next_number_ = 1;
  bool cleared_ = false;
};

// Members of the message `twinkeeper.gap/1`.
[[nodiscard]] std::string gap_members(const Gap& gap);

}  // namespace twinkeeper::uplink
