// An event sink that keeps what was raised.
#pragma once

#include <utility>
#include <vector>

#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::test {

struct CollectedEvents final : signals::EventSink {
  void raise(signals::Event event) override { raised.push_back(std::move(event)); }
  std::vector<signals::Event> raised;
};

}  // namespace twinkeeper::test
