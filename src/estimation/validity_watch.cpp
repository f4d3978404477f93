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
  for (const model::Signal& input : model.inputs) inputs_.push_back(range_of(input.valid, 0.0));
  for (std::size_t i = 0; i < model.outputs.size(); ++i) {
    const auto at = static_cast<Eigen::Index>(i);
    outputs_.push_back(range_of(model.outputs[i].valid, std::sqrt(model.R(at, at))));
  }
}

void ValidityWatch::Range::take(double value) {
  const model::Limits& inside = outside ? enter : leave;
  outside = !(value >= inside.min && value <= inside.max);
}

void ValidityWatch::judge(const signals::Frame& frame, TwinStep& out) {
  out.valid = true;
  for (std::size_t j = 0; j < inputs_.size(); ++j) {
    InputStep& told = out.inputs[j];
    if (told.quality != signals::Quality::bad && !frame.inputs[j].stand_in) inputs_[j].take(told.value);
    told.outside = inputs_[j].outside;
    out.valid = out.valid && !told.outside;
  }
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    OutputStep& told = out.outputs[i];
    if (told.fresh && told.quality != signals::Quality::bad) outputs_[i].take(told.measured);
    told.outside = outputs_[i].outside;
    out.valid = out.valid && !told.outside;
  }
  out.tests_held = !out.valid;
}

}  // namespace twinkeeper::estimation
