// Courier: the spool thread's work. Every message is stored, then handed to the connection by urgency (Lanes): in each
// lane live messages first, the backlog behind them; a row is deleted on its PUBACK and on nothing else.
//
// A live message may be published before its row commits (commit_interval bounds that window). Rows in flight are never
// handed over twice on one connection; when a connection is lost, all of them are backlog again. Samples and states
// older than backlog_after travel packed on `P/backlog` (or plain on their own topic), all else is replayed on its own
// topic; `replay` is true for what is not handed over within 5 s of its instant. What the broker refuses, by its word or by
// hanging up, goes the way of the Quarantine, while the others flow.
// Under MQTT 3.1.1 a row is deleted only when the connection has outlived its PUBACK by a second.
//
// Thread rule: wake() may come from any thread, everything else belongs to one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"
#include "twinkeeper/signals/event.hpp"
#include "twinkeeper/signals/message.hpp"
#include "uplink/link.hpp"
#include "uplink/settings.hpp"
#include "uplink/spool.hpp"
#include "uplink/statistics.hpp"

namespace twinkeeper::uplink {

class Courier {
 public:
  // `spool`, `link`, `statistics`, `clock` and `events` outlive the courier.
  Courier(Spool& spool, Link& link, Statistics& statistics, UplinkSettings settings, std::string gateway_id,
          const base::Clock& clock, signals::EventSink& events);
  ~Courier();
  Courier(const Courier&) = delete;
  Courier& operator=(const Courier&) = delete;

  void submit(signals::Message message);
  // After Spool::begin_epoch(), before the thread goes on.
  void follow_epoch();
  // `count` messages of `stream` were lost before they came here: see Spool::skip.
  void skip(const std::string& stream, std::uint64_t count, base::Instant first, base::Instant last);
  // See Spool::purge; what is on its way to the broker, or about to be as live, stays.
  [[nodiscard]] base::Result<Purged> purge(const PurgeFilter& filter);
  // Waits at most `max_wait` for work (less if a commit or the token bucket is due, not at all if work waits), then
  // does it. Ends early on wake(): ring it when messages for submit() wait elsewhere.
  void run_once(base::Duration max_wait);
  void wake() noexcept;
  // Commits, then publishes what the window takes and waits for acknowledgements until `deadline`.
  void stop(base::Instant deadline);

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
  Link& link_;
};

}  // namespace twinkeeper::uplink
