#include "identification/bounded_least_squares.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "identification/decompositions.hpp"
#include "twinkeeper/base/elementary.hpp"

namespace twinkeeper::identification {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kDifference = 1e-4;  // of z
constexpr double kSmall = 1e-5;
constexpr double kWide = 1e-3;  // of z, at the end: a simulation may jump a little where a limit is met at a tick
constexpr int kAttempts = 12;

double to_z(const FreeParameter& parameter, double value) {
  if (!parameter.logarithmic) return value / parameter.unit;
  return value > 0.0 ? base::log(value) : -std::numeric_limits<double>::infinity();
}

class BoundedFit {
 public:
  BoundedFit(const std::vector<FreeParameter>& parameters, const Residuals& residuals,
             const LeastSquaresSettings& settings)
      : parameters_(parameters), residuals_(residuals), settings_(settings) {
    const auto size = static_cast<Index>(parameters.size());
    low_.resize(size);
    high_.resize(size);
    z_.resize(size);
    for (Index i = 0; i < size; ++i) {
      const FreeParameter& one = at(i);
      low_(i) = to_z(one, one.low);
      high_(i) = to_z(one, one.high);
      z_(i) = std::clamp(to_z(one, one.start), low_(i), high_(i));
      if (one.low < one.high) free_.push_back(i);
    }
  }

  std::optional<LeastSquares> run() {
    auto first = residuals_(theta_of(z_), nullptr);
    if (!first || !first->allFinite()) return std::nullopt;
    r_ = std::move(*first);
    LeastSquares out;
    cost_ = r_.squaredNorm();
    for (; out.steps < settings_.steps; ++out.steps) {
      find_slopes(kDifference, false);
      const double before = cost_;
      const bool better = step();
      if (settings_.on_step) settings_.on_step(out.steps + 1, cost_);
      if (!better || before - cost_ <= settings_.converged * before) break;
    }
    find_slopes(kSmall, true);
    out.fine_slopes = slopes_;
    find_slopes(kWide, true);
    out.theta = theta_of(z_);
    out.residuals = r_;
    out.slopes = slopes_;
    out.cost = cost_;
    for (Index i = 0; i < z_.size(); ++i) {
      const bool is_free = at(i).low < at(i).high;
      out.bound.push_back(!is_free ? 0 : z_(i) <= low_(i) ? -1 : z_(i) >= high_(i) ? 1 : 0);
    }
    return out;
  }

 private:
  [[nodiscard]] const FreeParameter& at(Index i) const { return parameters_[static_cast<std::size_t>(i)]; }

  [[nodiscard]] VectorXd theta_of(const VectorXd& z) const {
    VectorXd out(z.size());
    for (Index i = 0; i < z.size(); ++i) {
      const FreeParameter& one = at(i);
      if (!(one.low < one.high)) {
        out(i) = one.start;
      } else {
        out(i) = std::clamp(one.logarithmic ? base::exp(z(i)) : z(i) * one.unit, one.low, one.high);
      }
    }
    return out;
  }

  // From both sides at the end: a direction in which nothing changes then has slopes like rounding.
  void find_slopes(double step, bool both) {
    slopes_ = MatrixXd::Zero(r_.size(), z_.size());
    const auto job = [&](std::size_t k) {
      const Index i = free_[k];
      const MovedFrom from{i, r_};
      int sides = 0;  // where one makes no sense, the other may
      for (const double by : {step, -step}) {
        VectorXd moved = z_;
        moved(i) += by;
        if (moved(i) > high_(i) || moved(i) < low_(i) || (sides == 1 && !both)) continue;
        const auto r = residuals_(theta_of(moved), &from);
        if (!r || !r->allFinite()) continue;
        slopes_.col(i) += (*r - r_) / by;
        ++sides;
      }
      if (sides == 2) slopes_.col(i) *= 0.5;
    };
    if (settings_.for_each) {
      settings_.for_each(free_.size(), job);
    } else {
      for (std::size_t k = 0; k < free_.size(); ++k) job(k);
    }
  }

  bool step() {
    const VectorXd slope = slopes_.transpose() * r_;
    std::vector<Index> active;
    for (const Index i : free_) {
      const bool leaves = (z_(i) <= low_(i) && slope(i) >= 0.0) || (z_(i) >= high_(i) && slope(i) <= 0.0);
      if (!leaves) active.push_back(i);
    }
    if (active.empty()) return false;
    const MatrixXd J = slopes_(Eigen::all, active);
    const MatrixXd H = J.transpose() * J;
    const VectorXd unit =
        H.diagonal().cwiseMax(1e-12 * std::max(H.diagonal().maxCoeff(), 1e-300)).cwiseSqrt().cwiseInverse();
    const MatrixXd scaled = unit.asDiagonal() * H * unit.asDiagonal();
    const VectorXd right = -(unit.asDiagonal() * slope(active));
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      MatrixXd damped = scaled;
      damped.diagonal().array() += damping_;
      const VectorXd by = unit.asDiagonal() * solve_symmetric(damped, right);
      VectorXd tried = z_;
      for (std::size_t k = 0; k < active.size(); ++k) {
        const Index i = active[k];
        const double change = std::clamp(by(static_cast<Index>(k)), -kLongestStep, kLongestStep);
        tried(i) = std::clamp(z_(i) + change, low_(i), high_(i));
      }
      auto r = residuals_(theta_of(tried), nullptr);
      const double cost = r && r->allFinite() ? r->squaredNorm() : std::numeric_limits<double>::infinity();
      if (cost < cost_) {
        z_ = tried;
        r_ = std::move(*r);
        cost_ = cost;
        damping_ = std::max(damping_ / 5.0, 1e-9);
        return true;
      }
      damping_ *= 4.0;
    }
    return false;
  }

  const std::vector<FreeParameter>& parameters_;
  const Residuals& residuals_;
  const LeastSquaresSettings& settings_;
  std::vector<Index> free_;
  VectorXd low_, high_, z_, r_;
  MatrixXd slopes_;
  double cost_ = 0.0, damping_ = 1e-2;
};

}  // namespace

std::optional<LeastSquares> bounded_least_squares(const std::vector<FreeParameter>& parameters,
                                                  const Residuals& residuals, const LeastSquaresSettings& settings) {
  return BoundedFit(parameters, residuals, settings).run();
}

}  // namespace twinkeeper::identification
