#include "twinkeeper/diagnosis/alarm_book.hpp"

#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::diagnosis;
using namespace std::chrono_literals;

namespace {

base::Instant at(base::Duration time) { return base::Instant{time}; }

AlarmDefinition definition(const std::string& id, int severity = 600) {
  AlarmDefinition made;
  made.id = id;
  made.kind = AnomalyKind::gateway;
  made.test = "fill";
  made.message = "The spool is nearly full.";
  made.message_cleared = "The spool has room again.";
  made.severity = severity;
  made.on_delay = 2s;
  made.off_delay = 10s;
  return made;
}

}  // namespace

TEST_CASE("AlarmBook raises after the on-delay and clears after the off-delay") {
  AlarmBook book(OwnerKind::gateway, "");
  const AlarmHandle alarm = book.add(definition("spool.full"));
  std::vector<AnomalyEvent> out;
  CHECK_FALSE(book.update(alarm, true, at(0s), out));
  CHECK(book.pending(alarm));
  CHECK_FALSE(book.update(alarm, true, at(1999ms), out));
  CHECK(book.update(alarm, true, at(2s), out));
  REQUIRE(out.size() == 1);
  CHECK(out[0].event == AnomalyEventKind::raised);
  CHECK(out[0].state == AnomalyState::active);
  CHECK(out[0].id == "spool.full");
  CHECK(out[0].occurrence == 1);
  CHECK(out[0].onset == at(0s));
  CHECK(out[0].raised_at == at(2s));
  CHECK(out[0].message == "The spool is nearly full.");
  CHECK(book.active_ids() == std::vector<std::string>{"spool.full"});

  CHECK_FALSE(book.update(alarm, false, at(3s), out));
  CHECK_FALSE(book.update(alarm, false, at(12999ms), out));
  CHECK(book.update(alarm, false, at(13s), out));
  CHECK(out[1].event == AnomalyEventKind::cleared);
  CHECK(out[1].state == AnomalyState::returned);
  CHECK(out[1].raised_at == at(2s));
  CHECK(out[1].cleared_at == at(13s));
  CHECK(out[1].message == "The spool has room again.");
  CHECK(book.active_count() == 0);
}

TEST_CASE("A condition that flickers is neither raised nor cleared") {
  AlarmBook book(OwnerKind::gateway, "");
  const AlarmHandle alarm = book.add(definition("a"));
  std::vector<AnomalyEvent> out;
  for (int i = 0; i < 20; ++i) book.update(alarm, i % 2 == 0, at(i * 1s), out);
  CHECK(out.empty());
  for (int i = 20; i < 23; ++i) book.update(alarm, true, at(i * 1s), out);
  CHECK(out.size() == 1);
  for (int i = 23; i < 60; ++i) book.update(alarm, i % 5 == 0, at(i * 1s), out);
  CHECK(out.size() == 1);
  CHECK(book.active(alarm));
}

TEST_CASE("Occurrences are counted and content does not leak into the next one") {
  AlarmBook book(OwnerKind::device, "plc");
  AlarmDefinition made = definition("plc.x");
  made.on_delay = made.off_delay = 0s;
  const AlarmHandle alarm = book.add(made);
  std::vector<AnomalyEvent> out;
  book.update(alarm, true, at(1s), out, [](AnomalyEvent& event) { event.caused_by = {"y"}; });
  book.update(alarm, false, at(2s), out);
  book.update(alarm, true, at(3s), out);
  REQUIRE(out.size() == 3);
  CHECK(out[1].caused_by == std::vector<std::string>{"y"});
  CHECK(out[1].occurrence == 1);
  CHECK(out[2].occurrence == 2);
  CHECK(out[2].caused_by.empty());
  CHECK_FALSE(out[2].cleared_at.has_value());
}

TEST_CASE("A change is told at most once a minute") {
  AlarmBook book(OwnerKind::gateway, "");
  const AlarmHandle alarm = book.add(definition("a"));
  std::vector<AnomalyEvent> out;
  for (int second = 0; second <= 200; ++second) {
    book.mark_changed(alarm);
    book.update(alarm, true, at(second * 1s), out);
  }
  REQUIRE(out.size() == 4);
  for (std::size_t i = 1; i < out.size(); ++i) {
    CHECK(out[i].event == AnomalyEventKind::changed);
    CHECK(out[i].time - out[i - 1].time == 60s);
  }
}

TEST_CASE("AlarmBook knows what stands and how urgent the worst of it is") {
  AlarmBook book(OwnerKind::gateway, "");
  const AlarmHandle low = book.add(definition("low", 400));
  const AlarmHandle high = book.add(definition("high", 700));
  std::vector<AnomalyEvent> out;
  CHECK(book.highest_priority() == Priority::none);
  for (const base::Duration t : {0s, 2s}) book.update(low, true, at(t), out);
  CHECK(book.highest_priority() == Priority::low);
  for (const base::Duration t : {3s, 5s}) book.update(high, true, at(t), out);
  CHECK(book.highest_priority() == Priority::high);
  CHECK(book.active_ids() == std::vector<std::string>{"low", "high"});
  CHECK(book.clear_now(high, at(6s), out, [](AnomalyEvent&) {}));
  CHECK_FALSE(book.clear_now(high, at(6s), out, [](AnomalyEvent&) {}));
  std::vector<std::string> ids{"x", "y", "z"};
  book.active_ids(ids);
  CHECK(ids == std::vector<std::string>{"low"});
}

TEST_CASE("Priorities follow the severity") {
  CHECK(priority_of(1) == Priority::low);
  CHECK(priority_of(400) == Priority::low);
  CHECK(priority_of(401) == Priority::medium);
  CHECK(priority_of(600) == Priority::medium);
  CHECK(priority_of(800) == Priority::high);
  CHECK(priority_of(801) == Priority::critical);
}
