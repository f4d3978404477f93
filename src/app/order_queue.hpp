// Orders on their way from the spool thread to the thread that owns what they are about (twins and devices: the twin
// thread; the gateway's own alarms: the main thread), and what became of them on their way back.
//
// An order about an alarm goes to every thread that has alarms; the one that has it answers. Thread rule: one giver, one
// obeyer. No lock, no wait: looking for an order costs an atomic load. Bounded: 16 orders are under way at most, which is
// why an outcome always finds room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/outbox.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/queue.hpp"
#include "twinkeeper/diagnosis/alarm_book.hpp"

namespace twinkeeper::app {

struct Order {
  enum class Kind : std::uint8_t {
    acknowledge,
    shelve,
    unshelve,
    maintenance,  // of a twin or device: its alarms are suppressed
    snapshot,     // publishes the newest state and samples at once
    remember,     // hands out what twins remember
  };
  std::uint64_t number = 0;
  Kind kind = Kind::acknowledge;
  std::string subject;  // id of an alarm, name of a twin or device
  diagnosis::OperatorWord word;
  std::vector<std::size_t> twins, devices;  // snapshot, remember
};

struct Outcome {
  std::uint64_t number = 0;
  std::optional<std::string> reason;      // nothing: nobody here is called that; empty: done
  std::vector<CheckpointRecord> records;  // of `remember`
};

class OrderQueue {
 public:
  static constexpr std::size_t kMost = 16;

  OrderQueue() : orders_(kMost), outcomes_(kMost) {}

  // Giver. An order is given only while the queue is not full.
  [[nodiscard]] bool full() const { return under_way_ >= kMost; }
  void give(Order order) {
    if (!full() && orders_.try_push(std::move(order))) ++under_way_;
  }
  [[nodiscard]] bool take_outcome(Outcome& outcome) {
    if (!outcomes_.try_pop(outcome)) return false;
    --under_way_;
    return true;
  }

  // Obeyer: each order that was taken is settled once.
  [[nodiscard]] bool take(Order& order) { return orders_.try_pop(order); }
  void settle(Outcome outcome) { outcomes_.try_push(std::move(outcome)); }

 private:
  base::BoundedQueue<Order> orders_;
  base::BoundedQueue<Outcome> outcomes_;
  std::size_t under_way_ = 0;  // the giver's
};

// Carries out an order about alarms on the book that has them.
[[nodiscard]] inline std::optional<std::string> obey(const Order& order, diagnosis::AlarmBook& book, base::Instant now,
                                                     std::vector<diagnosis::AnomalyEvent>& out) {
  switch (order.kind) {
    case Order::Kind::acknowledge: return book.acknowledge(order.subject, order.word, now, out);
    case Order::Kind::shelve: return book.shelve(order.subject, order.word, now, out);
    case Order::Kind::unshelve: return book.unshelve(order.subject, order.word, now, out);
    case Order::Kind::maintenance: return book.suppress(order.subject, order.word, now, out);
    case Order::Kind::snapshot:
    case Order::Kind::remember: break;
  }
  return std::nullopt;
}

}  // namespace twinkeeper::app
