// Transactions per second of a closed loop: our poller beside a bare libmodbus loop, in one run, against one server.
//
// Both read 100 words (50 FLOAT32) again and again over one loopback connection. The poller does all that it does in
// service: checks, decoding, one sample with time and quality per register. The server is the simulation's, on a thread
// of its own. Rounds alternate, so that a busy machine slows both; the median of the rounds' ratios is what counts.
#include <modbus/modbus.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "drivers/endpoint_poller.hpp"
#include "drivers/modbus_tcp_transport.hpp"
#include "simulation/modbus_tcp_server.hpp"

using namespace twinkeeper;
using namespace std::chrono_literals;

namespace {

constexpr int kRegisters = 50;
constexpr auto kRound = 500ms;
constexpr int kRounds = 11;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);
}

struct CountingSamples final : drivers::SampleSink {
  void accept(signals::Sample&& sample) override { good += sample.quality == signals::Quality::good ? 1 : 0; }
  std::uint64_t good = 0;
};

struct NoEvents final : signals::EventSink {
  void raise(signals::Event) override {}
};

double bare(std::uint16_t port) {
  modbus_t* modbus = modbus_new_tcp("127.0.0.1", port);
  if (modbus == nullptr || modbus_set_slave(modbus, 1) != 0 || modbus_connect(modbus) != 0) fail("can't connect");
  std::uint16_t words[2 * kRegisters];
  std::uint64_t transactions = 0;
  const auto begin = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - begin < kRound) {
    if (modbus_read_registers(modbus, 0, 2 * kRegisters, words) != 2 * kRegisters) fail("the bare loop failed");
    ++transactions;
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  modbus_close(modbus);
  modbus_free(modbus);
  return static_cast<double>(transactions) / taken.count();
}

double ours(std::uint16_t port, const drivers::DeviceSettings& device) {
  const base::SystemClock clock;
  CountingSamples samples;
  NoEvents events;
  drivers::EndpointPoller poller({device}, clock.now(), clock, samples, events,
                                 drivers::make_modbus_tcp_transport({"127.0.0.1", port}, clock));
  std::uint64_t transactions = 0;
  const auto begin = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - begin < kRound) {
    poller.poll_due({});
    ++transactions;
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  if (samples.good != transactions * kRegisters) fail("the poller lost a value");
  return static_cast<double>(poller.statistics(0).requests_total) / taken.count();
}

}  // namespace

int main() {
  drivers::DeviceSettings device;
  device.name = "plc";
  device.controller = "tcp://127.0.0.1";
  device.address = {"127.0.0.1", 0};
  device.poll_interval = 1ns;  // always due
  for (int i = 0; i < kRegisters; ++i) {
    drivers::RegisterSettings reg;
    reg.tag = static_cast<signals::TagIndex>(i);
    reg.address = static_cast<std::uint16_t>(2 * i);
    reg.type = drivers::ValueType::FLOAT32;
    device.registers.push_back(reg);
  }
  const simulation::RegisterMap map({device}, {});
  auto opened = simulation::ModbusTcpServer::listen(device.address, {{1, &map.bank(0)}});
  if (!opened) fail(opened.error().message());
  simulation::ModbusTcpServer server = std::move(opened).value();
  std::atomic<bool> stop{false};
  std::thread serving([&] {
    while (!stop) {
      if (!server.run_once(100ms).ok()) fail("the server failed");
    }
  });
  device.address.port = server.port();
  std::vector<double> bare_rates, our_rates, ratios;
  for (int round = 0; round < kRounds; ++round) {
    bare_rates.push_back(bare(server.port()));
    our_rates.push_back(ours(server.port(), device));
    ratios.push_back(our_rates.back() / bare_rates.back());
  }
  stop = true;
  serving.join();
  const auto median = [](std::vector<double> values) {
    std::nth_element(values.begin(), values.begin() + kRounds / 2, values.end());
    return values[kRounds / 2];
  };
  std::printf("closed loop, 50 FLOAT32: bare libmodbus %.0f/s, twinkeeper's poller %.0f/s, ratio %.2f\n",
              median(bare_rates), median(our_rates), median(ratios));
  return 0;
}
