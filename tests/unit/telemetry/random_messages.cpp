// Prints seeded messages of every kind, one a line: numbers without a value, awkward texts, every enum value, long
// lists. A CTest entry checks them against docs/schema.
#include <cmath>
#include <cstdio>
#include <random>

#include "telemetry/info_encoder.hpp"
#include "telemetry/samples_encoder.hpp"
#include "unit/telemetry/example_messages.hpp"

namespace {

using namespace twinkeeper;
using namespace twinkeeper::telemetry;

class Generator {
 public:
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  bool coin() { return below(2) == 0; }

  double number() {
    if (below(8) == 0) return std::numeric_limits<double>::quiet_NaN();
    if (below(40) == 0) return std::numeric_limits<double>::infinity();
    return std::ldexp(static_cast<double>(random_()), static_cast<int>(below(120)) - 100) * (coin() ? 1.0 : -1.0);
  }
  double positive() { return std::fabs(number()); }

  std::string text() {
    std::string result(1 + below(40), '\0');
    for (char& byte : result) byte = static_cast<char>(below(4) == 0 ? random_() : 'a' + below(26));
    return result;
  }

  signals::Quality quality() { return static_cast<signals::Quality>(below(3)); }
  signals::Reason reason() { return static_cast<signals::Reason>(1 + below(11)); }
  base::Duration age() { return base::Duration{static_cast<std::int64_t>(below(5'000'000'000)) - 1'000'000'000}; }

 private:
  std::mt19937_64 random_{2026};
};

estimation::TwinStep random_step(Generator& generator) {
  estimation::TwinStep step = example::step();
  step.mode = static_cast<estimation::Mode>(generator.below(6));
  for (double& value : step.x) value = generator.number();
  for (double& value : step.std) value = generator.positive();
  for (auto& input : step.inputs)
    input = {generator.number(), generator.quality(), generator.reason(), generator.age()};
  for (auto& output : step.outputs) {
    output = {generator.number(), generator.number(),  generator.number(), generator.positive(), generator.positive(),
              generator.coin(),   generator.quality(), generator.reason(), generator.age()};
  }
  step.nis = generator.positive();
  return step;
}

signals::DeviceSnapshot random_snapshot(Generator& generator) {
  signals::DeviceSnapshot snapshot = example::snapshot();
  for (auto& tag : snapshot.tags) {
    tag.age = generator.age();
    tag.last.quality = generator.quality();
    tag.last.reason = generator.reason();
    tag.last.value = generator.number();
    tag.last.raw.kind = static_cast<signals::RawKind>(generator.below(8));
    tag.last.raw.integer = static_cast<std::int64_t>(generator.below(~0ull));
    tag.last.raw.natural = generator.below(~0ull);
    tag.last.raw.real = static_cast<double>(static_cast<float>(generator.number()));
    tag.last.raw.text = generator.text();
  }
  return snapshot;
}

diagnosis::AnomalyEvent random_anomaly(Generator& generator) {
  diagnosis::AnomalyEvent event = example::anomaly();
  event.occurrence = static_cast<std::uint32_t>(1 + generator.below(9));
  event.event = static_cast<diagnosis::AnomalyEventKind>(generator.below(8));
  event.state = static_cast<diagnosis::AnomalyState>(generator.below(5));
  event.kind = static_cast<diagnosis::AnomalyKind>(generator.below(5));
  event.ne107 = static_cast<diagnosis::NamurStatus>(generator.below(5));
  event.severity = static_cast<int>(1 + generator.below(1000));
  event.message = generator.text();
  event.advice = generator.text();
  event.statistic = generator.number();
  if (generator.coin()) event.cleared_at = event.time;
  for (std::uint64_t i = generator.below(60); i > 0; --i) {
    event.tags.push_back("tank_plc.measurement_" + std::to_string(i));
    event.caused_by.push_back(generator.text());
    event.trend.push_back({event.time, generator.number(), generator.number()});
  }
  return event;
}

void print(const signals::Message& message) {
  static std::uint64_t sequence = 0;
  std::puts(example::with_envelope(message, ++sequence).c_str());
}

}  // namespace

int main() {
  Generator generator;
  signals::Message message;
  const base::Instant now{};
  for (const auto& [kind, text] : example::messages()) std::puts(text.c_str());
  for (int round = 0; round < 200; ++round) {
    const StateLayout layout = generator.coin() ? StateLayout::nested : StateLayout::flat;
    const int digits = static_cast<int>(1 + generator.below(17));
    TwinDescription ranged = example::twin();
    if (generator.coin()) {
      ranged.inputs[0].signal.valid_min = ranged.outputs[1].signal.valid_min = generator.positive();
      ranged.inputs[0].signal.valid_max = ranged.outputs[1].signal.valid_max = 1e300;
    }
    estimation::TwinStep step = random_step(generator);
    step.inputs[0].outside = generator.coin();
    step.outputs[1].outside = generator.coin();
    step.valid = !step.inputs[0].outside && !step.outputs[1].outside;
    StateEncoder(ranged, digits, layout).encode(step, example::anomalies(), message);
    print(message);
    SamplesEncoder(example::device(), example::to_wall).encode(random_snapshot(generator), message);
    print(message);
    AnomalyContext context = example::anomaly_context();
    if (generator.coin()) context.model.reset();
    encode_anomaly(random_anomaly(generator), context, message);
    print(message);

    StatusReport status = example::status();
    status.state = static_cast<GatewayState>(generator.below(3));
    status.reason = static_cast<StatusReason>(generator.below(4));
    status.twins[0].mode = static_cast<estimation::Mode>(generator.below(6));
    for (auto& device : status.devices) device.last_error = generator.text();
    if (generator.coin()) status.previous.reset();
    encode_status(status, now, message);
    print(message);
    MetricsReport metrics = example::metrics();
    metrics.twin_step_seconds.p99 = generator.positive();
    metrics.devices[0].additional = {{"poll_seconds_p99", generator.number()}};
    metrics.buses[0].name = generator.text();
    encode_metrics(metrics, now, message);
    print(message);

    DeviceDescription device = example::device();
    device.registers[0].unit = generator.text();
    if (generator.coin()) device.publish_interval.reset();
    encode_device_info(device, now, message);
    print(message);
    TwinDescription twin = ranged;
    twin.layout = layout;
    twin.states[0].max = generator.number();
    encode_twin_info(twin, now, message);
    print(message);
  }
}
