// FrameSynchroniser: samples of many rates → the frames of one twin on its own grid t_k = origin + k · period.
//
// A sample belongs to the tick nearest to its time, so tick k is complete at t_k + period/2: that is when the caller
// closes it. The frame of tick k is built from samples of ticks ≤ k only; later ones wait for theirs.
//   outputs  fresh if a sample belongs to exactly tick k (several: the last good one, or the last if none is good).
//            Between samples the value, quality and reason of the newest stay, with growing age; once nothing has come
//            for longer than max_age: bad, stale. Without a tag (virtual): NaN, bad, stale.
//   inputs   the last good value not older than max_age: good, or uncertain with the reason of a bad sample that came
//            after it. Older: on_stale decides, hold (that value, uncertain), nominal (the model's, uncertain) or bad
//            (that value, bad), with reason stale, or the sensor's own reason (out_of_range, stuck, …) while samples
//            with it keep coming. No good value ever: NaN, bad, except under nominal. Constants are good, always.
//            Only these, past max_age or without any value, are stand-ins, whatever their quality: within max_age the
//            last good value is as good as a slow register's, even if newer samples were bad.
// Ages are t_k minus the time of the value itself, never of a failed request; a sample up to period/2 after t_k has age
// 0. Each slot keeps the samples of kAhead ticks: one that is further ahead displaces the oldest that waits (counted as
// future), as after a stall of the caller. Samples of closed ticks are late (counted): outputs drop them, inputs take a
// good one as their newest value if nothing newer is there. Ticks may be skipped, and must grow.
// Errors: none; sizes that disagree, a period ≤ 0 or a tick not after the closed one break an invariant (abort).
// Thread rule: one thread. Allocation: none after construction. Clock: none.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "acquisition/settings.hpp"
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
};

struct SynchroniserSetup {
  base::Instant origin;
  base::Duration period{};
  std::vector<InputSetup> inputs;    // model's order
  std::vector<OutputSetup> outputs;  // model's order
};

struct SynchroniserCounters {
  std::uint64_t late_total = 0;    // samples of a closed tick, once per slot they feed
  std::uint64_t future_total = 0;  // samples displaced by one that is kAhead ticks or more ahead of them
};

class FrameSynchroniser {
 public:
  static constexpr std::int64_t kAhead = 8;  // ticks

  FrameSynchroniser(const SynchroniserSetup& setup, std::size_t tag_count);

  // `sample` is validated. One whose tag feeds no slot costs a table look-up.
  void accept(const signals::Sample& sample);
  // The frame of tick `step`, valid until the next call.
  const signals::Frame& close(std::int64_t step);

  [[nodiscard]] std::int64_t tick_of(base::Instant time) const;
  [[nodiscard]] base::Instant time_of(std::int64_t step) const;  // t_k
  [[nodiscard]] const SynchroniserCounters& counters() const { return counters_; }

 private:
  struct Waiting {  // what one slot got in one tick
    std::int64_t step = 0;
    bool present = false;
    double value = std::numeric_limits<double>::quiet_NaN();
    signals::Quality quality = signals::Quality::bad;
    signals::Reason reason = signals::Reason::none;
    base::Instant time;
  };
  struct Slot {
    InputSetup input;  // of an input only
    bool is_input = false;
    bool has_tag = false;
    base::Duration max_age{};
    std::array<Waiting, kAhead> ring;
    bool has_value = false;  // a value that was usable (input: good; output: finite)
    double value = std::numeric_limits<double>::quiet_NaN();
    base::Instant value_time;
    bool has_news = false;  // the newest information, good or bad
    signals::Quality quality = signals::Quality::bad;
    signals::Reason reason = signals::Reason::stale;
    base::Instant news_time;
  };

  void put(Slot& slot, const signals::Sample& sample, std::int64_t step);
  static bool take_up_to(Slot& slot, std::int64_t step);
  static void take(Slot& slot, const Waiting& news);
  static signals::FrameValue input_value(const Slot& slot, base::Instant time);
  static signals::FrameValue output_value(const Slot& slot, base::Instant time, bool fresh);

  base::Instant origin_;
  base::Duration period_;
  std::vector<Slot> slots_;                // inputs, then outputs
  std::vector<std::uint32_t> first_slot_;  // by TagIndex, into slots_of_tag_; one more entry than tags
  std::vector<std::uint32_t> slots_of_tag_;
  std::int64_t closed_ = std::numeric_limits<std::int64_t>::min();
  signals::Frame frame_;
  SynchroniserCounters counters_;
};

}  // namespace twinkeeper::acquisition
