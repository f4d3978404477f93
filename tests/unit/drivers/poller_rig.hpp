// What the poller's tests share: sinks that remember, and a device of three fields for the scripted server.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "drivers/endpoint_poller.hpp"
#include "drivers/mbap.hpp"
#include "drivers/modbus_tcp_transport.hpp"

namespace twinkeeper::test {

class RememberingSamples final : public drivers::SampleSink {
 public:
  void accept(signals::Sample&& sample) override { samples.push_back(std::move(sample)); }
  std::vector<signals::Sample> take() { return std::exchange(samples, {}); }
  std::vector<signals::Sample> samples;
};

class RememberingEvents final : public signals::EventSink {
 public:
  void raise(signals::Event event) override { events.push_back(std::move(event)); }
  [[nodiscard]] std::vector<std::string> codes() const {
    std::vector<std::string> all;
    for (const auto& event : events) all.push_back(event.code);
    return all;
  }
  std::vector<signals::Event> events;
};

inline drivers::RegisterSettings word(signals::TagIndex tag, std::uint16_t address,
                                      drivers::RegisterKind kind = drivers::RegisterKind::holding) {
  drivers::RegisterSettings reg;
  reg.tag = tag;
  reg.address = address;
  reg.kind = kind;
  if (drivers::is_bit_kind(kind)) reg.type = drivers::ValueType::BIT;
  return reg;
}

}  // namespace twinkeeper::test
