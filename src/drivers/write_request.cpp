#include "drivers/write_request.hpp"

#include <span>

#include "drivers/big_endian.hpp"
#include "drivers/decoder.hpp"

namespace twinkeeper::drivers {

ReadRequest WriteEncoder::encode(const RegisterSettings& reg, double value, bool multiple) noexcept {
  ReadRequest request;
  request.address = reg.address;
  if (reg.kind == RegisterKind::coil) {
    const bool on = raw_from_value(reg, value).integer != 0;
    request.function = multiple ? 15 : 5;
    request.count = multiple ? 1 : on ? 0xFF00 : 0;
    data_[0] = on ? 1 : 0;
    if (multiple) request.data = std::span{data_}.first(1);
    return request;
  }
  std::array<std::uint16_t, 4> words{};
  const std::size_t count = word_count(reg);
  encode_value(reg, value, std::span{words}.first(count));
  if (count == 1 && !multiple) {
    request.function = 6;
    request.count = words[0];
    return request;
  }
  request.function = 16;
  request.count = static_cast<std::uint16_t>(count);
  for (std::size_t i = 0; i < count; ++i) put_word(data_, 2 * i, words[i]);
  request.data = std::span{data_}.first(2 * count);
  return request;
}

}  // namespace twinkeeper::drivers
