// FrameSynchroniser: samples of many rates, in any order → the frames of one twin on its own grid t_k = origin + k ·
// period.
//
// A sample belongs to the tick nearest to its time, so tick k is complete at t_k + period/2: that is when the caller
// closes it. The frame of tick k is built from samples of ticks ≤ k only; later ones wait for theirs.
//   outputs  fresh if a sample belongs to exactly tick k. Of several, `combine` says: the last good one (the last, if
//            none is good), or the mean of the good ones, with their number. Between samples the value, quality and
//            reason of the newest stay, with growing age; once nothing has come for longer than max_age: bad, stale.
//            Without a tag (virtual): NaN, bad, stale.
//   inputs   the last good value not older than max_age: good, or uncertain with the reason of a bad sample that came
//            after it. Older: on_stale decides, hold (that value, uncertain), nominal (the model's, uncertain) or bad
//            (that value, bad), with reason stale, or the sensor's own reason (out_of_range, stuck, …) while samples
//            with it keep coming. No good value ever: NaN, bad, except under nominal. Constants are good, always.
//            Only these, past max_age or without any value, are stand-ins, whatever their quality: within max_age the
//            last good value is as good as a slow register's, even if newer samples were bad.
// Ages are t_k minus the time of the value itself, never of a failed request; a sample up to period/2 after t_k has age
// 0. Last and newest are by the samples' times, not by their arrival, and a mean is summed in twice the precision: the
// frames do not depend on the order in which samples come.
//
// Late samples: those of the last `history` closed ticks are put where they belong, take_revision() tells from which
// tick on frames have changed, and frame() gives them anew. Older ones are dropped, but of an input they count as known
// when that window begins. Samples from the future: each slot holds those of kAhead ticks at least; one that is further
// ahead displaces what waits in its place (counted), as after a stall of the caller.
// Ticks may be skipped, and must grow.
// Errors: none; sizes that disagree, a period ≤ 0, a negative history, a tick not after the closed one, or frame() of a
// tick outside the window break an invariant (abort).
// Thread rule: one thread. Allocation: none after construction. Clock: none.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "acquisition/settings.hpp"
#include "base/double_double.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/frame.hpp"
#include "twinkeeper/signals/sample.hpp"

namespace twinkeeper::acquisition {

struct InputSetup {
  InputSource source;             // its max_age must be set if it has a tag (the tag's own where a person gave none)
  std::optional<double> nominal;  // of the model's input; absent: 0
};

struct OutputSetup {
  std::optional<signals::TagIndex> tag;  // absent: virtual
  base::Duration max_age{};              // of the tag
  Combine combine = Combine::last;
};

struct SynchroniserSetup {
  base::Instant origin;
  base::Duration period{};
  std::int64_t history = 0;          // closed ticks that late samples may still change
  std::vector<InputSetup> inputs;    // model's order
  std::vector<OutputSetup> outputs;  // model's order
};

struct SynchroniserCounters {
  std::uint64_t late_total = 0;     // samples of a closed tick, once per slot they feed
  std::uint64_t dropped_total = 0;  // of those, the ones that were too late for their slot
  std::uint64_t future_total = 0;   // samples displaced by one that is kAhead ticks or more ahead of them
};

class FrameSynchroniser {
 public:
  static constexpr std::int64_t kAhead = 8;  // ticks

  FrameSynchroniser(const SynchroniserSetup& setup, std::size_t tag_count);

  // `sample` is validated. One whose tag feeds no slot costs a table look-up.
  void accept(const signals::Sample& sample);
  // The frame of tick `step`, valid until the next call.
  const signals::Frame& close(std::int64_t step);

  // The first closed tick whose frame has changed since the last call, if there is one.
  [[nodiscard]] std::optional<std::int64_t> take_revision();
  // Closed ticks before `step` are past changing, whatever the history.
  void settle_before(std::int64_t step);
  // The frame of a closed tick of the window as it is now, valid until the next call.
  const signals::Frame& frame(std::int64_t step);

  [[nodiscard]] std::int64_t tick_of(base::Instant time) const;
  [[nodiscard]] base::Instant time_of(std::int64_t step) const;  // t_k
  [[nodiscard]] const SynchroniserCounters& counters() const { return counters_; }

  // What is known and what waits, into one of the same setup, but for the origin, which is taken over. The history is
  // left out: samples that were on their way when it was written will not come any more. After the first close().
  template <class Archive>
  void archive(Archive& a) {
    a(origin_, closed_, counters_.late_total, counters_.dropped_total, counters_.future_total);
    for (Slot& slot : slots_) {
      if constexpr (Archive::kReading) slot.places.assign(slot.places.size(), Place{});
      a(slot.known);
      for (std::int64_t step = closed_ + 1; step <= closed_ + kAhead && a.ok(); ++step) {
        Place& waiting = place(slot, step);
        News news = waiting.step == step ? waiting.news : News{};
        a(news);
        if constexpr (Archive::kReading) {
          if (news.present) waiting = {step, news, {}};
        }
      }
    }
    if constexpr (Archive::kReading) {
      settled_before_ = closed_ + 1;
      revised_from_.reset();
    }
  }

 private:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::min();

  struct News {  // what one slot got in one tick
    bool present = false;
    double value = std::numeric_limits<double>::quiet_NaN();
    signals::Quality quality = signals::Quality::bad;
    signals::Reason reason = signals::Reason::none;
    base::Instant time;
    base::DoubleDouble sum;   // of a mean
    std::uint32_t count = 0;  // values in it

    template <class Archive>
    void archive(Archive& a) {
      a(present, value, quality, reason, time, sum.high, sum.low, count);
    }
  };
  struct Known {             // what a slot knows
    bool has_value = false;  // a value that was usable (input: good; output: finite)
    double value = std::numeric_limits<double>::quiet_NaN();
    base::Instant value_time;
    bool has_news = false;  // the newest information, good or bad
    signals::Quality quality = signals::Quality::bad;
    signals::Reason reason = signals::Reason::stale;
    base::Instant news_time;

    template <class Archive>
    void archive(Archive& a) {
      a(has_value, value, value_time, has_news, quality, reason, news_time);
    }
  };
  struct Place {  // one tick of one slot
    std::int64_t step = kNever;
    News news;
    Known known;  // once the tick is closed: after it
  };
  struct Slot {
    InputSetup input;  // of an input only
    bool is_input = false;
    bool has_tag = false;
    base::Duration max_age{};
    Combine combine = Combine::last;
    std::vector<Place> places;  // ring, by tick
    Known known;                // after the newest closed tick
  };

  [[nodiscard]] Place& place(Slot& slot, std::int64_t step) const;
  [[nodiscard]] std::int64_t window_begin() const;
  void put(Slot& slot, const signals::Sample& sample, std::int64_t step);
  void put_late(Slot& slot, const signals::Sample& sample, std::int64_t step);
  static bool add(const Slot& slot, News& news, const signals::Sample& sample);
  static void take(const Slot& slot, const News& news, Known& known);
  void close(Slot& slot, std::int64_t step);
  static signals::FrameValue input_value(const Slot& slot, const Known& known, base::Instant time);
  static signals::FrameValue output_value(const Slot& slot, const Known& known, const News& news, base::Instant time);

  base::Instant origin_;
  base::Duration period_;
  std::int64_t history_;
  std::vector<Slot> slots_;                // inputs, then outputs
  std::vector<std::uint32_t> first_slot_;  // by TagIndex, into slots_of_tag_; one more entry than tags
  std::vector<std::uint32_t> slots_of_tag_;
  std::int64_t closed_ = kNever;
  std::int64_t settled_before_ = kNever;
  std::optional<std::int64_t> revised_from_;
  signals::Frame frame_;
  SynchroniserCounters counters_;
};

}  // namespace twinkeeper::acquisition
