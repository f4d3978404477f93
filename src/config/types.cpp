#include "config/types.hpp"

#include <cmath>

#include "config/scalar.hpp"
#include "twinkeeper/base/quantity.hpp"

namespace twinkeeper::config {
namespace {

constexpr const char* kIdentifierPattern = "^[A-Za-z_][A-Za-z0-9_]{0,62}$";
constexpr const char* kGatewayIdPattern = "^[A-Za-z0-9:_-]{1,64}$";

bool is_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

// "\"5\" has no unit; accepted: …" of base::quantity, which carries its own accepted form.
std::string before_semicolon(const std::string& message) { return message.substr(0, message.find("; ")); }

// Shared refusals of a scalar that should be a number; false after an error.
bool is_plain_number(Reader& reader, const Cursor& at, const std::string& expected, const std::string& accepted) {
  const Node& node = *at.node;
  if (node.kind != NodeKind::scalar) return refuse(reader, at, expected, accepted);
  const ScalarType type = resolve(node);
  if (type == ScalarType::not_finite) {
    reader.error(at, shorten(node.text) + " is not a finite number", accepted);
    return false;
  }
  if (type != ScalarType::integer && type != ScalarType::real) return refuse(reader, at, expected, accepted);
  if (has_leading_zero(node.text)) {
    reader.error(at, shorten(node.text) + " has a leading zero, which some read as octal", accepted);
    return false;
  }
  return true;
}

}  // namespace

bool refuse(Reader& reader, const Cursor& at, const std::string& expected, const std::string& accepted) {
  const Node& node = *at.node;
  if (node.kind == NodeKind::refused) return false;  // told already
  reader.error(at, node.kind == NodeKind::null ? "has no value" : "expected " + expected + ", got " + describe(node),
               accepted);
  return false;
}

Json substitutable(Json schema) {
  return {{"anyOf", Json::array({std::move(schema), {{"$ref", "#/definitions/substitution"}}})}};
}

Type<bool> boolean() {
  const std::string accepted = "true | false";
  return {accepted, substitutable({{"type", "boolean"}}),
          [accepted](Reader& reader, const Cursor& at, bool& value) {
            const Node& node = *at.node;
            if (node.kind != NodeKind::scalar || node.quoted) return refuse(reader, at, "a boolean", accepted);
            if (node.text != "true" && node.text != "false") {
              reader.error(at, quote(node.text) + " is neither true nor false", accepted);
              return false;
            }
            value = node.text == "true";
            return true;
          },
          [](const bool& value) { return Json(value); }};
}

Type<std::int64_t> integer_in(std::int64_t least, std::int64_t most, std::string accepted) {
  if (accepted.empty()) accepted = "an integer from " + std::to_string(least) + " to " + std::to_string(most);
  return {accepted, substitutable({{"type", "integer"}, {"minimum", least}, {"maximum", most}}),
          [=](Reader& reader, const Cursor& at, std::int64_t& value) {
            if (!is_plain_number(reader, at, "an integer", accepted)) return false;
            const auto parsed = parse_integer(at.node->text);
            if (!parsed && resolve(*at.node) != ScalarType::integer) {
              return refuse(reader, at, "an integer", accepted);
            }
            if (!parsed || *parsed < least || *parsed > most) {
              reader.error(at, shorten(at.node->text) + " is out of range", accepted);
              return false;
            }
            value = *parsed;
            return true;
          },
          [](const std::int64_t& value) { return Json(value); }};
}

Type<double> number(NumberRange range) {
  std::string accepted = "a number";
  Json schema = {{"type", "number"}};
  if (std::isfinite(range.least)) {
    accepted += (range.above_least ? " above " : " from ") + format_number(range.least);
    schema[range.above_least ? "exclusiveMinimum" : "minimum"] = range.least;
  }
  if (std::isfinite(range.most)) {
    accepted += " to " + format_number(range.most);
    schema["maximum"] = range.most;
  }
  return {accepted, substitutable(std::move(schema)),
          [=](Reader& reader, const Cursor& at, double& value) {
            if (!is_plain_number(reader, at, "a number", accepted)) return false;
            const auto parsed = parse_number(at.node->text);
            const bool inside =
                parsed && *parsed <= range.most && (range.above_least ? *parsed > range.least : *parsed >= range.least);
            if (!inside) {
              reader.error(at, shorten(at.node->text) + " is out of range", accepted);
              return false;
            }
            value = *parsed;
            return true;
          },
          [](const double& value) { return Json(value); }};
}

Type<base::Duration> duration(base::Duration least, base::Duration most, const std::string& alternatives) {
  const std::string accepted = "a duration from " + base::format_duration(least) + " to " +
                               base::format_duration(most) + ", as a number and one of ms s min h d" + alternatives;
  return {accepted, substitutable({{"type", "string"}, {"pattern", "^(0|[1-9][0-9]*)(\\.[0-9]+)?(ms|s|min|h|d)$"}}),
          [=](Reader& reader, const Cursor& at, base::Duration& value) {
            if (at.node->kind != NodeKind::scalar) return refuse(reader, at, "a duration", accepted);
            const auto parsed = base::parse_duration(at.node->text);
            if (!parsed) {
              reader.error(at, before_semicolon(parsed.error().message()), accepted);
              return false;
            }
            if (parsed.value() < least || parsed.value() > most) {
              reader.error(at, shorten(at.node->text) + " is out of range", accepted);
              return false;
            }
            value = parsed.value();
            return true;
          },
          [](const base::Duration& value) { return Json(base::format_duration(value)); }};
}

Type<std::uint64_t> size(std::uint64_t least, std::uint64_t most) {
  const std::string accepted = "a size from " + base::format_size(least) + " to " + base::format_size(most) +
                               ", as a number and one of B KiB MiB GiB";
  return {accepted, substitutable({{"type", "string"}, {"pattern", "^(0|[1-9][0-9]*)(\\.[0-9]+)?(B|KiB|MiB|GiB)$"}}),
          [=](Reader& reader, const Cursor& at, std::uint64_t& value) {
            if (at.node->kind != NodeKind::scalar) return refuse(reader, at, "a size", accepted);
            const auto parsed = base::parse_size(at.node->text);
            if (!parsed) {
              reader.error(at, before_semicolon(parsed.error().message()), accepted);
              return false;
            }
            if (parsed.value() < least || parsed.value() > most) {
              reader.error(at, shorten(at.node->text) + " is out of range", accepted);
              return false;
            }
            value = parsed.value();
            return true;
          },
          [](const std::uint64_t& value) { return Json(base::format_size(value)); }};
}

bool read_text(Reader& reader, const Cursor& at, const std::string& accepted, std::string& value) {
  const Node& node = *at.node;
  if (node.kind != NodeKind::scalar) return refuse(reader, at, "text", accepted);
  if (!node.substituted && resolve(node) != ScalarType::text) {
    reader.error(at, "expected text, got " + describe(node) + " (in quotes it is text)", accepted);
    return false;
  }
  value = node.text;
  return true;
}

Type<std::string> text(std::size_t most, std::string accepted) {
  return {accepted,
          {{"type", "string"}, {"maxLength", most}},
          [=](Reader& reader, const Cursor& at, std::string& value) {
            std::string read;
            if (!read_text(reader, at, accepted, read)) return false;
            if (read.empty() || read.size() > most || has_control_characters(read)) {
              reader.error(at, quote(read) + (read.empty() ? " is empty" : " is too long or has control characters"),
                           accepted + " of 1 to " + std::to_string(most) + " bytes without control characters");
              return false;
            }
            value = std::move(read);
            return true;
          },
          [](const std::string& value) { return Json(value); }};
}

bool is_plain_path(Reader& reader, const Cursor& at, const std::string& path) {
  if (path.empty() || path.front() != '~') return true;
  reader.error(at, quote(path) + " starts with ~, which stands for no folder here",
               "a path, absolute or relative to this file");
  return false;
}

bool is_identifier(std::string_view word) {
  if (word.empty() || word.size() > 63 || !(is_letter(word.front()) || word.front() == '_')) return false;
  for (const char c : word) {
    if (!is_letter(c) && !is_digit(c) && c != '_') return false;
  }
  return true;
}

Type<std::string> identifier() {
  const std::string accepted = "a letter or _, then up to 62 letters, digits or _";
  return {accepted, substitutable({{"type", "string"}, {"pattern", kIdentifierPattern}}),
          [accepted](Reader& reader, const Cursor& at, std::string& value) {
            std::string read;
            if (!read_text(reader, at, accepted, read)) return false;
            if (!is_identifier(read)) {
              reader.error(at, quote(read) + " is no name", accepted);
              return false;
            }
            value = std::move(read);
            return true;
          },
          [](const std::string& value) { return Json(value); }};
}

Type<std::string> gateway_id() {
  const std::string accepted = "1 to 64 letters, digits or : _ -";
  return {accepted, substitutable({{"type", "string"}, {"pattern", kGatewayIdPattern}}),
          [accepted](Reader& reader, const Cursor& at, std::string& value) {
            std::string read;
            if (!read_text(reader, at, accepted, read)) return false;
            bool good = !read.empty() && read.size() <= 64;
            for (const char c : read) good = good && (is_letter(c) || is_digit(c) || c == ':' || c == '_' || c == '-');
            if (!good) {
              reader.error(at, quote(read) + " is no id", accepted);
              return false;
            }
            value = std::move(read);
            return true;
          },
          [](const std::string& value) { return Json(value); }};
}

Type<std::string> path() {
  const Type<std::string> plain = text(1024, "a path");
  return {plain.accepted, plain.schema,
          [plain](Reader& reader, const Cursor& at, std::string& value) {
            std::string read;
            if (!plain.read(reader, at, read) || !is_plain_path(reader, at, read)) return false;
            std::error_code code;
            const auto absolute = std::filesystem::absolute(reader.resolve_path(at.node->mark, read), code);
            value = absolute.lexically_normal().string();
            return true;
          },
          plain.write};
}

Type<std::vector<double>> vector() { return list(number()); }

Type<model::Rows> matrix() {
  const Type<double> cell = number();
  return {"a list of rows of numbers, all of one length",
          {{"type", "array"}, {"items", {{"type", "array"}, {"items", cell.schema}}}},
          [cell](Reader& reader, const Cursor& at, model::Rows& rows) {
            static constexpr const char* kAccepted = "a list of rows of numbers, all of one length";
            if (at.node->kind != NodeKind::sequence) return refuse(reader, at, "a list of rows", kAccepted);
            bool good = true;
            rows.clear();
            for (std::size_t i = 0; i < at.node->items.size(); ++i) {
              const Cursor row = at.item(i);
              reader.record(row);
              if (row.node->kind != NodeKind::sequence) {
                good = refuse(reader, row, "a row", kAccepted);
                continue;
              }
              rows.emplace_back(row.node->items.size());
              for (std::size_t j = 0; j < row.node->items.size(); ++j) {
                good = cell.read(reader, row.item(j), rows.back()[j]) && good;
              }
              if (rows.back().size() != rows.front().size()) {
                reader.error(row,
                             "has " + std::to_string(rows.back().size()) + " numbers, the first row has " +
                                 std::to_string(rows.front().size()),
                             kAccepted);
                good = false;
              }
            }
            return good;
          },
          [](const model::Rows& rows) { return Json(rows); }};
}

Json word_as_json(const std::string& word) {
  if (resolve(std::string_view(word)) == ScalarType::integer) return Json(*parse_integer(word));
  return Json(word);
}

bool read_choice(Reader& reader, const Cursor& at, const std::vector<std::string>& words, std::size_t& chosen) {
  const std::string accepted = join(words, " | ");
  const Node& node = *at.node;
  if (node.kind != NodeKind::scalar) return refuse(reader, at, "a word", accepted);
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (node.text != words[i]) continue;
    if (node.quoted && resolve(std::string_view(words[i])) == ScalarType::integer) {
      reader.error(at, describe(node) + " is not accepted, without the quotes it is", accepted);
      return false;
    }
    chosen = i;
    return true;
  }
  reader.error(at, describe(node) + " is not accepted" + did_you_mean(node.text, words), accepted);
  return false;
}

}  // namespace twinkeeper::config
