#include "uplink/courier.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <utility>

#include "uplink/envelope.hpp"
#include "uplink/flights.hpp"
#include "uplink/lanes.hpp"
#include "uplink/outgoing.hpp"
#include "uplink/pace.hpp"
#include "uplink/quarantine.hpp"
#include "uplink/topics.hpp"

namespace twinkeeper::uplink {
namespace {

constexpr base::Duration kMaintainEvery = std::chrono::seconds{1};
constexpr base::Duration kStandsAfter = std::chrono::seconds{30};  // what waits has gone, and a bad network shows
constexpr base::Duration kLateAnswer = std::chrono::seconds{3};
constexpr base::Duration kTellGapsEvery = std::chrono::seconds{2};
constexpr std::size_t kLiveInARow = 50;

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
        pace_(settings_.max_messages_per_second, settings_.max_bytes_per_second, clock.now(), std::random_device{}()),
        flights_(settings_.mqtt_version),
        lanes_(spool_),
        quarantine_(spool_, statistics_, settings_, clock_, events) {
    follow_epoch();
    count();
  }

  void follow_epoch() {
    if (spool_.epoch() == epoch_) return;
    epoch_ = spool_.epoch();
    const PreviousEpoch* previous = spool_.previous();
    link_.set_epoch(epoch_, previous == nullptr ? std::nullopt : std::optional<PreviousEpoch>(*previous));
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

  base::Result<Purged> purge(const PurgeFilter& filter) {
    lanes_.unread();
    auto purged = spool_.purge(filter);
    quarantine_.tell();
    count();
    return purged;
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
    if ((connection_ && now - gaps_told_at_ >= kTellGapsEvery) || spool_.much_to_tell()) {
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
    while (connection_ && !(flights_.none() && lanes_.no_live()) && clock_.now() < deadline) {
      const base::Duration left = deadline - clock_.now();
      link_.spool_wake_up().wait_for(std::min<base::Duration>({left, next_work(), std::chrono::milliseconds{100}}));
      turn();
    }
    draining_ = false;
    spool_.commit();
    count();
  }

 private:
  // A live message: to be sent as soon as there is room, unless it can only wait in the spool.
  void offer(StoredMessage message) {
    if (connection_ && quarantine_.passes(message, clock_.now())) lanes_.offer(std::move(message));
  }

  [[nodiscard]] bool room_for_live() const { return connection_ && flights_.in_flight() < window_; }
  [[nodiscard]] bool room_for_backlog() const {
    return flights_.in_flight() < std::max<std::size_t>(1, window_ - window_ / 4);
  }
  // It would be the second one in flight of those topics of which nothing is known: see HangUps.
  [[nodiscard]] bool must_wait(const std::string& topic) const {
    const HangUps& hang_ups = quarantine_.hang_ups();
    const auto unanswered = [&](const Flight& flight) { return hang_ups.unanswered(flight.topic()); };
    return hang_ups.unanswered(topic) && flights_.any_on_another(topic, unanswered);
  }
  [[nodiscard]] bool live_waits(Lane lane) {
    const auto& live = lanes_.live(lane);
    return room_for_live() && !live.empty() && !must_wait(live.front().message.stream);
  }
  [[nodiscard]] bool backlog_waits(Lane lane) {
    if (!connection_ || draining_ || late_ || !flights_.room_for_backlog() || !lanes_.backlog_waits(lane)) return false;
    const auto& chunk = lanes_.backlog(lane);
    return chunk.empty() || !must_wait(quarantine_.topic_of(chunk.front()));
  }
  [[nodiscard]] std::size_t& in_a_row(Lane lane) { return live_in_a_row_[static_cast<std::size_t>(lane)]; }
  // Behind the live messages, but not never: where these take all that the broker acknowledges, one in some is of the
  // backlog, whose packets carry hundreds. Else it leaves a part of the window free, so that live messages need not
  // wait behind it.
  [[nodiscard]] bool may_send_backlog(Lane lane, base::Instant now) {
    if (!backlog_waits(lane) || !pace_.backlog(now)) return false;
    if (in_a_row(lane) >= kLiveInARow) return room_for_live();
    return !live_waits(lane) && room_for_backlog();
  }

  [[nodiscard]] base::Duration next_work() {
    const base::Instant now = clock_.now();
    base::Duration wait = kMaintainEvery;
    if (const auto due = spool_.commit_due()) wait = std::min(wait, *due - now);
    if (const auto due = flights_.settles_at()) wait = std::min(wait, *due - now);
    bool live = probe(now) != nullptr && room_for_live();
    bool backlog = false;
    if (const auto due = quarantine_.hang_ups().next_try(); due && connection_ && now < std::max(*due, stands_at_)) {
      wait = std::min(wait, std::max(*due, stands_at_) - now);
    }
    for (const Lane lane : kLanes) {
      live = live || live_waits(lane);
      backlog = backlog || (backlog_waits(lane) && room_for_backlog());
    }
    if (live) wait = std::min(wait, pace_.wait_live(now));
    if (backlog) wait = std::min(wait, pace_.wait_backlog(now));
    return wait;
  }

  // In each lane live messages before the backlog.
  void pump() {
    if (!connection_) return;
    const base::Instant now = clock_.now();
    late_ = flights_.waits_since() && now - *flights_.waits_since() > kLateAnswer;
    if (late_) pace_.slow_down(now);
    for (const Lane lane : kLanes) {
      do {
        send_live(lane, now);
      } while (may_send_backlog(lane, now) && send_from_backlog(lane, now));
    }
    send_probe(now);
  }

  // False: nothing of it can go now.
  bool send_from_backlog(Lane lane, base::Instant now) {
    in_a_row(lane) = 0;
    if (!lanes_.load(lane, [&](const StoredMessage& row) { return quarantine_.passes(row, now); })) return false;
    auto& chunk = lanes_.backlog(lane);
    if (must_wait(quarantine_.topic_of(chunk.front()))) return false;
    spool_.release(chunk.front().row);  // judged again: since it was read it may have grown old enough for a packet
    if (quarantine_.passes(chunk.front(), now)) {
      send_backlog(chunk, now);
    } else {
      chunk.pop_front();
    }
    return true;
  }

  void send_live(Lane lane, base::Instant now) {
    auto& live = lanes_.live(lane);
    if (live.empty()) in_a_row(lane) = 0;
    while (live_waits(lane) && pace_.live(now) && !(in_a_row(lane) >= kLiveInARow && may_send_backlog(lane, now))) {
      ++in_a_row(lane);
      StoredMessage message = std::move(live.front());
      live.pop_front();
      if (quarantine_.takes(message, now)) continue;
      if (packable(message) && age_of(message, clock_) > settings_.backlog_after) {
        lanes_.leave_behind(message);
      } else {
        send_plain(std::move(message), false, now);
      }
    }
  }

  [[nodiscard]] const HangUps::Suspect* probe(base::Instant now) const {
    const HangUps& hang_ups = quarantine_.hang_ups();
    if (!connection_ || draining_ || hang_ups.suspects().empty()) return nullptr;
    const auto* next = hang_ups.next_probe(now, now >= stands_at_);
    const auto innocent = [&](const Flight& flight) { return hang_ups.beyond_doubt(flight.topic(), flight.row()); };
    return next != nullptr && flights_.all_of(innocent) ? next : nullptr;
  }

  // The publication at which the last connection may have broken, while other topics flow.
  void send_probe(base::Instant now) {
    while (room_for_live() && pace_.live(now)) {
      const auto* next = probe(now);
      if (next == nullptr) return;
      const HangUps::Suspect suspect = *next;
      const bool packed = suspect.topic == kPacketStream;
      auto rows =
          spool_.next_backlog(suspect.row - 1, packed ? Lanes::kChunkRows : 1, Lanes::kChunkBytes, suspect.lane);
      const bool there = !rows.empty() && rows.front().row == suspect.row;
      if (there && quarantine_.takes(rows.front(), now)) continue;
      HangUps& hang_ups = quarantine_.hang_ups();
      if (!there || (packed && !quarantine_.packs(rows.front()))) {  // nothing to probe the topic with
        spool_.release(suspect.row);
        if (hang_ups.forget(suspect.topic)) lanes_.reread();
        continue;
      }
      hang_ups.probing(suspect.topic);
      std::deque<StoredMessage> from(std::make_move_iterator(rows.begin()), std::make_move_iterator(rows.end()));
      if (packed) {
        std::erase_if(from, [&](const auto& row) { return row.row != suspect.row && spool_.held(row.row); });
        send_backlog(from, now);
      } else {
        send_first_plain(from, now);
      }
    }
  }

  // What stands at the head of `from`, or a packet that begins with it.
  void send_backlog(std::deque<StoredMessage>& from, base::Instant now) {
    const StoredMessage& head = from.front();
    if (quarantine_.packs(head)) {
      BacklogPacket packet(gateway_id_, head, pace_.packet_bytes());
      Flight flight;
      flight.packed = true;
      bool full = false;
      std::deque<StoredMessage> rest;
      for (StoredMessage& message : from) {
        const bool first = &message == &from.front();
        const bool candidate = !full && message.message.stream == head.message.stream && message.epoch == head.epoch;
        if (candidate && age_of(message, clock_) > settings_.backlog_after && packet.try_add(message, clock_)) {
          flight.messages.push_back(message);
        } else {
          full = full || candidate;  // ascending and without holes that a later packet would fill
          rest.push_back(std::move(message));
        }
        if (rest.size() == 1 && first) break;  // too big for any packet
      }
      if (!flight.messages.empty()) {
        from = std::move(rest);
        publish(topic_for(settings_, kPacketStream), packet.text(), false, std::move(flight), true, now);
        return;
      }
      from.front() = std::move(rest.front());
    }
    send_first_plain(from, now);
  }

  void send_first_plain(std::deque<StoredMessage>& from, base::Instant now) {
    StoredMessage message = std::move(from.front());
    from.pop_front();
    send_plain(std::move(message), true, now);
  }

  void send_plain(StoredMessage message, bool of_backlog, base::Instant now) {
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
    publish(std::move(topic), std::move(text), retain, std::move(flight), of_backlog, now);
  }

  void publish(std::string topic, std::string payload, bool retain, Flight flight, bool of_backlog, base::Instant now) {
    pace_.take(topic.size() + payload.size(), of_backlog, now);
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
        if (const Flight* flight = flights_.find(event.token)) quarantine_.hang_ups().answered(flight->topic());
        flights_.acknowledged(event.token, clock_.now());
      } else if (event.kind == LinkEvent::Kind::failed) {
        flights_.failed(event.token, clock_.now());
      } else if (const auto flight = flights_.take(event.token)) {
        refused(*flight, event.reason);
      }
    }
    // After all events: what is lost by now must not be taken for settled.
    settle();
    for (const Flight& flight : flights_.take_failed(clock_.now())) {
      quarantine_.hang_ups().not_probed(flight.topic());
      for (const StoredMessage& message : flight.messages) lanes_.leave_behind(message);
    }
  }

  void settle() {
    std::vector<std::int64_t> acknowledged;
    for (const Flight& flight : flights_.take_settled(clock_.now())) {
      for (const StoredMessage& message : flight.messages) {
        spool_.release(message.row);
        acknowledged.push_back(message.row);
      }
      if (quarantine_.passed(flight)) lanes_.reread();
    }
    if (acknowledged.empty()) return;
    statistics_.acknowledged_total.fetch_add(acknowledged.size(), std::memory_order_relaxed);
    spool_.acknowledge(acknowledged);
  }

  void refused(const Flight& flight, const std::string& reason) {
    for (const StoredMessage& message : flight.messages) spool_.release(message.row);
    const bool others_may_flow = quarantine_.refused(flight, reason);
    if (flight.packed) {
      for (const StoredMessage& message : flight.messages) lanes_.leave_behind(message);
    }
    if (others_may_flow) lanes_.reread();
  }

  void connected(const LinkEvent& event) {
    if (connection_) forget_flights();
    connection_ = event.connection;
    window_ = std::max<std::size_t>(1, event.window);
    lanes_.start();
    gaps_told_at_ = base::Instant{};
    stands_at_ = clock_.now() + kStandsAfter;
    pace_.connected(clock_.now());
  }

  void lost() {
    const base::Instant now = clock_.now();
    // Given up by our side for want of acknowledgements: silence is no verdict.
    const bool silent = flights_.waits_since() && now - *flights_.waits_since() >= settings_.acknowledge_timeout;
    const std::vector<Flight> in_doubt = silent ? std::vector<Flight>{} : flights_.in_doubt(now);
    forget_flights();
    connection_.reset();
    quarantine_.broke(in_doubt);
  }

  void forget_flights() {
    flights_.clear();
    lanes_.clear();
  }

  void count() {
    const SpoolFigures& figures = spool_.figures();
    statistics_.spool_trouble.set(figures.trouble);
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
  Pace pace_;

  std::uint64_t epoch_ = 0;
  std::optional<std::uint64_t> connection_;
  std::size_t window_ = 1;
  std::uint64_t last_token_ = 0;
  Flights flights_;
  Lanes lanes_;
  bool draining_ = false;
  std::array<std::size_t, kLanes.size()> live_in_a_row_{};
  bool late_ = false;  // the broker's answers: the backlog waits for them
  base::Instant maintained_at_{};
  base::Instant gaps_told_at_{};
  base::Instant stands_at_{};

  std::map<std::string, std::int64_t> newest_retained_;  // by stream; brokers keep them, whatever the connection does
  Quarantine quarantine_;
};

Courier::Courier(Spool& spool, Link& link, Statistics& statistics, UplinkSettings settings, std::string gateway_id,
                 const base::Clock& clock, signals::EventSink& events)
    : implementation_(std::make_unique<Implementation>(spool, link, statistics, std::move(settings),
                                                       std::move(gateway_id), clock, events)),
      link_(link) {}
Courier::~Courier() = default;
void Courier::submit(signals::Message message) { implementation_->submit(std::move(message)); }
void Courier::follow_epoch() { implementation_->follow_epoch(); }
void Courier::skip(const std::string& stream, std::uint64_t count, base::Instant first, base::Instant last) {
  implementation_->skip(stream, count, first, last);
}
base::Result<Purged> Courier::purge(const PurgeFilter& filter) { return implementation_->purge(filter); }
void Courier::run_once(base::Duration max_wait) { implementation_->run_once(max_wait); }
void Courier::wake() noexcept { link_.spool_wake_up().ring(); }
void Courier::stop(base::Instant deadline) { implementation_->stop(deadline); }

}  // namespace twinkeeper::uplink
