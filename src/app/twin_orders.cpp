// How the twin thread obeys orders.
#include "app/twin_loop.hpp"

namespace twinkeeper::app {

template <class Each>
void TwinLoop::each_alarm_book(const Each& each) {
  for (ScheduledTwin& twin : twins_) each(twin.run.alarms());
  for (diagnosis::DeviceDiagnosis& device : devices_) each(device.alarms());
  for (diagnosis::BusDiagnosis& bus : buses_) each(bus.alarms());
}

void TwinLoop::restore(const OperatorWords& words, std::vector<diagnosis::AnomalyEvent>& standing) {
  each_alarm_book([&](diagnosis::AlarmBook& book) {
    words.restore(book);
    book.standing(standing);
  });
}

void TwinLoop::obey_orders() {
  const base::Instant now = clock_.now();
  each_alarm_book([&](diagnosis::AlarmBook& book) { book.end_withheld(now, anomalies_); });
  Order order;
  std::vector<Outcome> outcomes;
  while (orders_.take(order)) outcomes.push_back(obey(order, now));
  send_anomalies();
  // After what they have told: who hears of the outcome has seen the events.
  for (Outcome& outcome : outcomes) {
    orders_.settle(std::move(outcome));
    outbox_filled_ = true;
  }
}

Outcome TwinLoop::obey(const Order& order, base::Instant now) {
  Outcome outcome;
  outcome.number = order.number;
  if (order.kind == Order::Kind::snapshot) {
    for (const std::size_t twin : order.twins) {
      if (twins_[twin].run.begun()) publish_state(twin);
    }
    for (const std::size_t device : order.devices) take_snapshot(device, now);
    outcome.reason = "";
    return outcome;
  }
  if (order.kind == Order::Kind::remember) {
    outcome.reason = "";
    for (const std::size_t twin : order.twins) {
      if (!remember(twin, outcome.records.emplace_back())) outcome.reason = "the twin has made no step yet";
    }
    return outcome;
  }
  each_alarm_book([&](diagnosis::AlarmBook& book) {
    if (const auto answer = app::obey(order, book, now, anomalies_)) outcome.reason = answer;
  });
  return outcome;
}

}  // namespace twinkeeper::app
