#include "uplink/gap_list.hpp"

#include <algorithm>
#include <utility>

#include "twinkeeper/base/timestamp.hpp"
#include "uplink/envelope.hpp"

namespace twinkeeper::uplink {
namespace {

bool same_kind(const Gap& a, const Gap& b) {
  return a.stream == b.stream && a.epoch == b.epoch && a.reason == b.reason;
}

void merge(Gap& into, const Gap& gap) {
  into.first_seq = std::min(into.first_seq, gap.first_seq);
  into.last_seq = std::max(into.last_seq, gap.last_seq);
  if (gap.first_time && (!into.first_time || *gap.first_time < *into.first_time)) into.first_time = gap.first_time;
  if (gap.last_time && (!into.last_time || *gap.last_time > *into.last_time)) into.last_time = gap.last_time;
  into.count += gap.count;
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
  }
  return "corrupt";
}

void GapList::add(const Gap& gap) {
  Gap* same = nullptr;
  for (Gap& known : gaps_) {
    if (!same_kind(known, gap)) continue;
    if (gap.stream.empty()) return;  // a second unknown loss says nothing new
    if (gap.first_seq <= known.last_seq + 1 && gap.last_seq + 1 >= known.first_seq) {
      merge(known, gap);
      return;
    }
    same = &known;
  }
  if (same != nullptr && gaps_.size() >= kMostRanges) {
    merge(*same, gap);
  } else {
    gaps_.push_back(gap);
  }
}

std::vector<Gap> GapList::take() { return std::exchange(gaps_, {}); }

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
  return out;
}

}  // namespace twinkeeper::uplink
