#include "acquisition/regime_selector.hpp"

#include <algorithm>
#include <utility>

namespace twinkeeper::acquisition {
namespace {

using Kind = ConditionPart::Kind;

bool is_comparison(Kind kind) { return kind != Kind::both && kind != Kind::either && kind != Kind::negation; }

std::vector<signals::TagIndex> tags_of(const std::vector<RegimeSettings>& regimes) {
  std::vector<signals::TagIndex> tags;
  for (const auto& regime : regimes) {
    for (const auto& part : regime.when) {
      if (is_comparison(part.kind)) tags.push_back(part.tag);
    }
  }
  std::sort(tags.begin(), tags.end());
  tags.erase(std::unique(tags.begin(), tags.end()), tags.end());
  return tags;
}

SynchroniserSetup setup_of(const std::vector<RegimeSettings>& regimes, base::Instant origin, base::Duration period,
                           const std::vector<base::Duration>& max_age) {
  SynchroniserSetup setup;
  setup.origin = origin;
  setup.period = period;
  for (const signals::TagIndex tag : tags_of(regimes)) {
    InputSource source;
    source.tag = tag;
    source.max_age = max_age.at(tag);
    source.on_stale = OnStale::bad;
    setup.inputs.push_back({source, std::nullopt});
  }
  return setup;
}

bool compare(Kind kind, double left, double right) {
  switch (kind) {
    case Kind::less: return left < right;
    case Kind::less_equal: return left <= right;
    case Kind::greater: return left > right;
    case Kind::greater_equal: return left >= right;
    case Kind::equal: return left == right;
    default: return left != right;
  }
}

std::optional<bool> both(std::optional<bool> a, std::optional<bool> b) {
  if (a == false || b == false) return false;
  return a && b ? std::optional{true} : std::nullopt;
}

std::optional<bool> opposite(std::optional<bool> a) { return a ? std::optional{!*a} : std::nullopt; }

}  // namespace

RegimeSelector::RegimeSelector(std::vector<RegimeSettings> regimes, base::Instant origin, base::Duration period,
                               const std::vector<base::Duration>& max_age)
    : regimes_(std::move(regimes)), values_(setup_of(regimes_, origin, period, max_age), max_age.size()) {
  const auto tags = tags_of(regimes_);
  std::size_t longest = 0;
  for (auto& regime : regimes_) {
    longest = std::max(longest, regime.when.size());
    for (auto& part : regime.when) {
      const auto place = std::lower_bound(tags.begin(), tags.end(), part.tag) - tags.begin();
      if (is_comparison(part.kind)) part.tag = static_cast<signals::TagIndex>(place);
    }
  }
  stack_.reserve(longest);
}

std::optional<bool> RegimeSelector::holds(const Condition& condition, const signals::Frame& frame) {
  stack_.clear();
  for (const auto& part : condition) {
    if (is_comparison(part.kind)) {
      const signals::FrameValue& value = frame.inputs[part.tag];
      const bool known = value.quality != signals::Quality::bad && !value.stand_in;
      stack_.push_back(known ? std::optional{compare(part.kind, value.value, part.number)} : std::nullopt);
      continue;
    }
    std::optional<bool>& left = part.kind == Kind::negation ? stack_.back() : stack_[stack_.size() - 2];
    if (part.kind == Kind::negation) {
      left = opposite(left);
      continue;
    }
    const std::optional<bool> right = stack_.back();
    left = part.kind == Kind::both ? both(left, right) : opposite(both(opposite(left), opposite(right)));
    stack_.pop_back();
  }
  return stack_.back();
}

SelectedRegime RegimeSelector::at(std::int64_t tick) {
  const signals::Frame& frame = values_.close(tick);
  int found = -1;
  for (std::size_t i = 0; i < regimes_.size() && found < 0; ++i) {
    if (holds(regimes_[i].when, frame) == true) found = static_cast<int>(i);
  }
  if (found != present_) {
    present_ = found;
    entered_ = frame.time;
  }
  const bool settled = found >= 0 && frame.time - entered_ >= regimes_[static_cast<std::size_t>(found)].settle;
  return {found, settled};
}

}  // namespace twinkeeper::acquisition
