#include "model/validity.hpp"

#include <algorithm>
#include <cmath>
#include <string>

namespace twinkeeper::model {
namespace {

template <class List>
void check(const char* key, const char* kind, const std::vector<ValidRange>& ranges, const List& list,
           base::Issues& issues) {
  std::string names;
  for (const auto& item : list) names += (names.empty() ? "" : ", ") + item.name;
  for (const ValidRange& range : ranges) {
    const std::string path = std::string("validity.") + key + "." + range.name;
    if (std::none_of(list.begin(), list.end(), [&](const auto& item) { return item.name == range.name; })) {
      issues.push_back({path, std::string("the model has no ") + kind + " of this name",
                        names.empty() ? std::string("no ") + kind + "s" : names});
    }
    if (!std::isfinite(range.min) || !std::isfinite(range.max) || !(range.min < range.max)) {
      issues.push_back({path, "the first number is not below the second", "[min, max] with min below max"});
    }
  }
}

void take(const std::vector<ValidRange>& ranges, std::vector<Signal>& signals) {
  for (const ValidRange& range : ranges) {
    for (Signal& signal : signals) {
      if (signal.name == range.name) signal.valid = {range.min, range.max};
    }
  }
}

}  // namespace

void check_validity(const ModelSettings& settings, base::Issues& issues) {
  check("u", "input", settings.validity.u, settings.inputs, issues);
  check("y", "output", settings.validity.y, settings.outputs, issues);
}

void take_validity(const ModelSettings& settings, StateSpace& model) {
  take(settings.validity.u, model.inputs);
  take(settings.validity.y, model.outputs);
}

}  // namespace twinkeeper::model
