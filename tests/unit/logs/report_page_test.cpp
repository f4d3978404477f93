#include "logs/report_page.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "logs/json_text.hpp"
#include "support/catch.hpp"

using namespace twinkeeper::logs;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

ReportRows rows_of_one(const std::vector<double>& values, std::size_t most) {
  ReportRows rows(1, most);
  for (std::size_t k = 0; k < values.size(); ++k) rows.add(static_cast<std::int64_t>(k), {values[k]});
  rows.finish();
  return rows;
}

std::string data_of(const std::string& html) {
  const std::string open = "<script type=\"application/json\" id=\"data\">";
  const std::size_t begin = html.find(open) + open.size();
  return html.substr(begin, html.find("</script>", begin) - begin);
}

}  // namespace

TEST_CASE("JSON text stays within its script element and is valid whatever bytes it is of") {
  JsonText json;
  json.begin('{').key("a").text("</script><!-- \"\\\n\x01 ° ").key("b").begin('[').number(kNan).number(0.1).end(']');
  json.key("c").text("\xff\xc0\xaf\xed\xa0\x80").end('}');
  CHECK(json.str() == R"({"a":"\u003c/script>\u003c!-- \"\\\n\u0001 ° ","b":[null,0.1],"c":")"
                      "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\"}");
}

TEST_CASE("numbers have as many digits as are asked for") {
  JsonText json;
  json.begin('[').number(1.0 / 3.0, 4).number(123456.0, 3).number(20.0, 5).number(-0.25).number(INFINITY).end(']');
  CHECK(json.str() == "[0.3333,1.23e+05,20,-0.25,null]");
}

TEST_CASE("rows of a report are kept as they are while there is room") {
  const auto rows = rows_of_one({1.0, kNan, 3.0}, 8);
  CHECK(rows.rows_to_a_point() == 1);
  CHECK(rows.ticks() == std::vector<std::int64_t>{0, 1, 2});
  CHECK(std::isnan(rows.columns()[0][1]));
}

TEST_CASE("rows of ticks that are not newer are passed over") {
  ReportRows rows(1, 8);
  rows.add(3, {1.0});
  rows.add(3, {2.0});
  rows.add(2, {3.0});
  rows.add(4, {4.0});
  CHECK(rows.ticks() == std::vector<std::int64_t>{3, 4});
  CHECK(rows.columns()[0] == std::vector<double>{1.0, 4.0});
}

TEST_CASE("a long log is thinned without losing an excursion") {
  const std::size_t count = GENERATE(20U, 21U, 100U, 1000U, 1001U, 1003U);
  const std::size_t spike = GENERATE(0U, 3U, 7U);
  std::vector<double> values;
  for (std::size_t k = 0; k < count; ++k) values.push_back(std::sin(0.1 * static_cast<double>(k)));
  values[spike] = 50.0;
  values[count - 1 - spike / 4] = -60.0;
  const auto rows = rows_of_one(values, 8);
  const auto& kept = rows.columns()[0];
  CHECK(kept.size() <= 12);
  CHECK(rows.ticks().size() == kept.size());
  CHECK(std::is_sorted(rows.ticks().begin(), rows.ticks().end()));
  CHECK(std::count(kept.begin(), kept.end(), 50.0) >= 1);
  CHECK(std::count(kept.begin(), kept.end(), -60.0) >= 1);
  CHECK(std::find(kept.begin(), kept.end(), 50.0) < std::find(kept.begin(), kept.end(), -60.0));
}

TEST_CASE("where nothing was measured a thinned log has nothing") {
  std::vector<double> values(64, kNan);
  values[40] = 1.0;
  const auto rows = rows_of_one(values, 8);
  CHECK(std::isnan(rows.columns()[0][0]));
  CHECK(std::count(rows.columns()[0].begin(), rows.columns()[0].end(), 1.0) == 2);
}

TEST_CASE("columns over the same ticks are appended, thinned or not") {
  const std::size_t count = GENERATE(6U, 100U);
  std::vector<double> ones(count, 1.0);
  auto rows = rows_of_one(ones, 8);
  rows.append(rows_of_one(std::vector<double>(count, 2.0), 8));
  REQUIRE(rows.columns().size() == 2);
  CHECK(rows.columns()[1].size() == rows.columns()[0].size());
  rows.append(rows_of_one({1.0}, 8));
  CHECK(rows.columns().size() == 2);
}

TEST_CASE("a page is one file that asks for nothing and holds its data as JSON") {
  ReportPage page;
  page.title = "A <b> & </title>";
  page.period = 0.5;
  page.zero = std::chrono::milliseconds{1'500};
  page.sections.push_back(
      {"rows", "Rows", {"a paragraph", TimePlot{"y", "m", {{"measured", LineStyle::measured, 0}}, {}, {}, {}}}});
  ReportRows rows(1, 100);
  for (const std::int64_t tick : {0, 1, 2, 10, 12, 14})
    rows.add(tick, {1000.0 + 0.123456789 * static_cast<double>(tick)});
  const std::string html = report_html(page, rows);
  CHECK(html.find("<title>A &lt;b&gt; &amp; &lt;/title&gt;</title>") != std::string::npos);
  CHECK(html.find("{{") == std::string::npos);
  CHECK(html.find("Content-Security-Policy\" content=\"default-src 'none'") != std::string::npos);
  for (const char* outside : {"src=\"http", "href=\"http", "@import", "url(http", "fetch(", "XMLHttpRequest"}) {
    CHECK(html.find(outside) == std::string::npos);
  }
  const std::string data = data_of(html);
  CHECK(data.find(R"("period":0.5,"dates":false,"zero":1.5,"rows_to_a_point":1,"ticks":[[0,3,1],[10,3,2]])") !=
        std::string::npos);
  CHECK(data.find(R"("columns":[[1000,1000.12346,1000.24691,1001.23457,1001.48148,1001.7284]])") != std::string::npos);
  CHECK(data.find(R"({"kind":"text","text":"a paragraph"})") != std::string::npos);
}

TEST_CASE("values that stay are written once") {
  ReportRows rows(1, 100);
  for (std::int64_t tick = 0; tick < 20; ++tick)
    rows.add(tick, {tick < 2 ? 0.1 : tick < 14 ? 2.5 : tick < 17 ? kNan : 0.1});
  CHECK(data_of(report_html({}, rows)).find(R"("columns":[[0.1,0.1,2.5,"x11",null,null,null,0.1,0.1,0.1]])") !=
        std::string::npos);
}

TEST_CASE("a page that can't be written is an error with the file's name") {
  const auto written = write_report("/nowhere/report.html", {}, ReportRows(0, 8));
  REQUIRE_FALSE(written.ok());
  CHECK(written.error().message().find("/nowhere/report.html") != std::string::npos);
}
