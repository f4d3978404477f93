// Random models and the plants behind them, seeded.
#pragma once

#include <Eigen/Core>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "twinkeeper/estimation/twin.hpp"
#include "twinkeeper/model/state_space.hpp"
#include "twinkeeper/signals/frame.hpp"

namespace twinkeeper::estimation {

// Between what the filter takes and gives and Eigen.
[[nodiscard]] inline std::span<const double> span(const Eigen::VectorXd& vector) {
  return {vector.data(), static_cast<std::size_t>(vector.size())};
}
[[nodiscard]] inline Eigen::VectorXd vector(std::span<const double> values) {
  return Eigen::Map<const Eigen::VectorXd>(values.data(), static_cast<Eigen::Index>(values.size()));
}

enum class Noise { independent, full_R, correlated, rank_deficient, innovations };

[[nodiscard]] Eigen::MatrixXd random_matrix(std::mt19937_64& engine, Eigen::Index rows, Eigen::Index columns);
[[nodiscard]] model::StateSpace random_model(std::mt19937_64& engine, Eigen::Index n, Eigen::Index m, Eigen::Index p,
                                             Noise noise);
// The model that has never heard of one of its outputs.
[[nodiscard]] model::StateSpace without_output(const model::StateSpace& model, Eigen::Index dropped);
// Equal as bits are, but for the signs and payloads of NaN.
[[nodiscard]] bool same_bits(const Eigen::MatrixXd& left, const Eigen::MatrixXd& right);
// The same model with its outputs in another order.
[[nodiscard]] model::StateSpace shuffled_outputs(const model::StateSpace& model,
                                                 const Eigen::PermutationMatrix<Eigen::Dynamic>& order);
// Some rows, each with probability 0.7.
[[nodiscard]] std::vector<std::uint8_t> random_mask(std::mt19937_64& engine, Eigen::Index p);

// x(k+1) = A x + B u + d + w, y = C x + D u + v with the model's own noise; deviations.
class Plant {
 public:
  Plant(const model::StateSpace& model, std::uint64_t seed, const Eigen::VectorXd& x);
  // y of this step; then the plant moves on.
  Eigen::VectorXd step(const Eigen::VectorXd& u);
  // The state that the last y showed.
  [[nodiscard]] const Eigen::VectorXd& x() const { return x_; }
  [[nodiscard]] std::mt19937_64& engine() { return engine_; }

 private:
  model::StateSpace model_;
  Eigen::MatrixXd root_;
  std::mt19937_64 engine_;
  std::normal_distribution<double> normal_;
  Eigen::VectorXd x_, x_next_;
};

// Takes some outputs away from a frame, as random_mask() says.
void mask_outputs(signals::Frame& frame, std::mt19937_64& engine);

// A frame of good values, every output fresh; values are absolute.
[[nodiscard]] signals::Frame frame_of(const Eigen::VectorXd& u, const Eigen::VectorXd& y, std::int64_t step = 0);

// One first-order lag per output, 0.1 s, all of it readable: x(k+1) = 0.9 x + 0.1 u.
[[nodiscard]] model::StateSpace lags(Eigen::Index count);

// The template two_tank, 1 s, both levels measured, half full at 3 V; the first tank overflows at 6 V into the second.
// With a small `volt` that is so many V, and an absurd input overflows the numbers.
[[nodiscard]] model::StateSpace two_tanks(bool known_start, double volt = 1.0,
                                          std::vector<model::AugmentSettings> augment = {});

// An entry of `augment`: a bias of this output, a disturbance of this input, this parameter; at first 0.
[[nodiscard]] model::AugmentSettings augmented_entry(model::AugmentKind kind, const std::string& of,
                                                     double noise_density, double initial_std);

[[nodiscard]] Twin make_twin(const model::StateSpace& model, TwinSettings settings = {});

}  // namespace twinkeeper::estimation
