#include <malloc.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>
#include <memory>
#include <vector>

#include "courier_rig.hpp"

using namespace twinkeeper;
using Rig = test::CourierRig;

namespace {

std::size_t resident_bytes() {
  std::size_t pages = 0;
  std::size_t resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

// What a backlog leaves: many free blocks, each between two that live on. The allocator keeps them all.
struct Holes {
  static constexpr std::size_t kCount = 1000;
  static constexpr std::size_t kBytes = 16384;
  Holes() {
    std::vector<std::vector<char>> large;
    for (std::size_t i = 0; i < kCount; ++i) {
      large.emplace_back(kBytes, 'x');
      small.emplace_back(64, 'x');
    }
  }
  std::vector<std::vector<char>> small;
};

}  // namespace

TEST_CASE("when a backlog has gone its memory goes back to the system") {
  constexpr std::size_t kMost = Holes::kCount * Holes::kBytes;
  Rig rig;
  rig.start();
  for (int i = 0; i < 50; ++i) rig.courier->submit(test::state_message(rig.clock.now()));
  rig.clock.advance(std::chrono::seconds{60});
  malloc_trim(0);  // what other tests have left would be used again
  const std::size_t before = resident_bytes();
  const Holes holes;
  const std::size_t with_holes = resident_bytes();
  REQUIRE(with_holes > before + kMost / 2);
  rig.turn();
  CHECK(resident_bytes() > before + kMost / 2);  // no backlog has gone
  rig.connect();
  CHECK(rig.drain().size() == 1);
  rig.clock.advance(std::chrono::seconds{1});
  rig.turn();
  CHECK(resident_bytes() < with_holes - kMost / 2);
}
