// The templates there are, one per file of this folder.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "twinkeeper/model/dynamics.hpp"
#include "twinkeeper/model/templates.hpp"

namespace twinkeeper::model {

extern const Template kFirstOrderThermal;
extern const Template kRcNetwork;
extern const Template kTwoTank;
extern const Template kDcMotor;
extern const Template kCentrifugalPump;
extern const Template kHeatExchanger;
extern const Template kCompressorReceiver;

// Template::dynamics of equations of type T.
template <class T>
std::unique_ptr<Dynamics> make_dynamics(const Parameters& parameters, std::vector<std::size_t> outputs) {
  return std::make_unique<T>(parameters, std::move(outputs));
}

}  // namespace twinkeeper::model
