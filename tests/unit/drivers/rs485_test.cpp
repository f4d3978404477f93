// RS-485 switching by the kernel, as far as it can be shown without a line that has it.
#include "drivers/serial_transport.hpp"
#include "support/catch.hpp"
#include "support/pseudo_terminal.hpp"

using namespace twinkeeper;
using namespace twinkeeper::drivers;
using namespace std::chrono_literals;

TEST_CASE("RS-485 settings reach the kernel's structure one to one") {
  Rs485Settings settings;
  CHECK(kernel_rs485(settings).flags == SER_RS485_ENABLED);
  settings.delay_rts_before_send = 1ms;
  settings.delay_rts_after_send = 20ms;
  CHECK(kernel_rs485(settings).delay_rts_before_send == 1);
  CHECK(kernel_rs485(settings).delay_rts_after_send == 20);
  settings.rts_high_during_send = true;
  CHECK(kernel_rs485(settings).flags == (SER_RS485_ENABLED | SER_RS485_RTS_ON_SEND));
  settings.rts_high_during_send = false;
  settings.rts_high_after_send = true;
  CHECK(kernel_rs485(settings).flags == (SER_RS485_ENABLED | SER_RS485_RTS_AFTER_SEND));
  settings.rx_during_tx = true;
  CHECK(kernel_rs485(settings).flags == (SER_RS485_ENABLED | SER_RS485_RTS_AFTER_SEND | SER_RS485_RX_DURING_TX));
}

TEST_CASE("A line whose driver can't switch RS-485 is told as such and not used without it") {
  const test::PseudoTerminal terminal;
  SerialSettings line;
  line.device = terminal.name();
  const base::SystemClock clock;
  CHECK(make_serial_transport(line, clock)->connect(1s).ok());
  line.rs485.emplace();
  const auto transport = make_serial_transport(line, clock);
  const base::Status status = transport->connect(1s);
  REQUIRE_FALSE(status.ok());
  CHECK(status.error().code() == base::ErrorCode::unavailable);
  CHECK(status.error().message().find("RS-485") != std::string::npos);
  CHECK_FALSE(transport->connected());
}
