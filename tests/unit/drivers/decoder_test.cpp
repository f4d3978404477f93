#include "drivers/decoder.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>

#include "support/catch.hpp"

using namespace twinkeeper::drivers;
using twinkeeper::signals::RawKind;
using twinkeeper::signals::RawValue;

namespace {

constexpr ByteOrder kOrders[] = {ByteOrder::ABCD, ByteOrder::DCBA, ByteOrder::BADC, ByteOrder::CDAB};

constexpr ByteOrder kLongOrders[] = {ByteOrder::CDABGHEF, ByteOrder::DCBAHGFE, ByteOrder::EFGHABCD,
                                     ByteOrder::FEHGBADC};

// The oracle works on the wire's bytes as a string of letters: place k of the wire holds the letter that the order's
// definition puts there. It knows nothing of words but their width.
std::vector<std::uint16_t> wire_words(const std::string& big_endian, ByteOrder order) {
  std::string wire = big_endian;
  const std::size_t n = wire.size();
  for (std::size_t k = 0; k < n; ++k) {
    switch (order) {
      case ByteOrder::ABCD: wire[k] = big_endian[k]; break;
      case ByteOrder::DCBA: wire[k] = big_endian[n - 1 - k]; break;
      case ByteOrder::BADC: wire[k] = big_endian[k % 2 == 0 ? k + 1 : k - 1]; break;
      case ByteOrder::CDAB: wire[k] = big_endian[k % 2 == 0 ? n - 2 - k : n - k]; break;
      case ByteOrder::CDABGHEF: wire[k] = big_endian["23016745"[k] - '0']; break;
      case ByteOrder::DCBAHGFE: wire[k] = big_endian["32107654"[k] - '0']; break;
      case ByteOrder::EFGHABCD: wire[k] = big_endian["45670123"[k] - '0']; break;
      case ByteOrder::FEHGBADC: wire[k] = big_endian["54761032"[k] - '0']; break;
    }
  }
  std::vector<std::uint16_t> words;
  for (std::size_t k = 0; k < n; k += 2) {
    words.push_back(static_cast<std::uint16_t>(static_cast<unsigned char>(wire[k]) * 256 +
                                               static_cast<unsigned char>(wire[k + 1])));
  }
  return words;
}

// The machine's own bytes of a value, most significant first (the tests run on little-endian machines).
template <class T>
std::string big_endian(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return {bytes.rbegin(), bytes.rend()};
}

RegisterSettings settings(ValueType type, ByteOrder order) {
  RegisterSettings reg;
  reg.type = type;
  reg.byte_order = order;
  return reg;
}

template <class T>
void check_type(ValueType type, RawKind kind, T value) {
  std::vector<ByteOrder> orders(std::begin(kOrders), std::end(kOrders));
  if (sizeof value == 8) orders.insert(orders.end(), std::begin(kLongOrders), std::end(kLongOrders));
  for (const ByteOrder order : orders) {
    const RegisterSettings reg = settings(type, order);
    const auto words = wire_words(big_endian(value), order);
    REQUIRE(word_count(reg) == words.size());
    const Decoded decoded = decode_words(reg, words);
    CHECK(decoded.raw.kind == kind);
    if constexpr (std::is_floating_point_v<T>) {
      CHECK(decoded.raw.real == static_cast<double>(value));
    } else if constexpr (std::is_signed_v<T>) {
      CHECK(decoded.raw.integer == std::int64_t{value});
    } else {
      CHECK(decoded.raw.natural == std::uint64_t{value});
    }
    CHECK(decoded.value == static_cast<double>(value));
    std::vector<std::uint16_t> back(words.size());
    encode_words(reg, decoded.raw, back);
    CHECK(back == words);
  }
}

}  // namespace

TEST_CASE("The four byte orders put 123456 where Modbus users expect it") {
  const auto decode = [](ByteOrder order, std::uint16_t first, std::uint16_t second) {
    const std::uint16_t words[] = {first, second};
    return decode_words(settings(ValueType::FLOAT32, order), words).value;
  };
  CHECK(decode(ByteOrder::ABCD, 0x47F1, 0x2000) == 123456.0);
  CHECK(decode(ByteOrder::DCBA, 0x0020, 0xF147) == 123456.0);
  CHECK(decode(ByteOrder::BADC, 0xF147, 0x0020) == 123456.0);
  CHECK(decode(ByteOrder::CDAB, 0x2000, 0x47F1) == 123456.0);
}

TEST_CASE("Every numeric type is decoded and encoded in every byte order") {
  std::mt19937_64 random(11);
  for (int i = 0; i < 300; ++i) {
    const std::uint64_t bits = random();
    check_type(ValueType::INT16, RawKind::signed_integer, static_cast<std::int16_t>(bits));
    check_type(ValueType::UINT16, RawKind::unsigned_integer, static_cast<std::uint16_t>(bits));
    check_type(ValueType::INT32, RawKind::signed_integer, static_cast<std::int32_t>(bits));
    check_type(ValueType::UINT32, RawKind::unsigned_integer, static_cast<std::uint32_t>(bits));
    check_type(ValueType::INT64, RawKind::signed_integer, static_cast<std::int64_t>(bits));
    check_type(ValueType::UINT64, RawKind::unsigned_integer, bits);
    const double real =
        std::ldexp(static_cast<double>(static_cast<std::int64_t>(bits)), static_cast<int>(bits % 60) - 90);
    check_type(ValueType::FLOAT32, RawKind::float32, static_cast<float>(real));
    check_type(ValueType::FLOAT64, RawKind::float64, real);
  }
  check_type(ValueType::INT64, RawKind::signed_integer, std::numeric_limits<std::int64_t>::min());
  check_type(ValueType::UINT64, RawKind::unsigned_integer, std::numeric_limits<std::uint64_t>::max());
  check_type(ValueType::FLOAT32, RawKind::float32, std::numeric_limits<float>::infinity());
  check_type(ValueType::FLOAT32, RawKind::float32, std::numeric_limits<float>::denorm_min());
}

TEST_CASE("Every half-precision number is decoded to its value and encoded back to its bits") {
  const RegisterSettings reg = settings(ValueType::FLOAT16, ByteOrder::ABCD);
  std::size_t wrong = 0;
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const auto word = static_cast<std::uint16_t>(bits);
    const Decoded decoded = decode_words(reg, std::span{&word, 1});
    const unsigned exponent = (bits >> 10) & 31;
    const double fraction = static_cast<double>(bits & 1023) / 1024.0;
    const double sign = bits >= 0x8000 ? -1.0 : 1.0;
    if (exponent == 31) {
      wrong += (bits & 1023) == 0 ? decoded.value != sign * INFINITY : !std::isnan(decoded.value);
      continue;
    }
    const double expected = exponent == 0 ? sign * fraction * std::pow(2.0, -14)
                                          : sign * (1.0 + fraction) * std::pow(2.0, static_cast<int>(exponent) - 15);
    std::uint16_t back = 0;
    encode_words(reg, decoded.raw, std::span{&back, 1});
    wrong += decoded.value != expected || back != word || decoded.raw.kind != RawKind::float16;
  }
  CHECK(wrong == 0);
  const std::uint16_t one[] = {0x3C00};
  CHECK(decode_words(reg, one).value == 1.0);
  const std::uint16_t one_swapped[] = {0x003C};
  CHECK(decode_words(settings(ValueType::FLOAT16, ByteOrder::DCBA), one_swapped).value == 1.0);
}

TEST_CASE("A half-precision number is rounded to the nearest with ties to even and overflows to infinity") {
  const RegisterSettings reg = settings(ValueType::FLOAT16, ByteOrder::ABCD);
  const auto half = [&](double value) {
    std::uint16_t word = 0;
    encode_value(reg, value, std::span{&word, 1});
    return word;
  };
  CHECK(half(2049.0) == half(2048.0));
  CHECK(half(2051.0) == half(2052.0));
  CHECK(half(65519.0) == 0x7BFF);
  CHECK(half(65520.0) == 0x7C00);
  CHECK(half(-65520.0) == 0xFC00);
  CHECK(half(std::ldexp(1.0, -25)) == 0);
  CHECK(half(std::ldexp(1.1, -25)) == 1);
  CHECK(half(std::ldexp(1023.7, -24)) == 0x0400);
}

TEST_CASE("A bit is found in its word and written without touching its neighbours in every byte order") {
  for (const ByteOrder order : kOrders) {
    for (int bit = 0; bit < 16; ++bit) {
      RegisterSettings reg = settings(ValueType::BIT, order);
      reg.bit = bit;
      auto words = wire_words(big_endian(static_cast<std::uint16_t>(1 << bit)), order);
      CHECK(decode_words(reg, words).raw.integer == 1);
      CHECK(decode_words(reg, words).raw.kind == RawKind::boolean);
      encode_value(reg, 0.0, words);
      CHECK(words[0] == 0);
      words[0] = 0xFFFF;
      encode_value(reg, 0.0, words);
      CHECK(words == wire_words(big_endian(static_cast<std::uint16_t>(~(1 << bit))), order));
      CHECK(decode_words(reg, words).value == 0.0);
    }
  }
  CHECK(decode_bit(settings(ValueType::BIT, ByteOrder::ABCD), true).value == 1.0);
}

TEST_CASE("Text is read byte by byte up to its first NUL and knows no order of words") {
  for (const ByteOrder order : kOrders) {
    RegisterSettings reg = settings(ValueType::STRING, order);
    reg.length = 5;
    REQUIRE(word_count(reg) == 3);
    const bool swapped = order == ByteOrder::DCBA || order == ByteOrder::BADC;
    const std::vector<std::uint16_t> pump = swapped ? std::vector<std::uint16_t>{0x5550, 0x504D, 0x5831}
                                                    : std::vector<std::uint16_t>{0x5055, 0x4D50, 0x3158};
    CHECK(decode_words(reg, pump).raw.text == "PUMP1");
    CHECK(std::isnan(decode_words(reg, pump).value));
    RawValue raw;
    raw.kind = RawKind::text;
    raw.text = "AB";
    std::vector<std::uint16_t> words(3, 0xFFFF);
    encode_words(reg, raw, words);
    CHECK(words == std::vector<std::uint16_t>{static_cast<std::uint16_t>(swapped ? 0x4241 : 0x4142), 0, 0});
    CHECK(decode_words(reg, words).raw.text == "AB");
  }
}

TEST_CASE("A value is scaled and offset in double and encoded back to the nearest raw integer") {
  RegisterSettings reg = settings(ValueType::INT16, ByteOrder::ABCD);
  reg.scale = 0.01;
  reg.offset = -40.0;
  const std::uint16_t word[] = {static_cast<std::uint16_t>(-1234)};
  CHECK(decode_words(reg, word).value == -1234 * 0.01 + -40.0);
  std::uint16_t back = 0;
  encode_value(reg, -52.3449, std::span{&back, 1});
  CHECK(static_cast<std::int16_t>(back) == -1234);
}

TEST_CASE("A value outside its type saturates when encoded") {
  CHECK(raw_from_value(settings(ValueType::INT16, ByteOrder::ABCD), 1e9).integer == 32767);
  CHECK(raw_from_value(settings(ValueType::INT16, ByteOrder::ABCD), -1e9).integer == -32768);
  CHECK(raw_from_value(settings(ValueType::UINT16, ByteOrder::ABCD), -1.0).natural == 0);
  CHECK(raw_from_value(settings(ValueType::INT64, ByteOrder::ABCD), 1e30).integer ==
        std::numeric_limits<std::int64_t>::max());
  CHECK(raw_from_value(settings(ValueType::UINT64, ByteOrder::ABCD), 1e30).natural ==
        std::numeric_limits<std::uint64_t>::max());
  CHECK(raw_from_value(settings(ValueType::INT32, ByteOrder::ABCD), std::nan("")).integer == 0);
  CHECK(raw_from_value(settings(ValueType::FLOAT32, ByteOrder::ABCD), 1e300).real ==
        static_cast<double>(std::numeric_limits<float>::max()));
}

TEST_CASE("Integers beyond 2 to the 53rd keep every digit in the raw value") {
  const auto words = wire_words(big_endian(std::uint64_t{9007199254740993}), ByteOrder::ABCD);
  CHECK(decode_words(settings(ValueType::UINT64, ByteOrder::ABCD), words).raw.natural == 9007199254740993);
}

TEST_CASE("Each half byte of BCD is a digit, and what is none makes the value no number") {
  for (const ByteOrder order : kOrders) {
    const RegisterSettings four = settings(ValueType::BCD16, order);
    const RegisterSettings eight = settings(ValueType::BCD32, order);
    CHECK(decode_words(four, wire_words(big_endian(std::uint16_t{0x9876}), order)).raw.natural == 9876);
    const auto words = wire_words(big_endian(std::uint32_t{0x01234567}), order);
    CHECK(decode_words(eight, words).value == 1234567.0);
    std::vector<std::uint16_t> written(2);
    encode_value(eight, 1234567.0, written);
    CHECK(written == words);
    encode_value(eight, 1e9, written);
    CHECK(decode_words(eight, written).value == 99999999.0);
    CHECK(std::isnan(decode_words(four, wire_words(big_endian(std::uint16_t{0x12A4}), order)).value));
    CHECK(std::isnan(decode_words(eight, wire_words(big_endian(std::uint32_t{0xFFFFFFFF}), order)).value));
  }
}

TEST_CASE("An integer of some bits is read, sign and all, and written without touching its neighbours") {
  std::mt19937_64 random(5);
  const ValueType types[] = {ValueType::INT16,  ValueType::UINT16, ValueType::INT32,
                             ValueType::UINT32, ValueType::INT64,  ValueType::UINT64};
  for (int round = 0; round < 20'000; ++round) {
    RegisterSettings reg = settings(types[random() % 6], kOrders[random() % 4]);
    const int width = 16 * static_cast<int>(word_count(reg));
    const int bits = 1 + static_cast<int>(random() % static_cast<unsigned>(width));
    const int lowest = static_cast<int>(random() % static_cast<unsigned>(width - bits + 1));
    reg.bits = bits;
    reg.bit = lowest;
    // Bit by bit, most significant first.
    std::vector<bool> all(static_cast<std::size_t>(width));
    for (auto&& bit : all) bit = random() % 2 == 1;
    const auto words_of = [&](const std::vector<bool>& list) {
      std::string bytes(list.size() / 8, '\0');
      for (std::size_t i = 0; i < list.size(); ++i) {
        if (list[i]) bytes[i / 8] = static_cast<char>(bytes[i / 8] | (0x80 >> (i % 8)));
      }
      return wire_words(bytes, reg.byte_order);
    };
    const bool has_sign = reg.type == ValueType::INT16 || reg.type == ValueType::INT32 || reg.type == ValueType::INT64;
    std::int64_t expected = 0;
    const auto top = static_cast<std::size_t>(width - lowest - bits);
    for (int i = 0; i < bits; ++i) {
      const auto weight = static_cast<std::int64_t>(std::uint64_t{1} << (bits - 1 - i));
      if (!all[top + static_cast<std::size_t>(i)]) continue;
      expected =
          static_cast<std::int64_t>(static_cast<std::uint64_t>(expected) +
                                    static_cast<std::uint64_t>(weight) * (has_sign && i == 0 ? ~std::uint64_t{0} : 1));
    }
    auto words = words_of(all);
    const Decoded decoded = decode_words(reg, words);
    REQUIRE((has_sign ? decoded.raw.integer : static_cast<std::int64_t>(decoded.raw.natural)) == expected);
    // Written back inverted: only its own bits differ.
    RawValue inverted = decoded.raw;
    if (has_sign) {
      inverted.integer = ~inverted.integer;
    } else {
      inverted.natural = ~inverted.natural;
    }
    encode_words(reg, inverted, words);
    std::vector<bool> other = all;
    for (int i = 0; i < bits; ++i) other[top + static_cast<std::size_t>(i)] = !other[top + static_cast<std::size_t>(i)];
    REQUIRE(words == words_of(other));
  }
  RegisterSettings three = settings(ValueType::INT16, ByteOrder::ABCD);
  three.bits = 3;
  CHECK(raw_from_value(three, 100.0).integer == 3);
  CHECK(raw_from_value(three, -100.0).integer == -4);
  three.type = ValueType::UINT16;
  CHECK(raw_from_value(three, 100.0).natural == 7);
}

TEST_CASE("Text with one character to a register is read from the byte that holds it") {
  RegisterSettings reg = settings(ValueType::STRING, ByteOrder::ABCD);
  reg.length = 3;
  for (const StringLocation location : {StringLocation::upper, StringLocation::lower}) {
    reg.string_location = location;
    REQUIRE(word_count(reg) == 3);
    const bool upper = location == StringLocation::upper;
    const std::vector<std::uint16_t> words =
        upper ? std::vector<std::uint16_t>{0x417A, 0x4279, 0x4378} : std::vector<std::uint16_t>{0x7A41, 0x7942, 0x7843};
    CHECK(decode_words(reg, words).raw.text == "ABC");
    RawValue raw;
    raw.kind = RawKind::text;
    raw.text = "XY";
    std::vector<std::uint16_t> written(3, 0xFFFF);
    encode_words(reg, raw, written);
    CHECK(written ==
          (upper ? std::vector<std::uint16_t>{0x5800, 0x5900, 0} : std::vector<std::uint16_t>{0x58, 0x59, 0}));
    CHECK(decode_words(reg, written).raw.text == "XY");
  }
}
