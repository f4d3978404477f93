// A displacement compressor that fills a receiver, from which a valve lets out. Equations and source:
// docs/models/compressor_receiver.md.
#include "model/templates/list.hpp"
#include "model/templates/square_root.hpp"
#include "twinkeeper/model/dynamics.hpp"

namespace twinkeeper::model {
namespace {

enum Theta : std::size_t { kV, kT, kGas, kStroke, kEta, kSlope, kSuction, kTSuction, kValve, kLeak, kLeast };
enum U : Eigen::Index { kSpeed, kOpening, kBehind };

std::vector<ParameterInfo> parameters(const std::vector<std::string>&) {
  ParameterInfo slope{"eta_slope", "", "what the efficiency loses per unit of pressure ratio above 1", 0.0};
  slope.above_least = false;
  ParameterInfo leak{"k_leak", "kg/(s Pa)", "leak per pressure above suction", 0.0};
  leak.above_least = false;
  return {{"V", "m3", "volume of the receiver and its pipes"},
          {"T", "K", "temperature of the gas in it", 293.15},
          {"R_gas", "J/(kg K)", "gas constant", 287.05},
          {"V_stroke", "m3", "volume displaced per revolution"},
          {"eta", "", "volumetric efficiency without counter-pressure", 0.9},
          slope,
          {"p_suction", "Pa", "absolute pressure where the compressor takes in", 101325.0},
          {"T_suction", "K", "temperature there", 293.15},
          {"k_valve", "kg/(s Pa)", "flow per unit of `valve` and root of the difference of squared pressures"},
          leak,
          {"dp_min", "Pa", "below this pressure across the valve the square root is replaced by its chord", 1000.0}};
}

TemplateSignals signals(const Parameters&) {
  return {{{"pressure", "Pa", "absolute pressure in the receiver", 0.0}},
          {{"speed", "1/min", "speed of the compressor", 0.0},
           {"valve", "", "opening of the valve, in any unit", 0.0},
           {"p_out", "Pa", "absolute pressure behind the valve", {}, {}, 101325.0}},
          {{"pressure", "Pa", "absolute pressure in the receiver"}}};
}

class CompressorReceiver final : public Dynamics {
 public:
  CompressorReceiver(const Parameters& parameters, std::vector<std::size_t> outputs)
      : Dynamics(kCompressorReceiver, parameters, std::move(outputs)) {}
  [[nodiscard]] std::unique_ptr<Dynamics> clone() const override { return std::make_unique<CompressorReceiver>(*this); }

 private:
  void derivative(const Vector& x, const Vector& u, Vector& f, Matrix& F, Matrix& G) const override {
    const double p = x(0);
    const double capacity = theta(kGas) * theta(kT) / theta(kV);  // Pa per kg
    const double per_turn = theta(kSuction) / (theta(kGas) * theta(kTSuction)) * theta(kStroke) / 60.0;
    const double efficiency = theta(kEta) - theta(kSlope) * (p / theta(kSuction) - 1.0);
    const bool delivers = efficiency > 0.0;
    const double in = delivers ? per_turn * efficiency : 0.0;  // kg/s per 1/min
    const double in_slope = delivers ? -per_turn * theta(kSlope) / theta(kSuction) : 0.0;
    const double behind = u(kBehind);
    const Root root = signed_square_root(p * p - behind * behind, 2.0 * theta(kSuction) * theta(kLeast));
    const double out = theta(kValve) * u(kOpening);
    f(0) = capacity * (in * u(kSpeed) - out * root.value - theta(kLeak) * (p - theta(kSuction)));
    F(0, 0) = capacity * (in_slope * u(kSpeed) - out * root.slope * 2.0 * p - theta(kLeak));
    G(0, kSpeed) = capacity * in;
    G(0, kOpening) = -capacity * theta(kValve) * root.value;
    G(0, kBehind) = capacity * out * root.slope * 2.0 * behind;
  }
};

}  // namespace

const Template kCompressorReceiver{"compressor_receiver",
                                   "Displacement compressor that fills a receiver with a valve",
                                   false,
                                   parameters,
                                   nullptr,
                                   signals,
                                   make_dynamics<CompressorReceiver>};

}  // namespace twinkeeper::model
