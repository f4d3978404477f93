#include "twinkeeper/estimation/twin_step.hpp"

namespace twinkeeper::estimation {

std::string_view to_string(Mode mode) noexcept {
  switch (mode) {
    case Mode::initializing: return "initializing";
    case Mode::converging: return "converging";
    case Mode::tracking: return "tracking";
    case Mode::degraded: return "degraded";
    case Mode::predict_only: return "predict_only";
    case Mode::lost: return "lost";
  }
  return "lost";
}

}  // namespace twinkeeper::estimation
