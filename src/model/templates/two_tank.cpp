// Two tanks in cascade under a pump. Equations and source: docs/models/two_tank.md.
#include <cmath>
#include <limits>

#include "model/templates/list.hpp"
#include "model/templates/square_root.hpp"
#include "twinkeeper/model/dynamics.hpp"

namespace twinkeeper::model {
namespace {

enum Theta : std::size_t {
  kA1,
  kA2,
  kOutlet1,
  kOutlet2,
  kPump,
  kHeight1,
  kHeight2,
  kShare,
  kTime,
  kCeiling1,
  kCeiling2,
  kLeast,
  kGravity,
  kSensor1,
  kSensor2,
  kZero1,
  kZero2,
  kPumpZero
};

ParameterInfo optional(ParameterInfo info) {
  info.optional = true;
  return info;
}

std::vector<ParameterInfo> parameters(const std::vector<std::string>&) {
  ParameterInfo share{
      "overflow_share", "", "share of the first tank's overflow that falls into the second", 1.0, 0.0, 1.0};
  share.above_least = false;
  ParameterInfo zero_1{"sensor_zero_1", "", "what the first sensor shows of an empty tank", 0.0,
                       -std::numeric_limits<double>::infinity()};
  ParameterInfo zero_2 = zero_1;
  zero_2.name = "sensor_zero_2";
  zero_2.meaning = "what the second sensor shows of an empty tank";
  ParameterInfo pump_zero{"pump_zero", "V", "up to here the pump moves nothing", 0.0};
  pump_zero.above_least = false;
  return {{"A1", "m2", "cross section of the first tank"},
          {"A2", "m2", "cross section of the second tank"},
          {"a1", "m2", "effective cross section of the first outlet, discharge coefficient included"},
          {"a2", "m2", "effective cross section of the second outlet"},
          {"k_pump", "m3/(s V)", "flow per unit of `pump` above pump_zero"},
          optional({"height_1", "m", "rim of the first tank; it never overflows unless given"}),
          optional({"height_2", "m", "rim of the second tank"}),
          share,
          {"overflow_time", "s", "what stands above a rim is gone with this time constant", 1.0},
          optional({"ceiling_1", "m", "the first sensor shows no more than this"}),
          optional({"ceiling_2", "m", "the second sensor shows no more than this"}),
          {"h_min", "m", "below this level the square root is replaced by its chord from 0", 1e-3},
          {"g", "m/s2", "gravity", 9.80665},
          optional({"sensor_1", "", "what the first sensor shows per m; without it the level itself"}),
          optional({"sensor_2", "", "what the second sensor shows per m"}),
          zero_1,
          zero_2,
          pump_zero};
}

TemplateSignals signals(const Parameters& parameters) {
  const auto unit = [&](const char* sensor) { return value_of(parameters, sensor) ? "" : "m"; };
  SignalInfo outflow{"outflow", "m3/s", "what leaves by the second outlet"};
  outflow.optional = true;
  return {{{"level_1", "m", "level of the first tank", 0.0}, {"level_2", "m", "level of the second tank", 0.0}},
          {{"pump", "V", "drives the pump", {}, {}, 0.0}},
          {{"level_1", unit("sensor_1"), "what the first sensor shows"},
           {"level_2", unit("sensor_2"), "what the second sensor shows"},
           outflow}};
}

class TwoTank final : public Dynamics {
 public:
  TwoTank(const Parameters& parameters, std::vector<std::size_t> outputs)
      : Dynamics(kTwoTank, parameters, std::move(outputs)) {}
  [[nodiscard]] std::unique_ptr<Dynamics> clone() const override { return std::make_unique<TwoTank>(*this); }

 private:
  struct Flow {
    double value, slope;
  };
  [[nodiscard]] Flow outlet(double area, double level) const {
    const Root root = square_root(level, theta(kLeast));
    const double factor = area * std::sqrt(2.0 * theta(kGravity));
    return {factor * root.value, factor * root.slope};
  }
  // A rim that is not given is not a number: nothing is above it.
  [[nodiscard]] Flow overflow(double area, double level, double rim) const {
    if (!(level > rim)) return {0.0, 0.0};
    return {area * (level - rim) / theta(kTime), area / theta(kTime)};
  }

  void derivative(const Vector& x, const Vector& u, Vector& f, Matrix& F, Matrix& G) const override {
    const Flow out_1 = outlet(theta(kOutlet1), x(0));
    const Flow out_2 = outlet(theta(kOutlet2), x(1));
    const Flow over_1 = overflow(theta(kA1), x(0), theta(kHeight1));
    const Flow over_2 = overflow(theta(kA2), x(1), theta(kHeight2));
    const bool pumping = u(0) > theta(kPumpZero);
    f(0) = ((pumping ? theta(kPump) * (u(0) - theta(kPumpZero)) : 0.0) - out_1.value - over_1.value) / theta(kA1);
    f(1) = (out_1.value + theta(kShare) * over_1.value - out_2.value - over_2.value) / theta(kA2);
    F(0, 0) = -(out_1.slope + over_1.slope) / theta(kA1);
    F(1, 0) = (out_1.slope + theta(kShare) * over_1.slope) / theta(kA2);
    F(1, 1) = -(out_2.slope + over_2.slope) / theta(kA2);
    if (pumping) G(0, 0) = theta(kPump) / theta(kA1);
  }
  [[nodiscard]] double output(std::size_t which, const Vector& x, const Vector&, Matrix& C, Matrix&,
                              Index row) const override {
    if (which == 2) {
      const Flow out = outlet(theta(kOutlet2), x(1));
      C(row, 1) = out.slope;
      return out.value;
    }
    const auto state = static_cast<Index>(which);
    const double ceiling = theta(which == 0 ? kCeiling1 : kCeiling2);
    const double given = theta(which == 0 ? kSensor1 : kSensor2);
    const double sensor = std::isnan(given) ? 1.0 : given;
    const double zero = theta(which == 0 ? kZero1 : kZero2);
    if (x(state) > ceiling) return zero + sensor * ceiling;
    C(row, state) = sensor;
    return zero + sensor * x(state);
  }
};

}  // namespace

const Template kTwoTank{"two_tank",
                        "Two tanks in cascade under a pump, which may overflow",
                        false,
                        parameters,
                        nullptr,
                        signals,
                        make_dynamics<TwoTank>};

}  // namespace twinkeeper::model
