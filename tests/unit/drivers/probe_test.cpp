#include "drivers/probe.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include "drivers/names.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::drivers;

namespace {

constexpr std::array kAllOrders{ByteOrder::ABCD,     ByteOrder::BADC,     ByteOrder::CDAB,     ByteOrder::DCBA,
                                ByteOrder::CDABGHEF, ByteOrder::DCBAHGFE, ByteOrder::EFGHABCD, ByteOrder::FEHGBADC};

// `value` as the device would hold it, with two words of something else on either side.
std::vector<std::uint16_t> words_with(ValueType type, ByteOrder order, double value) {
  RegisterSettings settings;
  settings.type = type;
  settings.byte_order = order;
  std::vector<std::uint16_t> words{0x1234, 0x0007};
  std::vector<std::uint16_t> own(word_count(settings));
  encode_value(settings, value, own);
  words.insert(words.end(), own.begin(), own.end());
  words.insert(words.end(), {0xBEEF, 0x0101});
  return words;
}

const Decoding& find(const std::vector<Decoding>& all, std::uint16_t address, ValueType type, ByteOrder order) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& d) {
    return d.address == address && d.type == type && d.byte_order == order && d.scale == 1.0;
  });
  REQUIRE(found != all.end());
  return *found;
}

}  // namespace

TEST_CASE("A value of every number type in every byte order is the nearest to itself") {
  const std::vector<std::pair<ValueType, double>> values{
      {ValueType::INT16, -1234.0},       {ValueType::UINT16, 54321.0},      {ValueType::FLOAT16, 21.5},
      {ValueType::INT32, -123456789.0},  {ValueType::UINT32, 3123456789.0}, {ValueType::FLOAT32, 123.4375},
      {ValueType::INT64, -9876543210.0}, {ValueType::UINT64, 1.2e19},       {ValueType::FLOAT64, 0.0123456789},
      {ValueType::BCD16, 9071.0},        {ValueType::BCD32, 90715264.0}};
  for (const auto& [type, value] : values) {
    RegisterSettings of_type;
    of_type.type = type;
    // The orders of eight bytes are for eight bytes only.
    for (const ByteOrder order : std::span{kAllOrders}.first(word_count(of_type) == 4 ? 8 : 4)) {
      INFO(to_string(type) << " " << to_string(order));
      const auto found = decodings(100, words_with(type, order, value), value);
      REQUIRE_FALSE(found.empty());
      CHECK(found.front().address == 102);
      CHECK(found.front().type == type);
      CHECK(found.front().value == value);
      CHECK(found.front().distance == 0.0);
      CHECK(found.front().scale == 1.0);
      // One word knows no word order.
      const bool one_word = type == ValueType::INT16 || type == ValueType::UINT16 || type == ValueType::FLOAT16 ||
                            type == ValueType::BCD16;
      const ByteOrder listed = !one_word                  ? order
                               : order == ByteOrder::DCBA ? ByteOrder::BADC
                               : order == ByteOrder::CDAB ? ByteOrder::ABCD
                                                          : order;
      CHECK(found.front().byte_order == listed);
      CHECK(std::is_sorted(found.begin(), found.end(), [](const auto& a, const auto& b) {
        if (a.distance.has_value() != b.distance.has_value()) return a.distance.has_value();
        if (a.plausible != b.plausible) return a.plausible;
        return a.distance < b.distance;
      }));
    }
  }
}

TEST_CASE("Each address has every type that fits behind it, in each order that makes a difference") {
  const std::vector<std::uint16_t> words{1, 2, 3, 4, 5};
  const auto found = decodings(10, words, std::nullopt);
  const auto count = [&](std::uint16_t address, ValueType type) {
    return std::count_if(found.begin(), found.end(),
                         [&](const auto& d) { return d.address == address && d.type == type; });
  };
  for (std::uint16_t address = 10; address < 15; ++address) {
    const int left = 15 - address;
    for (const auto type :
         {ValueType::INT16, ValueType::UINT16, ValueType::FLOAT16, ValueType::BCD16, ValueType::BIT}) {
      CHECK(count(address, type) == 2);
    }
    for (const auto type : {ValueType::INT32, ValueType::UINT32, ValueType::FLOAT32, ValueType::BCD32}) {
      CHECK(count(address, type) == (left >= 2 ? 4 : 0));
    }
    for (const auto type : {ValueType::INT64, ValueType::UINT64, ValueType::FLOAT64}) {
      CHECK(count(address, type) == (left >= 4 ? 8 : 0));
    }
  }
  CHECK(decodings(0, {}, 1.0).empty());
}

TEST_CASE("Numbers that no machine has come last") {
  const std::vector<std::uint16_t> words{0x7FC0, 0x0000, 0x0000, 0x0001};  // NaN; 1.4e-45, a denormal
  const auto found = decodings(0, words, std::nullopt);
  CHECK_FALSE(find(found, 0, ValueType::FLOAT32, ByteOrder::ABCD).plausible);
  CHECK_FALSE(find(found, 2, ValueType::FLOAT32, ByteOrder::ABCD).plausible);
  CHECK(find(found, 1, ValueType::FLOAT32, ByteOrder::ABCD).plausible);  // zero
  CHECK(find(found, 2, ValueType::INT32, ByteOrder::ABCD).plausible);    // one
  CHECK(std::is_partitioned(found.begin(), found.end(), [](const auto& d) { return d.plausible; }));
  const auto expecting = decodings(0, words, 1.0);
  CHECK(expecting.front().value == 1.0);
  // What is expected is not implausible.
  const auto huge = decodings(0, words_with(ValueType::FLOAT32, ByteOrder::CDAB, 3e20), 3e20);
  CHECK(huge.front().type == ValueType::FLOAT32);
  CHECK(huge.front().byte_order == ByteOrder::CDAB);
}

TEST_CASE("A scale is proposed only for an expected value, and stands behind what needs none") {
  const std::vector<std::uint16_t> words{2153};
  const auto found = decodings(0, words, 21.5);
  REQUIRE(found.front().scale == 0.01);
  CHECK(found.front().value == Approx(21.53));
  CHECK(found.front().distance.value() == Approx(0.03 / 21.5));
  for (const auto& d : decodings(0, words, std::nullopt)) CHECK(d.scale == 1.0);
  // 215 stands there as it is, and as 2150 × 0.1: the former is first.
  const auto tie = decodings(0, std::vector<std::uint16_t>{2150, 215}, 215.0);
  CHECK(tie[0].scale == 1.0);
  CHECK(tie[0].address == 1);
}

TEST_CASE("The distance from zero is absolute, and nothing is divided by it") {
  const auto found = decodings(0, std::vector<std::uint16_t>{3, 0}, 0.0);
  CHECK(found.front().address == 1);
  CHECK(found.front().distance == 0.0);
  CHECK(find(found, 0, ValueType::INT16, ByteOrder::ABCD).distance == 3.0);
}

TEST_CASE("Text is found in both orders of the bytes, where it begins and as long as it is") {
  const auto texts = [](const std::vector<std::uint16_t>& words) {
    std::vector<std::tuple<std::uint16_t, ByteOrder, std::string>> out;
    for (const auto& d : decodings(50, words, std::nullopt)) {
      if (d.type == ValueType::STRING && d.plausible) out.emplace_back(d.address, d.byte_order, d.raw.text);
    }
    return out;
  };
  using Text = std::tuple<std::uint16_t, ByteOrder, std::string>;
  // "SN123" with its NUL, behind a number; the other order could be meant as well, but for its end.
  CHECK(texts({0x0001, 0x534E, 0x3132, 0x3300, 0x0007}) ==
        std::vector<Text>{{51, ByteOrder::ABCD, "SN123"}, {51, ByteOrder::BADC, "NS21"}});
  CHECK(texts({0x4E53, 0x3231, 0x0033}).back() == Text{50, ByteOrder::BADC, "SN123"});
  CHECK(texts({0x0001, 0x8002}).empty());
  // One character to a register.
  CHECK(texts({0x0001, 0x0053, 0x004E, 0x0039}) == std::vector<Text>{{51, ByteOrder::ABCD, "SN9"}});
  CHECK(texts({0x5300, 0x4E00, 0x0001}).back() == Text{50, ByteOrder::ABCD, "SN"});
}

TEST_CASE("Any words can be decoded and are sorted without a fault") {
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    std::vector<std::uint16_t> words(1 + random() % 8);
    for (auto& word : words) word = static_cast<std::uint16_t>(random() % 3 == 0 ? 0x7FF0 + random() % 32 : random());
    std::optional<double> expected;
    if (i % 2 == 0) expected = std::ldexp(static_cast<double>(random()), static_cast<int>(random() % 80) - 60);
    const auto found = decodings(static_cast<std::uint16_t>(random() % 1000), words, expected);
    for (const auto& d : found) {
      if (d.distance) CHECK_FALSE(std::isnan(*d.distance));
    }
  }
}
