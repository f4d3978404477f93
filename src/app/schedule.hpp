// What the twin thread does when: jobs on absolute deadlines of one grid, taken in the order of their deadlines.
//
// Job j is due at first_j + n·period_j for n = 0, 1, 2, …: nothing is accumulated, so nothing drifts. After a stall the
// jobs come out in exactly the order in which they would have come in time.
// Allocation: at construction only.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::app {

struct Job {
  base::Instant first;
  base::Duration period;
};

struct Due {
  std::size_t job = 0;
  std::int64_t turn = 0;  // n
  base::Instant deadline;
};

class Schedule {
 public:
  explicit Schedule(std::vector<Job> jobs);

  [[nodiscard]] bool empty() const noexcept { return heap_.empty(); }
  // The job with the earliest deadline (ties: the lower job number). Not for an empty schedule.
  [[nodiscard]] const Due& next() const noexcept { return heap_.front(); }
  // Moves that job on by `turns` turns (1 unless turns are given up).
  void advance(std::int64_t turns = 1);

 private:
  std::vector<Job> jobs_;
  std::vector<Due> heap_;
};

}  // namespace twinkeeper::app
