#include "twinkeeper/base/queue.hpp"

#include <thread>

#include "support/catch.hpp"

using namespace twinkeeper::base;

TEST_CASE("BoundedQueue keeps order, refuses when full and counts what it refused") {
  BoundedQueue<int> queue(4);
  int pushed = 0;
  while (queue.try_push(pushed)) ++pushed;
  CHECK(pushed >= 4);
  CHECK(queue.dropped() == 1);
  int value = -1;
  for (int expected = 0; expected < pushed; ++expected) {
    REQUIRE(queue.try_pop(value));
    CHECK(value == expected);
  }
  CHECK_FALSE(queue.try_pop(value));
}

TEST_CASE("RecyclingQueue hands every record over in order between two threads and never grows") {
  constexpr int kRecords = 20'000;
  RecyclingQueue<std::vector<int>> queue(8, [] { return std::vector<int>(16); });
  std::jthread producer([&] {
    for (int i = 0; i < kRecords;) {
      if (auto* record = queue.try_acquire()) {
        record->front() = i++;
        queue.send(record);
      } else {
        std::this_thread::yield();
      }
    }
  });
  int expected = 0;
  bool in_order = true;
  while (expected < kRecords) {
    if (auto* record = queue.try_receive()) {
      in_order = in_order && record->front() == expected++ && record->size() == 16;
      queue.recycle(record);
    } else {
      std::this_thread::yield();
    }
  }
  CHECK(in_order);
}
