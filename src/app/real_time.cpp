#include "app/real_time.hpp"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

namespace twinkeeper::app {

bool in_real_time() {
  int policy = SCHED_OTHER;
  sched_param parameters{};
  return pthread_getschedparam(pthread_self(), &policy, &parameters) == 0 &&
         (policy == SCHED_FIFO || policy == SCHED_RR);
}

void begin_timely_thread(const std::string& name) { pthread_setname_np(pthread_self(), name.substr(0, 15).c_str()); }

void begin_ordinary_thread(const std::string& name) {
  begin_timely_thread(name);
  const sched_param ordinary{};
  // Where the sandbox forbids even this, it stays ahead of others, as systemd has set it.
  if (in_real_time()) pthread_setschedparam(pthread_self(), SCHED_OTHER, &ordinary);
}

void lock_memory_if_asked(signals::EventSink& events) {
  if (std::getenv("TWINKEEPER_LOCK_MEMORY") == nullptr) return;
  // Once it has been touched: all of it at once would be 8 MiB for the stack of each thread.
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) {
    events.raise({signals::EventLevel::info, "service", "memory_locked", "memory is locked"});
    return;
  }
  events.raise({signals::EventLevel::warning, "service", "memory_not_locked",
                "memory can't be locked: " + std::generic_category().message(errno) +
                    "; accepted: LimitMEMLOCK=infinity in the unit (real-time.conf)"});
}

}  // namespace twinkeeper::app
