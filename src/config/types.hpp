// The types of single values: numbers, texts, durations, choices, paths, matrices.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "config/table.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/model/settings.hpp"

namespace twinkeeper::config {

// What a scalar may be written as besides its own form: ${NAME}. Wraps a schema accordingly.
[[nodiscard]] Json substitutable(Json schema);

[[nodiscard]] Type<bool> boolean();
[[nodiscard]] Type<std::int64_t> integer_in(std::int64_t least, std::int64_t most, std::string accepted = {});

template <class I>
Type<I> integer(std::int64_t least, std::int64_t most) {
  const Type<std::int64_t> wide = integer_in(least, most);
  return {wide.accepted, wide.schema,
          [wide](Reader& reader, const Cursor& at, I& value) {
            std::int64_t read = 0;
            if (!wide.read(reader, at, read)) return false;
            value = static_cast<I>(read);
            return true;
          },
          [](const I& value) { return Json(value); }};
}

struct NumberRange {
  double least = -std::numeric_limits<double>::infinity();
  double most = std::numeric_limits<double>::infinity();
  bool above_least = false;  // `least` itself is excluded
};
// Finite, within the range.
[[nodiscard]] Type<double> number(NumberRange range = {});

// `alternatives`: what else the caller accepts, such as " | off", for the accepted text only.
[[nodiscard]] Type<base::Duration> duration(base::Duration least, base::Duration most,
                                            const std::string& alternatives = {});
[[nodiscard]] Type<std::uint64_t> size(std::uint64_t least, std::uint64_t most);

// One line of text: no control characters, at most `most` bytes.
[[nodiscard]] Type<std::string> text(std::size_t most, std::string accepted = "text");
// [A-Za-z_][A-Za-z0-9_]{0,62}
[[nodiscard]] Type<std::string> identifier();
[[nodiscard]] bool is_identifier(std::string_view word);
// [A-Za-z0-9:_-]{1,64}
[[nodiscard]] Type<std::string> gateway_id();
// False after an error for ~/x: a shell would make it a home directory, here it would be a folder of the name ~.
[[nodiscard]] bool is_plain_path(Reader& reader, const Cursor& at, const std::string& path);
// A path, absolute after reading: relative ones start at the file they stand in.
[[nodiscard]] Type<std::string> path();

// Reads the scalar as text if it is one; numbers and booleans must be quoted to be text.
[[nodiscard]] bool read_text(Reader& reader, const Cursor& at, const std::string& accepted, std::string& value);

[[nodiscard]] Type<std::vector<double>> vector();
// A list of rows of equal length.
[[nodiscard]] Type<model::Rows> matrix();

// A mapping from names to values of one kind, in the order written; T has a `name`, read_one and write_one see to the
// rest.
template <class T, class Read, class Write>
Type<std::vector<T>> named(std::string accepted, Json one, Read read_one, Write write_one) {
  return {accepted,
          {{"type", "object"}, {"additionalProperties", std::move(one)}},
          [accepted, read_one](Reader& reader, const Cursor& at, std::vector<T>& values) {
            if (at.node->kind != NodeKind::mapping) return refuse(reader, at, "a mapping", accepted);
            bool good = true;
            values.clear();
            for (const Entry& entry : at.node->entries) {
              const Cursor below = at.key(entry);
              reader.record(below);
              values.emplace_back().name = entry.key;
              good = read_one(reader, below, values.back()) && good;
            }
            return good;
          },
          [write_one](const std::vector<T>& values) {
            Json out = Json::object();
            for (const T& value : values) out[value.name] = write_one(value);
            return out;
          }};
}

// One of some words (or numbers, for `mqtt_version: 5`).
[[nodiscard]] bool read_choice(Reader& reader, const Cursor& at, const std::vector<std::string>& words,
                               std::size_t& chosen);
[[nodiscard]] Json word_as_json(const std::string& word);

template <class E>
Type<E> choice(std::vector<std::pair<std::string, E>> options) {
  std::vector<std::string> words;
  Json enumeration = Json::array();
  for (const auto& [word, value] : options) {
    words.push_back(word);
    enumeration.push_back(word_as_json(word));
  }
  return {join(words, " | "), substitutable({{"enum", std::move(enumeration)}}),
          [words, options](Reader& reader, const Cursor& at, E& value) {
            std::size_t chosen = 0;
            if (!read_choice(reader, at, words, chosen)) return false;
            value = options[chosen].second;
            return true;
          },
          [options](const E& value) {
            for (const auto& [word, candidate] : options) {
              if (candidate == value) return word_as_json(word);
            }
            return Json(options.front().first);
          }};
}

// A value that is read later, when what it refers to is known; `schema` and `write` describe it all the same.
struct Deferred {
  Cursor at;
  [[nodiscard]] bool given() const { return at.node != nullptr; }
};

template <class T, class Access, class Write>
Key<T> deferred(std::string name, std::string accepted, Json schema, Access access, Write write,
                std::string description, Need need = Need::optional) {
  Key<T> out;
  out.name = std::move(name);
  out.description = std::move(description);
  out.need = need;
  out.accepted = std::move(accepted);
  out.schema = std::move(schema);
  out.read = [access](Reader&, const Cursor& at, T& target) {
    std::invoke(access, target).at = at;
    return true;
  };
  out.write = [write](const T& source) -> std::optional<Json> { return write(source); };
  return out;
}

}  // namespace twinkeeper::config
