#include "twinkeeper/base/queue.hpp"

#include <thread>

#include "support/catch.hpp"

using namespace twinkeeper::base;

TEST_CASE("BoundedQueue keeps order, refuses when full and counts what it refused") {
  BoundedQueue<int> queue(4);
  int pushed = 0;
  while (!queue.full() && queue.try_push(pushed)) ++pushed;
  CHECK_FALSE(queue.try_push(pushed));
  CHECK(pushed == 4);
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

TEST_CASE("RecyclingQueue builds a record only when none is free, and none beyond its capacity") {
  int built = 0;
  RecyclingQueue<int> queue(3, [&built] { return built++; });
  CHECK(built == 0);
  for (int i = 0; i < 10; ++i) {  // a consumer that keeps up
    queue.send(queue.try_acquire());
    queue.recycle(queue.try_receive());
  }
  CHECK(built == 1);
  for (int i = 0; i < 3; ++i) {
    int* record = queue.try_acquire();
    REQUIRE(record != nullptr);
    queue.send(record);
  }
  CHECK(queue.try_acquire() == nullptr);
  CHECK(queue.dropped() == 1);
  CHECK(built == 3);
}
