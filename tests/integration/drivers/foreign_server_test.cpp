// The poller against a Modbus server that was not written here (python3-pymodbus).
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

#include "drivers/endpoint_poller.hpp"
#include "drivers/modbus_tcp_transport.hpp"
#include "support/catch.hpp"
#include "support/collected_events.hpp"

using namespace twinkeeper;
using namespace twinkeeper::drivers;
using namespace std::chrono_literals;

namespace {

class ForeignServer {
 public:
  ForeignServer() {
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    REQUIRE(::pipe2(in.data(), O_CLOEXEC) == 0);
    REQUIRE(::pipe2(out.data(), O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    ::posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    const char* arguments[] = {"/usr/bin/python3", TWINKEEPER_FOREIGN_SERVER, nullptr};
    const int spawned =
        ::posix_spawn(&process_, arguments[0], &actions, nullptr, const_cast<char* const*>(arguments), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(in[0]);
    ::close(out[1]);
    input_ = in[1];
    REQUIRE(spawned == 0);
    std::string line;
    char letter = 0;
    while (::read(out[0], &letter, 1) == 1 && letter != '\n') line.push_back(letter);
    ::close(out[0]);
    INFO("python3-pymodbus has to be installed and to print its port, it printed '" << line << "'");
    port_ = static_cast<std::uint16_t>(std::strtoul(line.c_str(), nullptr, 10));
    REQUIRE(port_ != 0);
  }
  ~ForeignServer() {
    ::close(input_);
    ::waitpid(process_, nullptr, 0);
  }
  ForeignServer(const ForeignServer&) = delete;
  ForeignServer& operator=(const ForeignServer&) = delete;
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  pid_t process_ = 0;
  int input_ = -1;
  std::uint16_t port_ = 0;
};

struct ForeignServerSamples final : SampleSink {
  void accept(signals::Sample&& sample) override { taken.push_back(std::move(sample)); }
  std::vector<signals::Sample> taken;
};

}  // namespace

TEST_CASE("Floats in four byte orders and integers and bits of a foreign server are read as it wrote them") {
  const ForeignServer server;
  DeviceSettings plc;
  plc.name = "plc";
  plc.controller = "tcp://127.0.0.1:" + std::to_string(server.port());
  plc.address = {"127.0.0.1", server.port()};
  plc.poll_interval = 20ms;
  std::vector<double> expected;
  const auto add = [&](RegisterKind kind, int address, ValueType type, ByteOrder order, double value) {
    RegisterSettings reg;
    reg.tag = static_cast<signals::TagIndex>(expected.size());
    reg.kind = kind;
    reg.address = static_cast<std::uint16_t>(address);
    reg.type = type;
    reg.byte_order = order;
    plc.registers.push_back(reg);
    expected.push_back(value);
  };
  const double real = static_cast<double>(123.456F);
  add(RegisterKind::holding, 0, ValueType::FLOAT32, ByteOrder::ABCD, real);
  add(RegisterKind::holding, 2, ValueType::FLOAT32, ByteOrder::CDAB, real);
  add(RegisterKind::holding, 4, ValueType::FLOAT32, ByteOrder::BADC, real);
  add(RegisterKind::holding, 6, ValueType::FLOAT32, ByteOrder::DCBA, real);
  add(RegisterKind::input, 10, ValueType::INT16, ByteOrder::ABCD, -1234.0);
  for (int n = 0; n < 20; ++n) {
    add(RegisterKind::coil, n, ValueType::BIT, ByteOrder::ABCD, n % 3 == 0 ? 1.0 : 0.0);
    add(RegisterKind::discrete, n, ValueType::BIT, ByteOrder::ABCD, n % 3 == 0 ? 1.0 : 0.0);
  }
  const auto missing = static_cast<signals::TagIndex>(expected.size());
  add(RegisterKind::holding, 300, ValueType::INT16, ByteOrder::ABCD, 0.0);

  const base::SystemClock clock;
  ForeignServerSamples samples;
  test::CollectedEvents events;
  EndpointPoller poller({plc}, clock.now(), clock, samples, events, make_modbus_tcp_transport(plc.address, clock));
  for (int cycle = 0; cycle < 3; ++cycle) {
    samples.taken.clear();
    for (auto next = poller.poll_due({}); samples.taken.empty(); next = poller.poll_due({})) clock.sleep_until(next);
    REQUIRE(samples.taken.size() == expected.size());
    for (const auto& sample : samples.taken) {
      if (sample.tag == missing) {
        CHECK(sample.reason == signals::Reason::exception);
        CHECK(sample.exception_code == 2);
        continue;
      }
      CHECK(sample.quality == signals::Quality::good);
      CHECK(sample.value == expected[sample.tag]);
    }
  }
  CHECK(poller.statistics(0).state == DeviceState::degraded);
  REQUIRE(events.raised.size() == 2);
  CHECK(events.raised[0].code == "degraded");
  CHECK(events.raised[1].code == "plan_learned");
}
