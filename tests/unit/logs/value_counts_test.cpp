#include "logs/value_counts.hpp"

#include <algorithm>
#include <random>
#include <vector>

#include "support/catch.hpp"

using twinkeeper::logs::ValueCounts;

TEST_CASE("counted values give the median and quantiles of the sorted ones, to the bit") {
  ValueCounts counts;
  CHECK(counts.at(0.5) == 0.0);
  std::vector<double> values;
  std::mt19937 random(3);
  for (int k = 0; k < 5001; ++k) {
    values.push_back(0.001 * static_cast<double>(random() % 700));
    counts.add(values.back());
  }
  std::sort(values.begin(), values.end());
  CHECK(counts.count() == 5001);
  CHECK(counts.at(0.5) == values[2500]);
  CHECK(counts.at(0.05) == values[250]);
  CHECK(counts.at(1.0) == values.back());
  const auto above = counts.above(0.6);
  const auto first = std::upper_bound(values.begin(), values.end(), 0.6);
  CHECK(above.count == static_cast<std::uint64_t>(values.end() - first));
}

TEST_CASE("counts of more different values than are kept stay near the sorted ones") {
  ValueCounts counts;
  std::vector<double> values;
  std::mt19937_64 random(5);
  std::uniform_real_distribution<double> uniform(0.9, 1.1);
  for (int k = 0; k < 60'000; ++k) {
    values.push_back(uniform(random));
    counts.add(values.back());
  }
  std::sort(values.begin(), values.end());
  CHECK(counts.at(0.5) == Approx(values[30'000]).epsilon(1e-4));
  CHECK(counts.at(0.05) == Approx(values[3'000]).epsilon(1e-4));
  CHECK(counts.above(0.0).count == 60'000);
}
