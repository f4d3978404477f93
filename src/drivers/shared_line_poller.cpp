#include "drivers/shared_line_poller.hpp"

#include <algorithm>
#include <utility>

#include "drivers/back_off.hpp"

namespace twinkeeper::drivers {

// The transport of all, and what its newest attempt to connect came to.
class SharedLinePoller::Line {
 public:
  Line(std::unique_ptr<Transport> transport, const base::Clock& clock)
      : transport_(std::move(transport)), clock_(clock) {}

  [[nodiscard]] Transport& transport() const noexcept { return *transport_; }

  base::Status connect(base::Duration timeout) {
    if (back_off_.blocks(clock_.now())) return outcome_;
    outcome_ = transport_->connect(timeout);
    if (outcome_.ok()) {
      back_off_.clear();
    } else {
      back_off_.fail(clock_.now());
    }
    return outcome_;
  }

 private:
  const std::unique_ptr<Transport> transport_;
  const base::Clock& clock_;
  BackOff back_off_;
  base::Status outcome_ = base::Success{};
};

// The line as one of its instruments sees it.
class SharedLinePoller::View final : public Transport {
 public:
  explicit View(Line& line) : line_(line) {}

  base::Status connect(base::Duration timeout) override { return line_.connect(timeout); }
  base::Status send(std::span<const std::uint8_t> frame, base::Instant deadline) override {
    return line_.transport().send(frame, deadline);
  }
  base::Result<std::size_t> receive(std::span<std::uint8_t> into, base::Instant deadline) override {
    return line_.transport().receive(into, deadline);
  }
  bool quiet() noexcept override { return line_.transport().quiet(); }
  bool discard_input() noexcept override { return line_.transport().discard_input(); }
  bool reopening_discards() const noexcept override { return line_.transport().reopening_discards(); }
  void close() noexcept override { line_.transport().close(); }
  bool connected() const noexcept override { return line_.transport().connected(); }

 private:
  Line& line_;
};

SharedLinePoller::SharedLinePoller(std::vector<DeviceSettings> devices, base::Instant grid_origin,
                                   const base::Clock& clock, SampleSink& samples, signals::EventSink& events,
                                   std::unique_ptr<Transport> transport)
    : line_(std::make_unique<Line>(std::move(transport), clock)) {
  for (DeviceSettings& device : devices) {
    pollers_.push_back(std::make_unique<LinePoller>(std::move(device), grid_origin, clock, samples, events,
                                                    std::make_unique<View>(*line_)));
  }
  for (const auto& poller : pollers_) {
    std::vector<LinePoller*> others;
    for (const auto& other : pollers_) {
      if (other != poller) others.push_back(other.get());
    }
    poller->share_line_with(std::move(others));
  }
}

SharedLinePoller::~SharedLinePoller() = default;

LinePoller& SharedLinePoller::earliest() const noexcept {
  return **std::min_element(pollers_.begin(), pollers_.end(), [](const auto& a, const auto& b) {
    return std::pair(a->due(), a->newest_request()) < std::pair(b->due(), b->newest_request());
  });
}

base::Instant SharedLinePoller::poll_due(std::stop_token stop) {
  earliest().poll_due(std::move(stop));
  return earliest().due();
}

const DeviceStatistics& SharedLinePoller::statistics(std::size_t device) const {
  return pollers_.at(device)->statistics(0);
}

base::Duration SharedLinePoller::longest_block() const noexcept {
  base::Duration longest{};
  for (const auto& poller : pollers_) longest = std::max(longest, poller->longest_block());
  return longest;
}

}  // namespace twinkeeper::drivers
