// The templates there are, one per file of this folder.
#pragma once

#include "twinkeeper/model/templates.hpp"

namespace twinkeeper::model {

extern const Template kFirstOrderThermal;
extern const Template kRcNetwork;
extern const Template kTwoTank;
extern const Template kDcMotor;
extern const Template kCentrifugalPump;
extern const Template kHeatExchanger;
extern const Template kCompressorReceiver;

}  // namespace twinkeeper::model
