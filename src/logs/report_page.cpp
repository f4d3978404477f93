#include "logs/report_page.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>

#include "logs/json_text.hpp"
#include "logs/report_files.hpp"

namespace twinkeeper::logs {
namespace {

constexpr double kResolution = 1e-5;  // of a column's usual range
constexpr int kDigits = 7;            // of numbers that stand alone

std::string_view word_of(Tone tone) {
  switch (tone) {
    case Tone::plain: break;
    case Tone::good: return "good";
    case Tone::warning: return "warning";
    case Tone::bad: return "bad";
  }
  return "plain";
}

std::string_view word_of(LineStyle style) {
  switch (style) {
    case LineStyle::measured: break;
    case LineStyle::predicted: return "predicted";
    case LineStyle::simulated: return "simulated";
    case LineStyle::input: return "input";
    case LineStyle::residual: return "residual";
  }
  return "measured";
}

// Significant digits with which a column is told apart to kResolution of its usual range.
int digits_of(const std::vector<double>& column) {
  std::vector<double> values;
  double largest = 0.0;
  for (const double value : column) {
    if (!std::isfinite(value)) continue;
    values.push_back(value);
    largest = std::max(largest, std::abs(value));
  }
  if (values.empty()) return kDigits;
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  double range = *most - *least;
  const auto at = [&](std::size_t of_twenty) {
    const auto place = values.begin() + static_cast<std::ptrdiff_t>(of_twenty * (values.size() - 1) / 20);
    std::nth_element(values.begin(), place, values.end());
    return *place;
  };
  const double low = at(1);
  const double usual = at(19) - low;
  if (usual > 0.0) range = usual;
  if (!(range > 0.0)) return kDigits;
  int digits = 1;
  for (double place = largest; place > kResolution * range && digits < 17; place /= 10.0) ++digits;
  return digits;
}

void write(JsonText& json, const std::vector<double>& values, int digits) {
  json.begin('[');
  for (const double value : values) json.number(value, digits);
  json.end(']');
}

// The same, but that "xN" stands for N more of the value before it.
void write_runs(JsonText& json, const std::vector<double>& values, int digits) {
  constexpr std::size_t kFewest = 4;
  json.begin('[');
  for (std::size_t i = 0; i < values.size();) {
    const auto same = [&](std::size_t k) {
      return values[k] == values[i] || (std::isnan(values[k]) && std::isnan(values[i]));
    };
    std::size_t end = i + 1;
    while (end < values.size() && same(end)) ++end;
    if (end - i <= kFewest) {
      for (; i < end; ++i) json.number(values[i], digits);
      continue;
    }
    json.number(values[i], digits).text("x" + std::to_string(end - i - 1));
    i = end;
  }
  json.end(']');
}

class PageWriter {
 public:
  explicit PageWriter(JsonText& json) : json_(json) {}

  void operator()(const std::string& paragraph) { json_.key("kind").text("text").key("text").text(paragraph); }

  void operator()(const ReportTable& table) {
    json_.key("kind").text("table").key("caption").text(table.caption).key("columns").begin('[');
    for (const auto& column : table.columns) json_.text(column);
    json_.end(']').key("rows").begin('[');
    for (const auto& row : table.rows) {
      json_.begin('[');
      for (const ReportCell& cell : row) {
        if (cell.tone == Tone::plain) {
          json_.text(cell.text);
        } else {
          json_.begin('{').key("text").text(cell.text).key("tone").text(word_of(cell.tone)).end('}');
        }
      }
      json_.end(']');
    }
    json_.end(']');
    if (table.spans.empty()) return;
    json_.key("spans").begin('[');
    for (const auto& [from, to] : table.spans) json_.begin('[').number(from).number(to).end(']');
    json_.end(']');
  }

  void operator()(const TimePlot& plot) {
    head("time", plot.title, plot.unit);
    json_.key("tall").flag(plot.tall).key("lines").begin('[');
    for (const ReportLine& line : plot.lines) {
      json_.begin('{').key("name").text(line.name).key("style").text(word_of(line.style));
      json_.key("column").number(static_cast<double>(line.column)).end('}');
    }
    json_.end(']');
    if (plot.band) json_.key("band").number(static_cast<double>(*plot.band)).key("band_name").text(plot.band_name);
    if (plot.limit) json_.key("limit").number(*plot.limit, kDigits);
  }

  void operator()(const Timeline& timeline) {
    head("timeline", timeline.title, "");
    json_.key("bars").begin('[');
    for (const TimelineBar& bar : timeline.bars) {
      json_.begin('{').key("name").text(bar.name).key("kind").text(bar.kind).key("text").text(bar.text);
      json_.key("onset").number(bar.onset).key("raised").number(bar.raised).key("ended").number(bar.ended);
      json_.key("stands").flag(bar.stands).end('}');
    }
    json_.end(']');
  }

  void operator()(const Correlogram& correlogram) {
    head("correlogram", correlogram.title, "");
    json_.key("first_lag").number(static_cast<double>(correlogram.first_lag));
    json_.key("band").number(correlogram.band, kDigits).key("values");
    write(json_, correlogram.values, 4);
  }

  void operator()(const Response& response) {
    head("response", response.title, response.unit);
    json_.key("period").number(response.period).key("values");
    write(json_, response.values, digits_of(response.values));
    if (response.final) json_.key("final").number(*response.final, kDigits);
    if (response.final_std) json_.key("final_std").number(*response.final_std, kDigits);
  }

  void operator()(const PoleMap& map) {
    head("poles", map.title, "");
    json_.key("poles").begin('[');
    for (const auto& [real, imaginary] : map.poles) {
      json_.begin('[').number(real, kDigits).number(imaginary, kDigits).end(']');
    }
    json_.end(']');
  }

 private:
  void head(std::string_view kind, const std::string& title, const std::string& unit) {
    json_.key("kind").text(kind).key("title").text(title).key("unit").text(unit);
  }
  JsonText& json_;
};

// Ticks as runs [first, count, step]: a grid without gaps is one of them.
void write_ticks(JsonText& json, const std::vector<std::int64_t>& ticks) {
  json.begin('[');
  for (std::size_t i = 0; i < ticks.size();) {
    const std::int64_t step = i + 1 < ticks.size() ? ticks[i + 1] - ticks[i] : 1;
    std::size_t end = std::min(i + 2, ticks.size());
    while (end < ticks.size() && ticks[end] - ticks[end - 1] == step) ++end;
    json.begin('[').number(static_cast<double>(ticks[i])).number(static_cast<double>(end - i));
    json.number(static_cast<double>(step)).end(']');
    i = end;
  }
  json.end(']');
}

void write_rows(JsonText& json, const ReportPage& page, const ReportRows& rows) {
  json.begin('{').key("period").number(page.period).key("dates").flag(page.dates);
  const std::int64_t zero_us = page.zero.count() / 1000;
  json.key("zero").number(static_cast<double>(zero_us) / 1e6);
  json.key("rows_to_a_point").number(static_cast<double>(rows.rows_to_a_point())).key("ticks");
  write_ticks(json, rows.ticks());
  json.key("columns").begin('[');
  for (const auto& column : rows.columns()) write_runs(json, column, digits_of(column));
  json.end(']').end('}');
}

std::string json_of(const ReportPage& page, const ReportRows& rows) {
  JsonText json;
  json.begin('{').key("title").text(page.title).key("subtitle").text(page.subtitle);
  const auto note = [&json](const ReportNote& one) {
    json.begin('{').key("tone").text(word_of(one.tone)).key("text").text(one.text).end('}');
  };
  json.key("verdict");
  note(page.verdict);
  json.key("facts").begin('[');
  for (const auto& [name, value] : page.facts) json.begin('[').text(name).text(value).end(']');
  json.end(']').key("notes").begin('[');
  for (const auto& one : page.notes) note(one);
  json.end(']').key("rows");
  write_rows(json, page, rows);
  json.key("sections").begin('[');
  PageWriter writer(json);
  for (const auto& section : page.sections) {
    json.begin('{').key("id").text(section.id).key("title").text(section.title).key("parts").begin('[');
    for (const auto& part : section.parts) {
      json.begin('{');
      std::visit(writer, part);
      json.end('}');
    }
    json.end(']').end('}');
  }
  json.end(']').end('}');
  return json.str();
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      default: out += c;
    }
  }
  return out;
}

}  // namespace

std::string report_html(const ReportPage& page, const ReportRows& rows) {
  std::string out;
  std::string_view rest = kReportPage;
  // The template's places are named {{title}}, {{style}}, {{data}} and {{scripts}}.
  for (std::size_t open = rest.find("{{"); open != std::string_view::npos; open = rest.find("{{")) {
    const std::size_t close = rest.find("}}", open);
    const std::string_view name = rest.substr(open + 2, close - open - 2);
    out += rest.substr(0, open);
    if (name == "title") out += escaped(page.title);
    if (name == "style") out += kReportStyle;
    if (name == "data") out += json_of(page, rows);
    if (name == "scripts") {
      for (const std::string_view script : {kReportAxis, kReportPlots, kReportCharts, kReportScript}) out += script;
    }
    rest.remove_prefix(close + 2);
  }
  return out.append(rest);
}

base::Status write_report(const std::string& file, const ReportPage& page, const ReportRows& rows) {
  const std::string text = report_html(page, rows);
  errno = 0;
  std::ofstream out(file, std::ios::trunc | std::ios::binary);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  if (out) return base::Success{};
  return base::Error(base::ErrorCode::io, file + " can't be written: " + std::strerror(errno));
}

}  // namespace twinkeeper::logs
