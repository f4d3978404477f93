#include "app/memory.hpp"

#include <link.h>

#include <cstdint>

#include "app/process_usage.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;

namespace {

struct Sum {
  std::uint64_t bytes = 0;
  std::uint64_t value = 0;
};

// Reads all code and constants of this executable.
int add_up(dl_phdr_info* object, std::size_t, void* context) {
  auto& sum = *static_cast<Sum*>(context);
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const auto* bytes = reinterpret_cast<const volatile std::uint8_t*>(object->dlpi_addr + segment.p_vaddr);
    for (std::size_t k = 0; k < segment.p_memsz; ++k) sum.value = sum.value * 31 + bytes[k];
    sum.bytes += segment.p_memsz;
  }
  return 1;  // the executable is the first one
}

}  // namespace

TEST_CASE("code that has been read once is given back, and is the same when it is read again") {
  Sum before, after;
  dl_iterate_phdr(add_up, &before);
  const std::uint64_t touched = app::process_usage().rss_bytes;
  REQUIRE(touched > before.bytes);

  app::give_back_code();
  CHECK(app::process_usage().rss_bytes < touched - before.bytes / 2);

  dl_iterate_phdr(add_up, &after);
  CHECK(after.bytes == before.bytes);
  CHECK(after.value == before.value);
}
