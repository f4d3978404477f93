// A line in time that no input explains: found with its size, and nothing taken for one.
#include "identification/trend.hpp"

#include <cmath>

#include "base/random.hpp"
#include "identification/identify.hpp"
#include "support/catch.hpp"

using namespace twinkeeper;
using namespace twinkeeper::identification;
using Eigen::Index;

namespace {

constexpr Index kTicks = 800;

// Two outputs that answer one input, white noise on both; the first has a line, a slow disturbance or a decay on it.
Experiments drifting_record(double line, double slow, double decay, unsigned seed) {
  base::Random random(seed);
  Experiment out;
  out.u.resize(1, kTicks);
  out.y.resize(2, kTicks);
  double u = 0.0, x = 0.0, z = 0.0, d = 0.0;
  for (Index k = 0; k < kTicks; ++k) {
    if (random.uniform() > 0.95) u = random.uniform();
    d = 0.97 * d + slow * std::sqrt(1.0 - 0.97 * 0.97) * random.normal();
    const double at = static_cast<double>(k) / static_cast<double>(kTicks);
    out.u(0, k) = u;
    out.y(0, k) = x + d + line * at + decay * std::pow(0.9, static_cast<double>(k)) + 0.05 * random.normal();
    out.y(1, k) = 0.5 * x + 0.8 * z + 0.05 * random.normal();
    x = 0.9 * x + 0.2 * u;
    z = 0.8 * z + 0.1 * u;
  }
  return {out};
}

}  // namespace

TEST_CASE("A drift is found with its size, in the output that has it, across a gap") {
  for (unsigned seed = 1; seed <= 5; ++seed) {
    Experiments record = drifting_record(0.4, 0.0, 0.0, seed);
    Experiment& whole = record.front();
    const std::vector<Trend> trends = trends_of(record);
    CHECK(trends[0].sure);
    CHECK(std::abs(trends[0].change - 0.4) < 4.0 * trends[0].std + 0.04);
    CHECK(trends[0].std < 0.05);
    CHECK_FALSE(trends[1].sure);
    const Experiments parts{{whole.u.leftCols(300), whole.y.leftCols(300), {}},
                            {whole.u.rightCols(480), whole.y.rightCols(480), {}}};
    CHECK(trends_of(parts)[0].change == Approx(0.4).epsilon(0.2));
  }
}

TEST_CASE("Noise, slow disturbances, what dies away and answers to inputs are no drifts") {
  int sure = 0;
  for (unsigned seed = 1; seed <= 15; ++seed) {
    for (const auto& record : {drifting_record(0.0, 0.0, 0.0, seed), drifting_record(0.0, 0.3, 0.0, seed),
                               drifting_record(0.0, 0.0, 2.0, seed)}) {
      for (const Trend& one : trends_of(record)) sure += one.sure ? 1 : 0;
    }
  }
  CHECK(sure <= 1);
  // The input drifts, and the outputs with it.
  Experiments ramp = drifting_record(0.0, 0.0, 0.0, 1);
  double x = 0.0;
  base::Random random(2);
  for (Index k = 0; k < kTicks; ++k) {
    ramp[0].u(0, k) += 0.01 * static_cast<double>(k);
    ramp[0].y(0, k) = x + 0.05 * random.normal();
    x = 0.9 * x + 0.2 * ramp[0].u(0, k);
  }
  CHECK_FALSE(trends_of(ramp)[0].sure);
  // Too short for anything.
  const Experiments few{{ramp[0].u.leftCols(8), ramp[0].y.leftCols(8), {}}};
  CHECK_FALSE(trends_of(few)[0].sure);
}

TEST_CASE("identify warns of a drift by its size") {
  const auto warned = [](double line) {
    IdentifySettings settings;
    settings.method = Method::n4sid;
    settings.order = 2;
    const auto found = identify(drifting_record(line, 0.0, 0.0, 3), {"u"}, {"a", "b"}, settings);
    REQUIRE(found.ok());
    std::string all;
    for (const auto& text : found.value().warnings) all += text + "\n";
    return all;
  };
  CHECK(warned(-0.8).find("a drifts down by 1.") != std::string::npos);
  CHECK(warned(-0.8).find("b drifts") == std::string::npos);
  CHECK(warned(0.0).find("drifts") == std::string::npos);
}
