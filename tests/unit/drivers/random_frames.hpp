// Requests and replies of any content within the protocol's limits.
#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "drivers/pdu.hpp"

namespace twinkeeper::test {

// A unit that both framings know.
inline drivers::ReadRequest random_request(std::mt19937& random) {
  drivers::ReadRequest request;
  request.transaction = static_cast<std::uint16_t>(random());
  request.unit = static_cast<std::uint8_t>(1 + random() % 247);
  request.function = static_cast<std::uint8_t>(1 + random() % 4);
  request.count = static_cast<std::uint16_t>(1 + random() % (request.function <= 2 ? 2000 : 125));
  request.address = static_cast<std::uint16_t>(random() % (65537 - request.count));
  return request;
}

// As one of the two framings appends it.
template <class AppendWords, class AppendBits>
std::vector<std::uint8_t> random_reply(const drivers::ReadRequest& request, std::mt19937& random,
                                       AppendWords append_words, AppendBits append_bits) {
  std::vector<std::uint8_t> frame;
  if (request.function <= 2) {
    std::array<bool, 2000> bits{};
    for (std::size_t i = 0; i < request.count; ++i) bits[i] = random() % 2 == 1;
    append_bits(request, std::span<const bool>{bits}.first(request.count), frame);
  } else {
    std::vector<std::uint16_t> words(request.count);
    for (auto& word : words) word = static_cast<std::uint16_t>(random());
    append_words(request, words, frame);
  }
  return frame;
}

}  // namespace twinkeeper::test
