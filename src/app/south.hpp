// All that one configuration makes run towards the machine: devices, twins, their checkpoints, the control socket, and what
// others have of them (outbox, orders, figures). It knows no broker.
//
// Threads: one per controller, the twins, the checkpoints, the control socket; of a capture one more.
// Errors: none once it is made. Thread rule: one thread (main) calls all functions, but for what outbox() and orders()
// say themselves.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "app/capture_writer.hpp"
#include "app/checkpoint_keeper.hpp"
#include "app/command_desk.hpp"
#include "app/control_server.hpp"
#include "app/device_loop.hpp"
#include "app/event_log.hpp"
#include "app/gateway_metrics.hpp"
#include "app/heartbeat.hpp"
#include "app/order_desk.hpp"
#include "app/outbox.hpp"
#include "app/plan.hpp"
#include "app/reload_requests.hpp"
#include "app/twin_loop.hpp"
#include "telemetry/status_encoder.hpp"

namespace twinkeeper::app {

class South {
 public:
  // What it is made into; all of it outlives it. `wake` brings the spool thread to what waits for it.
  struct Surroundings {
    const base::Clock& clock;
    EventLog& log;
    ReloadRequests& requests;
    uplink::Statistics& statistics;
    std::function<void()> wake;
    std::string boot_id;
    base::Instant process_start;
  };

  // `twins`: built from the plan's models. `gateway_alarms`: of the gateway itself, as they stand; they are told what
  // operators have said of them. `capture`: opened, or nullptr.
  South(std::shared_ptr<const Plan> plan, std::vector<estimation::Twin> twins, const Surroundings& surroundings,
        diagnosis::AlarmBook& gateway_alarms, std::unique_ptr<CaptureWriter> capture);
  ~South();
  South(const South&) = delete;
  South& operator=(const South&) = delete;

  void start();
  // Joins the threads; what they have told stands in the outbox. `reason`: why a capture ends.
  void stop(const char* reason);
  // After stop(): the last checkpoints. Waits for the disk.
  void finish();

  [[nodiscard]] Outbox& outbox() { return outbox_; }
  [[nodiscard]] OrderDesk& orders() { return orders_; }
  // About the gateway's own alarms: the main thread obeys.
  [[nodiscard]] OrderQueue& gateway_orders() { return gateway_orders_; }
  // Before both run: the desk's orders to write go to the devices.
  void connect(CommandDesk& desk);

  [[nodiscard]] std::vector<telemetry::DeviceStatus> device_statuses() const;
  [[nodiscard]] std::vector<telemetry::TwinStatus> twin_statuses() const;
  [[nodiscard]] telemetry::MetricsReport metrics(std::string endpoint);
  void add_hung(base::Instant now, std::vector<std::string>& hung) const;

 private:
  [[nodiscard]] bool may_write(const std::vector<std::size_t>& group) const;
  void make_devices();
  void hear_operators(diagnosis::AlarmBook& gateway_alarms);
  [[nodiscard]] drivers::CaptureHeader capture_header() const;
  [[nodiscard]] const drivers::DeviceStatistics& statistics_of(std::size_t device) const;
  Heartbeat& add_heartbeat(std::string thread, base::Duration patience);

  const std::shared_ptr<const Plan> plan_;
  const base::Clock& clock_;
  EventLog& log_;
  const std::function<void()> wake_;
  const base::Instant origin_;
  Outbox outbox_;
  OrderDesk orders_;
  OrderQueue gateway_orders_;
  std::unique_ptr<CaptureWriter> capture_;
  CheckpointKeeper checkpoints_;
  DevicePlaces place_of_device_;
  std::vector<std::unique_ptr<DeviceLoop>> device_loops_;
  std::unique_ptr<TwinLoop> twin_loop_;
  std::unique_ptr<ControlServer> control_;
  GatewayMetrics metrics_;
  std::vector<std::unique_ptr<Heartbeat>> heartbeats_;
  bool capture_ended_ = false;
  bool finished_ = false;

  std::jthread twin_thread_;
  std::jthread control_thread_;
  std::vector<std::jthread> device_threads_;
};

}  // namespace twinkeeper::app
