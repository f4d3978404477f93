// A simulation as the application describes it: the devices to serve, the twins whose models stand in for the plant,
// and the faults to inject.
//
// Who drives a register: an output's tag carries the measured y of the first twin that maps it; an input's tag that is
// no output carries the seeded staircase of the first twin that uses it; every other register holds `constants`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "drivers/settings.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/model/state_space.hpp"

namespace twinkeeper::simulation {

struct InputSource {
  std::optional<signals::TagIndex> tag;
  double constant = 0.0;  // without a tag
};

struct TwinSettings {
  std::string name;
  model::StateSpace model;  // discretised with `period`
  base::Duration period{};
  std::vector<InputSource> inputs;                        // model's order
  std::vector<std::optional<signals::TagIndex>> outputs;  // model's order; absent: no register shows it
};

enum class FaultKind { disturbance, stuck, bias, drift, noise, dropout, parameter };

// One --fault, with its names resolved. Times count from the start of the simulation in simulated seconds.
struct Fault {
  FaultKind kind = FaultKind::disturbance;
  std::string spec;            // as written
  double onset = 0.0;          // s
  double duration = 0.0;       // s; infinite for a parameter, which stays changed
  double value = 0.0;          // disturbance: state's unit per second; bias: the tag's unit; drift: that per second;
                               // noise: a factor; parameter: its own unit
  std::size_t twin = 0;        // disturbance, parameter
  std::size_t state = 0;       // disturbance
  signals::TagIndex tag = 0;   // stuck, bias, drift, noise
  std::size_t device = 0;      // dropout
  std::string parameter = {};  // parameter

  [[nodiscard]] bool active(double time) const { return time >= onset && time < onset + duration; }
};

struct Settings {
  std::vector<drivers::DeviceSettings> devices;  // all of the configuration: tags count through them in order
  std::vector<std::optional<double>> constants;  // by TagIndex, engineering units; absent (or beyond the end): 0
  std::vector<TwinSettings> twins;
  std::vector<Fault> faults;
  std::uint64_t seed = 1;
  double speed = 1.0;  // simulated seconds per second
  std::optional<std::string> truth_file;
};

}  // namespace twinkeeper::simulation
