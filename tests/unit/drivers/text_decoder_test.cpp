#include "drivers/text_decoder.hpp"

#include <cmath>
#include <string>

#include "support/catch.hpp"

namespace {

using namespace twinkeeper::drivers;
using twinkeeper::signals::RawKind;

RegisterSettings of_type(ValueType type, double scale = 1.0, double offset = 0.0) {
  RegisterSettings settings;
  settings.type = type;
  settings.scale = scale;
  settings.offset = offset;
  return settings;
}

}  // namespace

TEST_CASE("a text that is a number is that number") {
  const auto value = [](ValueType type, std::string_view text) { return decode_text(of_type(type), text)->value; };
  CHECK(value(ValueType::FLOAT64, "12.5") == 12.5);
  CHECK(value(ValueType::FLOAT64, "+12.5") == 12.5);
  CHECK(value(ValueType::FLOAT64, "-12.5") == -12.5);
  CHECK(value(ValueType::FLOAT64, "-   12.5") == -12.5);
  CHECK(value(ValueType::FLOAT64, "000012.500") == 12.5);
  CHECK(value(ValueType::FLOAT64, ".5") == 0.5);
  CHECK(value(ValueType::FLOAT64, "5.") == 5.0);
  CHECK(value(ValueType::FLOAT64, "1.25E-03") == 0.00125);
  CHECK(value(ValueType::FLOAT32, "0.1") == static_cast<double>(0.1F));
  CHECK(value(ValueType::FLOAT16, "0.1") == 0.0999755859375);
  CHECK(value(ValueType::INT16, "-32768") == -32768.0);
  CHECK(value(ValueType::UINT16, "065535") == 65535.0);
  CHECK(value(ValueType::INT32, "-2147483648") == -2147483648.0);
  CHECK(decode_text(of_type(ValueType::INT64), "-9223372036854775808")->raw.integer == INT64_MIN);
  CHECK(decode_text(of_type(ValueType::UINT64), "18446744073709551615")->raw.natural == UINT64_MAX);
}

TEST_CASE("a text is a number only if all of it is one") {
  for (const char* text : {"",    "+",    "-",   ".",   "- ",   "12,5",  "12.5 kg", " 12.5",  "12.5 ", "1 2", "--1",
                           "+-1", "0x10", "inf", "nan", "-inf", "1e400", "1e",      "12.5.1", "1'000", "\t5"}) {
    INFO("\"" << text << '"');
    CHECK_FALSE(decode_text(of_type(ValueType::FLOAT64), text));
  }
  CHECK_FALSE(decode_text(of_type(ValueType::FLOAT32), "1e39"));
  CHECK_FALSE(decode_text(of_type(ValueType::FLOAT16), "65520"));
  for (const char* text : {"1.0", "32768", "-32769", "1e3", "99999999999999999999", ""}) {
    CHECK_FALSE(decode_text(of_type(ValueType::INT16), text));
  }
  CHECK_FALSE(decode_text(of_type(ValueType::UINT16), "65536"));
  CHECK_FALSE(decode_text(of_type(ValueType::UINT16), "-1"));
  CHECK_FALSE(decode_text(of_type(ValueType::INT64), "9223372036854775808"));
  CHECK_FALSE(decode_text(of_type(ValueType::BIT), "1"));
  CHECK_FALSE(decode_text(of_type(ValueType::BCD16), "1"));
}

TEST_CASE("scale and offset make the value and text stays text") {
  const auto decoded = decode_text(of_type(ValueType::INT32, 0.01, -5.0), "1250");
  CHECK(decoded->value == 7.5);
  CHECK(decoded->raw.integer == 1250);
  CHECK(decoded->raw.kind == RawKind::signed_integer);
  const auto text = decode_text(of_type(ValueType::STRING), " kg");
  CHECK(text->raw.text == " kg");
  CHECK(std::isnan(text->value));
  CHECK(decode_text(of_type(ValueType::STRING), "")->raw.text.empty());
}
