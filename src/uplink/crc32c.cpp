#include "uplink/crc32c.hpp"

#include <array>

namespace twinkeeper::uplink {
namespace {

constexpr std::uint32_t kPolynomial = 0x82F63B78;  // reflected

// Table k gives the effect of a byte that k more bytes follow: four bytes are taken at a time.
using Tables = std::array<std::array<std::uint32_t, 256>, 4>;

constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) remainder = (remainder >> 1) ^ ((remainder & 1u) != 0 ? kPolynomial : 0u);
    tables[0][byte] = remainder;
  }
  for (std::size_t k = 1; k < tables.size(); ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xFFu];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

std::uint32_t crc32c(std::string_view data, std::uint32_t previous) noexcept {
  std::uint32_t sum = ~previous;
  std::size_t i = 0;
  const auto byte = [&data](std::size_t at) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(data[at]));
  };
  for (; i + 4 <= data.size(); i += 4) {
    sum ^= byte(i) | byte(i + 1) << 8 | byte(i + 2) << 16 | byte(i + 3) << 24;
    sum = kTables[3][sum & 0xFFu] ^ kTables[2][(sum >> 8) & 0xFFu] ^ kTables[1][(sum >> 16) & 0xFFu] ^
          kTables[0][sum >> 24];
  }
  for (; i < data.size(); ++i) sum = (sum >> 8) ^ kTables[0][(sum ^ byte(i)) & 0xFFu];
  return ~sum;
}

}  // namespace twinkeeper::uplink
