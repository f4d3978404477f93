#include "app/schedule.hpp"

#include <algorithm>
#include <utility>

namespace twinkeeper::app {
namespace {

// std heaps keep the greatest in front: greatest = due first.
bool due_later(const Due& left, const Due& right) {
  return std::pair(left.deadline, left.job) > std::pair(right.deadline, right.job);
}

}  // namespace

Schedule::Schedule(std::vector<Job> jobs) : jobs_(std::move(jobs)) {
  heap_.reserve(jobs_.size());
  for (std::size_t j = 0; j < jobs_.size(); ++j) heap_.push_back({j, 0, jobs_[j].first});
  std::make_heap(heap_.begin(), heap_.end(), due_later);
}

void Schedule::advance(std::int64_t turns) {
  std::pop_heap(heap_.begin(), heap_.end(), due_later);
  Due& due = heap_.back();
  due.turn += turns;
  due.deadline = base::grid_point(jobs_[due.job].first, jobs_[due.job].period, due.turn);
  std::push_heap(heap_.begin(), heap_.end(), due_later);
}

}  // namespace twinkeeper::app
