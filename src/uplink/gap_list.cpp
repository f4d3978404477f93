#include "uplink/gap_list.hpp"

#include <algorithm>
#include <utility>

#include "twinkeeper/base/timestamp.hpp"
#include "uplink/envelope.hpp"

namespace twinkeeper::uplink {
namespace {

// Whether together they are one range of the same stride. What a damaged file tells may overlap.
bool joins(const Gap& known, const Gap& gap) {
  const std::uint64_t apart =
      gap.first_seq > known.first_seq ? gap.first_seq - known.first_seq : known.first_seq - gap.first_seq;
  return apart % known.stride == 0 && gap.first_seq <= known.last_seq + known.stride &&
         gap.last_seq + known.stride >= known.first_seq;
}

void merge(Gap& into, const Gap& gap) {
  into.first_seq = std::min(into.first_seq, gap.first_seq);
  into.last_seq = std::max(into.last_seq, gap.last_seq);
  if (gap.first_time && (!into.first_time || *gap.first_time < *into.first_time)) into.first_time = gap.first_time;
  if (gap.last_time && (!into.last_time || *gap.last_time > *into.last_time)) into.last_time = gap.last_time;
  // What was written beside ranges that are to be cleared may be read twice.
  into.count = std::min(into.count + gap.count, (into.last_seq - into.first_seq) / into.stride + 1);
}

void append_natural(std::string& out, const char* name, bool known, std::uint64_t value) {
  out += ",\"";
  out += name;
  out += "\":";
  out += known ? std::to_string(value) : "null";
}

void append_time(std::string& out, const char* name, const std::optional<base::WallTime>& time) {
  out += ",\"";
  out += name;
  out += "\":";
  if (time) {
    out += '"';
    base::append_rfc3339(out, *time);
    out += '"';
  } else {
    out += "null";
  }
}

}  // namespace

const char* to_string(GapReason reason) noexcept {
  switch (reason) {
    case GapReason::size: return "size";
    case GapReason::age: return "age";
    case GapReason::refused: return "refused";
    case GapReason::corrupt: return "corrupt";
    case GapReason::overrun: return "overrun";
    case GapReason::thin: return "thin";
    case GapReason::purged: return "purged";
  }
  return "corrupt";
}

void GapList::add(const Gap& gap) {
  auto& alike = of_kind_[{gap.stream, gap.epoch, gap.reason, gap.stride}];
  if (gap.stream.empty() && !alike.empty()) return;  // a second unknown loss says nothing new
  for (auto number = alike.rbegin(); number != alike.rend(); ++number) {
    Gap& known = ranges_.at(*number);
    if (!joins(known, gap)) continue;
    merge(known, gap);
    changed_.insert(*number);
    return;
  }
  alike.push_back(next_number_);
  changed_.insert(next_number_);
  ranges_.emplace(next_number_++, gap);
}

std::vector<Gap> GapList::gaps() const {
  std::vector<Gap> all;
  for (const auto& [number, gap] : ranges_) all.push_back(gap);
  return all;
}

std::vector<Gap> GapList::take() {
  auto all = gaps();
  if (!all.empty()) cleared_ = true;
  ranges_.clear();
  of_kind_.clear();
  changed_.clear();
  return all;
}

std::map<std::int64_t, Gap> GapList::changed() const {
  if (cleared_) return ranges_;
  std::map<std::int64_t, Gap> found;
  for (const std::int64_t number : changed_) found.emplace(number, ranges_.at(number));
  return found;
}

void GapList::written(bool with_clearing) {
  cleared_ = cleared_ && !with_clearing;
  changed_.clear();
}

std::string gap_members(const Gap& gap) {
  const bool known = !gap.stream.empty();
  std::string out = "\"stream\":";
  if (known) {
    append_json_string(out, gap.stream);
  } else {
    out += "null";
  }
  append_natural(out, "epoch", known, gap.epoch);
  append_natural(out, "first_seq", known, gap.first_seq);
  append_natural(out, "last_seq", known, gap.last_seq);
  append_time(out, "first_time", gap.first_time);
  append_time(out, "last_time", gap.last_time);
  append_natural(out, "count", gap.count > 0, gap.count);
  out += ",\"reason\":\"";
  out += to_string(gap.reason);
  out += '"';
  if (gap.reason == GapReason::thin) append_natural(out, "stride", true, gap.stride);
  return out;
}

}  // namespace twinkeeper::uplink
