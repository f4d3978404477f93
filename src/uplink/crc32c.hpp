// CRC-32C (Castagnoli), as stored beside each spooled row: flash storage can rot under a database that checks nothing.
// Thread rule: pure function. No allocation. Source: RFC 3720 appendix B.4 (polynomial and check values).
#pragma once

#include <cstdint>
#include <string_view>

namespace twinkeeper::uplink {

// `previous` continues the sum of what came before.
[[nodiscard]] std::uint32_t crc32c(std::string_view data, std::uint32_t previous = 0) noexcept;

}  // namespace twinkeeper::uplink
