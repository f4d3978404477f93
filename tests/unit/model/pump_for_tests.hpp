#pragma once

#include "twinkeeper/model/templates.hpp"

namespace twinkeeper::model {

// The pump of Daigle and Goebel (2013).
inline Parameters pump_parameters() {
  return {{"J", 50.0, ""},
          {"r", 0.008, ""},
          {"a0", 0.00149204, ""},
          {"a1", 5.77703, ""},
          {"a2", 9179.4, ""},
          {"A", 12.7084, ""},
          {"b", 17984.6, ""},
          {"c", 8.24123e-5, ""},
          {"T_fluid", 5.0, ""},
          {"R1", 0.36, ""},
          {"R2", 0.076, ""},
          {"L1", 0.00063, ""},
          {"r_thrust", 1.4e-6, ""},
          {"r_radial", 1.8e-6, ""},
          {"C_thrust", 7.3, ""},
          {"H_thrust_ambient", 0.0034, ""},
          {"H_thrust_oil", 0.0026, ""},
          {"C_radial", 2.4, ""},
          {"H_radial_ambient", 0.0018, ""},
          {"H_radial_oil", 0.020, ""},
          {"C_oil", 8000.0, ""},
          {"H_oil_thrust", 1.0, ""},
          {"H_oil_radial", 3.0, ""},
          {"H_oil_ambient", 1.5, ""}};
}

}  // namespace twinkeeper::model
