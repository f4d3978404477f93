#include "simulation/simulation.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include "base/timespec.hpp"
#include "simulation/line_responder.hpp"
#include "simulation/modbus_line_server.hpp"
#include "simulation/modbus_responder.hpp"
#include "simulation/modbus_tcp_server.hpp"
#include "simulation/scenario.hpp"
#include "simulation/truth_writer.hpp"
#include "twinkeeper/base/wake_up.hpp"

namespace twinkeeper::simulation {
namespace {

constexpr std::int64_t kMostStepsBehind = 1000;
constexpr base::Duration kRetryListening = std::chrono::milliseconds{200};

struct Endpoint {
  std::string controller;
  std::vector<std::size_t> devices;  // in the order of the configuration
  std::unique_ptr<ModbusServer> server;
  bool failed = false;  // to listen again after a dropout; told once
};

base::Result<std::unique_ptr<ModbusServer>> open_server(const drivers::DeviceSettings& device,
                                                        std::unique_ptr<Responder> responder) {
  if (drivers::is_serial(device)) return ModbusLineServer::open(device.line.device, std::move(responder));
  auto server = ModbusTcpServer::listen(device.address, std::move(responder));
  if (!server) return std::move(server).error();
  return std::unique_ptr<ModbusServer>(std::make_unique<ModbusTcpServer>(std::move(server).value()));
}

}  // namespace

struct Simulation::Parts {
  Parts(Settings given, signals::EventSink& sink)
      : settings(std::move(given)), events(sink), scenario(settings, sink) {}

  [[nodiscard]] base::Status listen();
  [[nodiscard]] base::Result<std::unique_ptr<Responder>> make_responder(const Endpoint& endpoint) const;
  [[nodiscard]] LineResponder::Values values_of(std::size_t device) const;
  // Lets free running instruments speak; returns when the next does.
  base::Instant speak(base::Instant now);
  void catch_up(const base::Clock& clock);
  void write_truth(const base::Clock& clock, base::Instant instant, const std::vector<const Eigen::VectorXd*>& states);
  // False while an endpoint waits for its port.
  bool settle();
  [[nodiscard]] base::Status serve(base::Duration timeout, const base::WakeUp& wake_up);

  Settings settings;
  signals::EventSink& events;
  Scenario scenario;
  std::vector<Endpoint> endpoints;
  std::optional<TruthWriter> truth;
  base::Duration longest_backlog{};
  bool settled = true;
  std::uint64_t settled_at = 0;
  std::vector<pollfd> watched;
};

base::Status Simulation::Parts::listen() {
  std::map<std::string, std::size_t> known;
  for (std::size_t d = 0; d < settings.devices.size(); ++d) {
    const auto& device = settings.devices[d];
    // Port 0 asks for any free port: one for each device.
    const bool shared = drivers::is_serial(device) || device.address.port != 0;
    const auto place =
        shared ? known.emplace(drivers::endpoint_key(device), endpoints.size()) : std::pair(known.end(), true);
    if (place.second) endpoints.push_back({device.controller, {}, nullptr, false});
    endpoints[shared ? place.first->second : endpoints.size() - 1].devices.push_back(d);
  }
  for (Endpoint& endpoint : endpoints) {
    const auto& first = settings.devices[endpoint.devices.front()];
    auto responder = make_responder(endpoint);
    if (!responder) return std::move(responder).error().with_context("device '" + first.name + "'");
    auto server = open_server(first, std::move(responder).value());
    if (!server) return std::move(server).error().with_context("device '" + first.name + "'");
    endpoint.server = std::move(server).value();
  }
  return base::Success{};
}

base::Result<std::unique_ptr<Responder>> Simulation::Parts::make_responder(const Endpoint& endpoint) const {
  using drivers::TransmissionMode;
  const auto& first = settings.devices[endpoint.devices.front()];
  if (first.transmission_mode == TransmissionMode::LINE) {
    std::vector<LineResponder::Instrument> instruments;
    for (const std::size_t d : endpoint.devices) {
      auto lines = LineTemplate::create(settings.devices[d]);
      if (!lines) return std::move(lines).error();
      instruments.push_back({settings.devices[d], std::move(lines).value(), values_of(d)});
    }
    return std::unique_ptr<Responder>(std::make_unique<LineResponder>(std::move(instruments)));
  }
  std::vector<ModbusResponder::Unit> units;
  for (const std::size_t d : endpoint.devices) {
    const int slave_id = settings.devices[d].slave_id;
    const bool there =
        std::any_of(units.begin(), units.end(), [&](const auto& unit) { return unit.slave_id == slave_id; });
    if (!there) units.push_back({slave_id, &scenario.registers().bank(scenario.registers().bank_of(d)), false});
  }
  const Framing framing = first.transmission_mode == TransmissionMode::TCP ? Framing::mbap : Framing::rtu;
  return std::unique_ptr<Responder>(std::make_unique<ModbusResponder>(framing, std::move(units)));
}

LineResponder::Values Simulation::Parts::values_of(std::size_t device) const {
  signals::TagIndex tag = 0;
  for (std::size_t d = 0; d < device; ++d) tag += static_cast<signals::TagIndex>(settings.devices[d].registers.size());
  return [this, tag, count = settings.devices[device].registers.size()] {
    std::vector<signals::RawValue> all;
    for (std::size_t r = 0; r < count; ++r) {
      all.push_back(scenario.registers().raw(tag + static_cast<signals::TagIndex>(r)));
    }
    return all;
  };
}

void Simulation::Parts::catch_up(const base::Clock& clock) {
  const base::Instant now = clock.now();
  if (scenario.next() + longest_backlog < now) {
    const std::uint64_t before = scenario.skipped();
    scenario.skip_to(now);
    const std::uint64_t given_up = scenario.skipped() - before;
    if (given_up > 0) {
      events.raise({signals::EventLevel::warning, "simulation", "steps_skipped",
                    "the simulation stood still too long; " + std::to_string(given_up) + " steps are given up"});
    }
  }
  for (base::Instant due = scenario.next(); due <= now; due = scenario.next()) {
    write_truth(clock, due, scenario.advance());
  }
}

void Simulation::Parts::write_truth(const base::Clock& clock, base::Instant instant,
                                    const std::vector<const Eigen::VectorXd*>& states) {
  const bool any = std::any_of(states.begin(), states.end(), [](const auto* state) { return state != nullptr; });
  if (!truth || !any) return;
  if (const auto status = truth->write(clock.to_wall(instant), states); !status) {
    events.raise({signals::EventLevel::error, "simulation", "truth_failed", status.error().message()});
    truth.reset();
  }
}

base::Instant Simulation::Parts::speak(base::Instant now) {
  base::Instant next = base::Instant::max();
  for (Endpoint& endpoint : endpoints) {
    if (endpoint.server->speaks_at() <= now) endpoint.server->speak(now);
    next = std::min(next, endpoint.server->speaks_at());
  }
  return next;
}

bool Simulation::Parts::settle() {
  if (settled && settled_at == scenario.dropout_changes()) return true;
  settled_at = scenario.dropout_changes();
  settled = true;
  for (Endpoint& endpoint : endpoints) {
    std::map<int, bool> out;
    for (std::size_t k = 0; k < endpoint.devices.size(); ++k) {
      const auto& device = settings.devices[endpoint.devices[k]];
      const bool lines = device.transmission_mode == drivers::TransmissionMode::LINE;
      out[lines ? static_cast<int>(k) : device.slave_id] |= scenario.is_out(endpoint.devices[k]);
    }
    for (const auto& [unit, is_out] : out) endpoint.server->set_out(unit, is_out);
    const auto status = endpoint.server->settle();
    if (!status && !endpoint.failed) {
      events.raise({signals::EventLevel::error, "simulation", "listen_failed", status.error().message()});
    }
    endpoint.failed = !status.ok();
    settled = settled && status.ok();
  }
  return settled;
}

base::Status Simulation::Parts::serve(base::Duration timeout, const base::WakeUp& wake_up) {
  watched.clear();
  watched.push_back({wake_up.descriptor(), POLLIN, 0});
  std::vector<std::size_t> begins;
  for (Endpoint& endpoint : endpoints) {
    begins.push_back(watched.size());
    endpoint.server->watch(watched);
  }
  begins.push_back(watched.size());
  const timespec limit = base::to_timespec(timeout);
  const int ready = ppoll(watched.data(), watched.size(), &limit, nullptr);
  if (ready < 0 && errno != EINTR) {
    return base::Error(base::ErrorCode::io, "cannot wait for requests: " + std::generic_category().message(errno));
  }
  for (std::size_t e = 0; ready > 0 && e < endpoints.size(); ++e) {
    endpoints[e].server->serve(std::span(watched).subspan(begins[e], begins[e + 1] - begins[e]));
  }
  return base::Success{};
}

Simulation::Simulation(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Simulation::~Simulation() = default;
Simulation::Simulation(Simulation&&) noexcept = default;
Simulation& Simulation::operator=(Simulation&&) noexcept = default;

base::Result<Simulation> Simulation::create(Settings settings, signals::EventSink& events) {
  if (auto status = Scenario::check(settings); !status) return std::move(status).error();
  auto parts = std::make_unique<Parts>(std::move(settings), events);
  for (const TwinSettings& twin : parts->settings.twins) {
    const double backlog = kMostStepsBehind * std::chrono::duration<double>(twin.period).count();
    const base::Duration on_clock{static_cast<std::int64_t>(backlog / parts->settings.speed * 1e9)};
    if (parts->longest_backlog == base::Duration{} || on_clock < parts->longest_backlog) {
      parts->longest_backlog = on_clock;
    }
  }
  if (auto status = parts->listen(); !status) return std::move(status).error();
  if (parts->settings.truth_file) {
    auto truth = TruthWriter::open(*parts->settings.truth_file, parts->settings.twins);
    if (!truth) return std::move(truth).error();
    parts->truth = std::move(truth).value();
  }
  return Simulation(std::move(parts));
}

base::Status Simulation::run(std::stop_token stop, const base::Clock& clock) {
  base::WakeUp wake_up;
  const std::stop_callback on_stop(stop, [&wake_up] { wake_up.ring(); });
  Parts& parts = *parts_;
  parts.scenario.start(clock.now());
  while (!stop.stop_requested()) {
    parts.catch_up(clock);
    const bool settled = parts.settle();
    const base::Instant next = std::min(parts.speak(clock.now()), parts.scenario.next());
    base::Duration timeout = std::max(base::Duration{}, next - clock.now());
    timeout = std::min(timeout, settled ? base::Duration{std::chrono::seconds{10}} : kRetryListening);
    if (auto status = parts.serve(timeout, wake_up); !status) return status;
  }
  if (parts.truth) {
    if (const auto status = parts.truth->flush(); !status) {
      parts.events.raise({signals::EventLevel::error, "simulation", "truth_failed", status.error().message()});
    }
  }
  return base::Success{};
}

Summary Simulation::summary() const {
  Summary summary;
  for (const Endpoint& endpoint : parts_->endpoints) {
    EndpointSummary one{endpoint.controller,        endpoint.server->address(),  endpoint.server->port(),      {},
                        endpoint.server->clients(), endpoint.server->requests(), endpoint.server->exceptions()};
    for (const std::size_t d : endpoint.devices) one.devices.push_back(parts_->settings.devices[d].name);
    summary.endpoints.push_back(std::move(one));
  }
  summary.steps = parts_->scenario.steps();
  summary.skipped = parts_->scenario.skipped();
  return summary;
}

}  // namespace twinkeeper::simulation
