// What `top -H` and a debugger show of a thread.
#pragma once

#include <pthread.h>

#include <string>

namespace twinkeeper::app {

// At most 15 bytes.
inline void name_this_thread(const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
}

}  // namespace twinkeeper::app
