#include "twinkeeper/diagnosis/alarm_book.hpp"

#include <algorithm>

#include "support/catch.hpp"
#include "twinkeeper/base/archive.hpp"

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

namespace {

OperatorWord word(base::Duration until = 0s) { return {"ann", "looked at", at(until)}; }

// A twin's book with one alarm that stands since 2 s.
struct Standing {
  Standing() {
    book.update(alarm, true, at(0s), out);
    book.update(alarm, true, at(2s), out);
    out.clear();
  }
  [[nodiscard]] std::vector<std::string> shelved() const {
    std::vector<std::string> ids;
    book.shelved_ids(ids);
    return ids;
  }
  AlarmBook book{OwnerKind::twin, "tanks"};
  AlarmHandle alarm = book.add(definition("tanks.level.stuck"));
  AlarmHandle other = book.add(definition("tanks.level.gate"));
  std::vector<AnomalyEvent> out;
};

}  // namespace

TEST_CASE("An alarm that stands is acknowledged once, until it clears") {
  Standing s;
  CHECK(s.book.acknowledge("plc.level.stuck", word(), at(3s), s.out) == std::nullopt);
  CHECK(s.book.acknowledge("tanks.level.gate", word(), at(3s), s.out) == "tanks.level.gate does not stand");
  CHECK(s.book.acknowledge("tanks.level.stuck", word(), at(3s), s.out) == "");
  CHECK(s.book.acknowledge("tanks.level.stuck", word(), at(4s), s.out) == "tanks.level.stuck is acknowledged already");
  REQUIRE(s.out.size() == 1);
  CHECK(s.out[0].event == AnomalyEventKind::acknowledged);
  CHECK(s.out[0].state == AnomalyState::acknowledged);
  CHECK(s.out[0].by == "ann");
  CHECK(s.out[0].comment == "looked at");
  CHECK(s.out[0].time == at(3s));
  CHECK(s.book.active_ids() == std::vector<std::string>{"tanks.level.stuck"});
  CHECK(s.book.highest_priority() == Priority::medium);
  s.book.mark_changed(s.alarm);
  CHECK(s.book.update(s.alarm, true, at(2min), s.out));
  CHECK(s.out.back().state == AnomalyState::acknowledged);
  s.book.update(s.alarm, false, at(3min), s.out);
  s.book.update(s.alarm, false, at(4min), s.out);
  CHECK(s.out.back().state == AnomalyState::returned);
  s.book.update(s.alarm, true, at(5min), s.out);
  s.book.update(s.alarm, true, at(6min), s.out);
  CHECK(s.out.back().event == AnomalyEventKind::raised);
  CHECK(s.out.back().state == AnomalyState::active);
  CHECK(s.out.back().by.empty());
}

TEST_CASE("A shelved alarm comes and goes unseen until its time is over") {
  Standing s;
  CHECK(s.book.shelve("tanks.level.gate", word(1h), at(3s), s.out) == "tanks.level.gate was never raised");
  CHECK(s.book.unshelve("tanks.level.stuck", word(), at(3s), s.out) == "tanks.level.stuck is not shelved");
  CHECK(s.book.shelve("tanks.level.stuck", word(1h), at(3s), s.out) == "");
  REQUIRE(s.out.size() == 1);
  CHECK(s.out[0].event == AnomalyEventKind::shelved);
  CHECK(s.out[0].state == AnomalyState::shelved);
  CHECK(s.out[0].shelved_until == at(1h));
  CHECK(s.book.active_ids().empty());
  CHECK(s.book.active_count() == 1);
  CHECK(s.book.highest_priority() == Priority::none);
  CHECK(s.shelved() == std::vector<std::string>{"tanks.level.stuck"});

  s.book.update(s.alarm, false, at(4s), s.out);
  s.book.update(s.alarm, false, at(14s), s.out);
  CHECK(s.out.back().event == AnomalyEventKind::cleared);
  CHECK(s.out.back().state == AnomalyState::returned);
  s.book.update(s.alarm, true, at(20s), s.out);
  s.book.update(s.alarm, true, at(22s), s.out);
  CHECK(s.out.back().event == AnomalyEventKind::raised);
  CHECK(s.out.back().state == AnomalyState::shelved);
  CHECK(s.out.back().by == "ann");
  CHECK(s.out.back().shelved_until == at(1h));

  s.out.clear();
  s.book.end_withheld(at(1h) - 1ns, s.out);
  CHECK(s.out.empty());
  s.book.end_withheld(at(1h), s.out);
  REQUIRE(s.out.size() == 1);
  CHECK(s.out[0].event == AnomalyEventKind::unshelved);
  CHECK(s.out[0].state == AnomalyState::active);
  CHECK_FALSE(s.out[0].shelved_until);
  CHECK(s.book.active_ids() == std::vector<std::string>{"tanks.level.stuck"});
  s.book.end_withheld(at(2h), s.out);
  CHECK(s.out.size() == 1);
}

TEST_CASE("Acknowledged while shelved, an alarm is acknowledged when it comes off the shelf") {
  Standing s;
  CHECK(s.book.shelve("tanks.level.stuck", word(1h), at(3s), s.out) == "");
  CHECK(s.book.acknowledge("tanks.level.stuck", word(), at(4s), s.out) == "");
  CHECK(s.out.back().state == AnomalyState::shelved);
  CHECK(s.book.unshelve("tanks.level.stuck", word(), at(5s), s.out) == "");
  CHECK(s.out.back().event == AnomalyEventKind::unshelved);
  CHECK(s.out.back().state == AnomalyState::acknowledged);
}

TEST_CASE("Maintenance of an owner suppresses what stands and what comes") {
  Standing s;
  CHECK(s.book.suppress("plc", word(1h), at(3s), s.out) == std::nullopt);
  CHECK(s.book.suppress("tanks", word(), at(3s), s.out) == "tanks is not in maintenance");
  CHECK(s.book.suppress("tanks", word(1h), at(3s), s.out) == "");
  REQUIRE(s.out.size() == 1);
  CHECK(s.out[0].event == AnomalyEventKind::suppressed);
  CHECK(s.out[0].state == AnomalyState::suppressed);
  s.book.update(s.other, true, at(4s), s.out);
  s.book.update(s.other, true, at(6s), s.out);
  CHECK(s.out.back().event == AnomalyEventKind::raised);
  CHECK(s.out.back().state == AnomalyState::suppressed);
  CHECK(s.book.active_ids().empty());
  CHECK(s.shelved() == std::vector<std::string>{"tanks.level.stuck", "tanks.level.gate"});
  s.out.clear();
  SECTION("until its time is over") { s.book.end_withheld(at(1h), s.out); }
  SECTION("until it is ended") { CHECK(s.book.suppress("tanks", word(), at(7s), s.out) == ""); }
  REQUIRE(s.out.size() == 2);
  for (const AnomalyEvent& event : s.out) {
    CHECK(event.event == AnomalyEventKind::unsuppressed);
    CHECK(event.state == AnomalyState::active);
  }
  CHECK(s.book.active_ids().size() == 2);
  CHECK(s.shelved().empty());
}

TEST_CASE("What operators have said is given back to a book that goes on, and to one that begins anew") {
  Standing s;
  s.book.restore_acknowledgement("tanks.level.stuck", 2, word(1min));  // of another occurrence
  s.book.standing(s.out);
  CHECK(s.out.back().state == AnomalyState::active);
  s.book.restore_acknowledgement("tanks.level.stuck", 1, word(1min));
  s.book.standing(s.out);
  CHECK(s.out.back().state == AnomalyState::acknowledged);
  CHECK(s.out.back().by == "ann");

  for (const base::Duration raised : {30s, 90s}) {
    AlarmBook anew(OwnerKind::twin, "tanks");
    const AlarmHandle alarm = anew.add(definition("tanks.level.stuck"));
    anew.restore_acknowledgement("tanks.level.stuck", 7, word(1min));
    anew.restore_shelf("plc.connection", word(1h));
    anew.restore_suppression("plc", word(1h));
    std::vector<AnomalyEvent> out;
    anew.update(alarm, true, at(raised - 2s), out);
    anew.update(alarm, true, at(raised), out);
    REQUIRE(out.size() == 1);
    CHECK(out[0].state == (raised < 1min ? AnomalyState::acknowledged : AnomalyState::active));
  }

  AlarmBook anew(OwnerKind::twin, "tanks");
  const AlarmHandle alarm = anew.add(definition("tanks.level.stuck"));
  anew.restore_shelf("tanks.level.stuck", word(1h));
  std::vector<AnomalyEvent> out;
  anew.update(alarm, true, at(0s), out);
  anew.update(alarm, true, at(2s), out);
  CHECK(out[0].state == AnomalyState::shelved);
  // One that has not come yet can be taken off without a word.
  AlarmBook quiet(OwnerKind::device, "plc");
  out.clear();
  quiet.restore_shelf("plc.connection", word(1h));
  CHECK(quiet.unshelve("plc.connection", word(), at(1s), out) == "");
  CHECK(out.empty());
}

TEST_CASE("An alarm that chatters is shelved by itself for a while, and told again afterwards") {
  AlarmBook book(OwnerKind::twin, "t");
  const AlarmHandle alarm = book.add(definition("t.a.cusum"));
  std::vector<AnomalyEvent> out;
  base::Instant now = at(5s);
  const auto once = [&](base::Duration pause) {
    for (const bool condition : {true, false}) {
      for (int second = 0; second <= 10; ++second, now += 1s) {
        book.end_withheld(now, out);
        book.update(alarm, condition, now, out);
      }
    }
    now += pause;
  };
  const auto count = [&](AnomalyEventKind kind) {
    return std::count_if(out.begin(), out.end(), [&](const AnomalyEvent& event) { return event.event == kind; });
  };
  for (int time = 0; time < 3; ++time) once(1min);
  CHECK(count(AnomalyEventKind::raised) == 3);
  CHECK(count(AnomalyEventKind::shelved) == 0);
  for (int time = 0; time < 4; ++time) once(1min);
  CHECK(count(AnomalyEventKind::raised) == 4);
  CHECK(count(AnomalyEventKind::cleared) == 3);
  REQUIRE(count(AnomalyEventKind::shelved) == 1);
  CHECK(out.back().event == AnomalyEventKind::shelved);
  CHECK(out.back().by == "twinkeeper");
  CHECK(out.back().comment.find("it chatters") == 0);
  CHECK(out.back().occurrence == 4);
  CHECK(book.active_ids().empty());
  // Its time is over: how it stands is told, and one that goes on is shelved again at once.
  now += 10min;
  once(1min);
  CHECK(count(AnomalyEventKind::unshelved) == 1);
  CHECK(count(AnomalyEventKind::raised) == 5);
  CHECK(out.back().event == AnomalyEventKind::shelved);
  CHECK(out.back().occurrence == 8);
  // One that comes an hour apart is none.
  now += 2h;
  out.clear();
  for (int time = 0; time < 6; ++time) once(30min);
  CHECK(count(AnomalyEventKind::raised) == 6);
  CHECK(count(AnomalyEventKind::cleared) == 6);
  CHECK(count(AnomalyEventKind::shelved) == 0);
}

TEST_CASE("Who shelves or unshelves a chattering alarm hears of it again") {
  for (const bool unshelve : {true, false}) {
    AlarmBook book(OwnerKind::twin, "t");
    AlarmDefinition quick = definition("t.a.gate");
    quick.on_delay = quick.off_delay = 0s;
    const AlarmHandle alarm = book.add(quick);
    std::vector<AnomalyEvent> out;
    base::Instant now = at(0s);
    for (int time = 0; time < 9; ++time) book.update(alarm, time % 2 == 0, now += 1s, out);
    CHECK(out.back().event == AnomalyEventKind::shelved);
    const OperatorWord word{"anna", "I look at it", now + 1h};
    CHECK((unshelve ? book.unshelve("t.a.gate", word, now, out) : book.shelve("t.a.gate", word, now, out)) == "");
    book.update(alarm, !book.active(alarm), now += 1s, out);
    CHECK(out.back().event == (book.active(alarm) ? AnomalyEventKind::raised : AnomalyEventKind::cleared));
  }
}

TEST_CASE("An alarm that latches outlives its condition until it is acknowledged") {
  AlarmBook book(OwnerKind::twin, "tanks", 800);
  const AlarmHandle grave = book.add(definition("tanks.a", 800));
  const AlarmHandle light = book.add(definition("tanks.b", 799));
  std::vector<AnomalyEvent> out;
  const OperatorWord word{"anna", "seen", {}};
  int second = 0;
  const auto run = [&](bool condition, int until) {
    for (; second < until; ++second) {
      for (const AlarmHandle alarm : {grave, light}) book.update(alarm, condition, at(second * 1s), out);
    }
  };
  run(true, 100);
  REQUIRE(out.size() == 2);
  out.clear();
  run(false, 200);
  REQUIRE(out.size() == 2);
  CHECK(out[0].id == "tanks.a");
  CHECK(out[0].event == AnomalyEventKind::changed);
  CHECK(out[0].state == AnomalyState::active);
  CHECK(out[0].message == "The spool has room again. The alarm stands until it is acknowledged.");
  CHECK(out[1].event == AnomalyEventKind::cleared);
  CHECK(book.active_ids() == std::vector<std::string>{"tanks.a"});
  CHECK(book.highest_priority() == Priority::high);
  CHECK_FALSE(book.active(grave));
  CHECK(book.active_count() == 0);  // of conditions

  out.clear();
  run(true, 202);  // on_delay
  CHECK_FALSE(book.active(grave));
  run(true, 300);
  CHECK(book.active(grave));
  REQUIRE(out.size() == 2);
  CHECK(out[0].id == "tanks.a");
  CHECK(out[0].event == AnomalyEventKind::changed);
  CHECK(out[0].occurrence == 1);
  CHECK(out[1].id == "tanks.b");
  CHECK(out[1].event == AnomalyEventKind::raised);

  run(false, 400);
  out.clear();
  CHECK(book.acknowledge("tanks.a", word, at(400s), out)->empty());
  REQUIRE(out.size() == 2);
  CHECK(out[0].event == AnomalyEventKind::acknowledged);
  CHECK(out[1].event == AnomalyEventKind::cleared);
  CHECK(out[1].state == AnomalyState::returned);
  CHECK(book.active_ids().empty());

  // Acknowledged while the condition lasts, it clears with it.
  second = 500;
  run(true, 600);
  out.clear();
  CHECK(book.acknowledge("tanks.a", word, at(600s), out)->empty());
  run(false, 700);
  CHECK(std::count_if(out.begin(), out.end(), [](const auto& e) { return e.event == AnomalyEventKind::cleared; }) == 2);
  CHECK(book.active_ids().empty());

  // What comes in maintenance goes with it.
  second = 800;
  CHECK(book.suppress("tanks", {"anna", "cleaning", at(1000s)}, at(800s), out)->empty());
  run(true, 850);
  run(false, 900);
  CHECK(book.active_ids().empty());
  second = 1100;
  run(false, 1110);
  CHECK(book.active_ids().empty());
}

TEST_CASE("A latched alarm is told at most once a minute however short its delays are") {
  AlarmDefinition quick = definition("tanks.a", 900);
  quick.on_delay = quick.off_delay = 0s;
  AlarmBook book(OwnerKind::twin, "tanks", 800);
  const AlarmHandle alarm = book.add(quick);
  std::vector<AnomalyEvent> out;
  for (int k = 0; k < 3600; ++k) book.update(alarm, k / 7 % 2 == 0, at(k * 1s), out);
  CHECK(book.active_ids().size() == 1);
  CHECK(out.size() <= 61);
  CHECK(out.size() > 30);
  for (std::size_t i = 1; i < out.size(); ++i) CHECK(out[i].time - out[i - 1].time >= 60s);
}

TEST_CASE("A latched alarm is still there after a restart") {
  AlarmBook book(OwnerKind::twin, "tanks", 800);
  const AlarmHandle alarm = book.add(definition("tanks.a", 800));
  std::vector<AnomalyEvent> out;
  for (int k = 0; k < 100; ++k) book.update(alarm, k < 10, at(k * 1s), out);
  std::vector<std::byte> bytes;
  base::ArchiveWriter writer(bytes);
  book.archive(writer);
  AlarmBook other(OwnerKind::twin, "tanks", 800);
  CHECK(other.add(definition("tanks.a", 800)) == alarm);
  base::ArchiveReader reader(bytes);
  other.archive(reader);
  REQUIRE(reader.ok());
  CHECK(other.active_ids() == std::vector<std::string>{"tanks.a"});
  out.clear();
  CHECK(other.acknowledge("tanks.a", {"anna", "seen", {}}, at(101s), out)->empty());
  CHECK(other.active_ids().empty());
}

TEST_CASE("An alarm that is held does not clear and says so once") {
  AlarmBook book(OwnerKind::twin, "tanks");
  const AlarmHandle alarm = book.add(definition("tanks.a"));
  std::vector<AnomalyEvent> out;
  for (int k = 0; k < 10; ++k) book.update(alarm, true, at(k * 1s), out);
  book.hold(alarm, true);
  for (int k = 10; k < 300; ++k) book.update(alarm, false, at(k * 1s), out);
  REQUIRE(out.size() == 2);
  CHECK(out[1].event == AnomalyEventKind::changed);
  CHECK(book.kept(alarm));
  CHECK(book.active(alarm));
  book.hold(alarm, false);
  for (int k = 300; k < 320; ++k) book.update(alarm, false, at(k * 1s), out);
  REQUIRE(out.size() == 3);
  CHECK(out[2].event == AnomalyEventKind::cleared);
  // Nothing is raised by it.
  book.hold(alarm, true);
  for (int k = 320; k < 400; ++k) book.update(alarm, false, at(k * 1s), out);
  CHECK(out.size() == 3);
}
