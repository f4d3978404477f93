#include "uplink/courier.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "uplink/envelope.hpp"
#include "uplink/flights.hpp"
#include "uplink/hang_ups.hpp"
#include "uplink/outgoing.hpp"
#include "uplink/refusals.hpp"
#include "uplink/token_bucket.hpp"
#include "uplink/topics.hpp"

namespace twinkeeper::uplink {
namespace {

constexpr std::size_t kWaitingMost = 1000;  // live messages that wait for room; more are backlog
constexpr std::size_t kChunkRows = 2000;    // of the backlog in memory at once
constexpr std::size_t kChunkBytes = 1u << 20;
constexpr base::Duration kMaintainEvery = std::chrono::seconds{1};
constexpr base::Duration kQuietBeforeAlone = std::chrono::seconds{2};  // a connection that breaks by itself shows it
constexpr base::Duration kTellGapsEvery = std::chrono::seconds{2};

bool packable(const StoredMessage& message) {
  return message.message.message_class == signals::MessageClass::samples ||
         message.message.message_class == signals::MessageClass::state;
}

}  // namespace

class Courier::Implementation {
 public:
  Implementation(Spool& spool, Link& link, Statistics& statistics, UplinkSettings settings, std::string gateway_id,
                 const base::Clock& clock, signals::EventSink& events)
      : spool_(spool),
        link_(link),
        statistics_(statistics),
        settings_(std::move(settings)),
        gateway_id_(std::move(gateway_id)),
        clock_(clock),
        events_(events),
        message_bucket_(settings_.max_messages_per_second, settings_.max_messages_per_second.value_or(1.0),
                        clock.now()),
        byte_bucket_(settings_.max_bytes_per_second
                         ? std::optional<double>(static_cast<double>(*settings_.max_bytes_per_second))
                         : std::nullopt,
                     static_cast<double>(settings_.max_bytes_per_second.value_or(1)), clock.now()),
        flights_(settings_.mqtt_version) {
    follow_epoch();
    count();
  }

  void submit(signals::Message message) {
    StoredMessage stored = spool_.append(std::move(message));
    follow_epoch();
    if (stored.kept) offer(std::move(stored));
    pump();
    count();
  }

  void skip(const std::string& stream, std::uint64_t messages, base::Instant first, base::Instant last) {
    spool_.skip(stream, messages, first, last);
    count();
  }

  void run_once(base::Duration max_wait) {
    Statistics::beat(statistics_.spool_heartbeat_ns, clock_.now());
    link_.spool_wake_up().wait_for(std::max(base::Duration::zero(), std::min(max_wait, next_work())));
    turn();
  }

  void turn() {
    const base::Instant now = clock_.now();
    Statistics::beat(statistics_.spool_heartbeat_ns, now);
    take_events();
    if (now - maintained_at_ >= kMaintainEvery) {
      maintained_at_ = now;
      spool_.maintain();
    }
    if (connection_ && now - gaps_told_at_ >= kTellGapsEvery) {
      gaps_told_at_ = now;
      for (StoredMessage& gap : spool_.take_own_messages()) offer(std::move(gap));
    }
    pump();
    spool_.commit_if_due();
    follow_epoch();
    count();
  }

  void stop(base::Instant deadline) {
    spool_.commit();
    turn();
    draining_ = true;
    while (connection_ && !(flights_.none() && waiting_.empty()) && clock_.now() < deadline) {
      const base::Duration left = deadline - clock_.now();
      link_.spool_wake_up().wait_for(std::min<base::Duration>({left, next_work(), std::chrono::milliseconds{100}}));
      turn();
    }
    draining_ = false;
    spool_.commit();
    count();
  }

 private:
  void follow_epoch() {
    if (spool_.epoch() == epoch_) return;
    epoch_ = spool_.epoch();
    const PreviousEpoch* previous = spool_.previous();
    link_.set_epoch(epoch_, previous == nullptr ? std::nullopt : std::optional<PreviousEpoch>(*previous));
  }

  // A live message: to be sent as soon as there is room, unless it can only wait in the spool.
  void offer(StoredMessage message) {
    if (!connection_) return;
    if (waiting_.size() >= kWaitingMost) {
      leave_behind(message.row);
      return;
    }
    spool_.hold(message.row);
    waiting_.push_back(std::move(message));
  }

  void leave_behind(std::int64_t row) {
    cursor_ = std::min(cursor_, row - 1);
    behind_ = true;
    spool_.release(row);
    put_back_chunk(row);
  }

  // Rows from `first` on are no longer read ahead.
  void put_back_chunk(std::int64_t first) {
    const auto later = std::remove_if(chunk_.begin(), chunk_.end(), [&](const auto& m) {
      if (m.row < first) return false;
      spool_.release(m.row);
      return true;
    });
    chunk_.erase(later, chunk_.end());
  }

  [[nodiscard]] bool room_for_live() const { return connection_ && flights_.in_flight() < window_; }
  // The backlog leaves a part of the window free, so that live messages need not wait behind it.
  [[nodiscard]] bool room_for_backlog() const {
    return connection_ && flights_.room_for_backlog() &&
           flights_.in_flight() < std::max<std::size_t>(1, window_ - window_ / 4);
  }
  [[nodiscard]] bool backlog_waits() const { return connection_ && !draining_ && (behind_ || !chunk_.empty()); }

  [[nodiscard]] base::Duration next_work() {
    const base::Instant now = clock_.now();
    base::Duration wait = kMaintainEvery;
    if (const auto due = spool_.commit_due()) wait = std::min(wait, *due - now);
    if (const auto due = flights_.settles_at()) wait = std::min(wait, *due - now);
    const bool live = !waiting_.empty() && room_for_live();
    const bool backlog = backlog_waits() && room_for_backlog();
    const bool blocked = suspect() && (!flights_.none() || now < quiet_until_);
    if ((live || backlog) && !blocked) {
      wait = std::min(wait, std::max(message_bucket_.wait(now), byte_bucket_.wait(now)));
    }
    return wait;
  }

  [[nodiscard]] bool tokens(base::Instant now) { return message_bucket_.available(now) && byte_bucket_.available(now); }

  void pump() {
    if (!connection_) return;
    const base::Instant now = clock_.now();
    if (const auto* alone = suspect()) {
      if (flights_.none() && now >= quiet_until_ && tokens(now)) send_alone(*alone, now);
      return;
    }
    while (!waiting_.empty() && room_for_live() && tokens(now)) {
      StoredMessage message = std::move(waiting_.front());
      waiting_.pop_front();
      if (refusals_.barred(message.message.stream, now)) {
        set_aside(message);
      } else if (packable(message) && age_of(message, clock_) > settings_.backlog_after) {
        leave_behind(message.row);
      } else {
        send_plain(std::move(message), now);
      }
    }
    while (waiting_.empty() && backlog_waits() && room_for_backlog() && tokens(now)) {
      if (chunk_.empty() && !load_chunk()) return;
      send_backlog(now);
    }
  }

  [[nodiscard]] const HangUps::Suspect* suspect() const {
    return connection_ && !draining_ ? hang_ups_.next_alone() : nullptr;
  }

  // The same publication as before, with nothing else on its way.
  void send_alone(const HangUps::Suspect suspect, base::Instant now) {
    put_back_chunk(0);
    cursor_ = suspect.row - 1;
    behind_ = true;
    if (!load_chunk() || chunk_.front().row != suspect.row) {
      hang_ups_.clear(suspect.topic);
    } else if (suspect.topic == kPacketStream) {
      send_backlog(now);
    } else {
      send_first_plain(now);
    }
    put_back_chunk(0);
    cursor_ = 0;
    behind_ = true;
  }

  bool load_chunk() {
    while (behind_ && chunk_.empty()) {
      std::vector<StoredMessage> rows = spool_.next_backlog(cursor_, kChunkRows, kChunkBytes);
      if (rows.empty()) {
        behind_ = false;
        break;
      }
      cursor_ = rows.back().row;
      for (StoredMessage& row : rows) {
        if (spool_.held(row.row)) continue;
        if (refusals_.barred(row.message.stream, clock_.now())) {
          set_aside(row);
        } else {
          spool_.hold(row.row);
          chunk_.push_back(std::move(row));
        }
      }
    }
    return !chunk_.empty();
  }

  void send_backlog(base::Instant now) {
    const StoredMessage& head = chunk_.front();
    if (refusals_.barred(head.message.stream, now)) {
      set_aside(head);
      chunk_.pop_front();
      return;
    }
    const bool packs = settings_.backlog == BacklogFormat::packed && packable(head) &&
                       refusals_.may_pack(head.message.stream) && age_of(head, clock_) > settings_.backlog_after;
    if (packs) {
      BacklogPacket packet(gateway_id_, head);
      Flight flight;
      flight.packed = true;
      bool full = false;
      std::deque<StoredMessage> rest;
      for (StoredMessage& message : chunk_) {
        const bool candidate = !full && message.message.stream == head.message.stream && message.epoch == head.epoch;
        if (candidate && age_of(message, clock_) > settings_.backlog_after && packet.try_add(message, clock_)) {
          flight.messages.push_back(message);
        } else {
          full = full || candidate;  // ascending and without holes that a later packet would fill
          rest.push_back(std::move(message));
        }
        if (rest.size() == 1 && &message == &chunk_.front()) break;  // too big for any packet
      }
      if (!flight.messages.empty()) {
        chunk_ = std::move(rest);
        publish(topic_for(settings_, kPacketStream), packet.text(), false, std::move(flight), now);
        return;
      }
      chunk_.front() = std::move(rest.front());
    }
    send_first_plain(now);
  }

  void send_first_plain(base::Instant now) {
    StoredMessage message = std::move(chunk_.front());
    chunk_.pop_front();
    send_plain(std::move(message), now);
  }

  void send_plain(StoredMessage message, base::Instant now) {
    const std::string& stream = message.message.stream;
    bool retain = false;
    if (message.message.retain && settings_.retain) {
      // A replay must not put an older value in the place of a newer one.
      std::int64_t& newest = newest_retained_[stream];
      retain = message.row >= newest;
      newest = std::max(newest, message.row);
    }
    std::string text = message_text(message, gateway_id_, clock_, is_replay(message, clock_));
    std::string topic = topic_for(settings_, stream);
    Flight flight;
    flight.messages.push_back(std::move(message));
    publish(std::move(topic), std::move(text), retain, std::move(flight), now);
  }

  void publish(std::string topic, std::string payload, bool retain, Flight flight, base::Instant now) {
    message_bucket_.take(1.0, now);
    byte_bucket_.take(static_cast<double>(topic.size() + payload.size()), now);
    for (const StoredMessage& message : flight.messages) spool_.hold(message.row);
    statistics_.published_total.fetch_add(flight.messages.size(), std::memory_order_relaxed);
    const std::uint64_t token = ++last_token_;
    flights_.add(token, std::move(flight), now);
    link_.send_down({*connection_, token, std::move(topic), std::move(payload), retain});
  }

  void take_events() {
    for (LinkEvent& event : link_.take_up()) {
      if (event.kind == LinkEvent::Kind::connected) {
        connected(event);
        continue;
      }
      if (!connection_ || event.connection != *connection_) continue;
      if (event.kind == LinkEvent::Kind::lost) {
        lost();
        continue;
      }
      if (event.kind == LinkEvent::Kind::acknowledged) {
        flights_.acknowledged(event.token, clock_.now());
      } else if (event.kind == LinkEvent::Kind::failed) {
        flights_.failed(event.token, clock_.now());
      } else if (const auto flight = flights_.take(event.token)) {
        for (const StoredMessage& message : flight->messages) spool_.release(message.row);
        refuse(*flight, event.reason);
      }
    }
    // After all events: what is lost by now must not be taken for settled.
    settle();
    for (const Flight& flight : flights_.take_failed(clock_.now())) {
      for (const StoredMessage& message : flight.messages) leave_behind(message.row);
    }
  }

  void settle() {
    std::vector<std::int64_t> acknowledged;
    for (const Flight& flight : flights_.take_settled(clock_.now())) {
      for (const StoredMessage& message : flight.messages) {
        spool_.release(message.row);
        acknowledged.push_back(message.row);
      }
      hang_ups_.clear(flight.topic());
      if (flight.packed) {
        refusals_.packet_passed();
      } else {
        refusals_.passed(flight.stream());
      }
    }
    if (acknowledged.empty()) return;
    statistics_.acknowledged_total.fetch_add(acknowledged.size(), std::memory_order_relaxed);
    spool_.acknowledge(acknowledged);
  }

  void refuse(const Flight& flight, const std::string& reason) {
    if (flight.packed) {  // what is refused is the packet's topic or size: its messages may pass on their own
      if (refusals_.packets_refused()) {
        events_.raise({signals::EventLevel::warning, "uplink", "refused_publish",
                       "the broker refused a publication on " + topic_for(settings_, kPacketStream) + " (" + reason +
                           "); the backlog is sent message by message"});
      }
      leave_behind(flight.row());
      return;
    }
    const std::string& stream = flight.stream();
    const bool news = refusals_.refused(stream, reason, clock_.now());
    set_aside(flight.messages.front());
    if (news) {
      events_.raise({signals::EventLevel::error, "uplink", "refused_publish",
                     "the broker refused a publication on " + topic_for(settings_, stream) + " (" + reason +
                         "); its messages are set aside and one is tried again every few minutes"});
    }
  }

  void set_aside(const StoredMessage& message) {
    spool_.release(message.row);
    spool_.refuse(message, refusals_.reason(message.message.stream));
    statistics_.refused_total.fetch_add(1, std::memory_order_relaxed);
  }

  void connected(const LinkEvent& event) {
    if (connection_) forget_flights();
    connection_ = event.connection;
    window_ = std::max<std::size_t>(1, event.window);
    cursor_ = 0;
    behind_ = true;
    gaps_told_at_ = base::Instant{};
    quiet_until_ = clock_.now() + kQuietBeforeAlone;
  }

  void lost() {
    const auto open = flights_.in_doubt(clock_.now());
    std::vector<HangUps::Suspect> in_doubt;
    for (const Flight* flight : open) in_doubt.push_back({flight->topic(), flight->row()});
    std::optional<Flight> guilty;
    if (const auto culprit = hang_ups_.broke(in_doubt)) {
      guilty = **std::find_if(open.begin(), open.end(), [&](const auto* f) { return f->topic() == culprit->topic; });
    }
    forget_flights();
    connection_.reset();
    if (guilty) blame(*guilty);
  }

  void forget_flights() {
    flights_.clear();
    waiting_.clear();
    spool_.release_all();
    chunk_.clear();
    newest_retained_.clear();
  }

  // What the broker hangs up at would come first again after every reconnect and block all behind it. One message says
  // nothing about its stream, two in a row do.
  void blame(const Flight& flight) {
    const std::string reason = "it hung up at it again and again";
    if (flight.packed && refusals_.packets_pass()) {
      refusals_.never_pack(flight.stream());
    } else if (!flight.packed && refusals_.doubt(flight.stream())) {
      bury_alone(flight.messages.front(), reason);
    } else {
      refuse(flight, reason);
    }
  }

  void bury_alone(const StoredMessage& message, const std::string& reason) {
    spool_.refuse(message, reason);
    statistics_.refused_total.fetch_add(1, std::memory_order_relaxed);
    events_.raise({signals::EventLevel::error, "uplink", "message_set_aside",
                   "a message on " + topic_for(settings_, message.message.stream) + " was set aside: " + reason});
  }

  void count() {
    const SpoolFigures& figures = spool_.figures();
    const auto set = [](auto& target, auto value) { target.store(value, std::memory_order_relaxed); };
    set(statistics_.spool_messages, figures.messages);
    set(statistics_.spool_bytes, figures.bytes);
    set(statistics_.appended_total, figures.appended_total);
    set(statistics_.dropped_total, figures.dropped_total);
    if (statistics_.commits_total.load(std::memory_order_relaxed) != figures.commits_total) {
      statistics_.commit_seconds.record(figures.commit_last);
      set(statistics_.commits_total, figures.commits_total);
    }
    set(statistics_.in_flight, flights_.in_flight());
  }

  Spool& spool_;
  Link& link_;
  Statistics& statistics_;
  const UplinkSettings settings_;
  const std::string gateway_id_;
  const base::Clock& clock_;
  signals::EventSink& events_;
  TokenBucket message_bucket_;
  TokenBucket byte_bucket_;

  std::uint64_t epoch_ = 0;
  std::optional<std::uint64_t> connection_;
  std::size_t window_ = 1;
  std::uint64_t last_token_ = 0;
  Flights flights_;
  std::deque<StoredMessage> waiting_;  // live, for want of room
  std::deque<StoredMessage> chunk_;    // of the backlog, read ahead
  std::int64_t cursor_ = 0;            // rows up to here are held or gone
  bool behind_ = false;                // there may be rows after the cursor
  bool draining_ = false;
  base::Instant maintained_at_{};
  base::Instant gaps_told_at_{};
  base::Instant quiet_until_{};

  std::map<std::string, std::int64_t> newest_retained_;
  Refusals refusals_;
  HangUps hang_ups_;
};

Courier::Courier(Spool& spool, Link& link, Statistics& statistics, UplinkSettings settings, std::string gateway_id,
                 const base::Clock& clock, signals::EventSink& events)
    : implementation_(std::make_unique<Implementation>(spool, link, statistics, std::move(settings),
                                                       std::move(gateway_id), clock, events)),
      link_(link) {}
Courier::~Courier() = default;
void Courier::submit(signals::Message message) { implementation_->submit(std::move(message)); }
void Courier::skip(const std::string& stream, std::uint64_t count, base::Instant first, base::Instant last) {
  implementation_->skip(stream, count, first, last);
}
void Courier::run_once(base::Duration max_wait) { implementation_->run_once(max_wait); }
void Courier::wake() noexcept { link_.spool_wake_up().ring(); }
void Courier::stop(base::Instant deadline) { implementation_->stop(deadline); }

}  // namespace twinkeeper::uplink
