// A centrifugal pump with its induction motor and the temperatures of its bearings. Equations and source:
// docs/models/centrifugal_pump.md.
#include <algorithm>
#include <cmath>

#include "model/templates/list.hpp"
#include "model/templates/square_root.hpp"
#include "twinkeeper/model/dynamics.hpp"

namespace twinkeeper::model {
namespace {

enum Theta : std::size_t {
  kInertia,
  kFriction,
  kA0,
  kA1,
  kA2,
  kHead,
  kHeadFlow,
  kFlow,
  kFluidTime,
  kR1,
  kR2,
  kL1,
  kPhases,
  kPolePairs,
  kLossThrust,
  kLossRadial,
  kCThrust,
  kHThrustAmbient,
  kHThrustOil,
  kCRadial,
  kHRadialAmbient,
  kHRadialOil,
  kCOil,
  kHOilThrust,
  kHOilRadial,
  kHOilAmbient,
  kLeast
};
enum X : Eigen::Index { kSpeed, kQ, kThrust, kRadial, kOil };
enum U : Eigen::Index { kVoltage, kSynchronous, kSuction, kDischarge, kAmbient };

constexpr double kStandstill = 1.0;  // rad/s; a supply slower than this turns nothing

std::vector<ParameterInfo> parameters(const std::vector<std::string>&) {
  std::vector<ParameterInfo> infos{
      {"J", "kg m2", "inertia of impeller, shaft and motor"},
      {"r", "Nm s", "friction per speed, without that of the bearings"},
      {"a0", "Nm s2", "torque of the impeller: per speed squared"},
      {"a1", "Nm s2/m3", "torque of the impeller: per speed and flow"},
      {"a2", "Nm s2/m6", "torque of the impeller: taken off per flow squared"},
      {"A", "Pa s2", "pressure per speed squared; falls as the impeller wears"},
      {"b", "Pa s2/m3", "pressure per speed and flow"},
      {"c", "m3/(s Pa0.5)", "flow per root of the pressure that is left over"},
      {"T_fluid", "s", "time constant of the flow"},
      {"R1", "Ohm", "resistance of the stator"},
      {"R2", "Ohm", "resistance of the rotor, seen from the stator"},
      {"L1", "H", "leakage inductance"},
      {"phases", "", "phases of the motor", 3.0},
      {"pole_pairs", "", "pole pairs of the motor", 1.0},
      {"r_thrust", "Nm s", "friction of the thrust bearing; rises with wear"},
      {"r_radial", "Nm s", "friction of the radial bearing; rises with wear"},
      {"C_thrust", "J/K", "heat capacity of the thrust bearing"},
      {"H_thrust_ambient", "W/K", "thrust bearing to surroundings"},
      {"H_thrust_oil", "W/K", "thrust bearing to oil"},
      {"C_radial", "J/K", "heat capacity of the radial bearing"},
      {"H_radial_ambient", "W/K", "radial bearing to surroundings"},
      {"H_radial_oil", "W/K", "radial bearing to oil"},
      {"C_oil", "J/K", "heat capacity of the oil"},
      {"H_oil_thrust", "W/K", "oil to thrust bearing, as the oil feels it"},
      {"H_oil_radial", "W/K", "oil to radial bearing, as the oil feels it"},
      {"H_oil_ambient", "W/K", "oil to surroundings"},
      {"dp_min", "Pa", "below this pressure the square root is replaced by its chord from 0", 100.0}};
  for (const std::size_t zero : {kFriction, kA0, kA1, kA2, kHeadFlow, kR1, kL1, kLossThrust, kLossRadial}) {
    infos[zero].above_least = false;
  }
  return infos;
}

TemplateSignals signals(const Parameters&) {
  const std::vector<SignalInfo> states{{"speed", "rad/s", "speed of the shaft"},
                                       {"flow", "m3/s", "flow through the pump"},
                                       {"T_thrust", "degC", "temperature of the thrust bearing"},
                                       {"T_radial", "degC", "temperature of the radial bearing"},
                                       {"T_oil", "degC", "temperature of the oil"}};
  return {states,
          {{"voltage", "V", "supply of the motor"},
           {"sync_speed", "rad/s", "synchronous speed of the supply"},
           {"p_suction", "Pa", "pressure before the pump"},
           {"p_discharge", "Pa", "pressure behind the pump"},
           {"T_ambient", "degC", "temperature of the surroundings", {}, {}, 20.0}},
          states};
}

class CentrifugalPump final : public Dynamics {
 public:
  CentrifugalPump(const Parameters& parameters, std::vector<std::size_t> outputs)
      : Dynamics(kCentrifugalPump, parameters, std::move(outputs)) {}
  [[nodiscard]] std::unique_ptr<Dynamics> clone() const override { return std::make_unique<CentrifugalPump>(*this); }

 private:
  struct Torque {
    double value, by_speed, by_synchronous, by_voltage;
  };
  // n p V² R2 s / (ω (( R1 s + R2)² + (s ω L1)²)), s = (ω_sync − speed) / ω within ±1, ω = max(ω_sync, 1)
  [[nodiscard]] Torque motor(double speed, double synchronous, double voltage) const {
    const double w = std::max(synchronous, kStandstill);
    const double free_slip = (synchronous - speed) / w;
    const double s = std::clamp(free_slip, -1.0, 1.0);
    const double reactance = w * theta(kL1);
    const double resistance = theta(kR1) * s + theta(kR2);
    const double size = resistance * resistance + s * reactance * s * reactance;
    const double per_square = theta(kPhases) * theta(kPolePairs) * theta(kR2) / (w * size);
    const double by_slip =
        per_square * voltage * voltage * (1.0 - s * 2.0 * (resistance * theta(kR1) + s * reactance * reactance) / size);
    const bool free = s == free_slip;
    const bool turning = synchronous > kStandstill;
    Torque torque{per_square * voltage * voltage * s, 0.0, 0.0, 2.0 * per_square * voltage * s};
    if (free) torque.by_speed = -by_slip / w;
    if (free) torque.by_synchronous = by_slip * (turning ? speed / (w * w) : 1.0 / w);
    if (turning) torque.by_synchronous -= torque.value * (1.0 + 2.0 * s * reactance * s * reactance / size) / w;
    return torque;
  }

  void derivative(const Vector& x, const Vector& u, Vector& f, Matrix& F, Matrix& G) const override {
    const double w = x(kSpeed);
    const double q = x(kQ);
    const double delivered = std::max(0.0, q);
    const double delivers = q > 0.0 ? 1.0 : 0.0;
    const Torque torque = motor(w, u(kSynchronous), u(kVoltage));
    const double friction = theta(kFriction) + theta(kLossThrust) + theta(kLossRadial);
    const double load = -theta(kA2) * delivered * delivered + theta(kA1) * w * delivered + theta(kA0) * w * w;
    f(kSpeed) = (torque.value - friction * w - load) / theta(kInertia);
    F(kSpeed, kSpeed) = (torque.by_speed - friction - theta(kA1) * delivered - 2.0 * theta(kA0) * w) / theta(kInertia);
    F(kSpeed, kQ) = delivers * (2.0 * theta(kA2) * delivered - theta(kA1) * w) / theta(kInertia);
    G(kSpeed, kVoltage) = torque.by_voltage / theta(kInertia);
    G(kSpeed, kSynchronous) = torque.by_synchronous / theta(kInertia);

    const double surplus = theta(kHead) * w * w + theta(kHeadFlow) * w * q + u(kSuction) - u(kDischarge);
    const Root root = signed_square_root(surplus, theta(kLeast));
    const double slope = theta(kFlow) * root.slope / theta(kFluidTime);
    f(kQ) = (theta(kFlow) * root.value - q) / theta(kFluidTime);
    F(kQ, kSpeed) = slope * (2.0 * theta(kHead) * w + theta(kHeadFlow) * q);
    F(kQ, kQ) = slope * theta(kHeadFlow) * w - 1.0 / theta(kFluidTime);
    G(kQ, kSuction) = slope;
    G(kQ, kDischarge) = -slope;

    heat(kThrust, kLossThrust, theta(kCThrust), w, f, F);
    flow_of_heat(kThrust, kAmbient, theta(kHThrustAmbient) / theta(kCThrust), x, u, f, F, G);
    exchange(kThrust, kOil, theta(kHThrustOil) / theta(kCThrust), x, f, F);
    heat(kRadial, kLossRadial, theta(kCRadial), w, f, F);
    flow_of_heat(kRadial, kAmbient, theta(kHRadialAmbient) / theta(kCRadial), x, u, f, F, G);
    exchange(kRadial, kOil, theta(kHRadialOil) / theta(kCRadial), x, f, F);
    exchange(kOil, kThrust, theta(kHOilThrust) / theta(kCOil), x, f, F);
    exchange(kOil, kRadial, theta(kHOilRadial) / theta(kCOil), x, f, F);
    flow_of_heat(kOil, kAmbient, theta(kHOilAmbient) / theta(kCOil), x, u, f, F, G);
  }

  void heat(Index i, std::size_t loss, double capacity, double w, Vector& f, Matrix& F) const {
    f(i) += theta(loss) * w * w / capacity;
    F(i, kSpeed) += 2.0 * theta(loss) * w / capacity;
  }
  static void exchange(Index i, Index other, double rate, const Vector& x, Vector& f, Matrix& F) {
    f(i) -= rate * (x(i) - x(other));
    F(i, i) -= rate;
    F(i, other) += rate;
  }
  static void flow_of_heat(Index i, Index input, double rate, const Vector& x, const Vector& u, Vector& f, Matrix& F,
                           Matrix& G) {
    f(i) -= rate * (x(i) - u(input));
    F(i, i) -= rate;
    G(i, input) += rate;
  }
};

}  // namespace

const Template kCentrifugalPump{"centrifugal_pump",
                                "Centrifugal pump with its induction motor and the temperatures of its bearings",
                                false,
                                parameters,
                                nullptr,
                                signals,
                                make_dynamics<CentrifugalPump>};

}  // namespace twinkeeper::model
