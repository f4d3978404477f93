// Quarantine: what the broker does not take, by its word (Refusals) or by hanging up (HangUps), is kept from being tried
// again and again; meanwhile everything else flows. A message that is refused for good, or at which the connection broke
// kMostLosses times while it alone was in doubt, is set aside in the spool's table `dead`, which tells it by a gap.
// Thread rule: one thread, the courier's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/event.hpp"
#include "uplink/flights.hpp"
#include "uplink/hang_ups.hpp"
#include "uplink/refusals.hpp"
#include "uplink/settings.hpp"
#include "uplink/spool.hpp"
#include "uplink/statistics.hpp"

namespace twinkeeper::uplink {

class Quarantine {
 public:
  // What is referred to outlives the quarantine.
  Quarantine(Spool& spool, Statistics& statistics, const UplinkSettings& settings, const base::Clock& clock,
             signals::EventSink& events)
      : spool_(spool), statistics_(statistics), settings_(settings), clock_(clock), events_(events) {}

  // The stream of the topic on which the message would go now: its own or that of the packets.
  [[nodiscard]] const std::string& topic_of(const StoredMessage& message) const;
  [[nodiscard]] bool packs(const StoredMessage& message) const;

  // Whether a message can go now. What is refused is set aside here; what is withheld stays in the spool.
  bool passes(const StoredMessage& message, base::Instant now);
  // True: it is refused and has been set aside.
  bool takes(const StoredMessage& message, base::Instant now);

  // These tell whether messages that were withheld may flow now.
  bool passed(const Flight& flight);
  bool refused(const Flight& flight, const std::string& reason);

  // The connection broke with these in flight. Their messages are not in anybody's hands any more.
  void broke(const std::vector<Flight>& in_flight);

  // What is set aside by now goes to the statistics.
  void tell();

  [[nodiscard]] HangUps& hang_ups() { return hang_ups_; }
  [[nodiscard]] const HangUps& hang_ups() const { return hang_ups_; }

 private:
  void blame(const Flight& flight);
  void refuse_packets(const std::string& reason);
  void refuse_stream(const StoredMessage& message, const std::string& reason);
  void set_aside(const StoredMessage& message, const std::string& reason);

  Spool& spool_;
  Statistics& statistics_;
  const UplinkSettings& settings_;
  const base::Clock& clock_;
  signals::EventSink& events_;
  Refusals refusals_;
  HangUps hang_ups_;
  std::int64_t told_row_ = 0;  // the suspect that was last told
};

// Samples and states: what may travel in packets.
[[nodiscard]] bool packable(const StoredMessage& message);

}  // namespace twinkeeper::uplink
