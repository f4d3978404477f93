// The example of every template's page is a model that loads and runs, and the page's table of parameters is the
// code's.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include <unistd.h>

#include "app/descriptions.hpp"
#include "app/plan.hpp"
#include "support/catch.hpp"
#include "twinkeeper/model/dynamics.hpp"

using namespace twinkeeper;
namespace fs = std::filesystem;

namespace {

const fs::path kPages = fs::path(TWINKEEPER_SOURCE_DIR) / "docs" / "models";

std::string text_of(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

config::ModelFile loaded(const fs::path& file) {
  auto result = app::load_model_file(file.string(), std::nullopt, {});
  if (const auto* faults = std::get_if<app::Faults>(&result)) {
    for (const auto& fault : *faults) UNSCOPED_INFO(fault.text());
    REQUIRE(faults->empty());
  }
  return std::get<config::ModelFile>(std::move(result));
}

app::Plan plan_of(const config::ModelFile& file) {
  std::vector<std::string> columns;
  for (const auto& output : file.model.outputs) columns.push_back(output.name);
  return app::plan_of_model(file, columns);
}

}  // namespace

TEST_CASE("every template has a page with its parameters and an example that loads and follows itself") {
  std::set<std::string> shown;
  for (const auto& entry : fs::directory_iterator(kPages / "examples")) {
    INFO(entry.path().filename());
    const config::ModelFile file = loaded(entry.path());
    const app::Plan plan = plan_of(file);
    const model::StateSpace& model = plan.models[0];
    if (file.model.type == model::kStateSpace) continue;
    REQUIRE(model.dynamics != nullptr);
    shown.insert(file.model.type);

    auto twins = app::make_twins(plan);
    REQUIRE(std::holds_alternative<std::vector<estimation::Twin>>(twins));
    auto& twin = std::get<std::vector<estimation::Twin>>(twins)[0];
    signals::Frame frame;
    for (Eigen::Index i = 0; i < model.n_u(); ++i) {
      frame.inputs.emplace_back();
      frame.inputs.back().value = model.u_op(i);
      frame.inputs.back().quality = signals::Quality::good;
    }
    for (Eigen::Index i = 0; i < model.n_y(); ++i) {
      frame.outputs.emplace_back();
      frame.outputs.back().value = model.y_op(i);
      frame.outputs.back().quality = signals::Quality::good;
      frame.outputs.back().fresh = true;
    }
    estimation::TwinStep step = twin.make_record();
    for (int k = 0; k < 2000; ++k) twin.step(frame, step);
    CHECK(step.mode == estimation::Mode::tracking);
    for (std::size_t i = 0; i < step.outputs.size(); ++i) {
      const double off = step.outputs[i].expected - model.y_op(static_cast<Eigen::Index>(i));
      CHECK(std::abs(off) < 1.5 * step.outputs[i].std);
    }

    const std::string page = text_of(kPages / (file.model.type + ".md"));
    for (const auto& info : model.dynamics->parameter_infos()) {
      const auto pattern = info.name.find('_') != std::string::npos && file.model.type == "rc_network"
                               ? info.name.substr(0, info.name.find('_') + 1)
                               : info.name + "`";
      const std::string unit = info.unit.empty() ? "any" : info.unit;
      INFO("row of " << info.name << " in " << unit);
      const std::size_t row = page.find("\n| `" + pattern) + 1;
      REQUIRE(row != 0);
      const std::string line = page.substr(row, page.find('\n', row) - row);
      CHECK(line.find("| " + unit + " |") != std::string::npos);
    }
  }
  const std::string index = text_of(kPages / "README.md");
  for (const model::Template* entry : model::templates()) {
    INFO(entry->name);
    CHECK(shown.count(entry->name) == 1);
    CHECK(index.find("[" + entry->name + "](" + entry->name + ".md)") != std::string::npos);
  }
}

TEST_CASE("the example of matrices has foh, a sensor that lags and ranges that are told, and follows itself") {
  const app::Plan plan = plan_of(loaded(kPages / "examples" / "furnace.yaml"));
  const model::StateSpace& model = plan.models[0];
  CHECK(model.foh());
  REQUIRE(model.states.size() == 2);
  CHECK(model.states[1].name == "TT101_sensor");
  const auto described = app::describe_twin(plan, 0);
  CHECK((described.inputs[0].signal.valid_min == 20.0 && described.inputs[0].signal.valid_max == 80.0));
  CHECK((described.outputs[0].signal.valid_min == 30.0 && described.outputs[0].signal.valid_max == 90.0));
  CHECK(std::isinf(described.inputs[1].signal.valid_max));

  auto twins = app::make_twins(plan);
  REQUIRE(std::holds_alternative<std::vector<estimation::Twin>>(twins));
  auto& twin = std::get<std::vector<estimation::Twin>>(twins)[0];
  estimation::TwinStep step = twin.make_record();
  signals::Frame frame;
  frame.inputs = {{50.0, signals::Quality::good, signals::Reason::none, base::Duration{0}, true},
                  {10.0, signals::Quality::good, signals::Reason::none, base::Duration{0}, true}};
  frame.outputs = {{50.0, signals::Quality::good, signals::Reason::none, base::Duration{0}, true}};
  for (int k = 0; k < 2000; ++k) twin.step(frame, step);
  CHECK(step.mode == estimation::Mode::tracking);
  CHECK(step.x[0] == Approx(50.0).margin(0.1));
  CHECK(step.valid);
  frame.inputs[0].value = 90.0;
  twin.step(frame, step);
  CHECK(step.inputs[0].outside);
  CHECK_FALSE(step.valid);
  CHECK(step.tests_held);
}

TEST_CASE("the hash of a template's model changes with every parameter and signal") {
  const auto of = [](const std::string& from, const std::string& to) {
    const fs::path file = fs::temp_directory_path() / ("twinkeeper-template-" + std::to_string(::getpid()) + ".yaml");
    std::string text = text_of(kPages / "examples" / "oven.yaml");
    if (!from.empty()) text.replace(text.find(from), from.size(), to);
    std::ofstream(file) << text;
    const std::string hash = loaded(file).model.hash;
    fs::remove(file);
    return hash;
  };
  const std::string plain = of("", "");
  CHECK(of("850 J/K", "851 J/K") != plain);
  CHECK(of("850 J/K", "850") == plain);
  CHECK(of("nominal: 200", "nominal: 201") != plain);
}
