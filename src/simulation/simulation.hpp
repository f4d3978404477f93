// The plant behind the devices: every twin's model runs with its own noise, and what it says stands in the registers of
// the configured devices, served over Modbus TCP to whoever connects.
//
// One loop does everything. Steps fall on whole multiples of period / speed on the monotonic clock (absolute
// deadlines, caught up in order after a stall); requests are answered in between, so that one request never sees half
// a step. u(k) and y(k) of a step appear together; u(k) then drives the state until step k + 1.
//
// The truth file has the columns time[s] and <twin>.<state>[unit] …: one row per instant at which a twin steps (cells
// of twins that do not step then are empty), with the wall-clock time of that instant in Unix seconds. It is flushed at
// least once a second.
//
// Events (subject "simulation"): fault_started, fault_ended, steps_skipped, truth_failed (the run goes on without it),
// listen_failed (an endpoint that came back from a dropout cannot have its port again yet).
// Thread rule: create, run and summary are called from one thread; the stop request may come from any.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "simulation/settings.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"
#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::simulation {

struct EndpointSummary {
  std::string controller;            // as configured
  std::string address;               // "127.0.0.1:1502": as bound, with the actual port
  std::uint16_t port = 0;            // as bound
  std::vector<std::string> devices;  // names, in the order of the configuration
  std::size_t clients = 0;           // connected now
  std::uint64_t requests = 0;        // answered so far, exceptions included
  std::uint64_t exceptions = 0;
};

struct Summary {
  std::vector<EndpointSummary> endpoints;
  std::uint64_t steps = 0;    // over all twins
  std::uint64_t skipped = 0;  // steps given up after a stall of more than 1000 of them
};

class Simulation {
 public:
  // Binds every endpoint and opens the truth file. Errors: invalid_argument (settings that do not fit each other, a
  // speed that leaves less than 100 µs per step), permission_denied, unavailable, io.
  [[nodiscard]] static base::Result<Simulation> create(Settings settings, signals::EventSink& events);

  ~Simulation();
  Simulation(Simulation&&) noexcept;
  Simulation& operator=(Simulation&&) noexcept;

  // Until a stop is requested. Fails only if waiting itself fails.
  [[nodiscard]] base::Status run(std::stop_token stop, const base::Clock& clock);

  [[nodiscard]] Summary summary() const;

 private:
  struct Parts;
  explicit Simulation(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace twinkeeper::simulation
