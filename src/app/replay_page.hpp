// The page that `replay --report` and `calibrate --report` write: alarms on the time line, what was measured, predicted
// one step ahead and simulated, innovations with their tests, fits beside persistence and ARX, poles, step responses.
//
// A collector takes each step as the replay tells it. Up to kMostRowsSimulated rows are kept for the simulation, the
// fits and the tests of residuals; of a longer log these are left out, and the page says so.
// Thread rule: one thread. Allocates.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "app/log_replay.hpp"
#include "app/plan.hpp"
#include "identification/compare.hpp"
#include "logs/report_page.hpp"
#include "twinkeeper/diagnosis/anomaly.hpp"

namespace twinkeeper::app {

inline constexpr std::size_t kMostRowsSimulated = 300'000;
inline constexpr std::size_t kMostAlarmsListed = 300;

class ReplayPage {
 public:
  // `judged`: whether anomalies are told at all. The plan outlives it.
  ReplayPage(const Plan& plan, std::size_t twin, bool judged);

  void row(std::string_view time_text, std::int64_t tick, const estimation::TwinStep& step, bool anomaly);
  void anomaly(const diagnosis::AnomalyEvent& event);

  struct Told {
    std::string command;  // "replay"
    std::string title;    // what stands before the log's name: "replay of"
    std::string log_file;
    std::string rows;  // of the log; empty: all
    bool dates = false;
    LogReplaySummary summary;
    std::vector<logs::ReportNote> notes;
    std::vector<logs::ReportSection> first;  // sections before all others
  };
  // An exit code; what went wrong is told.
  [[nodiscard]] int write(const std::string& file, const Told& told);

 private:
  // Columns of the page's rows: by output measured, expected, half the band, ν/√Σ; NIS; inputs; by state x, half the
  // band.
  static constexpr std::size_t kOfOutput = 4, kOfState = 2;
  struct Alarm {
    diagnosis::AnomalyEvent raised;
    std::optional<base::Instant> cleared;
  };
  [[nodiscard]] logs::ReportSection alarms_section() const;
  [[nodiscard]] logs::ReportSection outputs_section(bool simulated) const;
  [[nodiscard]] logs::ReportSection innovations_section(bool kept) const;
  [[nodiscard]] logs::ReportSection states_section() const;
  [[nodiscard]] logs::ReportTable fits(const Eigen::MatrixXd& simulated) const;
  [[nodiscard]] identification::Record record() const;
  [[nodiscard]] double seconds(base::Instant instant) const;  // from tick 0
  [[nodiscard]] std::string time_text(double seconds) const;  // in the log's terms; of a date the day stands below

  const config::TwinConfig& twin_;
  const model::StateSpace& model_;
  const bool judged_;
  const std::size_t n_x_, n_u_, n_y_;  // states: shown
  logs::ReportRows rows_;
  std::vector<double> values_;
  std::string first_time_;
  std::chrono::nanoseconds zero_{};  // the time of tick 0, since 1970 if dates_
  bool dates_ = false;
  std::int64_t newest_tick_ = -1;
  std::vector<Alarm> alarms_;
  std::size_t alarms_not_listed_ = 0;
  std::uint64_t rows_taken_ = 0;
  // By row, as long as there are no more than kMostRowsSimulated.
  std::vector<std::int64_t> ticks_;
  std::vector<std::vector<double>> u_, y_, expected_, errors_;  // by signal; errors: where tested and no alarm stands
};

}  // namespace twinkeeper::app
