#include "app/memory.hpp"

#include <link.h>

#include <cstdint>
#include <fstream>
#include <string>

#include "support/catch.hpp"

using namespace twinkeeper;

namespace {

long rss_of_files_kb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssFile:")) return std::stol(line.substr(8));
  }
  return -1;
}

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
  const long touched_kb = rss_of_files_kb();
  REQUIRE(touched_kb * 1024 > static_cast<long>(before.bytes));

  app::give_back_code();
  const long left_kb = rss_of_files_kb();
  CHECK(left_kb < touched_kb - static_cast<long>(before.bytes) / 2048);

  dl_iterate_phdr(add_up, &after);
  CHECK(after.bytes == before.bytes);
  CHECK(after.value == before.value);
}
