// What it costs to publish through the spool: the whole uplink (spool, courier, connection) beside the plainest loop with
// the same library, the same window, the same messages and the same broker, in alternating rounds of one run.
//
// usage: publish_cost PORT PKI DIRECTORY [ROUNDS] [MESSAGES]
// PKI: a folder of scripts/make-pki; a Mosquitto that demands client certificates listens on PORT (bench/publish_cost.py).
// Prints, per round: microseconds of wall time and of CPU (of this process, all threads) for each message, of both.
#include <mqtt/async_client.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "uplink/connection.hpp"
#include "uplink/courier.hpp"

namespace {

using namespace twinkeeper;
using namespace std::chrono_literals;

constexpr std::size_t kWindow = 19;  // what the uplink uses with its default
const std::string kMembers =
    R"("twin":"tanks","step":18231,"mode":"tracking","regime":null,"model":{"name":"two_tank","version":1,"hash":"sha256:)"
    R"(0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},"states":{"level_1":{"value":0.4935718,"std":0.)"
    R"(0006367065,"unit":"m"},"level_2":{"value":0.4935718,"std":0.0006367065,"unit":"m"}},"inputs":{"pump":{"value":4.95,)"
    R"("quality":"good","age_ms":0,"unit":"V"}},"outputs":{"level_1":{"measured":0.492974,"expected":0.4936392,"innovation)"
    R"(":-0.000665155,"std":0.002109767,"test_ratio":0.003975913,"fused":true,"quality":"good","age_ms":0,"unit":"m"}},"ni)"
    R"(s":0.09939783,"nis_dof":1,"anomalies":[],"shelved":[],"priority":0)";

struct Cost {
  double wall_us = 0;
  double cpu_us = 0;
};

double seconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

class Stopwatch {
 public:
  [[nodiscard]] Cost per(int messages) const {
    return {1e6 * (seconds(CLOCK_MONOTONIC) - wall_) / messages,
            1e6 * (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_) / messages};
  }

 private:
  double wall_ = seconds(CLOCK_MONOTONIC);
  double cpu_ = seconds(CLOCK_PROCESS_CPUTIME_ID);
};

Cost bare(const std::string& port, const std::string& pki, int messages) {
  mqtt::create_options create(MQTTVERSION_5, static_cast<int>(kWindow) + 8);
  mqtt::async_client client("ssl://localhost:" + port, "bare", create, nullptr);
  mqtt::ssl_options tls;
  tls.set_trust_store(pki + "/ca.crt");
  tls.set_key_store(pki + "/gateway.crt");
  tls.set_private_key(pki + "/gateway.key");
  tls.set_verify(true);
  tls.set_enable_server_cert_auth(true);
  mqtt::connect_options options;
  options.set_mqtt_version(MQTTVERSION_5);
  options.set_clean_start(true);
  options.set_max_inflight(static_cast<int>(kWindow) + 4);
  options.set_ssl(tls);
  client.connect(options)->wait();
  const Stopwatch watch;
  std::deque<mqtt::delivery_token_ptr> window;
  for (int i = 0; i < messages; ++i) {
    if (window.size() == kWindow) {
      window.front()->wait();
      window.pop_front();
    }
    // The envelope is part of any message: as much text is put together here.
    std::string text =
        R"({"schema":"twinkeeper.state/1","gateway":"bench","stream":"twins.tanks.state","epoch":1795700518,"seq":)" +
        std::to_string(i) + R"(,"id":"bench/twins.tanks.state/1795700518/)" + std::to_string(i) +
        R"(","time":"2026-11-26T13:47:45.556Z","time_ms":1795700865556,"clock_synced":true,"boot_id":")"
        R"(ee6fb9f5-9108-4f94-8c63-3f67cf02cc1d","replay":false,)" +
        kMembers + "}";
    window.push_back(
        client.publish(mqtt::message::create("twinkeeper/bench/twins/tanks/state", std::move(text), 1, false)));
  }
  for (const auto& token : window) token->wait();
  const Cost cost = watch.per(messages);
  client.disconnect()->wait();
  return cost;
}

class Online final : public uplink::StatusSource {
 public:
  std::string status_state() override { return "online"; }
  std::string status_reason() override { return "start"; }
  std::string status_members(std::string_view, std::string_view, std::uint64_t, const uplink::PreviousEpoch*) override {
    return R"("state":"online")";
  }
};

class Silent final : public signals::EventSink {
 public:
  void raise(signals::Event event) override {
    if (event.level == signals::EventLevel::error) std::fprintf(stderr, "%s\n", event.message.c_str());
  }
};

Cost whole(const std::string& port, const std::string& pki, const std::string& directory, int messages) {
  const base::SystemClock clock;
  Silent events;
  Online status;
  uplink::SpoolSettings spool_settings;
  spool_settings.directory = directory;
  auto spool = uplink::Spool::open(spool_settings, "bench", clock, "ee6fb9f5-9108-4f94-8c63-3f67cf02cc1d", events);
  if (!spool.ok()) {
    std::fprintf(stderr, "%s\n", spool.error().message().c_str());
    std::exit(74);
  }
  uplink::UplinkSettings settings;
  settings.endpoints = {{"localhost", static_cast<std::uint16_t>(std::stoi(port))}};
  settings.profile = uplink::Profile::mqtt;
  settings.client_id = "whole";
  settings.cert = pki + "/gateway.crt";
  settings.key = pki + "/gateway.key";
  settings.root_ca = pki + "/ca.crt";
  settings.topic_prefix = "twinkeeper/bench";
  uplink::Link link;
  uplink::Statistics statistics;
  uplink::Courier courier(spool.value(), link, statistics, settings, "bench", clock, events);
  uplink::ConnectionTiming timing = uplink::ConnectionTiming::for_profile(settings.profile);
  uplink::ConnectTimes connect_times;
  uplink::Connection connection(link, statistics, settings, "bench", "ee6fb9f5-9108-4f94-8c63-3f67cf02cc1d", status,
                                clock, events, timing, connect_times);
  std::jthread thread([&](std::stop_token stop) { connection.run(std::move(stop)); });
  while (!statistics.connected) courier.run_once(10ms);
  courier.run_once(10ms);
  const Stopwatch watch;
  const auto most = static_cast<std::uint64_t>(messages);
  std::uint64_t submitted = 0;
  while (statistics.acknowledged_total < most) {
    while (submitted < most && submitted - statistics.acknowledged_total < 2 * kWindow) {
      courier.submit(
          {"twins.tanks.state", "twinkeeper.state/1", signals::MessageClass::state, clock.now(), false, kMembers});
      ++submitted;
    }
    courier.run_once(10ms);
  }
  const Cost cost = watch.per(messages);
  courier.stop(clock.now() + 1s);
  return cost;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: publish_cost PORT PKI DIRECTORY [ROUNDS] [MESSAGES]\n");
    return 64;
  }
  const int rounds = argc > 4 ? std::atoi(argv[4]) : 7;
  const int messages = argc > 5 ? std::atoi(argv[5]) : 10000;
  std::vector<double> wall_ratio, cpu_ratio, bare_wall, bare_cpu, whole_wall, whole_cpu;
  for (int round = 0; round < rounds; ++round) {
    const Cost plain = bare(argv[1], argv[2], messages);
    const Cost full = whole(argv[1], argv[2], argv[3], messages);
    std::printf("round %d: bare %.1f us wall, %.1f us CPU; spool, courier and connection %.1f us wall, %.1f us CPU\n",
                round, plain.wall_us, plain.cpu_us, full.wall_us, full.cpu_us);
    bare_wall.push_back(plain.wall_us);
    bare_cpu.push_back(plain.cpu_us);
    whole_wall.push_back(full.wall_us);
    whole_cpu.push_back(full.cpu_us);
    wall_ratio.push_back(full.wall_us / plain.wall_us);
    cpu_ratio.push_back(full.cpu_us / plain.cpu_us);
  }
  std::printf(
      "medians of a message: bare %.1f us wall, %.1f us CPU; whole %.1f us wall, %.1f us CPU; ratios %.2f wall, %.2f "
      "CPU\n",
      median(bare_wall), median(bare_cpu), median(whole_wall), median(whole_cpu), median(wall_ratio),
      median(cpu_ratio));
}
