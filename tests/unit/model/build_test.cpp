#include <functional>
#include <limits>
#include <string>

#include "settings_for_tests.hpp"
#include "support/catch.hpp"
#include "twinkeeper/model/analysis.hpp"
#include "twinkeeper/model/discretise.hpp"

using namespace twinkeeper;
using namespace twinkeeper::model;

namespace {

base::Issues issues_of_build(const ModelSettings& settings, double period = 0.1) {
  Built result = build(settings, period);
  REQUIRE(std::holds_alternative<base::Issues>(result));
  return std::get<base::Issues>(std::move(result));
}

struct Fault {
  const char* name;
  std::function<void(ModelSettings&)> spoil;
  const char* path;
  const char* text;
};

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

const Fault kFaults[] = {
    {"Q is indefinite",
     [](ModelSettings& s) {
       s.noise.Q = Rows{{1, 2}, {2, 1}};
     },
     "model.noise.Q", "semidefinite"},
    {"Q has a negative variance",
     [](ModelSettings& s) {
       s.noise.Q = Rows{{-1, 0}, {0, 1}};
     },
     "model.noise.Q", "semidefinite"},
    {"Q is lopsided",
     [](ModelSettings& s) {
       s.noise.Q = Rows{{1, 0.5}, {0, 1}};
     },
     "model.noise.Q", "symmetric"},
    {"Q is absent", [](ModelSettings& s) { s.noise.Q.reset(); }, "model.noise.Q", "no process noise"},
    {"R is singular",
     [](ModelSettings& s) {
       s.outputs[0].noise_std.reset();
       s.outputs[1].noise_std.reset();
       s.noise.R = Rows{{1, 1}, {1, 1}};
     },
     "model.noise.R", "positive definite"},
    {"R differs from the noise",
     [](ModelSettings& s) {
       s.noise.R = Rows{{5e-6, 0}, {0, 4e-6}};
     },
     "model.outputs[0].noise_std", "noise.R[0][0]"},
    {"an output has no noise", [](ModelSettings& s) { s.outputs[1].noise_std.reset(); }, "model.outputs[1].noise_std",
     "no measurement noise"},
    {"S is too large",
     [](ModelSettings& s) {
       s.noise.S = Rows{{1e-3, 0}, {0, 0}};
     },
     "model.noise.S", "[Q S; Sᵀ R]"},
    {"S is continuous",
     [](ModelSettings& s) {
       s.time = TimeBase::continuous;
       s.noise.S = Rows{{0, 0}, {0, 0}};
     },
     "model.noise.S", "continuous"},
    {"K is continuous",
     [](ModelSettings& s) {
       s.time = TimeBase::continuous;
       s.noise.K = Rows{{0, 0}, {0, 0}};
     },
     "model.noise.K", "continuous"},
    {"K is alone",
     [](ModelSettings& s) {
       s.noise.K = Rows{{0, 0}, {0, 0}};
     },
     "model.noise.K", "without Ry"},
    {"A − K C is unstable",
     [](ModelSettings& s) {
       s.noise = {};
       s.noise.K = Rows{{-1, 0}, {0, 0}};
       s.noise.Ry = Rows{{1, 0}, {0, 1}};
     },
     "model.noise.K", "spectral radius"},
    {"Ry is indefinite",
     [](ModelSettings& s) {
       s.noise = {};
       s.noise.K = Rows{{0, 0}, {0, 0}};
       s.noise.Ry = Rows{{1, 2}, {2, 1}};
     },
     "model.noise.Ry", "positive definite"},
    {"the nominal value differs", [](ModelSettings& s) { s.operating_point.u = {2.0}; }, "model.inputs[0].nominal",
     "operating_point.u[0]"},
    {"the period differs", [](ModelSettings& s) { s.sample_time = 0.2; }, "model.sample_time", "period"},
    {"a discrete model has dx",
     [](ModelSettings& s) {
       s.dx = {0.1, 0.0};
     },
     "model.dx", "discrete"},
    {"A is not square", [](ModelSettings& s) { s.A.pop_back(); }, "model.A", "1 × 2"},
    {"A is ragged", [](ModelSettings& s) { s.A[1].pop_back(); }, "model.A", "2 × 2"},
    {"B has a hole", [](ModelSettings& s) { s.B[0][0] = kNaN; }, "model.B", "not finite"},
    {"an initial value is missing", [](ModelSettings& s) { s.states[1].initial.reset(); }, "model.states[1].initial",
     "missing"},
    {"an initial deviation is negative", [](ModelSettings& s) { s.states[0].initial_std = -1.0; },
     "model.states[0].initial_std", "negative"},
    {"the limits cross", [](ModelSettings& s) { s.inputs[0].max = -1.0; }, "model.inputs[0].min", "not below max"},
};

}  // namespace

TEST_CASE("build refuses every spoiled model at the path of the fault") {
  for (const Fault& fault : kFaults) {
    ModelSettings settings = two_tank_settings();
    fault.spoil(settings);
    const base::Issues issues = issues_of_build(settings);
    CAPTURE(fault.name, issues[0].path, issues[0].what);
    CHECK(issues.size() == 1);
    CHECK(issues[0].path == fault.path);
    const bool in_text = (issues[0].what + issues[0].accepted).find(fault.text) != std::string::npos;
    CHECK(in_text);
  }
}

TEST_CASE("build reports faults of different sections together") {
  ModelSettings s = two_tank_settings();
  s.sample_time = 0.2;
  s.noise.Q = Rows{{-1, 0}, {0, 1}};
  s.operating_point.u = {2.0};
  s.states[0].initial_std = -1.0;
  CHECK(issues_of_build(s).size() == 4);
}

TEST_CASE("build takes R from noise and resolution and the operating point from nominal values") {
  const StateSpace model = built(two_tank_settings());
  CHECK(model.R(0, 0) == Approx(4e-6 + 1e-6 / 12.0).epsilon(1e-14));
  CHECK(model.R(1, 1) == Approx(4e-6).epsilon(1e-14));
  CHECK(model.R(0, 1) == 0.0);
  CHECK(model.u_op(0) == 3.0);
  CHECK(model.y_op(0) == 0.124);
  CHECK(model.y_op(1) == 0.0);
  REQUIRE(model.initial.has_value());
  CHECK((*model.initial)(1) == 0.1);
  CHECK(model.S.isZero(0.0));
  CHECK(model.D.isZero(0.0));
}

TEST_CASE("build fills an absent initial deviation from the steady state") {
  ModelSettings s = two_tank_settings();
  s.states[1].initial_std.reset();
  const StateSpace model = built(s);
  REQUIRE(model.initial_std.has_value());
  CHECK((*model.initial_std)(0) == 0.05);
  CHECK((*model.initial_std)(1) == Approx(std::sqrt(steady_state(model).value().P(1, 1))));
}

TEST_CASE("build discretises a continuous model with its noise density and its drift") {
  ModelSettings s = two_tank_settings();
  s.time = TimeBase::continuous;
  s.sample_time.reset();
  s.A = {{-0.2, 0.0}, {0.2, -0.3}};
  s.B = {{0.1}, {0.0}};
  s.dx = {0.01, -0.02};
  const StateSpace model = built(s, 0.5);
  const Discretised step = discretise(
      (Eigen::MatrixXd(2, 2) << -0.2, 0.0, 0.2, -0.3).finished(), (Eigen::MatrixXd(2, 1) << 0.1, 0.0).finished(),
      Eigen::MatrixXd::Identity(2, 2) * 1e-6, (Eigen::VectorXd(2) << 0.01, -0.02).finished(), 0.5);
  CHECK(model.A == step.A);
  CHECK(model.B == step.B);
  CHECK(model.Q == step.Q);
  CHECK(model.d == step.d);
  CHECK(model.R(1, 1) == Approx(4e-6).epsilon(1e-14));
  CHECK(model.sample_time == 0.5);
}

TEST_CASE("build accepts both noise forms when they agree and refuses them when they do not") {
  ModelSettings s = two_tank_settings();
  const SteadyState steady = steady_state(built(s)).value();
  s.noise.K = rows(steady.K);
  s.noise.Ry = rows(steady.Sigma);
  CHECK_FALSE(built(s).innovations_form_only);
  (*s.noise.K)[0][0] *= 1.0 + 1e-4;
  CHECK(issues_of_build(s)[0].path == "model.noise.K");
  s.noise.K = rows(steady.K);
  (*s.noise.Ry)[1][1] *= 1.0 + 1e-4;
  CHECK(issues_of_build(s)[0].path == "model.noise.Ry");
}

TEST_CASE("build turns K and Ry alone into Q and R and S of rank n_y") {
  ModelSettings s = two_tank_settings();
  s.noise = {};
  s.noise.K = Rows{{0.1, 0.0}, {0.02, 0.3}};
  s.noise.Ry = Rows{{1e-4, 2e-5}, {2e-5, 3e-4}};
  const StateSpace model = built(s);
  CHECK(model.innovations_form_only);
  CHECK(model.R(0, 1) == 2e-5);
  CHECK(model.S(1, 1) == Approx(0.02 * 2e-5 + 0.3 * 3e-4));
  CHECK(model.Q(0, 0) == Approx(0.1 * 0.1 * 1e-4));
}

TEST_CASE("build accepts a rank-deficient covariance that was printed and read again") {
  ModelSettings s = two_tank_settings();
  s.noise.Q = Rows{{1e-6, 3.3333333333333e-4}, {3.3333333333333e-4, 0.1111111111111}};
  CHECK(built(s).Q(1, 1) > 0.1);
}
