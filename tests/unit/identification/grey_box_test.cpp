#include "identification/grey_box.hpp"

#include <algorithm>
#include <cmath>

#include "base/random.hpp"
#include "identification/template_run.hpp"
#include "support/catch.hpp"
#include "twinkeeper/model/templates.hpp"

using namespace twinkeeper;
using namespace twinkeeper::identification;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

constexpr double kStep = 4.0;

model::ModelSettings tanks(double a1, double a2, double pump) {
  model::ModelSettings out;
  out.name = "tanks";
  out.type = "two_tank";
  out.time = model::TimeBase::continuous;
  out.parameters = {{"A1", 1.0, ""}, {"A2", 1.3, ""},      {"a1", a1, ""},
                    {"a2", a2, ""},  {"k_pump", pump, ""}, {"height_1", 9.0, ""}};
  out.outputs.resize(1);
  out.outputs[0].name = "level_2";
  out.outputs[0].noise_std = 0.05;
  out.inputs.resize(1);
  out.inputs[0].name = "pump";
  out.inputs[0].nominal = 3.0;
  out.noise.Q = model::Rows{{1e-4, 0.0}, {0.0, 1e-4}};
  REQUIRE(model::complete(out).empty());
  return out;
}

// The lower level of the tanks under steps of the pump, white noise on it.
Experiments tank_record(const model::ModelSettings& settings, Index count, double noise, unsigned seed) {
  base::Random random(seed);
  Experiment out;
  out.u.resize(1, count);
  out.y = MatrixXd::Zero(1, count);
  double u = 3.0;
  for (Index k = 0; k < count; ++k) {
    if (random.uniform() > 0.95) u = 1.0 + 3.5 * random.uniform();
    out.u(0, k) = u;
  }
  const auto model = template_model(settings, kStep);
  REQUIRE(model);
  out.y = TemplateRun(*model).simulate(out, VectorXd::Constant(2, 4.0));
  for (Index k = 0; k < count; ++k) out.y(0, k) += noise * random.normal();
  return {out};
}

GreyBoxSettings seeking(std::vector<SoughtParameter> sought) {
  GreyBoxSettings out;
  out.sample_time = kStep;
  out.sought = std::move(sought);
  return out;
}

const ParameterEstimate& named(const GreyBox& box, const std::string& name) {
  const auto& list = box.found.parameters;
  return *std::find_if(list.begin(), list.end(), [&](const auto& one) { return one.name == name; });
}

bool warned(const GreyBox& box, const std::string& of) {
  return std::any_of(box.found.warnings.begin(), box.found.warnings.end(),
                     [&](const std::string& text) { return text.find(of) != std::string::npos; });
}

}  // namespace

TEST_CASE("The parameters that made a record are found, within what they are said to be off by") {
  const model::ModelSettings truth = tanks(0.0095, 0.0102, 0.05);
  for (unsigned seed = 1; seed <= 3; ++seed) {
    const Experiments record = tank_record(truth, 500, 0.05, seed);
    const auto found = identify_template(record, tanks(0.015, 0.007, 0.08),
                                         seeking({{"a1", {}, {}}, {"a2", {}, {}}, {"k_pump", {}, {}}}));
    REQUIRE(found.ok());
    const std::vector<std::pair<std::string, double>> made_it{{"a1", 0.0095}, {"a2", 0.0102}, {"k_pump", 0.05}};
    for (const auto& one : made_it) {
      const ParameterEstimate& estimate = named(found.value(), one.first);
      CHECK(estimate.value == Approx(one.second).epsilon(0.03));
      CHECK(estimate.std < 0.03 * estimate.value);
      CHECK(estimate.identifiable);
      CHECK(std::abs(estimate.value - one.second) < 3.0 * estimate.std);
      CHECK(model::value_of(found.value().model.parameters, one.first) == Approx(estimate.value));
    }
    CHECK(found.value().found.rmse(0) == Approx(0.05).epsilon(0.1));
    CHECK(found.value().found.verdict == Verdict::accept);
    CHECK(*found.value().model.outputs[0].noise_std == Approx(0.05).epsilon(0.15));
  }
}

TEST_CASE("Parameters that only show together, not at all, or at a bound are told by name") {
  const Experiments record = tank_record(tanks(0.0095, 0.0102, 0.05), 400, 0.02, 7);
  // All areas and the flow together change nothing.
  const auto open =
      identify_template(record, tanks(0.011, 0.0095, 0.055),
                        seeking({{"A1", {}, {}}, {"A2", {}, {}}, {"a1", {}, {}}, {"a2", {}, {}}, {"k_pump", {}, {}}}));
  REQUIRE(open.ok());
  CHECK_FALSE(named(open.value(), "A1").identifiable);
  CHECK(warned(open.value(), "only together do A1, A2, a1, a2, k_pump"));
  CHECK(open.value().found.rmse(0) == Approx(0.02).epsilon(0.15));

  const auto bound = identify_template(record, tanks(0.011, 0.0095, 0.055),
                                       seeking({{"a1", 0.0105, 0.02}, {"k_pump", {}, {}}, {"overflow_time", {}, {}}}));
  REQUIRE(bound.ok());
  CHECK(named(bound.value(), "a1").bound == -1);
  CHECK(named(bound.value(), "a1").value == Approx(0.0105));
  CHECK(warned(bound.value(), "a1 stands at its lower bound"));
}

TEST_CASE("What can't be sought is refused with the names that can") {
  const Experiments record = tank_record(tanks(0.0095, 0.0102, 0.05), 200, 0.02, 8);
  const auto unknown = identify_template(record, tanks(0.0095, 0.0102, 0.05), seeking({{"leak", {}, {}}}));
  REQUIRE_FALSE(unknown.ok());
  CHECK(unknown.error().message().find("leak is no parameter of the file; accepted: A1, A2, a1") != std::string::npos);
  const auto outside = identify_template(record, tanks(0.0095, 0.0102, 0.05), seeking({{"a1", 0.1, 0.2}}));
  REQUIRE_FALSE(outside.ok());
  const auto few = identify_template(tank_record(tanks(0.0095, 0.0102, 0.05), 60, 0.02, 8), tanks(0.0095, 0.0102, 0.05),
                                     seeking({}));
  REQUIRE_FALSE(few.ok());
  CHECK(few.error().message().find("60 samples are too few") != std::string::npos);
}

TEST_CASE("A template that is already right is not replaced by a fit to rows in which the machine was another") {
  const model::ModelSettings truth = tanks(0.0095, 0.0102, 0.05);
  Experiments record = tank_record(truth, 500, 0.05, 9);
  const Experiments leaking = tank_record(tanks(0.0095, 0.0125, 0.05), 500, 0.05, 9);
  record[0].y.leftCols(350) = leaking[0].y.leftCols(350);
  GreyBoxSettings how = seeking({{"a1", {}, {}}, {"a2", {}, {}}});
  how.replaces = true;
  const auto found = identify_template(record, truth, how);
  REQUIRE(found.ok());
  CHECK(found.value().found.verdict == Verdict::reject);
  how.replaces = false;
  const auto same = identify_template(tank_record(truth, 500, 0.05, 9), truth, how);
  REQUIRE(same.ok());
  CHECK(same.value().found.verdict == Verdict::accept);
}

TEST_CASE("A template is fitted again to other rows, within the ranges it had, and nothing else of it changes") {
  const model::ModelSettings truth = tanks(0.0095, 0.0102, 0.05);
  const Experiments record = tank_record(truth, 500, 0.05, 11);
  const GreyBoxSettings how = seeking({{"a1", {}, {}}, {"a2", 0.0101, 0.02}});
  const model::ModelSettings start = tanks(0.011, 0.011, 0.05);
  const auto once = identify_template(record, start, how);
  REQUIRE(once.ok());
  const auto same = identify_template_again(record, start, how);
  REQUIRE(same.ok());
  const auto again = identify_template_again(tank_record(tanks(0.0105, 0.009, 0.05), 500, 0.05, 12), start, how);
  REQUIRE(again.ok());
  for (const auto& parameter : start.parameters) {
    const double value = *model::value_of(same.value().parameters, parameter.name);
    CHECK(value == *model::value_of(once.value().model.parameters, parameter.name));
    const double other = *model::value_of(again.value().parameters, parameter.name);
    CHECK((other == parameter.value) == (parameter.name != "a1" && parameter.name != "a2"));
  }
  CHECK(*model::value_of(again.value().parameters, "a2") == Approx(0.0101));
  const auto few = identify_template_again(tank_record(truth, 60, 0.05, 11), start, how);
  REQUIRE_FALSE(few.ok());
  CHECK(few.error().message().find("60 samples are too few") != std::string::npos);
}
