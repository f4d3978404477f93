#include "simulation/simulation.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "drivers/mbap.hpp"
#include "simulation/fault.hpp"
#include "simulation/modbus_tcp_server.hpp"
#include "support/catch.hpp"
#include "unit/simulation/fixtures.hpp"

namespace twinkeeper::simulation {
namespace {

// Blocking requests on a fresh connection each; false once nobody answers.
bool answered(std::uint16_t port, std::uint8_t unit) {
  Descriptor socket(::socket(AF_INET, SOCK_STREAM, 0));
  const timeval patience{2, 0};
  setsockopt(socket.number(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return false;
  const drivers::ReadRequest request{1, unit, 3, 0, 6};
  const auto bytes = drivers::mbap::encode_request(request);
  if (::send(socket.number(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) return false;
  std::array<std::uint8_t, 300> buffer{};
  const ssize_t count = recv(socket.number(), buffer.data(), drivers::mbap::reply_size(request), MSG_WAITALL);
  return count > 0 &&
         drivers::mbap::check_reply(request, std::span(buffer).first(static_cast<std::size_t>(count))).ok();
}

struct Running {
  Running(Simulation& simulation, const base::Clock& clock)
      : thread([&](std::stop_token stop) { status = simulation.run(stop, clock); }) {}
  base::Status status = base::Success{};
  std::jthread thread;
};

}  // namespace

TEST_CASE("A simulation serves its devices and drops out and comes back and writes the truth") {
  Settings settings = fixtures::tank_simulation();
  const std::string truth =
      (std::filesystem::temp_directory_path() / ("simulation_truth." + std::to_string(getpid()) + ".csv")).string();
  settings.truth_file = truth;
  settings.speed = 20.0;
  settings.faults = {parse_fault("dropout:plc@10+10", settings).value()};
  fixtures::RecordedEvents events;
  auto created = Simulation::create(settings, events);
  REQUIRE(created.ok());
  Simulation simulation = std::move(created).value();
  const Summary before = simulation.summary();
  REQUIRE(before.endpoints.size() == 1);
  CHECK(before.endpoints[0].controller == "tcp://127.0.0.1:0");
  CHECK(before.endpoints[0].devices == std::vector<std::string>{"plc"});
  const std::uint16_t port = before.endpoints[0].port;
  REQUIRE(port != 0);

  const base::SystemClock clock;
  const auto wall_before = clock.wall_now();
  int phase = 0;  // 0 served, 1 gone, 2 back
  {
    Running running(simulation, clock);
    const base::Instant limit = clock.now() + std::chrono::seconds{20};
    base::Instant next = clock.now();
    while (phase < 2 && clock.now() < limit) {
      const bool there = answered(port, 1);
      if (phase == 0 && !there) phase = 1;
      if (phase == 1 && there) phase = 2;
      clock.sleep_until(next += std::chrono::milliseconds{5});
    }
    running.thread.request_stop();
    running.thread.join();
    CHECK(running.status.ok());
  }
  const auto wall_after = clock.wall_now();
  CHECK(phase == 2);
  CHECK(events.codes() == std::vector<std::string>{"fault_started", "fault_ended"});

  std::ifstream file(truth);
  std::string line;
  REQUIRE(std::getline(file, line));
  CHECK(line == "time[s],tanks.level_1[m],tanks.level_2[m]");
  std::vector<double> times;
  while (std::getline(file, line)) {
    times.push_back(std::stod(line));
    CHECK(std::count(line.begin(), line.end(), ',') == 2);
  }
  const Summary after = simulation.summary();
  CHECK(after.steps == times.size());
  CHECK(after.steps >= 200);
  CHECK(after.skipped == 0);
  CHECK(after.endpoints[0].port == port);
  CHECK(after.endpoints[0].requests > 0);
  auto seconds = [](base::WallTime t) { return std::chrono::duration<double>(t.time_since_epoch()).count(); };
  CHECK(times.front() > seconds(wall_before) - 0.001);
  CHECK(times.back() < seconds(wall_after) + 0.001);
  for (std::size_t i = 1; i < times.size(); ++i) REQUIRE(times[i] - times[i - 1] == Approx(0.005).margin(0.002));
  std::filesystem::remove(truth);
}

TEST_CASE("The first true states of two runs with one seed are the same text") {
  auto run = [](std::uint64_t seed) {
    Settings settings = fixtures::tank_simulation();
    const auto truth =
        std::filesystem::temp_directory_path() / ("simulation_seed." + std::to_string(getpid()) + ".csv");
    settings.truth_file = truth.string();
    settings.speed = 200.0;
    settings.seed = seed;
    fixtures::RecordedEvents events;
    auto simulation = Simulation::create(settings, events);
    REQUIRE(simulation.ok());
    const base::SystemClock clock;
    {
      Running running(simulation.value(), clock);
      clock.sleep_until(clock.now() + std::chrono::milliseconds{150});
    }
    std::ifstream file(truth);
    std::string states;
    std::string line;
    for (int i = 0; i < 51 && std::getline(file, line); ++i) states += line.substr(line.find(',')) + "\n";
    std::filesystem::remove(truth);
    return states;
  };
  const std::string first = run(3);
  CHECK(std::count(first.begin(), first.end(), '\n') == 51);
  CHECK(first == run(3));
  CHECK(first != run(4));
}

TEST_CASE("Devices of one controller share an endpoint and a port in use names the device") {
  fixtures::RecordedEvents events;
  Settings settings = fixtures::tank_simulation();
  auto first = Simulation::create(settings, events);
  REQUIRE(first.ok());
  const std::uint16_t port = first.value().summary().endpoints[0].port;

  settings.devices[0].address.port = port;
  auto taken = Simulation::create(settings, events);
  REQUIRE_FALSE(taken.ok());
  CHECK(taken.error().code() == base::ErrorCode::unavailable);
  CHECK(taken.error().message().find("device 'plc': cannot listen on 127.0.0.1:") == 0);

  first = base::Error(base::ErrorCode::cancelled, "released");  // the port is free again
  settings.devices.push_back(fixtures::tank_device(2));
  settings.devices[1].name = "second";
  settings.devices[1].address.port = port;
  auto shared = Simulation::create(settings, events);
  REQUIRE(shared.ok());
  const Summary summary = shared.value().summary();
  REQUIRE(summary.endpoints.size() == 1);
  CHECK(summary.endpoints[0].devices == std::vector<std::string>{"plc", "second"});
  const base::SystemClock clock;
  Running running(shared.value(), clock);
  CHECK(answered(port, 1));
  CHECK(answered(port, 2));
}

}  // namespace twinkeeper::simulation
