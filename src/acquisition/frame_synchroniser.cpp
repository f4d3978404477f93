#include "acquisition/frame_synchroniser.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

namespace twinkeeper::acquisition {
namespace {

using signals::Quality;
using signals::Reason;

base::Duration age_at(base::Instant time, base::Instant of) { return std::max(base::Duration{0}, time - of); }

}  // namespace

FrameSynchroniser::FrameSynchroniser(const SynchroniserSetup& setup, std::size_t tag_count)
    : origin_(setup.origin), period_(setup.period), history_(setup.history) {
  if (period_.count() <= 0 || history_ < 0) std::abort();
  std::vector<std::vector<std::uint32_t>> by_tag(tag_count);
  const auto add = [&](Slot slot, std::optional<signals::TagIndex> tag) {
    if (tag) {
      if (*tag >= tag_count) std::abort();
      slot.has_tag = true;
      by_tag[*tag].push_back(static_cast<std::uint32_t>(slots_.size()));
    }
    // The ticks that may change and the one before them, from which a change goes on; and those that wait.
    slot.places.resize(static_cast<std::size_t>(history_ + 1 + kAhead));
    slots_.push_back(std::move(slot));
  };
  for (const InputSetup& input : setup.inputs) {
    Slot slot;
    slot.input = input;
    slot.is_input = true;
    slot.max_age = input.source.max_age.value_or(base::Duration{});
    add(std::move(slot), input.source.tag);
  }
  for (const OutputSetup& output : setup.outputs) {
    Slot slot;
    slot.max_age = output.max_age;
    slot.combine = output.combine;
    add(std::move(slot), output.tag);
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

FrameSynchroniser::Place& FrameSynchroniser::place(Slot& slot, std::int64_t step) const {
  const auto size = static_cast<std::int64_t>(slot.places.size());
  const std::int64_t remainder = step % size;
  return slot.places[static_cast<std::size_t>(remainder < 0 ? remainder + size : remainder)];
}

std::int64_t FrameSynchroniser::window_begin() const { return std::max(closed_ - history_ + 1, settled_before_); }

void FrameSynchroniser::settle_before(std::int64_t step) { settled_before_ = std::max(settled_before_, step); }

std::optional<std::int64_t> FrameSynchroniser::take_revision() { return std::exchange(revised_from_, std::nullopt); }

void FrameSynchroniser::accept(const signals::Sample& sample) {
  if (sample.tag + std::size_t{1} >= first_slot_.size()) std::abort();
  const std::uint32_t first = first_slot_[sample.tag];
  const std::uint32_t end = first_slot_[sample.tag + 1];
  if (first == end) return;
  const std::int64_t step = tick_of(sample.time);
  for (std::uint32_t i = first; i < end; ++i) {
    Slot& slot = slots_[slots_of_tag_[i]];
    if (step > closed_) {
      put(slot, sample, step);
    } else {
      put_late(slot, sample, step);
    }
  }
}

void FrameSynchroniser::put(Slot& slot, const signals::Sample& sample, std::int64_t step) {
  Place& there = place(slot, step);
  if (there.step != step) {
    if (there.step > closed_ && there.news.present) ++counters_.future_total;
    // What was there of a closed tick is gone: nothing goes back behind it any more.
    if (there.step != kNever && there.step <= closed_) settle_before(there.step + 1);
    there = Place{};
    there.step = step;
  }
  add(slot, there.news, sample);
}

void FrameSynchroniser::put_late(Slot& slot, const signals::Sample& sample, std::int64_t step) {
  ++counters_.late_total;
  const std::int64_t begin = window_begin();
  Known known;
  if (step >= begin) {
    if (!add(slot, place(slot, step).news, sample)) return;
    known = place(slot, step - 1).known;
  } else {
    ++counters_.dropped_total;
    if (!slot.is_input) return;
    News news;
    add(slot, news, sample);
    step = begin;
    if (begin > closed_) {
      take(slot, news, slot.known);
      if (Place& newest = place(slot, closed_); newest.step == closed_) newest.known = slot.known;
      return;
    }
    Place& before = place(slot, begin - 1);
    if (before.known.has_value && before.known.has_news && news.time < before.known.value_time &&
        news.time < before.known.news_time) {
      return;  // nothing new
    }
    take(slot, news, before.known);
    known = before.known;
  }
  for (std::int64_t tick = step; tick <= closed_; ++tick) {
    Place& there = place(slot, tick);
    if (there.news.present) take(slot, there.news, known);
    there.known = known;
  }
  slot.known = known;
  revised_from_ = std::min(revised_from_.value_or(step), step);
}

// False if the sample makes no difference.
bool FrameSynchroniser::add(const Slot& slot, News& news, const signals::Sample& sample) {
  const bool good = sample.quality != Quality::bad;
  const bool first_of_kind = !news.present || (good && news.quality == Quality::bad);
  // The measurement of this tick stays valid, whatever fails before or after it.
  if (!first_of_kind && !good && news.quality != Quality::bad) return false;
  const bool mean = slot.combine == Combine::mean && good && std::isfinite(sample.value);
  if (mean) {
    news.sum = first_of_kind ? base::DoubleDouble{sample.value, 0.0} : news.sum + sample.value;
    news.count = first_of_kind ? 1 : news.count + 1;
  }
  const bool newest = first_of_kind || sample.time >= news.time;
  if (newest) {
    news.present = true;
    news.value = sample.value;
    news.quality = sample.quality;
    news.reason = sample.reason;
    news.time = sample.time;
    if (!mean) news.count = 0;
  }
  if (mean) news.value = news.sum.high / news.count;
  return newest || mean;
}

void FrameSynchroniser::take(const Slot& slot, const News& news, Known& known) {
  const bool usable = std::isfinite(news.value) && (!slot.is_input || news.quality != Quality::bad);
  if (usable && (!known.has_value || news.time >= known.value_time)) {
    known.has_value = true;
    known.value = news.value;
    known.value_time = news.time;
  }
  if (!known.has_news || news.time >= known.news_time) {
    known.has_news = true;
    known.quality = news.quality;
    known.reason = news.reason;
    known.news_time = news.time;
  }
}

void FrameSynchroniser::close(Slot& slot, std::int64_t step) {
  const auto size = static_cast<std::int64_t>(slot.places.size());
  // What waits of ticks so far back that their places are needed again: after a jump, and before the first tick.
  while (closed_ == kNever || step - closed_ > size) {
    Place* oldest = nullptr;
    for (Place& there : slot.places) {
      if (there.step == kNever || there.step <= closed_ || there.step > step - size) continue;
      if (oldest == nullptr || there.step < oldest->step) oldest = &there;
    }
    if (oldest == nullptr) break;
    if (oldest->news.present) take(slot, oldest->news, slot.known);
    *oldest = Place{};
  }
  for (std::int64_t tick = std::max(closed_ == kNever ? kNever : closed_ + 1, step - size + 1); tick <= step; ++tick) {
    Place& there = place(slot, tick);
    if (there.step > tick) {  // a sample from so far ahead that it has displaced this tick
      settle_before(tick + 2);
      continue;
    }
    if (there.step != tick) {
      there = Place{};
      there.step = tick;
    }
    if (there.news.present) take(slot, there.news, slot.known);
    there.known = slot.known;
  }
}

const signals::Frame& FrameSynchroniser::close(std::int64_t step) {
  if (step <= closed_) std::abort();
  for (Slot& slot : slots_) close(slot, step);
  if (closed_ == kNever) settle_before(step);
  closed_ = step;
  return frame(step);
}

const signals::Frame& FrameSynchroniser::frame(std::int64_t step) {
  static const News kNoNews;
  if (step > closed_ || (step != closed_ && step < window_begin())) std::abort();
  frame_.step = step;
  frame_.time = time_of(step);
  const std::size_t n_u = frame_.inputs.size();
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Place& there = place(slots_[i], step);
    const bool own = there.step == step;  // else displaced, and nothing of this tick is left but what is known
    const Known& known = own ? there.known : slots_[i].known;
    const News& news = own ? there.news : kNoNews;
    if (i < n_u) {
      frame_.inputs[i] = input_value(slots_[i], known, frame_.time);
      frame_.inputs[i].fresh = news.present || !slots_[i].has_tag;
    } else {
      frame_.outputs[i - n_u] = output_value(slots_[i], known, news, frame_.time);
    }
  }
  return frame_;
}

signals::FrameValue FrameSynchroniser::input_value(const Slot& slot, const Known& known, base::Instant time) {
  signals::FrameValue told;
  if (!slot.has_tag) {
    told.value = slot.input.source.constant;
    told.quality = Quality::good;
    told.reason = Reason::none;
    told.age = base::Duration{0};
    return told;
  }
  if (known.has_value) {
    told.value = known.value;
    told.age = age_at(time, known.value_time);
  }
  const bool newest_is_bad = known.has_news && known.quality == Quality::bad;
  if (known.has_value && told.age <= slot.max_age) {
    told.quality = newest_is_bad ? Quality::uncertain : known.quality;
    told.reason = known.reason;
    return told;
  }
  told.stand_in = true;
  const bool news_tell_why = newest_is_bad && age_at(time, known.news_time) <= slot.max_age;
  told.reason = news_tell_why ? known.reason : Reason::stale;
  switch (slot.input.source.on_stale) {
    case OnStale::hold: told.quality = known.has_value ? Quality::uncertain : Quality::bad; break;
    case OnStale::nominal:
      told.value = slot.input.nominal.value_or(0.0);
      told.quality = Quality::uncertain;
      break;
    case OnStale::bad: told.quality = Quality::bad; break;
  }
  return told;
}

signals::FrameValue FrameSynchroniser::output_value(const Slot& slot, const Known& known, const News& news,
                                                    base::Instant time) {
  signals::FrameValue told;
  told.fresh = news.present;
  told.samples = std::max<std::uint32_t>(1, news.count);
  if (known.has_value) {
    told.value = known.value;
    told.age = age_at(time, known.value_time);
  }
  if (known.has_news && (told.fresh || age_at(time, known.news_time) <= slot.max_age)) {
    told.quality = known.quality;
    told.reason = known.reason;
  }
  return told;
}

}  // namespace twinkeeper::acquisition
