#include "simulation/register_map.hpp"

#include <cmath>

#include "support/catch.hpp"
#include "unit/simulation/fixtures.hpp"

namespace twinkeeper::simulation {

using drivers::RegisterKind;
using drivers::ValueType;

TEST_CASE("The same slave of two serial lines are two devices") {
  std::vector<drivers::DeviceSettings> devices(2, fixtures::tank_device());
  for (auto& device : devices) device.transmission_mode = drivers::TransmissionMode::RTU;
  devices[0].line.device = "/dev/ttyS0";
  devices[1].line.device = "/dev/ttyS1";
  RegisterMap map(devices, {});
  CHECK(map.bank_of(0) != map.bank_of(1));
}

TEST_CASE("A register bank answers inside its span with gaps at zero and nothing outside") {
  RegisterBank bank;
  bank.include(RegisterKind::holding, 10, 2);
  bank.include(RegisterKind::holding, 5, 1);
  CHECK(bank.at(RegisterKind::holding, 5, 7).size() == 7);
  CHECK(bank.at(RegisterKind::holding, 7, 1)[0] == 0);
  CHECK(bank.at(RegisterKind::holding, 4, 1).empty());
  CHECK(bank.at(RegisterKind::holding, 11, 2).empty());
  CHECK(bank.at(RegisterKind::input, 5, 1).empty());
}

TEST_CASE("Registers hold values in their own type and tell what a client reads") {
  RegisterMap map({fixtures::tank_device()}, {{}, {}, {}, 1.0, 21.5});
  CHECK(map.served(3) == 1.0);
  CHECK(map.served(4) == 21.5);
  CHECK(map.served(0) == 0.0);

  CHECK(map.set(2, 3.1449) == Approx(3.14));
  CHECK(map.bank(0).at(RegisterKind::input, 10, 1)[0] == 314);
  CHECK(map.set(2, 1000.0) == Approx(327.67));  // saturated
  CHECK(map.set(0, 0.1) == static_cast<double>(0.1F));
  CHECK(map.served(0) == map.value(0));
}

TEST_CASE("Stuck freezes the words and bias adds to the value while both leave the true value alone") {
  RegisterMap map({fixtures::tank_device()}, {});
  map.set(2, 2.0);
  map.set_stuck(2, true);
  CHECK(map.set(2, 4.0) == 4.0);
  CHECK(map.served(2) == 2.0);
  map.set_stuck(2, false);
  CHECK(map.served(2) == 4.0);
  map.set_bias(2, -0.5);
  CHECK(map.served(2) == 3.5);
  CHECK(map.value(2) == 4.0);
  map.set_bias(2, 0.0);
  CHECK(map.served(2) == 4.0);
}

TEST_CASE("Bits of one word and text and devices of one slave id share a bank") {
  auto bit = [](const char* name, int which) {
    auto r = fixtures::reg(name, RegisterKind::holding, 40, ValueType::BIT);
    r.bit = which;
    return r;
  };
  auto text = fixtures::reg("serial", RegisterKind::input, 60, ValueType::STRING);
  text.length = 6;
  drivers::DeviceSettings one = fixtures::tank_device();
  one.registers = {bit("a", 0), bit("b", 9), text};
  drivers::DeviceSettings two = fixtures::tank_device();
  two.name = "other";
  two.registers = {fixtures::reg("speed", RegisterKind::holding, 42, ValueType::UINT16)};
  drivers::DeviceSettings three = fixtures::tank_device(2);
  three.name = "third";
  three.registers = two.registers;

  RegisterMap map({one, two, three}, {});
  CHECK(map.bank_count() == 2);
  CHECK(map.bank_of(0) == map.bank_of(1));
  map.set(1, 1.0);
  map.set(3, 7.0);
  map.set(4, 8.0);
  CHECK(map.bank(0).at(RegisterKind::holding, 40, 3)[0] == 0x0200);
  CHECK(map.bank(0).at(RegisterKind::holding, 40, 3)[2] == 7);
  CHECK(map.bank(1).at(RegisterKind::holding, 42, 1)[0] == 8);
  CHECK(map.bank(0).at(RegisterKind::input, 60, 1)[0] == ('p' << 8 | 'l'));
  CHECK(std::isnan(map.served(2)));
}

}  // namespace twinkeeper::simulation
