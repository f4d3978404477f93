// Link: what the spool thread and the connection thread tell each other, and nothing else.
//
// Publications go down, connection events and acknowledgements come up. Every value carries the connection epoch: it
// grows with each client object, so that a late word about an old connection is recognised and dropped.
// Thread rule: send_down()/take_up() belong to the spool thread, send_up()/take_down() to the connection thread (and
// the library's callbacks for send_up()); the identity functions may be called from any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/wake_up.hpp"
#include "uplink/spool.hpp"

namespace twinkeeper::uplink {

struct Publication {
  std::uint64_t connection = 0;
  std::uint64_t token = 0;
  std::string topic;
  std::string payload;
  bool retain = false;
};

struct LinkEvent {
  enum class Kind : std::uint8_t {
    connected,     // `window` publications may be outstanding
    lost,          // nothing of `connection` will be acknowledged any more
    acknowledged,  // `token`
    refused,       // `token` can never be delivered: `reason`
    failed,        // `token` was not delivered and may be tried again
  };
  Kind kind = Kind::lost;
  std::uint64_t connection = 0;
  std::uint64_t token = 0;
  std::size_t window = 0;
  std::string reason;
};

class Link {
 public:
  // spool thread
  void send_down(Publication publication);
  [[nodiscard]] std::vector<LinkEvent> take_up();
  [[nodiscard]] base::WakeUp& spool_wake_up() noexcept { return spool_wake_up_; }
  void set_epoch(std::uint64_t epoch, std::optional<PreviousEpoch> previous);

  // connection thread
  void send_up(LinkEvent event);
  [[nodiscard]] std::vector<Publication> take_down();
  void forget_down();  // on loss: what was not taken yet belongs to the backlog again
  [[nodiscard]] base::WakeUp& connection_wake_up() noexcept { return connection_wake_up_; }

  struct StatusIdentity {
    std::uint64_t epoch = 0;
    std::uint64_t seq = 0;
    std::optional<PreviousEpoch> previous;  // until status_acknowledged(epoch)
  };
  [[nodiscard]] std::uint64_t epoch();
  // Of one CONNECT: numbers that only grow, also where one Connection takes the place of another. Epochs are durable and
  // grow, so sessions grow over restarts, too.
  [[nodiscard]] std::uint64_t next_connection();
  [[nodiscard]] std::uint64_t next_session();
  [[nodiscard]] StatusIdentity next_status();
  void status_acknowledged(std::uint64_t epoch);

 private:
  std::mutex mutex_;
  std::deque<Publication> down_;
  std::deque<LinkEvent> up_;
  std::uint64_t epoch_ = 0;
  std::uint64_t status_seq_ = 0;
  std::uint64_t connection_ = 0;
  std::uint64_t session_ = 0;
  std::optional<PreviousEpoch> previous_;
  base::WakeUp spool_wake_up_;
  base::WakeUp connection_wake_up_;
};

}  // namespace twinkeeper::uplink
