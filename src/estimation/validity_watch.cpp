#include "twinkeeper/estimation/validity_watch.hpp"

#include <algorithm>
#include <cmath>

namespace twinkeeper::estimation {
namespace {

constexpr double kMargin = 0.05;
constexpr double kLargestMargin = 0.25;
constexpr double kNoiseMargin = 3.0;

}  // namespace

ValidityWatch::Range ValidityWatch::range_of(const model::Limits& valid, double noise_std) {
  const double width = valid.max - valid.min;
  if (!std::isfinite(width)) return {valid, valid};
  const double margin = std::min(kLargestMargin * width, std::max(kMargin * width, kNoiseMargin * noise_std));
  return {valid, {valid.min + margin, valid.max - margin}};
}

ValidityWatch::ValidityWatch(const model::StateSpace& model) {
  const auto ranged = [](const model::Signal& signal) { return std::isfinite(signal.valid.max - signal.valid.min); };
  if (std::none_of(model.inputs.begin(), model.inputs.end(), ranged) &&
      std::none_of(model.outputs.begin(), model.outputs.end(), ranged)) {
    return;
  }
  for (const model::Signal& input : model.inputs) ranges_.push_back(range_of(input.valid, 0.0));
  for (std::size_t i = 0; i < model.outputs.size(); ++i) {
    const auto at = static_cast<Eigen::Index>(i);
    ranges_.push_back(range_of(model.outputs[i].valid, std::sqrt(model.R(at, at))));
  }
}

std::uint8_t ValidityWatch::verdict(std::size_t signal, double value, std::uint8_t before) const {
  const model::Limits& inside = before != 0 ? ranges_[signal].enter : ranges_[signal].leave;
  return value >= inside.min && value <= inside.max ? 0 : 1;
}

void ValidityWatch::judge(const signals::Frame& frame, Verdicts& outside, TwinStep& out) const {
  out.valid = true;
  out.tests_held = false;
  if (ranges_.empty()) return;
  const std::size_t n_u = out.inputs.size();
  for (std::size_t j = 0; j < n_u; ++j) {
    InputStep& told = out.inputs[j];
    const bool usable = told.quality != signals::Quality::bad && !frame.inputs[j].stand_in;
    if (usable) outside[j] = verdict(j, told.value, outside[j]);
    told.outside = outside[j] != 0;
    out.valid = out.valid && !told.outside;
  }
  for (std::size_t i = 0; i < out.outputs.size(); ++i) {
    OutputStep& told = out.outputs[i];
    const bool usable = told.fresh && told.quality != signals::Quality::bad;
    if (usable) outside[n_u + i] = verdict(n_u + i, told.measured, outside[n_u + i]);
    told.outside = outside[n_u + i] != 0;
    out.valid = out.valid && !told.outside;
  }
  out.tests_held = !out.valid;
}

}  // namespace twinkeeper::estimation
