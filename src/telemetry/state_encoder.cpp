#include "telemetry/state_encoder.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "telemetry/json_writer.hpp"

namespace twinkeeper::telemetry {
namespace {

void append_quality(std::string& out, signals::Quality quality, signals::Reason reason) {
  out += ",\"quality\":\"";
  out += signals::to_string(quality);
  if (quality != signals::Quality::good) {
    out += "\",\"reason\":\"";
    out += reason_text(reason);
  }
  out += '"';
}

void append_age(std::string& out, base::Duration age) {
  out += ",\"age_ms\":";
  if (age < base::Duration::zero()) {
    out += "null";
  } else {
    append_integer(out, std::chrono::floor<std::chrono::milliseconds>(age).count());
  }
}

// `"name":{` and `,"unit":"m"}` around the numbers of a signal.
std::string object_before(const std::string& name) {
  std::string text;
  append_string(text, name);
  return text + ":{";
}

std::string object_after(const SignalDescription& signal, bool is_virtual = false) {
  std::string text = is_virtual ? ",\"virtual\":true,\"unit\":" : ",\"unit\":";
  if (signal.unit.empty()) {
    text += "null";
  } else {
    append_string(text, signal.unit);
  }
  return text + "}";
}

std::string flat_key(std::string_view prefix, const std::string& name) {
  std::string text;
  append_string(text, std::string(prefix) + name);
  return text + ":";
}

void separate(std::string& out) {
  if (out.back() != '{') out += ',';
}

void append_value(std::string& out, std::string_view before, double value, int digits) {
  out += before;
  append_number(out, value, digits);
}

}  // namespace

StateEncoder::StateEncoder(const TwinDescription& twin, int digits, StateLayout layout)
    : digits_(digits), layout_(layout), stream_("twins." + twin.name + ".state") {
  JsonWriter(head_).text("twin", twin.name);
  head_ += ",\"step\":";
  for (const auto& regime : twin.regimes) append_string(regimes_.emplace_back(), regime);
  JsonWriter model(model_);
  model.open_object("model");
  model.text("name", twin.model.name);
  model.integer("version", twin.model.version);
  model.text("hash", twin.model.hash);
  model.close_object();
  const auto prepare = [this](const SignalDescription& signal, std::vector<std::string>& names) {
    append_string(names.emplace_back(), signal.name);
    has_validity_ = has_validity_ || std::isfinite(signal.valid_max - signal.valid_min);
  };
  for (const auto& input : twin.inputs) prepare(input.signal, valid_inputs_);
  for (const auto& output : twin.outputs) prepare(output.signal, valid_outputs_);
  prepare_nested(twin);
  prepare_flat(twin);
}

void StateEncoder::prepare_nested(const TwinDescription& twin) {
  for (const auto& state : twin.states) states_.push_back({object_before(state.name), object_after(state)});
  for (const auto& input : twin.inputs)
    inputs_.push_back({object_before(input.signal.name), object_after(input.signal)});
  for (const auto& output : twin.outputs) {
    const bool is_virtual = !output.source.has_value();
    outputs_.push_back({object_before(output.signal.name), object_after(output.signal, is_virtual), is_virtual});
  }
}

void StateEncoder::prepare_flat(const TwinDescription& twin) {
  for (const auto& state : twin.states) {
    flat_.x.push_back(flat_key("x_", state.name));
    flat_.sd.push_back(flat_key("sd_", state.name));
  }
  for (const auto& input : twin.inputs) {
    flat_.u.push_back(flat_key("u_", input.signal.name));
    flat_.bad_inputs.push_back(flat_key("", input.signal.name));
  }
  for (const auto& output : twin.outputs) {
    flat_.y.push_back(flat_key("y_", output.signal.name));
    flat_.yhat.push_back(flat_key("yhat_", output.signal.name));
    flat_.nu.push_back(flat_key("nu_", output.signal.name));
    flat_.bad_outputs.push_back(flat_key("", output.signal.name));
    std::optional<std::size_t> same;
    for (std::size_t i = 0; i < twin.inputs.size(); ++i) {
      if (twin.inputs[i].signal.name == output.signal.name) same = i;
    }
    flat_.same_named_input.push_back(same);
  }
}

void StateEncoder::encode(const estimation::TwinStep& step, const AnomalySummary& anomalies,
                          signals::Message& out) const {
  if (step.x.size() != states_.size() || step.inputs.size() != inputs_.size() || step.outputs.size() != outputs_.size())
    std::abort();
  const bool nested = layout_ == StateLayout::nested;
  out.stream = stream_;
  out.schema = nested ? "twinkeeper.state/1" : "twinkeeper.state_flat/1";
  out.message_class = signals::MessageClass::state;
  out.time = step.time;
  out.retain = false;

  std::string& text = out.members;
  text = head_;
  append_integer(text, step.step);
  text += ",\"mode\":\"";
  text += estimation::to_string(step.mode);
  text += "\",";
  text += "\"regime\":";
  const auto regime = static_cast<std::size_t>(step.regime);
  text += step.regime >= 0 && regime < regimes_.size() ? std::string_view(regimes_[regime]) : "null";
  if (has_validity_) append_validity(step, text);
  text += ',';
  text += model_;
  if (nested) {
    append_nested(step, text);
  } else {
    append_flat(step, text);
  }
  append_value(text, ",\"nis\":", step.nis, digits_);
  text += ",\"nis_dof\":";
  append_integer(text, step.nis_dof);
  JsonWriter writer(text);
  writer.texts("anomalies", anomalies.active);
  writer.texts("shelved", anomalies.shelved);
  writer.integer("priority", static_cast<int>(anomalies.priority));
}

void StateEncoder::append_validity(const estimation::TwinStep& step, std::string& out) const {
  out += step.valid ? ",\"valid\":true,\"outside\":[" : ",\"valid\":false,\"outside\":[";
  bool first = true;
  const auto append = [&](bool outside, const std::string& name) {
    if (!outside) return;
    if (!first) out += ',';
    first = false;
    out += name;
  };
  for (std::size_t i = 0; i < valid_inputs_.size(); ++i) append(step.inputs[i].outside, valid_inputs_[i]);
  for (std::size_t i = 0; i < valid_outputs_.size(); ++i) append(step.outputs[i].outside, valid_outputs_[i]);
  out += ']';
}

void StateEncoder::append_nested(const estimation::TwinStep& step, std::string& out) const {
  out += ",\"states\":{";
  for (std::size_t i = 0; i < states_.size(); ++i) {
    separate(out);
    out += states_[i].before;
    append_value(out, "\"value\":", step.x[i], digits_);
    append_value(out, ",\"std\":", step.std[i], digits_);
    out += states_[i].after;
  }
  out += "},\"inputs\":{";
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const estimation::InputStep& input = step.inputs[i];
    separate(out);
    out += inputs_[i].before;
    append_value(out, "\"value\":", input.value, digits_);
    append_quality(out, input.quality, input.reason);
    append_age(out, input.age);
    out += inputs_[i].after;
  }
  out += "},\"outputs\":{";
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const estimation::OutputStep& output = step.outputs[i];
    separate(out);
    out += outputs_[i].before;
    append_value(out, "\"measured\":", output.measured, digits_);
    append_value(out, ",\"expected\":", output.expected, digits_);
    append_value(out, ",\"innovation\":", output.innovation, digits_);
    append_value(out, ",\"std\":", output.std, digits_);
    append_value(out, ",\"test_ratio\":", output.test_ratio, digits_);
    out += output.fused ? ",\"fused\":true" : ",\"fused\":false";
    append_quality(out, output.quality, output.reason);
    // The sample nearest to the tick may be a little younger than the tick.
    append_age(out, std::isfinite(output.measured) ? std::max(output.age, base::Duration::zero()) : output.age);
    out += outputs_[i].after;
  }
  out += '}';
}

void StateEncoder::append_flat(const estimation::TwinStep& step, std::string& out) const {
  const auto append = [&](std::string_view key, double value) {
    separate(out);
    append_value(out, key, value, digits_);
  };
  out += ",\"v\":{";
  for (std::size_t i = 0; i < states_.size(); ++i) append(flat_.x[i], step.x[i]);
  for (std::size_t i = 0; i < states_.size(); ++i) append(flat_.sd[i], step.std[i]);
  for (std::size_t i = 0; i < inputs_.size(); ++i) append(flat_.u[i], step.inputs[i].value);
  for (std::size_t i = 0; i < outputs_.size(); ++i) append(flat_.y[i], step.outputs[i].measured);
  for (std::size_t i = 0; i < outputs_.size(); ++i) append(flat_.yhat[i], step.outputs[i].expected);
  for (std::size_t i = 0; i < outputs_.size(); ++i) append(flat_.nu[i], step.outputs[i].innovation);
  out += "},\"bad\":{";
  const auto append_bad = [&out](const std::string& key, signals::Reason reason) {
    separate(out);
    out += key;
    out += '"';
    out += reason_text(reason);
    out += '"';
  };
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (step.inputs[i].quality != signals::Quality::good) append_bad(flat_.bad_inputs[i], step.inputs[i].reason);
  }
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (outputs_[i].is_virtual || step.outputs[i].quality == signals::Quality::good) continue;
    // One key a name: where an input of the same name is bad too, its reason stands.
    const auto& input = flat_.same_named_input[i];
    if (input && step.inputs[*input].quality != signals::Quality::good) continue;
    append_bad(flat_.bad_outputs[i], step.outputs[i].reason);
  }
  out += '}';
}

}  // namespace twinkeeper::telemetry
