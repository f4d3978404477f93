#include "identification/calibrate.hpp"

#include <cmath>
#include <random>

#include "support/catch.hpp"
#include "twinkeeper/diagnosis/cusum.hpp"
#include "twinkeeper/diagnosis/windowed_nis.hpp"

using namespace twinkeeper;
using namespace twinkeeper::identification;
using namespace std::chrono_literals;

namespace {

// AR(1) with standard deviation `spread`.
class Series {
 public:
  Series(double phi, double spread, std::uint64_t seed) : phi_(phi), spread_(spread), random_(seed) {}
  double next() {
    z_ = phi_ * z_ + std::sqrt(1.0 - phi_ * phi_) * noise_(random_);
    return spread_ * z_;
  }
  std::vector<double> take(std::size_t rows) {
    std::vector<double> out(rows);
    for (double& value : out) value = next();
    return out;
  }

 private:
  double phi_, spread_, z_ = 0.0;
  std::mt19937_64 random_;
  std::normal_distribution<double> noise_;
};

constexpr int kAlarms = 600;

RegimeRows rows_of(double phi, std::size_t size, double spread = 1.0) {
  RegimeRows rows{"all", {}, std::vector<NisRow>(size)};
  for (std::uint64_t output = 0; output < 2; ++output) {
    rows.z.push_back(Series(phi, spread, 40 + output).take(size));
    for (std::size_t i = 0; i < size; ++i) rows.nis[i].nis += rows.z.back()[i] * rows.z.back()[i];
  }
  for (NisRow& row : rows.nis) row.dof = 2;
  return rows;
}

CalibrationRequest request(double false_alarms_per_day = 1.0 / 30.0) {
  CalibrationRequest out;
  out.outputs = {"a", "b"};
  out.period = 1s;
  out.false_alarms_per_day = false_alarms_per_day;
  return out;
}

}  // namespace

TEST_CASE("Run lengths of the CUSUMs are within 15 percent of the nominal ones, white and AR(1)") {
  for (const double phi : {0.0, 0.3}) {
    const std::vector<double> healthy = Series(phi, 2.5, 7).take(400'000);
    const double scale = robust_scale(healthy);
    CHECK(scale == Approx(2.5).epsilon(0.01));
    std::vector<double> z = healthy;
    for (double& value : z) value /= scale;
    const Memory memory = memory_of(z);
    CHECK(memory.phi == Approx(phi).margin(0.01));
    CHECK(memory.block == (phi == 0.0 ? 1 : 3));
    for (const double drift : {0.5, 0.25}) {
      const CusumRunLength length(drift, memory);
      for (const double asked : {1e3, 1e4}) {
        const double limit = length.limit(asked);
        CHECK(length.rows(limit) == Approx(asked).epsilon(0.01));
        Series fresh(phi, 2.5, 8);
        double rows = 0.0;
        for (int alarm = 0; alarm < kAlarms; ++alarm) {
          diagnosis::TwoSidedCusum cusum(drift, 1e9);
          diagnosis::BlockMean block;
          const double factor = 1.0 / (std::sqrt(static_cast<double>(memory.block)) * memory.block_scale);
          while (cusum.value() <= limit) {
            rows += 1.0;
            if (block.add(fresh.next() / scale, memory.block, {})) cusum.add(block.sum() * factor, {});
          }
        }
        INFO("phi " << phi << " drift " << drift << " asked " << asked << " limit " << limit);
        CHECK(rows / kAlarms == Approx(asked).epsilon(0.15));
      }
    }
  }
}

TEST_CASE("Run lengths of the windowed NIS are within 15 percent of the nominal ones, white and AR(1)") {
  for (const double phi : {0.0, 0.3}) {
    const RegimeRows healthy = rows_of(phi, 400'000);
    const CrossingRate rate = nis_rate(healthy.nis, diagnosis::WindowedNis(60, 2, 5.0), 60, 60);
    for (const double asked : {1e3, 1e4}) {
      const double limit = rate.above(1.0 / asked);
      CHECK(1.0 / rate.per_row(limit) == Approx(asked).epsilon(0.01));
      Series a(phi, 1.0, 90), b(phi, 1.0, 91);
      double rows = 0.0;
      for (int alarm = 0; alarm < kAlarms; ++alarm) {
        diagnosis::WindowedNis nis(60, 2, 5.0);
        while (!nis.full() || nis.value() <= limit) {
          const double z[] = {a.next(), b.next()};
          if (nis.full()) rows += 1.0;
          nis.add(z[0] * z[0] + z[1] * z[1], 2, {});
        }
      }
      INFO("phi " << phi << " asked " << asked << " limit " << limit);
      CHECK(rows / kAlarms == Approx(asked).epsilon(0.15));
    }
  }
}

TEST_CASE("Limits for one alarm a month are above the usual ones and go with the rows' scale") {
  const auto figures = calibrate({rows_of(0.3, 40'000, 2.0)}, request());
  REQUIRE(figures.size() == 1);
  const auto& limits = figures[0].limits;
  REQUIRE(limits.outputs.size() == 2);
  CHECK(limits.name == "all");
  CHECK(limits.hours == Approx(40'000 / 3600.0));
  CHECK(limits.outputs[0].scale == Approx(2.0).epsilon(0.03));
  CHECK(limits.outputs[0].block == 3);
  CHECK(limits.outputs[0].cusum >= 16.0);
  CHECK(limits.outputs[0].noise_high > 2.4);
  CHECK(limits.outputs[0].noise_low <= 0.28);
  CHECK(limits.nis > 4.0 * 1.5);  // NIS is that of the model's covariance: four times as large
  CHECK(limits.nominal_per_day <= 1.0 / 30.0);
  CHECK(figures[0].extrapolated);
  CHECK(limits.false_alarms == 0);
  CHECK(figures[0].at_most_per_day == Approx(3.0 / (40'000 / 86'400.0)));
  const auto calibration = calibration_of(figures, request());
  CHECK(calibration.period == 1s);
  CHECK(calibration.regimes == std::vector<diagnosis::RegimeCalibration>{limits});
}

TEST_CASE("What the healthy rows themselves show stays below the limits, and is counted by the other quarters") {
  RegimeRows rows = rows_of(0.0, 20'000);
  for (std::size_t i = 17'000; i < 17'100; ++i) rows.z[0][i] += 2.0;  // in the last quarter alone
  const auto figures = calibrate({rows}, request());
  CHECK(figures[0].outputs[0].largest_cusum > 60.0);
  CHECK(figures[0].limits.outputs[0].cusum == Approx(1.3 * figures[0].outputs[0].largest_cusum));
  CHECK(figures[0].limits.false_alarms > 0);
  CHECK(figures[0].at_most_per_day > figures[0].observed_per_day);
}

TEST_CASE("A regime or output with too few rows has no limits") {
  RegimeRows few = rows_of(0.0, 150);
  CHECK(calibrate({few}, request()).empty());
  RegimeRows rows = rows_of(0.0, 1000);
  for (std::size_t i = 0; i < 900; ++i) rows.z[1][i] = std::nan("");
  const auto figures = calibrate({rows}, request());
  REQUIRE(figures.size() == 1);
  CHECK(figures[0].limits.outputs.size() == 1);
  CHECK(figures[0].left_out == std::vector<std::string>{"b"});
}

TEST_CASE("Rows with a long memory make long blocks, and gaps part them") {
  std::vector<double> z = Series(0.9, 1.0, 3).take(50'000);
  const Memory memory = memory_of(z);
  CHECK(memory.phi == Approx(0.9).margin(0.02));
  CHECK(memory.block == Approx(29).margin(6));
  for (std::size_t i = 0; i < z.size(); i += 2) z[i] = std::nan("");
  CHECK(memory_of(z).first == 0.0);
}

TEST_CASE("Widening makes limits larger") {
  const RegimeRows rows = rows_of(0.0, 10'000);
  CalibrationRequest wide = request();
  wide.widening = 1.5;
  const auto usual = calibrate({rows}, request());
  const auto widened = calibrate({rows}, wide);
  CHECK(widened[0].limits.outputs[0].scale == Approx(1.5 * usual[0].limits.outputs[0].scale));
  CHECK(widened[0].limits.nis == Approx(2.25 * usual[0].limits.nis));
}

TEST_CASE("The bands of a model hold what the healthy rows show by blocks, and what fresh ones do") {
  const auto figures = calibrate({rows_of(0.3, 20'000, 1.5)}, request());
  const auto& limits = figures[0].limits;
  CHECK(limits.model_block == 2000);
  CHECK(limits.nis_mean_low < 2.25 * 0.95);
  CHECK(limits.nis_mean_low > 2.25 * 0.7);
  CHECK(limits.nis_mean_high > 2.25 * 1.05);
  CHECK(limits.nis_mean_high < 2.25 * 1.3);
  for (const auto& output : limits.outputs) {
    CHECK(output.autocorrelation_low == Approx(0.2).margin(0.06));
    CHECK(output.autocorrelation_high == Approx(0.4).margin(0.06));
  }
  CHECK(calibrate({rows_of(0.0, 400)}, request())[0].limits.model_block == 0);
}

TEST_CASE("The robust scale bears outliers, and values of which most are one and the same") {
  std::vector<double> z = Series(0.0, 2.0, 5).take(20'000);
  CHECK(robust_scale(z) == Approx(2.0).epsilon(0.03));
  for (std::size_t i = 0; i < z.size(); i += 50) z[i] = 1e3;
  CHECK(robust_scale(z) == Approx(2.0).epsilon(0.08));
  std::vector<double> steps(1000, 32.0);
  for (std::size_t i = 0; i < steps.size(); i += 3) steps[i] = i % 2 == 0 ? 31.0 : 33.0;
  CHECK(robust_scale(steps) == Approx(std::sqrt(1.0 / 3.0)).epsilon(0.06));
}

TEST_CASE("A small part of the variance that lasts long is found in sums of rows, not in any single lag") {
  const std::vector<double> fast = Series(0.0, 1.0, 11).take(2000);
  const std::vector<double> slow = Series(0.97, 0.6, 12).take(2000);
  std::vector<double> z(2000);
  for (std::size_t i = 0; i < z.size(); ++i) z[i] = fast[i] + slow[i];
  CHECK(memory_of(z).block_scale > 1.7);
  CHECK(memory_of(fast).block == 1);
}

TEST_CASE("Of blocks held out, each has a level of its own that is no memory") {
  std::vector<double> z;
  for (int block = 0; block < 4; ++block) {
    for (const double value : Series(0.0, 1.0, 20 + static_cast<std::uint64_t>(block)).take(200)) {
      z.push_back(value + (block % 2 == 0 ? 1.0 : -1.0));
    }
    z.push_back(std::nan(""));
  }
  CHECK(memory_of(z).block > 20);
  CHECK(memory_of(z, true).block == 1);
}
