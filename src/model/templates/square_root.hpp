// √z with a slope that stays finite: below z_min the chord from 0 to √z_min takes its place, above and below 0 alike.
#pragma once

#include <cmath>

namespace twinkeeper::model {

struct Root {
  double value;
  double slope;
};
inline Root square_root(double z, double z_min) {
  if (z >= z_min) {
    const double root = std::sqrt(z);
    return {root, 0.5 / root};
  }
  const double slope = 1.0 / std::sqrt(z_min);
  return {z * slope, slope};
}

// sgn(z) √|z|, likewise.
inline Root signed_square_root(double z, double z_min) {
  if (z >= 0.0) return square_root(z, z_min);
  const Root mirrored = square_root(-z, z_min);
  return {-mirrored.value, mirrored.slope};
}

}  // namespace twinkeeper::model
