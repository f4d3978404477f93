// Models, devices and collaborators that the simulation's tests share.
#pragma once

#include <limits>
#include <string>
#include <variant>
#include <vector>

#include "simulation/settings.hpp"
#include "twinkeeper/model/state_space.hpp"
#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::simulation::fixtures {

struct RecordedEvents final : signals::EventSink {
  void raise(signals::Event event) override { events.push_back(std::move(event)); }
  [[nodiscard]] std::vector<std::string> codes() const {
    std::vector<std::string> all;
    for (const auto& event : events) all.push_back(event.code);
    return all;
  }
  std::vector<signals::Event> events;
};

inline model::ModelSettings tank_settings() {
  model::ModelSettings s;
  s.name = "tank";
  s.sample_time = 0.1;
  s.states = {{"level_1", "m", 0.15, 0.01, 0.0, 0.3}, {"level_2", "m", 0.12, 0.01, 0.0, 0.3}};
  s.inputs = {{"pump", "V", 3.0, 0.0, 10.0}};
  s.outputs = {{"level_1", "m", 0.124, 0.002, {}}, {"level_2", "m", 0.124, 0.002, {}}};
  s.A = {{0.98, 0.0}, {0.02, 0.97}};
  s.B = {{0.0002}, {0.0}};
  s.C = {{1.0, 0.0}, {0.0, 1.0}};
  s.D = {{0.0}, {0.0}};
  s.noise.Q = {{4e-8, 1e-8}, {1e-8, 1e-8}};
  s.noise.R = {{4e-6, 0.0}, {0.0, 4e-6}};
  s.noise.S = {{1e-7, 0.0}, {0.0, 0.0}};
  s.operating_point = {{0.124, 0.124}, {3.0}, {0.124, 0.124}};
  return s;
}

inline model::StateSpace built(const model::ModelSettings& settings, double period = 0.1) {
  auto result = model::build(settings, period);
  return std::get<model::StateSpace>(std::move(result));
}

inline drivers::RegisterSettings reg(const std::string& name, drivers::RegisterKind kind, std::uint16_t address,
                                     drivers::ValueType type, double scale = 1.0, double offset = 0.0) {
  drivers::RegisterSettings r;
  r.name = name;
  r.kind = kind;
  r.address = address;
  r.type = type;
  r.scale = scale;
  r.offset = offset;
  r.scaled = scale != 1.0 || offset != 0.0;
  return r;
}

// Tags: 0 level_1, 1 level_2, 2 pump, 3 running (coil), 4 ambient (a constant nobody drives).
inline drivers::DeviceSettings tank_device(int slave_id = 1) {
  using drivers::RegisterKind;
  using drivers::ValueType;
  drivers::DeviceSettings d;
  d.name = "plc";
  d.controller = "tcp://127.0.0.1:0";
  d.address = {"127.0.0.1", 0};
  d.slave_id = slave_id;
  d.registers = {reg("level_1", RegisterKind::holding, 0, ValueType::FLOAT32),
                 reg("level_2", RegisterKind::holding, 4, ValueType::FLOAT32),
                 reg("pump", RegisterKind::input, 10, ValueType::INT16, 0.01),
                 reg("running", RegisterKind::coil, 3, ValueType::BIT),
                 reg("ambient", RegisterKind::input, 11, ValueType::INT16, 0.1)};
  return d;
}

inline Settings tank_simulation() {
  Settings s;
  s.devices = {tank_device()};
  s.constants = {{}, {}, {}, 1.0, 21.5};
  TwinSettings twin;
  twin.name = "tanks";
  twin.model = built(tank_settings());
  twin.period = std::chrono::milliseconds{100};
  twin.inputs = {{signals::TagIndex{2}, 0.0}};
  twin.outputs = {signals::TagIndex{0}, signals::TagIndex{1}};
  s.twins = {std::move(twin)};
  s.seed = 7;
  return s;
}

// The template two_tank, which follows its equations, at the places of tank_simulation().
inline model::ModelSettings two_tank_settings() {
  model::ModelSettings s;
  s.name = s.type = "two_tank";
  s.time = model::TimeBase::continuous;
  s.parameters = {{"A1", 28e-4, ""}, {"A2", 32e-4, ""},        {"a1", 12e-6, ""},
                  {"a2", 12e-6, ""}, {"k_pump", 6.239e-6, ""}, {"height_1", 0.2, ""}};
  s.states = {{"level_1", "m", 0.124, 0.01, 0.0, 0.5}, {"level_2", "m", 0.124, 0.01, 0.0, 0.5}};
  s.inputs = {{"pump", "V", 3.0, 0.0, 10.0}};
  s.outputs = {{"level_1", "m", {}, 0.002, {}}, {"level_2", "m", {}, 0.002, {}}};
  s.noise.Q = {{1e-16, 0.0}, {0.0, 1e-16}};
  return s;
}

inline Settings two_tank_simulation() {
  Settings s = tank_simulation();
  s.twins[0].model = built(two_tank_settings());
  return s;
}

}  // namespace twinkeeper::simulation::fixtures
