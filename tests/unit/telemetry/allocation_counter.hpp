// How often this executable has allocated, so that a test can show that encoding does not.
#pragma once

#include <cstdint>

std::uint64_t allocations();
