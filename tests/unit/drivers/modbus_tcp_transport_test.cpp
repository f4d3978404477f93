#include "drivers/modbus_tcp_transport.hpp"

#include <array>

#include "drivers/mbap.hpp"
#include "support/catch.hpp"
#include "support/scripted_modbus_server.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;

TEST_CASE("The transport reports a refused connection as unavailable and names the peer") {
  test::ScriptedModbusServer server;
  const std::uint16_t port = server.port();
  server.unplug();
  const base::SystemClock clock;
  const auto transport = drivers::make_modbus_tcp_transport({"127.0.0.1", port}, clock);
  const base::Status status = transport->connect(200ms);
  REQUIRE_FALSE(status.ok());
  CHECK(status.error().code() == base::ErrorCode::unavailable);
  CHECK(status.error().message().find("127.0.0.1:" + std::to_string(port)) != std::string::npos);
  CHECK_FALSE(transport->connected());
}

TEST_CASE("The transport takes host names and reconnects without losing a descriptor") {
  test::ScriptedModbusServer server;
  const base::SystemClock clock;
  const auto transport = drivers::make_modbus_tcp_transport({"localhost", server.port()}, clock);
  // More often than there are descriptors for select(): one lost each time would end it.
  for (int i = 0; i < 1100; ++i) {
    const base::Status status = transport->connect(1s);
    INFO("connection " << i << ": " << (status.ok() ? "open" : status.error().message()));
    REQUIRE(status.ok());
    // One exchange, so that the server has accepted it before the next one comes.
    REQUIRE(transport->send(drivers::mbap::encode_request({1, 1, 3, 0, 1}), clock.now() + 1s).ok());
    std::array<std::uint8_t, 11> reply{};
    REQUIRE(transport->receive(reply, clock.now() + 1s).ok());
  }
  REQUIRE(transport->connect(1s).ok());
  CHECK(transport->connected());
  CHECK(transport->quiet());
  transport->close();
  CHECK_FALSE(transport->connected());
  CHECK_FALSE(transport->quiet());
}

TEST_CASE("Receiving ends at the deadline and a closed connection is told apart from it") {
  test::ScriptedModbusServer server;
  server.next({.send_first = 0});
  server.next({.send_first = 0, .close_after = true});
  const base::SystemClock clock;
  const auto transport = drivers::make_modbus_tcp_transport({"127.0.0.1", server.port()}, clock);
  REQUIRE(transport->connect(1s).ok());
  std::array<std::uint8_t, 16> bytes{};
  const auto request = drivers::mbap::encode_request({1, 1, 3, 0, 1});
  REQUIRE(transport->send(request, clock.now() + 1s).ok());
  const base::Instant deadline = clock.now() + 20ms;
  const auto late = transport->receive(bytes, deadline);
  REQUIRE_FALSE(late.ok());
  CHECK(late.error().code() == base::ErrorCode::timeout);
  CHECK(clock.now() >= deadline);
  REQUIRE(transport->send(request, clock.now() + 1s).ok());
  const auto closed = transport->receive(bytes, clock.now() + 5s);
  REQUIRE_FALSE(closed.ok());
  CHECK(closed.error().code() == base::ErrorCode::connection_lost);
  CHECK_FALSE(transport->quiet());
}
