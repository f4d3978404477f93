// A brushed motor with permanent magnets and its shaft. Equations and source: docs/models/dc_motor.md.
#include "model/templates/list.hpp"
#include "twinkeeper/model/dynamics.hpp"

namespace twinkeeper::model {
namespace {

enum Theta : std::size_t { kR, kL, kJ, kB, kKt, kKe };
enum X : Eigen::Index { kCurrent, kSpeed };
enum U : Eigen::Index { kVoltage, kLoad };

std::vector<ParameterInfo> parameters(const std::vector<std::string>&) {
  ParameterInfo friction{"b", "Nm s", "viscous friction of the bearings", 0.0};
  friction.above_least = false;
  return {{"R", "Ohm", "resistance of the armature"},  {"L", "H", "inductance of the armature"},
          {"J", "kg m2", "inertia of rotor and load"}, friction,
          {"Kt", "Nm/A", "torque per current"},        {"Ke", "V s", "back voltage per speed"}};
}

TemplateSignals signals(const Parameters&) {
  return {{{"current", "A", "armature current"}, {"speed", "rad/s", "angular speed"}},
          {{"voltage", "V", "armature voltage"}, {"load_torque", "Nm", "torque the load takes", {}, {}, 0.0}},
          {{"current", "A", "armature current"}, {"speed", "rad/s", "angular speed"}}};
}

class DcMotor final : public Dynamics {
 public:
  DcMotor(const Parameters& parameters, std::vector<std::size_t> outputs)
      : Dynamics(kDcMotor, parameters, std::move(outputs)) {}
  [[nodiscard]] std::unique_ptr<Dynamics> clone() const override { return std::make_unique<DcMotor>(*this); }

 private:
  void derivative(const Vector& x, const Vector& u, Vector& f, Matrix& F, Matrix& G) const override {
    F(kCurrent, kCurrent) = -theta(kR) / theta(kL);
    F(kCurrent, kSpeed) = -theta(kKe) / theta(kL);
    F(kSpeed, kCurrent) = theta(kKt) / theta(kJ);
    F(kSpeed, kSpeed) = -theta(kB) / theta(kJ);
    G(kCurrent, kVoltage) = 1.0 / theta(kL);
    G(kSpeed, kLoad) = -1.0 / theta(kJ);
    apply_linear(x, u, f, F, G);
  }
};

}  // namespace

const Template kDcMotor{"dc_motor",
                        "Brushed DC motor with its load: current and speed",
                        true,
                        parameters,
                        nullptr,
                        signals,
                        make_dynamics<DcMotor>};

}  // namespace twinkeeper::model
