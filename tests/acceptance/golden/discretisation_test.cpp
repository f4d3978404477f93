// Against references computed with 600 digits; case 2 is so stiff (|A| Ts = 500) that e^{−A Ts} overflows.
#include <iostream>

#include "data_files.hpp"
#include "support/catch.hpp"
#include "twinkeeper/model/analysis.hpp"
#include "twinkeeper/model/discretise.hpp"

using namespace twinkeeper;
using Eigen::MatrixXd;
using Eigen::VectorXd;

TEST_CASE("Discretisation and steady-state filter equal the 600-digit references element by element") {
  for (const std::string name : {"c2d1", "c2d2", "c2d3", "c2d4"}) {
    const auto folder = golden::data_folder("golden/" + name);
    if (!folder) return;
    CAPTURE(name);
    const auto read = [&](const char* file) { return golden::read_matrix(*folder + file); };
    const MatrixXd A = read("A.csv");
    const Eigen::Index n = A.rows();
    const double period = read("Ts.csv")(0, 0);
    const model::Discretised step =
        model::discretise(A, read("B.csv"), MatrixXd::Identity(n, n), VectorXd::Zero(n), period);
    CHECK(golden::worst_relative(step.A, read("Ad.csv")) < 1e-10);
    CHECK(golden::worst_relative(step.B, read("Bd.csv")) < 1e-10);
    CHECK(golden::worst_relative(step.Q, read("QdI.csv")) < 1e-10);

    model::StateSpace space;
    space.sample_time = period;
    space.A = step.A;
    space.B = step.B;
    space.C = read("C.csv");
    space.Q = step.Q + 1e-9 * MatrixXd::Identity(n, n);
    space.R = MatrixXd::Constant(1, 1, 0.01);
    space.S = MatrixXd::Zero(n, 1);
    for (Eigen::Index i = 0; i < n; ++i) space.states.push_back({"x" + std::to_string(i + 1), "", {}});
    const auto steady = model::steady_state(space);
    REQUIRE(steady.ok());
    CHECK(golden::worst_relative(steady.value().P, read("kf_P.csv")) < 1e-10);
    CHECK(golden::worst_relative(steady.value().M, read("kf_M.csv")) < 1e-10);
  }
}
