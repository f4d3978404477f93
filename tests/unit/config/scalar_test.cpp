#include "config/scalar.hpp"

#include <cmath>

#include "support/catch.hpp"

using namespace twinkeeper::config;

TEST_CASE("resolve gives plain scalars the types of the YAML 1.2 core schema") {
  for (const char* text : {"0", "-1", "+12", "0x1F", "010", "0o17"}) CHECK(resolve(text) == ScalarType::integer);
  for (const char* text : {"1.5", "-.5", "1.", "1e3", "+1.5E-3"}) CHECK(resolve(text) == ScalarType::real);
  for (const char* text : {".nan", "-.inf", ".Inf"}) CHECK(resolve(text) == ScalarType::not_finite);
  for (const char* text : {"true", "False", "TRUE"}) CHECK(resolve(text) == ScalarType::boolean);
  for (const char* text : {"", "~", "null", "NULL"}) CHECK(resolve(text) == ScalarType::null);
  for (const char* text : {"yes", "off", "1_000", "1,5", "0x", "1e", ".", "-", "3.1.1", "12:30", "nan"}) {
    INFO(text);
    CHECK(resolve(text) == ScalarType::text);
  }
}

TEST_CASE("has_leading_zero sees what other readers take as octal") {
  for (const char* text : {"010", "-007", "0o17", "00", "0777.5"}) CHECK(has_leading_zero(text));
  for (const char* text : {"0", "0.5", "10", "0x10", "-0"}) CHECK_FALSE(has_leading_zero(text));
}

TEST_CASE("parse_integer and parse_number refuse what does not fit") {
  CHECK(parse_integer("0xFF") == 255);
  CHECK(parse_integer("+5") == 5);
  CHECK(parse_integer("-9223372036854775808") == std::numeric_limits<std::int64_t>::min());
  CHECK_FALSE(parse_integer("9223372036854775808").has_value());
  CHECK_FALSE(parse_integer("1.0").has_value());
  CHECK(parse_number("1e-3") == 0.001);
  CHECK(parse_number("0x10") == 16.0);
  CHECK(parse_number("0x8000000000000000") == 9223372036854775808.0);
  CHECK(parse_number("0xFFFFFFFFFFFFFFFF") == parse_number("18446744073709551615"));
  CHECK_FALSE(parse_number("0x10000000000000000").has_value());
  CHECK_FALSE(parse_integer("0x8000000000000000").has_value());
  CHECK_FALSE(parse_number("1e999").has_value());
  CHECK_FALSE(parse_number("abc").has_value());
}

TEST_CASE("format_number reads back to the same double") {
  for (const double value : {0.1, 1.0 / 3.0, 1e-300, 123456789.0, -2.5e-7, 1e22, 0.0}) {
    CHECK(parse_number(format_number(value)) == value);
  }
  CHECK(format_number(1e6) == "1000000");
  CHECK(format_number(0.0006) == "0.0006");
}

TEST_CASE("quote escapes control characters and cuts long texts") {
  CHECK(quote("a\nb\x1b") == "\"a\\x0ab\\x1b\"");
  CHECK(quote(std::string(200, 'x')).size() < 100);
  CHECK(quote("a\x7f\xc2\x85\xe2\x80\xa8\xe2\x80\xa9 °C 雪") == "\"a\\x7f\\u0085\\u2028\\u2029 °C 雪\"");
  CHECK(quote("\xe2\x80").size() == 4);
}

TEST_CASE("shorten cuts between two characters") {
  CHECK(shorten("short") == "short");
  CHECK(shorten(std::string(80, 'x')) == std::string(80, 'x'));
  CHECK(shorten(std::string(79, 'x') + "é") == std::string(79, 'x') + "…");
  CHECK(shorten(std::string(78, 'x') + "éé") == std::string(78, 'x') + "é…");
}
