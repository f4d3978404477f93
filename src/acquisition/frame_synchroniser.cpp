#include "acquisition/frame_synchroniser.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace twinkeeper::acquisition {
namespace {

using signals::Quality;
using signals::Reason;

std::size_t ring_position(std::int64_t step) {
  const std::int64_t remainder = step % FrameSynchroniser::kAhead;
  return static_cast<std::size_t>(remainder < 0 ? remainder + FrameSynchroniser::kAhead : remainder);
}

base::Duration age_at(base::Instant time, base::Instant of) { return std::max(base::Duration{0}, time - of); }

}  // namespace

FrameSynchroniser::FrameSynchroniser(const SynchroniserSetup& setup, std::size_t tag_count)
    : origin_(setup.origin), period_(setup.period) {
  if (period_.count() <= 0) std::abort();
  std::vector<std::vector<std::uint32_t>> by_tag(tag_count);
  const auto add = [&](Slot slot, std::optional<signals::TagIndex> tag) {
    if (tag) {
      if (*tag >= tag_count) std::abort();
      slot.has_tag = true;
      by_tag[*tag].push_back(static_cast<std::uint32_t>(slots_.size()));
    }
    slots_.push_back(slot);
  };
  for (const InputSetup& input : setup.inputs) {
    Slot slot;
    slot.input = input;
    slot.is_input = true;
    slot.max_age = input.source.max_age.value_or(base::Duration{});
    add(slot, input.source.tag);
  }
  for (const OutputSetup& output : setup.outputs) {
    Slot slot;
    slot.max_age = output.max_age;
    add(slot, output.tag);
  }
  for (const auto& slots : by_tag) {
    first_slot_.push_back(static_cast<std::uint32_t>(slots_of_tag_.size()));
    slots_of_tag_.insert(slots_of_tag_.end(), slots.begin(), slots.end());
  }
  first_slot_.push_back(static_cast<std::uint32_t>(slots_of_tag_.size()));
  frame_.inputs.resize(setup.inputs.size());
  frame_.outputs.resize(setup.outputs.size());
}

std::int64_t FrameSynchroniser::tick_of(base::Instant time) const {
  return base::nearest_grid_point(origin_, period_, time);
}

base::Instant FrameSynchroniser::time_of(std::int64_t step) const { return base::grid_point(origin_, period_, step); }

void FrameSynchroniser::accept(const signals::Sample& sample) {
  if (sample.tag + std::size_t{1} >= first_slot_.size()) std::abort();
  const std::uint32_t first = first_slot_[sample.tag];
  const std::uint32_t end = first_slot_[sample.tag + 1];
  if (first == end) return;
  const std::int64_t step = tick_of(sample.time);
  for (std::uint32_t i = first; i < end; ++i) put(slots_[slots_of_tag_[i]], sample, step);
}

void FrameSynchroniser::put(Slot& slot, const signals::Sample& sample, std::int64_t step) {
  Waiting news;
  news.step = step;
  news.present = true;
  news.value = sample.value;
  news.quality = sample.quality;
  news.reason = sample.reason;
  news.time = sample.time;
  if (step <= closed_) {
    ++counters_.late_total;
    if (slot.is_input) take(slot, news);
    return;
  }
  Waiting& place = slot.ring[ring_position(step)];
  if (place.present && place.step != step) {
    ++counters_.future_total;
  } else if (place.present && place.quality != Quality::bad && news.quality == Quality::bad) {
    return;  // the measurement of this tick stays valid, whatever failed after it
  }
  place = news;
}

// True if the newest information taken belongs to exactly `step`.
bool FrameSynchroniser::take_up_to(Slot& slot, std::int64_t step) {
  bool fresh = false;
  for (;;) {
    Waiting* oldest = nullptr;
    for (Waiting& waiting : slot.ring) {
      if (waiting.present && waiting.step <= step && (oldest == nullptr || waiting.step < oldest->step)) {
        oldest = &waiting;
      }
    }
    if (oldest == nullptr) return fresh;
    take(slot, *oldest);
    fresh = oldest->step == step;
    oldest->present = false;
  }
}

void FrameSynchroniser::take(Slot& slot, const Waiting& news) {
  const bool usable = std::isfinite(news.value) && (!slot.is_input || news.quality != Quality::bad);
  if (usable && (!slot.has_value || news.time >= slot.value_time)) {
    slot.has_value = true;
    slot.value = news.value;
    slot.value_time = news.time;
  }
  if (!slot.has_news || news.time >= slot.news_time) {
    slot.has_news = true;
    slot.quality = news.quality;
    slot.reason = news.reason;
    slot.news_time = news.time;
  }
}

const signals::Frame& FrameSynchroniser::close(std::int64_t step) {
  if (step <= closed_) std::abort();
  closed_ = step;
  frame_.step = step;
  frame_.time = time_of(step);
  const std::size_t n_u = frame_.inputs.size();
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const bool fresh = take_up_to(slots_[i], step);
    if (i < n_u) {
      frame_.inputs[i] = input_value(slots_[i], frame_.time);
      frame_.inputs[i].fresh = fresh || !slots_[i].has_tag;
    } else {
      frame_.outputs[i - n_u] = output_value(slots_[i], frame_.time, fresh);
    }
  }
  return frame_;
}

signals::FrameValue FrameSynchroniser::input_value(const Slot& slot, base::Instant time) {
  signals::FrameValue told;
  if (!slot.has_tag) {
    told.value = slot.input.source.constant;
    told.quality = Quality::good;
    told.reason = Reason::none;
    told.age = base::Duration{0};
    return told;
  }
  if (slot.has_value) {
    told.value = slot.value;
    told.age = age_at(time, slot.value_time);
  }
  const bool newest_is_bad = slot.has_news && slot.quality == Quality::bad;
  if (slot.has_value && told.age <= slot.max_age) {
    told.quality = newest_is_bad ? Quality::uncertain : slot.quality;
    told.reason = slot.reason;
    return told;
  }
  told.stand_in = true;
  const bool news_tell_why = newest_is_bad && age_at(time, slot.news_time) <= slot.max_age;
  told.reason = news_tell_why ? slot.reason : Reason::stale;
  switch (slot.input.source.on_stale) {
    case OnStale::hold: told.quality = slot.has_value ? Quality::uncertain : Quality::bad; break;
    case OnStale::nominal:
      told.value = slot.input.nominal.value_or(0.0);
      told.quality = Quality::uncertain;
      break;
    case OnStale::bad: told.quality = Quality::bad; break;
  }
  return told;
}

signals::FrameValue FrameSynchroniser::output_value(const Slot& slot, base::Instant time, bool fresh) {
  signals::FrameValue told;
  told.fresh = fresh;
  if (slot.has_value) {
    told.value = slot.value;
    told.age = age_at(time, slot.value_time);
  }
  if (slot.has_news && (fresh || age_at(time, slot.news_time) <= slot.max_age)) {
    told.quality = slot.quality;
    told.reason = slot.reason;
  }
  return told;
}

}  // namespace twinkeeper::acquisition
