// What the drop-in real-time.conf asks for: memory that stays where it is, and which threads run ahead of all others.
//
// systemd gives the whole process its scheduling policy; every thread inherits it. Real time is for those who keep the grid
// (twins, devices); the others go back to the ordinary policy, which a sandbox lets through where raising is forbidden.
// Without such a policy, or without being asked, all of this does nothing.
// Errors: told as events, and the service runs on. Thread rule: each thread speaks for itself.
// Source: sched(7), mlockall(2).
#pragma once

#include <string>
#include <thread>

#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::app {

[[nodiscard]] bool in_real_time();
// At the begin of a thread: what `top -H` and a debugger call it (at most 15 bytes), and whether it stays in real time.
void begin_timely_thread(const std::string& name);
void begin_ordinary_thread(const std::string& name);

// With TWINKEEPER_LOCK_MEMORY set in the environment: what has been touched once is never paged out.
void lock_memory_if_asked(signals::EventSink& events);

// `work` outside of real time: a configuration takes its time to be read, and a processor must not be held that long.
template <class Work>
void out_of_real_time(const Work& work) {
  if (!in_real_time()) return work();
  std::jthread([&work] {
    begin_ordinary_thread("plan");
    work();
  }).join();
}

}  // namespace twinkeeper::app
