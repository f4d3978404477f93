// Asks systemd whether a time source sets the clock, where the sandbox of the unit keeps the service from asking the kernel.
//
// `timedated` answers on the system bus with what the kernel says, whoever the time source is; where there is no bus,
// timesyncd's mark. Who does not answer is asked again; if nobody has three times, that is told once, and what was said last
// counts, and else the clock counts as set.
// Source: org.freedesktop.timedate1(5), systemd-timesyncd.service(8). Thread rule: one thread; a call may wait for 2 s, the
// first one for 10 s.
#pragma once

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::app {

class ClockSource {
 public:
  explicit ClockSource(signals::EventSink& events) : events_(events) {}

  // To be called every now and then: asks once a minute, every ten seconds while the clock is not set.
  void look(base::Instant now);

 private:
  signals::EventSink& events_;
  base::Instant next_ = base::Instant::min();
  int unanswered_ = 0;  // one after the other
};

}  // namespace twinkeeper::app
