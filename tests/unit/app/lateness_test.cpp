#include "app/lateness.hpp"

#include <map>

#include "support/catch.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;

namespace {

std::map<std::string, double> figures_of(app::Lateness& lateness) {
  std::map<std::string, double> figures;
  for (const auto& [name, value] : lateness.take()) {
    const auto* count = std::get_if<std::uint64_t>(&value);
    figures[name] = count != nullptr ? static_cast<double>(*count) : std::get<double>(value);
  }
  return figures;
}

}  // namespace

TEST_CASE("Lateness counts cumulatively up to each bound, over all intervals, and gives the quantiles of the last") {
  app::Lateness lateness;
  for (int i = 0; i < 990; ++i) lateness.record(50us);
  for (int i = 0; i < 9; ++i) lateness.record(700us);
  lateness.record(2s);
  auto figures = figures_of(lateness);
  CHECK(figures["step_lateness_le_50us_total"] == 990);
  CHECK(figures["step_lateness_le_500us_total"] == 990);
  CHECK(figures["step_lateness_le_1ms_total"] == 999);
  CHECK(figures["step_lateness_le_1s_total"] == 999);
  CHECK(figures["step_lateness_seconds_p50"] == Approx(50e-6).epsilon(0.2));
  CHECK(figures["step_lateness_seconds_p999"] == Approx(700e-6).epsilon(0.2));
  CHECK(figures["step_lateness_seconds_max"] == Approx(2.0));

  lateness.record(3ms);
  figures = figures_of(lateness);
  CHECK(figures["step_lateness_le_5ms_total"] == 1000);
  CHECK(figures["step_lateness_seconds_p50"] == Approx(3e-3).epsilon(0.2));

  figures = figures_of(lateness);
  CHECK(figures["step_lateness_le_5ms_total"] == 1000);
  CHECK(std::isnan(figures["step_lateness_seconds_p99"]));
}
