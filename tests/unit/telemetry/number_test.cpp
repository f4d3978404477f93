#include "telemetry/number.hpp"

#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::telemetry;
using signals::RawKind;

namespace {

std::string number(double value, int digits) {
  std::string out;
  append_number(out, value, digits);
  return out;
}

std::string value_of(RawKind kind, double raw, double value, bool scaled) {
  signals::RawValue content;
  content.kind = kind;
  content.real = raw;
  std::string out;
  append_register_value(out, content, value, scaled);
  return out;
}

std::string signed_value(std::int64_t raw) {
  signals::RawValue content;
  content.kind = RawKind::signed_integer;
  content.integer = raw;
  std::string out;
  append_register_value(out, content, static_cast<double>(raw), false);
  return out;
}

std::string unsigned_value(std::uint64_t raw) {
  signals::RawValue content;
  content.kind = RawKind::unsigned_integer;
  content.natural = raw;
  std::string out;
  append_register_value(out, content, static_cast<double>(raw), false);
  return out;
}

double half_value(unsigned bits) {
  const double sign = (bits & 0x8000u) != 0 ? -1.0 : 1.0;
  const int exponent = static_cast<int>((bits >> 10) & 0x1Fu);
  const double mantissa = bits & 0x3FFu;
  return sign * (exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024.0 + mantissa, exponent - 25));
}

// Round to nearest among all halves, ties to the even mantissa: by looking at the neighbours, not by arithmetic.
unsigned nearest_half(double value) {
  const unsigned sign = std::signbit(value) ? 0x8000u : 0u;
  const double magnitude = std::fabs(value);
  unsigned low = 0, high = 0x7BFF;
  while (high - low > 1) {
    const unsigned middle = (low + high) / 2;
    (half_value(middle) <= magnitude ? low : high) = middle;
  }
  const double to_low = magnitude - half_value(low), to_high = half_value(high) - magnitude;
  const unsigned nearest = to_low < to_high ? low : to_high < to_low ? high : (low % 2 == 0 ? low : high);
  return sign | nearest;
}

}  // namespace

TEST_CASE("a double at seven digits parses back within a millionth") {
  std::mt19937_64 random(7);
  for (int i = 0; i < 200'000; ++i) {
    const double value = std::bit_cast<double>(random());
    if (!std::isfinite(value)) continue;
    const double read = std::strtod(number(value, 7).c_str(), nullptr);
    if (std::fabs(value) < 1e-300) continue;  // subnormal numbers have fewer digits themselves
    REQUIRE(std::fabs(read - value) <= 1e-6 * std::fabs(value));
  }
}

TEST_CASE("numbers keep at most the digits asked for and drop trailing zeros") {
  CHECK(number(0.12400130456, 7) == "0.1240013");
  CHECK(number(1.0 / 3.0, 3) == "0.333");
  CHECK(number(2.5, 7) == "2.5");
  CHECK(number(100.0, 7) == "100");
  CHECK(number(0.1 + 0.2, 17) == "0.30000000000000004");
  CHECK(number(0.0, 7) == "0");
  CHECK(number(1.0 / 3.0, 0) == "0.3");
  CHECK(number(1.0 / 3.0, 99) == number(1.0 / 3.0, 17));
}

TEST_CASE("numbers that JSON cannot hold become null") {
  CHECK(number(std::numeric_limits<double>::quiet_NaN(), 7) == "null");
  CHECK(number(std::numeric_limits<double>::infinity(), 7) == "null");
  CHECK(value_of(RawKind::float32, -std::numeric_limits<double>::infinity(), 0.0, false) == "null");
  CHECK(value_of(RawKind::float64, std::numeric_limits<double>::quiet_NaN(), 0.0, false) == "null");
  CHECK(value_of(RawKind::none, 0.0, 0.0, false) == "null");
}

TEST_CASE("a FLOAT32 reads back bit for bit and in JSON's grammar") {
  std::mt19937 random(32);
  for (int i = 0; i < 200'000; ++i) {
    const std::uint32_t bits = static_cast<std::uint32_t>(random());
    const float value = std::bit_cast<float>(bits);
    if (!std::isfinite(value)) continue;
    const std::string text = value_of(RawKind::float32, static_cast<double>(value), 0.0, false);
    REQUIRE(std::bit_cast<std::uint32_t>(std::strtof(text.c_str(), nullptr)) == bits);
    if (i % 100 == 0) REQUIRE(nlohmann::json::parse(text).is_number());
  }
  CHECK(value_of(RawKind::float32, static_cast<double>(0.1f), 0.0, false) == "0.1");
}

TEST_CASE("every finite FLOAT16 reads back as the same half in no more than five digits") {
  for (unsigned bits = 0; bits < 0x10000u; ++bits) {
    if ((bits & 0x7C00u) == 0x7C00u) continue;
    const std::string text = value_of(RawKind::float16, half_value(bits), 0.0, false);
    REQUIRE(nearest_half(std::strtod(text.c_str(), nullptr)) == bits);
    REQUIRE(text.size() <= 11);  // "-5.9605e-08"
  }
  CHECK(value_of(RawKind::float16, half_value(0x2E66), 0.0, false) == "0.1");
  CHECK(value_of(RawKind::float16, 65504.0, 0.0, false) == "65500");
  CHECK(value_of(RawKind::float16, 2048.0, 0.0, false) == "2048");
}

TEST_CASE("a FLOAT64 reads back as the same double") {
  std::mt19937_64 random(64);
  for (int i = 0; i < 50'000; ++i) {
    const double value = std::bit_cast<double>(random());
    if (!std::isfinite(value)) continue;
    REQUIRE(std::strtod(value_of(RawKind::float64, value, 0.0, false).c_str(), nullptr) == value);
  }
}

TEST_CASE("integers are exact and beyond 2^53 they are strings") {
  CHECK(signed_value(-42) == "-42");
  CHECK(signed_value(9'007'199'254'740'992) == "9007199254740992");
  CHECK(signed_value(9'007'199'254'740'993) == "\"9007199254740993\"");
  CHECK(signed_value(std::numeric_limits<std::int64_t>::min()) == "\"-9223372036854775808\"");
  CHECK(unsigned_value(65535) == "65535");
  CHECK(unsigned_value(std::numeric_limits<std::uint64_t>::max()) == "\"18446744073709551615\"");
}

TEST_CASE("a BIT is 0 or 1") {
  signals::RawValue bit;
  bit.kind = RawKind::boolean;
  std::string out;
  append_register_value(out, bit, 0.0, false);
  bit.integer = 1;
  append_register_value(out, bit, 1.0, false);
  CHECK(out == "01");
}

TEST_CASE("scaled values lose the noise of the multiplication") {
  CHECK(value_of(RawKind::signed_integer, 0.0, 1234 * 0.01, true) == "12.34");
  CHECK(value_of(RawKind::unsigned_integer, 0.0, 3 * 0.1, true) == "0.3");
  CHECK(value_of(RawKind::float32, 0.0, static_cast<double>(0.1f) * 10.0, true) == "1.00000001");
  CHECK(value_of(RawKind::float64, 0.0, 0.1 * 3.0, true) == "0.30000000000000004");
  CHECK(value_of(RawKind::float16, 0.0, half_value(0x2E66) * 10.0, true) == "0.99976");
}

TEST_CASE("strings of any bytes are valid JSON and keep what is valid UTF-8") {
  std::mt19937 random(8);
  for (int i = 0; i < 20'000; ++i) {
    std::string text(random() % 12, '\0');
    for (char& byte : text) byte = static_cast<char>(random());
    std::string out;
    append_string(out, text);
    REQUIRE(nlohmann::json::accept(out));
  }
  const auto written = [](std::string_view text) {
    std::string out;
    append_string(out, text);
    return out;
  };
  const std::string awkward = "a\"b\\c\n\r\t\x01 é € 😀";
  CHECK(nlohmann::json::parse(written(awkward)).get<std::string>() == awkward);
  CHECK(written("\xC3\x28") == "\"\xEF\xBF\xBD(\"");                             // cut off
  CHECK(written("\xED\xA0\x80") == "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");  // a surrogate
  CHECK(written("\xC0\xAF") == "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");                  // overlong
}

TEST_CASE("a clipped string is valid JSON within its bytes and says that it was cut") {
  std::mt19937 random(9);
  for (int i = 0; i < 20'000; ++i) {
    std::string text(random() % 30, '\0');
    for (char& byte : text) byte = static_cast<char>(random() % 3 == 0 ? random() : 'a' + random() % 26);
    const std::size_t limit = 5 + random() % 40;
    std::string whole, out;
    append_string(whole, text);
    const bool clipped = append_clipped_string(out, text, limit);
    REQUIRE(nlohmann::json::accept(out));
    REQUIRE(out.size() <= limit);
    REQUIRE(clipped == (whole.size() > limit));
    if (!clipped) REQUIRE(out == whole);
  }
  std::string out;
  CHECK(append_clipped_string(out, "level sensor", 10));
  CHECK(out == "\"level\xE2\x80\xA6\"");
}
