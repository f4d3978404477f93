// When CONNECT last went to each host: what the least pause between two of them is counted from.
//
// It belongs to whoever outlives the connections (the service: a reload makes a new one). A connection notes an attempt
// when it begins, as it may be given up at any time, and again when it has come to CONNECT: resolver, TCP and TLS come
// first and may take seconds.
// Thread rule: one thread at a time, that of the connection; the next one begins when the one before was joined.
#pragma once

#include <map>
#include <string>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::uplink {

class ConnectTimes {
 public:
  void note(const std::string& host, base::Instant at) { last_[host] = at; }
  // From when on the next one may go to `host`; the beginning of time if there was none.
  [[nodiscard]] base::Instant next(const std::string& host, base::Duration least_pause) const {
    const auto last = last_.find(host);
    return last == last_.end() ? base::Instant::min() : last->second + least_pause;
  }

 private:
  std::map<std::string, base::Instant> last_;
};

}  // namespace twinkeeper::uplink
