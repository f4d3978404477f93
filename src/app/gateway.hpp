// The service, wired together: everything that one configuration makes run, from the devices to the broker.
//
// It is made of the South (devices, twins), the North (connection, courier) and the SpoolLoop between them, around what
// outlives an exchange of either: spool, link, figures, status.
// Threads and what each owns:
//   device   one per controller: the connection to it            → samples
//   twins    validation, synchronisers, twins, diagnosis         → steps, snapshots, anomalies
//   spool    encoders, courier, SQLite                           ⇄ publications, acknowledgements
//   uplink   the MQTT client
//   control  the control socket
//   capture  the file of `run --capture`, if there is one
//   (main)   supervise(): heartbeats, status, metrics, the gateway's own anomalies
// Start order: spool, uplink, twins, devices. Stop order is the reverse, with the uplink last so that the spool's last
// publications and the retained `offline` still leave: devices, twins, control, spool, uplink. The whole stop takes at most the
// requests under way (each bounded by its time-out), 3 s to drain the spool and 2 s to disconnect.
// Errors: start() fails if the state directory cannot be used. Thread rule: one thread (main) calls all functions.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/capture_writer.hpp"
#include "app/config_change.hpp"
#include "app/event_log.hpp"
#include "app/plan.hpp"
#include "app/reload_requests.hpp"
#include "telemetry/status_encoder.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"
#include "uplink/connect_times.hpp"

namespace twinkeeper::app {

class Gateway {
 public:
  // `process_start`: for uptime, which a reload does not reset. `clock`, `log`, `requests` and `connect_times`, which the
  // next gateway gets, too, outlive the gateway; who takes from `requests` reloads. `capture`: opened, or nullptr.
  [[nodiscard]] static base::Result<std::unique_ptr<Gateway>> start(
      Plan plan, telemetry::StatusReason reason, base::Instant process_start, const base::Clock& clock, EventLog& log,
      ReloadRequests& requests, uplink::ConnectTimes& connect_times, std::unique_ptr<CaptureWriter> capture = nullptr);
  ~Gateway();  // stops if stop() was not called
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // To be called about once a second. Names the threads that are hung (their heartbeat is older than their longest
  // legal turn); empty: all is well.
  [[nodiscard]] std::vector<std::string> supervise();
  // One line for a person: "online, 1 device up, 1 twin tracking, 12 messages waiting".
  [[nodiscard]] std::string summary() const;
  // Restarts what `change` says, north or south, with a plan that differs from this one by that alone; no capture is
  // written. `exchanged` is called when the new parts stand and before they run. Errors: the spool can't begin an epoch;
  // then all is to be stopped and started.
  [[nodiscard]] base::Status exchange(Plan plan, ConfigChange change, const std::function<void()>& exchanged);
  // The newest.
  [[nodiscard]] const Plan& plan() const;
  // `reason` goes into the retained `offline` status.
  void stop(telemetry::StatusReason reason);

 private:
  class Implementation;
  explicit Gateway(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace twinkeeper::app
