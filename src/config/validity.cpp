// `validity: {u: {valve: [20, 80]}, y: {TT101: [30, 90]}}` of a model.
#include "config/tables.hpp"

namespace twinkeeper::config {
namespace {

using model::ValiditySettings;
using model::ValidRange;

constexpr const char* kRange = "[min, max] with min below max";

bool read_range(Reader& reader, const Cursor& at, ValidRange& range) {
  static const Type<double> bound = number();
  if (at.node->kind != NodeKind::sequence) return refuse(reader, at, "a list of two numbers", kRange);
  if (at.node->items.size() != 2) {
    reader.error(at,
                 "has " + std::to_string(at.node->items.size()) + (at.node->items.size() == 1 ? " entry" : " entries"),
                 kRange);
    return false;
  }
  const bool least = bound.read(reader, at.item(0), range.min);
  return bound.read(reader, at.item(1), range.max) && least;
}

Type<std::vector<ValidRange>> ranges(const std::string& of) {
  const std::string accepted = "a mapping from " + of + " to [min, max]";
  const Json pair = {{"type", "array"}, {"items", number().schema}, {"minItems", 2}, {"maxItems", 2}};
  return named<ValidRange>(accepted, pair, read_range, [](const ValidRange& range) {
    return Json::array({range.min, range.max});
  });
}

}  // namespace

const Table<ValiditySettings>& validity_table() {
  using T = ValiditySettings;
  static const Table<T> table("a mapping with u and y",
                              {
                                  key<T>("u", ranges("inputs"), &T::u, "Ranges of inputs, by name: [min, max]"),
                                  key<T>("y", ranges("outputs"), &T::y, "Ranges of outputs, by name: [min, max]"),
                              });
  return table;
}

}  // namespace twinkeeper::config
