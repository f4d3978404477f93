#include "simulation/truth_writer.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "support/catch.hpp"
#include "unit/simulation/fixtures.hpp"

namespace twinkeeper::simulation {
namespace {

std::string fresh_file(const std::string& name) {
  const auto path = std::filesystem::temp_directory_path() / (name + "." + std::to_string(getpid()) + ".csv");
  std::filesystem::remove(path);
  return path.string();
}

std::string content(const std::string& file) {
  std::stringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

base::WallTime wall(std::int64_t nanoseconds) { return base::WallTime{base::Duration{nanoseconds}}; }

}  // namespace

TEST_CASE("Truth rows have wall time to the microsecond and empty cells for twins that do not step") {
  auto twins = fixtures::tank_simulation().twins;
  twins.push_back(twins[0]);
  twins[1].name = "other";
  twins[1].model.states = {{"x1", "", {}}};
  const std::string file = fresh_file("truth_rows");
  const Eigen::VectorXd tanks = Eigen::Vector2d(0.1, 1.0 / 3.0);
  const Eigen::VectorXd other = Eigen::VectorXd::Constant(1, -2e-9);
  {
    auto writer = TruthWriter::open(file, twins);
    REQUIRE(writer.ok());
    CHECK(writer.value().write(wall(1700000000123456789), {&tanks, &other}).ok());
    CHECK(writer.value().write(wall(1700000000200000000), {nullptr, &other}).ok());
  }
  CHECK(content(file) ==
        "time[s],tanks.level_1[m],tanks.level_2[m],other.x1\n"
        "1700000000.123456,0.1,0.3333333333333333,-2e-09\n"
        "1700000000.200000,,,-2e-09\n");
  std::filesystem::remove(file);
}

TEST_CASE("Truth is flushed once a second and after a wall clock that went back") {
  const std::string file = fresh_file("truth_flush");
  auto writer = TruthWriter::open(file, fixtures::tank_simulation().twins);
  REQUIRE(writer.ok());
  const Eigen::VectorXd x = Eigen::Vector2d(0.1, 0.2);
  auto rows_after = [&](std::int64_t milliseconds) {
    CHECK(writer.value().write(wall(1'700'000'000'000'000'000 + milliseconds * 1'000'000), {&x}).ok());
    const std::string text = content(file);
    return std::count(text.begin(), text.end(), '\n') - 1;
  };
  CHECK(rows_after(0) == 1);
  CHECK(rows_after(500) == 1);
  CHECK(rows_after(999) == 1);
  CHECK(rows_after(1000) == 4);
  CHECK(rows_after(-5000) == 5);
  std::filesystem::remove(file);
}

TEST_CASE("A truth file that cannot be written is an error that names it") {
  const auto twins = fixtures::tank_simulation().twins;
  const auto missing = TruthWriter::open("/nonexistent/truth.csv", twins);
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().code() == base::ErrorCode::not_found);
  CHECK(missing.error().message().find("/nonexistent/truth.csv") != std::string::npos);
  const auto full = TruthWriter::open("/dev/full", twins);
  REQUIRE_FALSE(full.ok());
  CHECK(full.error().code() == base::ErrorCode::io);
}

}  // namespace twinkeeper::simulation
