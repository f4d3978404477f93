#include "app/outbox.hpp"

#include <algorithm>

namespace twinkeeper::app {
namespace {

constexpr std::size_t kAnomalies = 1024;
constexpr std::size_t kModes = 256;

// The longest stall of the spool thread that is bridged without a loss: a slow memory card's worst commit and more.
constexpr auto kBridged = std::chrono::seconds{20};
constexpr std::int64_t kMostRecords = 1000;

std::size_t capacity_for(base::Duration interval) {
  return static_cast<std::size_t>(
      std::clamp<std::int64_t>(kBridged / std::max(interval, base::Duration{1}), 8, kMostRecords));
}

}  // namespace

Outbox::Outbox(const Plan& plan, bool keeps_checkpoints) : anomalies(kAnomalies), modes(kModes) {
  for (std::size_t i = 0; i < plan.config.twins.size(); ++i) {
    const auto& model = plan.models[i];
    const auto build = [blank = estimation::TwinStep(static_cast<std::size_t>(model.n_x()),
                                                     static_cast<std::size_t>(model.n_u()),
                                                     static_cast<std::size_t>(model.n_y()))] {
      return TwinRecord{blank, {}, {}};
    };
    steps.push_back(
        std::make_unique<OutboxQueue<TwinRecord>>(capacity_for(plan.config.twins[i].publish.state_interval), build));
    if (keeps_checkpoints) {
      checkpoints.push_back(
          std::make_unique<base::RecyclingQueue<CheckpointRecord>>(1, [] { return CheckpointRecord{}; }));
    }
  }
  for (const auto& device : plan.config.devices) {
    const auto published = static_cast<std::size_t>(
        std::count_if(device.registers.begin(), device.registers.end(), [](const auto& r) { return r.publish; }));
    snapshots.push_back(std::make_unique<OutboxQueue<SnapshotRecord>>(
        capacity_for(device.publish.interval.value_or(kBridged)), [published] {
          SnapshotRecord record;
          record.snapshot.tags.resize(published);
          return record;
        }));
  }
}

}  // namespace twinkeeper::app
