// DeviceDiagnosis: the alarms of one device: the connection, single registers, and the sensors behind registers that no
// twin looks at.
//
//   id                           kind           when
//   <device>.connection          communication  every tag is bad by timeout, no_match or stale; lists all tags
//   <device>.<register>.<reason> communication  exception, timeout, no_match, stale of some tags; the alarm bears the
//                                               name of the first of them, the others with the same reason join
//   <device>.<register>.<reason> sensor         not_finite, error_value, out_of_range, rate_of_change, stuck, for tags
//                                               with own_sensor_alarms (those of a twin's tags are the twin's)
// One cause, one alarm: while the condition of the connection holds, even before its delay is over, nothing else of the
// device is raised; what stood before stays as it is until the device is heard again. A lost bus covers the loss of its
// devices in turn (BusDiagnosis).
// A sensor alarm of a register takes the place of another one of the same register: the earlier is cleared with
// caused_by.
//
// Delays: on 2 · max(poll interval, timeout), off 2 · poll interval, so two polls in a row decide.
// Errors: none; a span of another size than the setup's tags breaks an invariant (abort). Thread rule: one thread.
// Allocation: evaluate() none while no event is due.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/diagnosis/alarm_book.hpp"
#include "twinkeeper/diagnosis/anomaly.hpp"
#include "twinkeeper/signals/quality.hpp"

namespace twinkeeper::diagnosis {

struct DeviceTagSetup {
  std::string name;               // of the register; the tag is <device>.<name>
  bool own_sensor_alarms = true;  // false: a twin uses the tag
};

struct DeviceDiagnosisSetup {
  std::string device;
  std::vector<DeviceTagSetup> tags;  // registers in the configuration's order
  base::Duration poll_interval{};
  base::Duration timeout{};

  [[nodiscard]] base::Duration on_delay() const { return 2 * std::max(poll_interval, timeout); }
  [[nodiscard]] base::Duration off_delay() const { return 2 * poll_interval; }
};

struct TagCondition {
  signals::Quality quality = signals::Quality::bad;
  signals::Reason reason = signals::Reason::stale;
};

// Whether a wider alarm speaks for a lost device.
struct Cover {
  bool covered = false;
  std::string_view cause;  // id of the alarm that stands; empty: not raised yet
};

class DeviceDiagnosis {
 public:
  explicit DeviceDiagnosis(DeviceDiagnosisSetup setup);

  // Whether the condition of the connection holds.
  [[nodiscard]] static bool lost(std::span<const TagCondition> tags) noexcept;

  // Appends the events of this instant to `out`. To be called about once per poll interval.
  void evaluate(base::Instant now, std::span<const TagCondition> tags, std::vector<AnomalyEvent>& out,
                const Cover& cover = {});

  [[nodiscard]] const AlarmBook& alarms() const { return book_; }
  [[nodiscard]] AlarmBook& alarms() { return book_; }  // for an operator's orders

 private:
  static constexpr std::size_t kSilentReasons = 4;
  static constexpr std::size_t kOwnReasons = 5;
  struct Shared {                     // one communication reason, borne by one register at a time
    std::vector<AlarmHandle> alarms;  // per register
    std::size_t bearer = 0;
    std::size_t affected = 0;  // tags told
  };

  void evaluate_shared(std::size_t reason, base::Instant now, std::span<const TagCondition> tags,
                       std::vector<AnomalyEvent>& out);
  void evaluate_sensors(std::size_t tag, const TagCondition& condition, base::Instant now,
                        std::vector<AnomalyEvent>& out);
  [[nodiscard]] AlarmDefinition shared_definition(std::size_t reason, std::size_t tag) const;
  [[nodiscard]] std::string tag_name(std::size_t tag) const;

  DeviceDiagnosisSetup setup_;
  AlarmBook book_;
  AlarmHandle connection_ = 0;
  std::array<Shared, kSilentReasons> shared_;
  std::vector<std::array<AlarmHandle, kOwnReasons>> sensors_;  // per register; empty handles where a twin looks
};

}  // namespace twinkeeper::diagnosis
