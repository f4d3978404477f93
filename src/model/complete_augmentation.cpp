#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "model/augment.hpp"
#include "model/sensor_lag.hpp"
#include "model/templates/parameter_check.hpp"
#include "model/wording.hpp"
#include "twinkeeper/model/dynamics.hpp"

namespace twinkeeper::model {
namespace {

constexpr double kLeastShare = 1e-3;  // of a parameter's value, where its table excludes the least one

template <class List>
bool has(const List& list, const std::string& name) {
  return std::any_of(list.begin(), list.end(), [&](const auto& item) { return item.name == name; });
}

const char* key_of(AugmentKind kind) {
  switch (kind) {
    case AugmentKind::sensor_bias: return "output";
    case AugmentKind::input_disturbance: return "input";
    case AugmentKind::parameter: break;
  }
  return "name";
}

class Entry {
 public:
  Entry(ModelSettings& model, std::size_t index, base::Issues& issues)
      : model_(model), in_(model.augment[index]), index_(index), issues_(issues) {}

  void complete() {
    const std::size_t before = issues_.size();
    target();
    if (issues_.size() == before) name_is_free();
    noise();
    if (issues_.size() == before) values();
  }

 private:
  void fault(const char* key, std::string what, std::string accepted) {
    const std::string at = "augment[" + std::to_string(index_) + "]";
    issues_.push_back({*key == '\0' ? at : at + "." + key, std::move(what), std::move(accepted)});
  }

  void target() {
    const bool bias = in_.kind == AugmentKind::sensor_bias;
    const bool disturbance = in_.kind == AugmentKind::input_disturbance;
    const bool parameter = in_.kind == AugmentKind::parameter;
    const auto given = [&](const char* key, const char* of, const std::string& value, bool needed) {
      if (needed && value.empty()) fault(key, "missing", std::string("the name of the ") + of);
      if (!needed && !value.empty())
        fault(key, std::string("given with kind ") + to_string(in_.kind), key_of(in_.kind));
    };
    given("output", "output", in_.output, bias);
    given("input", "input", in_.input, disturbance);
    given("name", "parameter", in_.name, parameter);
    if (bias && !in_.output.empty() && !has(model_.outputs, in_.output)) {
      fault("output", "the model has no output \"" + in_.output + "\"", names_of(model_.outputs));
    }
    if (disturbance && !in_.input.empty() && !has(model_.inputs, in_.input)) {
      fault("input", "the model has no input \"" + in_.input + "\"", names_of(model_.inputs));
    }
    if (parameter && !in_.name.empty()) find_parameter();
  }

  void find_parameter() {
    const auto dynamics = make_dynamics(model_);
    if (dynamics == nullptr) {
      fault("kind", "parameter of a state_space, which has none", "sensor_bias | input_disturbance, or a template");
      return;
    }
    std::string known;
    for (const auto& name : dynamics->changeable_parameters()) {
      known += (known.empty() ? "" : ", ") + name;
      if (name != in_.name) continue;
      for (std::size_t i = 0; i < dynamics->parameter_infos().size(); ++i) {
        if (dynamics->parameter_infos()[i].name != name) continue;
        info_ = dynamics->parameter_infos()[i];
        configured_ = dynamics->parameters()[i];
      }
      return;
    }
    fault("name", "the model has no parameter \"" + in_.name + "\" that can change", known);
  }

  void name_is_free() {
    const std::string name = augmented_name(in_);
    const std::string accepted = "each of them once, and none with the name of a state";
    if (has(model_.states, name)) fault("", "its state " + name + " has the name of a state of the model", accepted);
    for (const OutputSettings& output : model_.outputs) {
      if (!output.lag || sensor_state_name(output) != name) continue;
      fault("", "its state " + name + " has the name of that of the lag of output " + output.name, accepted);
    }
    for (std::size_t i = 0; i < index_; ++i) {
      if (augmented_name(model_.augment[i]) != name) continue;
      fault("", "its state " + name + " is that of augment[" + std::to_string(i) + "]", accepted);
      return;
    }
  }

  void positive(const char* key, const std::optional<double>& value, bool zero_too = false) {
    if (!value || (std::isfinite(*value) && (*value > 0.0 || (zero_too && *value == 0.0)))) return;
    fault(key, print(*value) + " is no size of noise", zero_too ? "0 or more" : "a number above 0");
  }

  void noise() {
    positive("noise_density", in_.noise_density);
    positive("std", in_.std);
    positive("deviation_limit", in_.deviation_limit);
    positive("initial_std", in_.initial_std, true);
    if (in_.time_constant && in_.time_constant->count() <= 0) {
      fault("time_constant", "is not above 0", "a duration above 0, or inf");
    }
    if (in_.noise_density && in_.std) {
      fault("std", "given beside noise_density", "one of the two");
    } else if (!in_.noise_density && !in_.std) {
      fault("noise_density", "missing", "how fast it may wander, in its unit per √s, or std with a time_constant");
    }
    if (in_.std && !in_.time_constant) {
      fault("std", "given without a time_constant: a random walk has none in the long run",
            "noise_density, or a finite time_constant");
    }
    if (!in_.initial_std && !in_.time_constant && !in_.std) {
      fault("initial_std", "missing: a random walk has no standard deviation of its own",
            "how far from `initial` it may be at first, or a finite time_constant");
    }
  }

  void limit(const char* key, const std::optional<double>& value) {
    if (value && info_ && !within(*info_, *value)) {
      fault(key, print(*value) + " is out of the range of " + info_->name, accepted_range(*info_));
    }
  }

  void values() {
    limit("min", in_.min);
    limit("max", in_.max);
    limit("initial", in_.initial);
    if (info_ && !in_.min && std::isfinite(info_->least)) {
      in_.min = info_->above_least ? info_->least + kLeastShare * (configured_ - info_->least) : info_->least;
    }
    if (info_ && !in_.max && std::isfinite(info_->most)) in_.max = info_->most;
    if (!in_.initial) in_.initial = configured_;
    if (in_.min && in_.max && !(*in_.min < *in_.max)) {
      fault("min", print(*in_.min) + " is not below max " + print(*in_.max), "min below max");
    } else if ((in_.min && *in_.initial < *in_.min) || (in_.max && *in_.initial > *in_.max)) {
      fault("initial", print(*in_.initial) + " is outside min and max", "a value from min to max");
    }
    if (in_.initial_std) return;
    const double tau = std::chrono::duration<double>(*in_.time_constant).count();
    in_.initial_std = in_.std ? *in_.std : *in_.noise_density * std::sqrt(0.5 * tau);
  }

  const ModelSettings& model_;
  AugmentSettings& in_;
  std::size_t index_;
  base::Issues& issues_;
  std::optional<ParameterInfo> info_;
  double configured_ = 0.0;
};

}  // namespace

const char* to_string(AugmentKind kind) {
  switch (kind) {
    case AugmentKind::sensor_bias: return "sensor_bias";
    case AugmentKind::input_disturbance: return "input_disturbance";
    case AugmentKind::parameter: break;
  }
  return "parameter";
}

std::string augmented_name(const AugmentSettings& settings) {
  switch (settings.kind) {
    case AugmentKind::sensor_bias: return "bias_" + settings.output;
    case AugmentKind::input_disturbance: return "disturbance_" + settings.input;
    case AugmentKind::parameter: break;
  }
  return settings.name;
}

base::Issues complete_augmentation(ModelSettings& settings) {
  base::Issues issues;
  for (std::size_t i = 0; i < settings.augment.size(); ++i) Entry(settings, i, issues).complete();
  return issues;
}

}  // namespace twinkeeper::model
