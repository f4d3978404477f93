#include "telemetry/json_writer.hpp"

#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::telemetry {

void JsonWriter::comma() {
  if (!out_.empty() && out_.back() != '{' && out_.back() != '[') out_ += ',';
}

void JsonWriter::key(std::string_view name) {
  comma();
  append_string(out_, name);
  out_ += ':';
}

void JsonWriter::open(std::string_view name, char bracket) {
  key(name);
  out_ += bracket;
}

void JsonWriter::null(std::string_view name) {
  key(name);
  out_ += "null";
}

void JsonWriter::text(std::string_view name, std::string_view value) {
  key(name);
  append_string(out_, value);
}

void JsonWriter::text_or_null(std::string_view name, std::string_view value) {
  if (value.empty()) {
    null(name);
  } else {
    text(name, value);
  }
}

void JsonWriter::number(std::string_view name, double value) {
  key(name);
  append_number(out_, value, digits_);
}

void JsonWriter::number(std::string_view name, const std::optional<double>& value) {
  if (value) {
    number(name, *value);
  } else {
    null(name);
  }
}

void JsonWriter::integer(std::string_view name, std::int64_t value) {
  key(name);
  append_integer(out_, value);
}

void JsonWriter::natural(std::string_view name, std::uint64_t value) {
  key(name);
  append_natural(out_, value);
}

void JsonWriter::boolean(std::string_view name, bool value) {
  key(name);
  out_ += value ? "true" : "false";
}

void JsonWriter::milliseconds(std::string_view name, base::Duration value) {
  integer(name, std::chrono::floor<std::chrono::milliseconds>(value).count());
}

void JsonWriter::timestamp(std::string_view name, base::WallTime value) {
  key(name);
  out_ += '"';
  base::append_rfc3339(out_, value);
  out_ += '"';
}

void JsonWriter::texts(std::string_view name, const std::vector<std::string>& values) {
  open_array(name);
  for (const std::string& value : values) {
    comma();
    append_string(out_, value);
  }
  close_array();
}

}  // namespace twinkeeper::telemetry
