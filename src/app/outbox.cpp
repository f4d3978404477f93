#include "app/outbox.hpp"

#include <algorithm>

namespace twinkeeper::app {
namespace {

constexpr std::size_t kAnomalies = 1024;

// Room for the longest stall of the spool thread that is worth bridging, bounded by memory.
std::size_t capacity_for(base::Duration interval) {
  const auto records = std::chrono::seconds{10} / std::max(interval, base::Duration{1});
  return static_cast<std::size_t>(std::clamp<std::int64_t>(records, 4, 16));
}

}  // namespace

Outbox::Outbox(const Plan& plan) : anomalies(kAnomalies) {
  for (std::size_t i = 0; i < plan.config.twins.size(); ++i) {
    const auto& model = plan.models[i];
    const auto build = [&model] {
      TwinRecord record{
          estimation::TwinStep(static_cast<std::size_t>(model.n_x()), static_cast<std::size_t>(model.n_u()),
                               static_cast<std::size_t>(model.n_y())),
          {}};
      return record;
    };
    steps.push_back(std::make_unique<base::RecyclingQueue<TwinRecord>>(
        2 * capacity_for(plan.config.twins[i].publish.state_interval), build));
  }
  for (const auto& device : plan.config.devices) {
    if (!device.publish.interval) {
      snapshots.push_back(nullptr);
      continue;
    }
    const auto published = static_cast<std::size_t>(
        std::count_if(device.registers.begin(), device.registers.end(), [](const auto& r) { return r.publish; }));
    snapshots.push_back(std::make_unique<base::RecyclingQueue<signals::DeviceSnapshot>>(
        capacity_for(*device.publish.interval), [published] {
          signals::DeviceSnapshot snapshot;
          snapshot.tags.resize(published);
          return snapshot;
        }));
  }
}

}  // namespace twinkeeper::app
