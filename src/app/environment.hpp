// What the process must not take from its environment.
// Thread rule: before any other thread is started.
#pragma once

#include <stdlib.h>

#include <initializer_list>

namespace twinkeeper::app {

// The MQTT library would take them for its own; a proxy is what the configuration says.
inline void forget_proxies() {
  for (const char* name : {"http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"}) ::unsetenv(name);
}

}  // namespace twinkeeper::app
