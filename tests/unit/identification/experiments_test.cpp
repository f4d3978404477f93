#include "identification/experiments.hpp"

#include <cmath>
#include <limits>

#include "support/catch.hpp"

using namespace twinkeeper::identification;
using Eigen::Index;

namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

Record ramp(Index rows) {
  Record record;
  record.u = Eigen::MatrixXd(rows, 1);
  record.y = Eigen::MatrixXd(rows, 1);
  for (Index k = 0; k < rows; ++k) {
    record.tick.push_back(k);
    record.u(k, 0) = static_cast<double>(k % 7);
    record.y(k, 0) = static_cast<double>(k);
  }
  return record;
}

}  // namespace

TEST_CASE("A record without gaps is one experiment with all of its samples") {
  const auto cut = cut_into_experiments(ramp(100), {"u"}, {"y"});
  REQUIRE(cut.ok());
  REQUIRE(cut.value().experiments.size() == 1);
  CHECK(cut.value().experiments[0].count() == 100);
  CHECK(cut.value().ticks_lost == 0);
  CHECK(cut.value().experiments[0].missing.empty());
}

TEST_CASE("Single missing samples are filled, outputs linearly and inputs held, and remembered") {
  Record record = ramp(100);
  record.y(40, 0) = record.y(41, 0) = kNone;
  record.u(60, 0) = kNone;
  const auto cut = cut_into_experiments(record, {"u"}, {"y"});
  REQUIRE(cut.ok());
  const Experiment& whole = cut.value().experiments.at(0);
  CHECK(whole.y(0, 40) == Approx(40.0));
  CHECK(whole.y(0, 41) == Approx(41.0));
  CHECK(whole.u(0, 60) == record.u(59, 0));
  REQUIRE(whole.missing.size() == 2);
  CHECK(whole.missing[0] == std::pair<Index, Index>{0, 40});
}

TEST_CASE("A long gap splits a record, whether rows or values are missing, and the loss is counted") {
  Record record = ramp(200);
  for (Index k = 60; k < 80; ++k) record.y(k, 0) = kNone;
  for (std::size_t k = 140; k < 200; ++k) record.tick[k] += 1000;
  const auto cut = cut_into_experiments(record, {"u"}, {"y"});
  REQUIRE(cut.ok());
  REQUIRE(cut.value().experiments.size() == 3);
  CHECK(cut.value().experiments[0].count() == 60);
  CHECK(cut.value().experiments[1].count() == 60);
  CHECK(cut.value().experiments[2].count() == 60);
  CHECK(cut.value().ticks_lost == 20);
}

TEST_CASE("More than ten percent of missing samples are refused by name") {
  Record record = ramp(200);
  for (Index k = 1; k < 199; k += 5) record.y(k, 0) = kNone;
  const auto cut = cut_into_experiments(record, {"u"}, {"y"});
  REQUIRE(!cut.ok());
  CHECK(cut.error().message().find("y lacks 20 %") != std::string::npos);
}

TEST_CASE("Of several rows in one tick the mean of an output and the last input count") {
  Record record = ramp(100);
  record.tick[50] = 49;
  record.tick[51] = 50;  // one tick of two rows, then one tick later than its row
  for (std::size_t k = 52; k < 100; ++k) record.tick[k] = static_cast<std::int64_t>(k) - 1;
  const auto cut = cut_into_experiments(record, {"u"}, {"y"});
  REQUIRE(cut.ok());
  CHECK(cut.value().experiments.at(0).y(0, 49) == Approx(49.5));
  CHECK(cut.value().experiments.at(0).u(0, 49) == record.u(50, 0));
}

TEST_CASE("Slices count ticks through all experiments") {
  Record record = ramp(200);
  for (std::size_t k = 100; k < 200; ++k) record.tick[k] += 1000;
  const auto cut = cut_into_experiments(record, {"u"}, {"y"});
  REQUIRE(cut.ok());
  const Experiments part = slice(cut.value().experiments, 50, 150);
  REQUIRE(part.size() == 2);
  CHECK(part[0].y(0, 0) == 50.0);
  CHECK(part[1].count() == 50);
}
