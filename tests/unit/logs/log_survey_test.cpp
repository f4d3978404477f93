#include "logs/log_survey.hpp"

#include <fstream>
#include <string>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;

namespace {

logs::LogSurvey survey(const std::string& text, const logs::RowRange& rows = {}) {
  const test::TemporaryFolder folder;
  std::ofstream(folder.file("log.csv"), std::ios::binary) << text;
  auto out = logs::survey_log(folder.file("log.csv"), rows);
  if (!out.ok()) FAIL(out.error().message());
  return std::move(out).value();
}

}  // namespace

TEST_CASE("a survey tells rows, span, usual step and its spread") {
  std::string text = "time[s],a[m],b\n";
  for (int k = 0; k < 100; ++k) text += std::to_string(k * 0.08 + (k % 10 == 3 ? 0.004 : 0.0)) + ",1,2\n";
  const auto told = survey(text);
  CHECK(told.rows == 100);
  CHECK(told.first == 0ns);
  CHECK(told.last == 7920ms);
  CHECK(told.step == Approx(0.08).epsilon(1e-12));
  CHECK(told.shortest_usual == Approx(0.076));
  CHECK(told.longest_usual == Approx(0.084));
  CHECK(told.gaps == 0);
  CHECK(told.longest_gaps.empty());
  CHECK(told.columns.at(0).column.unit == "m");
  CHECK(told.columns.at(1).column.unit.empty());
}

TEST_CASE("a survey tells gaps with their place, and times that repeat or go back") {
  std::string text = "t,a\n";
  for (const int t : {0, 1, 2, 3, 3, 4, 5, 9, 10, 11, 8, 12, 112, 113, 114}) text += std::to_string(t) + ",1\n";
  const auto told = survey(text, {1, {}});
  CHECK(told.step == 1.0);
  CHECK(told.repeated == 1);
  CHECK(told.back == 1);
  CHECK(told.gaps == 3);
  CHECK(told.in_gaps == 108.0);  // 5 → 9, 8 → 12, 12 → 112
  REQUIRE(told.longest_gaps.size() == 3);
  CHECK(told.longest_gaps[0].row == 12);
  CHECK(told.longest_gaps[0].begin == 12s);
  CHECK(told.longest_gaps[0].end == 112s);
  CHECK(told.longest_gaps[1].row == 7);
}

TEST_CASE("a survey tells missing samples, their longest run, and columns that stand still or are empty") {
  const auto told = survey("t,a,b,c\n0,1,5,\n1,,5,NaN\n2,,5,null\n3,2,,inf\n4,nan,5,\n");
  CHECK(told.columns.at(0).missing == 3);
  CHECK(told.columns.at(0).longest_missing == 2);
  CHECK_FALSE(told.columns.at(0).constant());
  CHECK(told.columns.at(0).most == 2.0);
  CHECK(told.columns.at(1).constant());
  CHECK(told.columns.at(1).missing == 1);
  CHECK(told.columns.at(2).empty());
  CHECK(told.columns.at(2).missing == 5);
}

TEST_CASE("a survey reads the rows it is asked for and no further") {
  CHECK(survey("t,a\n0,1\n1,2\n2,x\n", {0, 2}).rows == 2);
}
