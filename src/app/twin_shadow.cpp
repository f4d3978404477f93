#include "app/twin_shadow.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "telemetry/number.hpp"

namespace twinkeeper::app {
namespace {

using nlohmann::json;

json number(double value, int digits) {
  if (!std::isfinite(value)) return nullptr;
  std::string text;
  telemetry::append_number(text, value, digits);
  return json::parse(text, nullptr, false);
}

template <class Signal>
void add_bad(json& bad, const std::string& name, const Signal& signal) {
  if (signal.quality == signals::Quality::good) return;
  const auto reason = signal.reason == signals::Reason::none ? signals::Reason::stale : signal.reason;
  bad[name] = std::string{signals::to_string(reason)};
}

}  // namespace

json twin_shadow(const telemetry::TwinDescription& twin, const estimation::TwinStep& step,
                 const telemetry::AnomalySummary& anomalies, int digits) {
  json out{{"twin", twin.name},
           {"mode", std::string{estimation::to_string(step.mode)}},
           {"model", {{"name", twin.model.name}, {"version", twin.model.version}, {"hash", twin.model.hash}}},
           {"anomalies", anomalies.active},
           {"priority", static_cast<int>(anomalies.priority)}};
  if (!anomalies.shelved.empty()) out["shelved"] = anomalies.shelved;
  const auto regime = static_cast<std::size_t>(step.regime);
  if (step.regime >= 0 && regime < twin.regimes.size()) out["regime"] = twin.regimes[regime];
  for (std::size_t i = 0; i < twin.states.size() && i < step.x.size(); ++i) {
    if (!std::isfinite(step.x[i])) continue;
    json& state = out["states"][twin.states[i].name];
    state = {{"value", number(step.x[i], digits)}};
    if (std::isfinite(step.std[i])) state["std"] = number(step.std[i], 3);
    if (!twin.states[i].unit.empty()) state["unit"] = twin.states[i].unit;
  }
  for (std::size_t i = 0; i < twin.inputs.size() && i < step.inputs.size(); ++i) {
    add_bad(out["bad"], twin.inputs[i].signal.name, step.inputs[i]);
  }
  for (std::size_t i = 0; i < twin.outputs.size() && i < step.outputs.size(); ++i) {
    if (twin.outputs[i].source) add_bad(out["bad"], twin.outputs[i].signal.name, step.outputs[i]);
  }
  return out;
}

bool same_in_shadow(const json& old, const json& now) {
  if (!old.is_object() || !now.is_object() || !old.contains("value") || !now.contains("value")) return false;
  if (!old["value"].is_number() || !now["value"].is_number()) return false;
  if (old.value("unit", "") != now.value("unit", "") || old.contains("std") != now.contains("std")) return false;
  const double before = old["value"].get<double>();
  const double after = now["value"].get<double>();
  if (!now.contains("std")) return std::abs(after - before) <= 0.01 * std::abs(before);
  if (!old["std"].is_number() || !now["std"].is_number()) return false;
  const double was = old["std"].get<double>();
  const double is = now["std"].get<double>();
  return std::abs(after - before) <= is && is <= 2 * was && was <= 2 * is;
}

}  // namespace twinkeeper::app
