// One page of results as a single HTML file: its data as plain values, and what writes them.
//
// The page's own files (report/page.html, style.css and four scripts) are built into the library; the data go into
// the file as JSON, and the scripts draw them: zoomable time plots that share one axis, correlograms, step responses,
// poles, alarms on a time line, tables. The file asks for nothing from elsewhere (its Content-Security-Policy forbids
// it), so it can be mailed, kept and printed.
//
//   rows      of every time plot, kept column by column; ticks of one grid. Beyond `most_rows` they are halved: of four
//             rows each column keeps the smallest and the largest value in the order in which they came, so that no
//             excursion is lost
//   numbers   in the file carry digits down to 1e-5 of their column's usual range (5 … 95 %); NaN becomes null,
//             "xN" stands for N more of the value before it
//   a cell    of a table may have several lines; those after the first are printed smaller
//
// Errors: io of write_report. Thread rule: plain values, pure functions. Allocates.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "twinkeeper/base/result.hpp"

namespace twinkeeper::logs {

enum class Tone { plain, good, warning, bad };

class ReportRows {
 public:
  // `most_rows`: from 8.
  ReportRows(std::size_t columns, std::size_t most_rows);

  // Ticks grow; a row of a tick that is not newer than the last is passed over. One value per column, NaN: none.
  void add(std::int64_t tick, const std::vector<double>& values);
  void finish();                        // after the last row
  void append(const ReportRows& more);  // columns over the very same ticks; others are left out

  [[nodiscard]] std::int64_t rows_to_a_point() const { return stride_; }
  [[nodiscard]] const std::vector<std::int64_t>& ticks() const { return ticks_; }
  [[nodiscard]] const std::vector<std::vector<double>>& columns() const { return columns_; }

 private:
  struct Ends {  // of one column among the rows that wait; NaN: none yet
    double least, most;
    bool least_first = true;
  };
  void put_pair();
  void halve();

  std::size_t most_rows_;
  std::int64_t stride_ = 1;  // a pair of points stands for 2 · stride_ rows
  std::int64_t last_ = -1;
  std::vector<std::int64_t> ticks_;
  std::vector<std::vector<double>> columns_;
  std::int64_t waiting_ = 0;  // rows that will be a pair
  std::int64_t first_tick_ = 0, middle_tick_ = 0;
  std::vector<Ends> ends_;
};

struct ReportCell {
  ReportCell(std::string words) : text(std::move(words)) {}  // NOLINT(google-explicit-constructor)
  ReportCell(const char* words) : text(words) {}             // NOLINT(google-explicit-constructor)
  ReportCell(std::string words, Tone how) : text(std::move(words)), tone(how) {}
  std::string text;
  Tone tone = Tone::plain;
};

struct ReportTable {
  std::string caption;
  std::vector<std::string> columns;  // headings; the first column names the row
  std::vector<std::vector<ReportCell>> rows;
  std::vector<std::pair<double, double>> spans;  // by row, s: a button shows these in the plots; empty: none
};

enum class LineStyle { measured, predicted, simulated, input, residual };

struct ReportLine {
  std::string name;
  LineStyle style;
  std::size_t column;
};
struct TimePlot {  // over the page's rows
  std::string title, unit;
  std::vector<ReportLine> lines;
  std::optional<std::size_t> band;  // column: half the width of a band about the `predicted` line
  std::string band_name;
  std::optional<double> limit;  // lines at ± this
  bool tall = true;
};

struct TimelineBar {
  std::string name, kind;       // of an alarm
  double onset, raised, ended;  // s, as the axis; `ended`: the end of the rows if it still stands
  bool stands = false;
  std::string text;
};
struct Timeline {
  std::string title;
  std::vector<TimelineBar> bars;
};

struct Correlogram {
  std::string title;
  std::int64_t first_lag = 0;
  std::vector<double> values;
  double band = 0.0;  // ±
};

struct Response {  // of one output to a step of one input
  std::string title, unit;
  double period = 0.0;  // s
  std::vector<double> values;
  std::optional<double> final, final_std;  // steady-state gain
};

struct PoleMap {
  std::string title;
  std::vector<std::pair<double, double>> poles;  // real, imaginary; the unit circle is drawn
};

using ReportPart = std::variant<std::string, ReportTable, TimePlot, Timeline, Correlogram, Response, PoleMap>;

struct ReportSection {
  std::string id, title;
  std::vector<ReportPart> parts;  // a text is a paragraph
};

struct ReportNote {
  Tone tone = Tone::plain;
  std::string text;
};

struct ReportPage {
  std::string title, subtitle;
  ReportNote verdict;                                      // the first thing to read; may be empty
  std::vector<std::pair<std::string, std::string>> facts;  // name and value
  std::vector<ReportNote> notes;
  std::vector<ReportSection> sections;
  double period = 1.0;              // s, of the rows' ticks
  std::chrono::nanoseconds zero{};  // the time of tick 0
  bool dates = false;               // `zero` is since 1970
};

[[nodiscard]] std::string report_html(const ReportPage& page, const ReportRows& rows);
[[nodiscard]] base::Status write_report(const std::string& file, const ReportPage& page, const ReportRows& rows);

}  // namespace twinkeeper::logs
