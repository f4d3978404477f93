// One event of one anomaly, as it goes on the wire (contract: anomaly).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::diagnosis {

enum class AnomalyEventKind : std::uint8_t {
  raised,
  changed,
  acknowledged,
  shelved,
  unshelved,
  suppressed,
  unsuppressed,
  cleared
};
enum class AnomalyState : std::uint8_t { active, acknowledged, returned, shelved, suppressed };
enum class AnomalyKind : std::uint8_t { sensor, process, model, communication, gateway };
enum class Priority : std::uint8_t { none, low, medium, high, critical };  // wire: 0 … 4
enum class NamurStatus : std::uint8_t { normal, failure, check_function, off_spec, maintenance_required };

[[nodiscard]] std::string_view to_string(AnomalyEventKind event) noexcept;
[[nodiscard]] std::string_view to_string(AnomalyState state) noexcept;
[[nodiscard]] std::string_view to_string(AnomalyKind kind) noexcept;
[[nodiscard]] std::string_view to_string(Priority priority) noexcept;
[[nodiscard]] std::string_view to_string(NamurStatus status) noexcept;
[[nodiscard]] Priority priority_of(int severity) noexcept;  // ≤ 400 low, ≤ 600 medium, ≤ 800 high, else critical

// Where the anomaly is published: P/twins/<owner>/anomaly, P/devices/<owner>/anomaly or P/anomaly.
enum class OwnerKind : std::uint8_t { twin, device, gateway };

struct Hypothesis {
  std::string
      name;  // "sensor:tank_plc.level_1" (a bias), "drift:tank_plc.level_1", "input:tank_plc.pump", "process:level_1", "parameter:a1"
  double probability = 0.0;

  template <class Archive>
  void archive(Archive& a) {
    a(name, probability);
  }
};

struct TrendPoint {
  base::Instant time;
  double measured = 0.0;
  double expected = 0.0;

  template <class Archive>
  void archive(Archive& a) {
    a(time, measured, expected);
  }
};

struct AnomalyEvent {
  OwnerKind owner_kind = OwnerKind::twin;
  std::string owner;  // twin or device name, empty for the gateway
  std::string id;     // stable: "tanks.level_2.stuck"
  std::uint32_t occurrence = 1;
  AnomalyEventKind event = AnomalyEventKind::raised;
  AnomalyState state = AnomalyState::active;
  AnomalyKind kind = AnomalyKind::sensor;
  std::string test;     // which test decided: "stuck", "cusum", "gate", "out_of_range", "connection", …
  std::string message;  // a sentence a technician understands
  std::string advice;
  std::vector<std::string> tags;  // "<device>.<register>"
  int severity = 500;
  NamurStatus ne107 = NamurStatus::failure;
  base::Instant time;   // of this event
  base::Instant onset;  // estimated start
  base::Instant raised_at;
  std::optional<base::Instant> cleared_at;
  std::optional<double> statistic, threshold, expected, measured, sigma, magnitude;
  std::string unit;
  std::optional<double> magnitude_std;
  std::string magnitude_unit;  // empty: `unit`
  std::vector<Hypothesis> hypotheses;
  std::vector<std::string> ambiguous_with;
  std::vector<std::string> caused_by;
  std::optional<double> nominal_false_alarms_per_day;
  // What the limit was held against when it was calibrated: alarms of all tests in so many healthy hours.
  std::optional<int> observed_false_alarms;
  std::optional<double> evidence_hours;
  std::string regime;             // of the twin at this event, empty: none
  std::vector<TrendPoint> trend;  // ≤ 60
  // Who has said what of it last, and until when it is shelved or suppressed. Not in the archive: what operators have
  // said is kept apart (AlarmBook), so that it outlives what a twin remembers.
  std::string by, comment;
  std::optional<base::Instant> shelved_until;

  template <class Archive>
  void archive(Archive& a) {
    a(owner_kind, owner, id, occurrence, event, state, kind, test, message, advice);
    a.list(tags);
    a(severity, ne107, time, onset, raised_at, cleared_at);
    a(statistic, threshold, expected, measured, sigma, magnitude, unit, magnitude_std, magnitude_unit);
    a.list(hypotheses);
    a.list(ambiguous_with);
    a.list(caused_by);
    a(nominal_false_alarms_per_day, observed_false_alarms, evidence_hours, regime);
    a.list(trend);
  }
};

}  // namespace twinkeeper::diagnosis
