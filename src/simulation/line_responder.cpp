#include "simulation/line_responder.hpp"

#include <algorithm>
#include <utility>

#include "drivers/line_checksum.hpp"

namespace twinkeeper::simulation {

LineResponder::LineResponder(const drivers::DeviceSettings& device, LineTemplate lines, Values values)
    : settings_(device.instrument),
      interval_(device.poll_interval),
      lines_(std::move(lines)),
      values_(std::move(values)),
      speaks_at_(settings_.free_running() ? base::Instant{} : base::Instant::max()) {}

bool LineResponder::answer(std::vector<std::uint8_t>& received, std::vector<std::uint8_t>& out, std::size_t most) {
  const std::string& request = settings_.request;
  auto begin = received.begin();
  while (!settings_.free_running() && out.size() < most) {
    const auto found = std::search(begin, received.end(), request.begin(), request.end(),
                                   [](std::uint8_t byte, char c) { return byte == static_cast<std::uint8_t>(c); });
    if (found == received.end()) break;
    begin = found + static_cast<std::ptrdiff_t>(request.size());
    if (!out_) say(out);
  }
  received.erase(received.begin(), begin);
  // Of what is no request only its end can still become one.
  const std::size_t kept = settings_.free_running() ? 0 : request.size() - 1;
  if (out.size() < most && received.size() > kept) {
    received.erase(received.begin(), received.end() - static_cast<std::ptrdiff_t>(kept));
  }
  return true;
}

void LineResponder::speak(base::Instant now, std::vector<std::uint8_t>& out) {
  if (now < speaks_at_) return;
  const std::int64_t turns = (now - speaks_at_) / interval_ + 1;  // on whole multiples of the interval
  speaks_at_ += turns * interval_;
  if (!out_) say(out);
}

void LineResponder::say(std::vector<std::uint8_t>& out) {
  const auto values = values_();
  std::string line = lines_.line(values);
  drivers::append_checksum(settings_.checksum, line);
  line += settings_.terminator;
  out.insert(out.end(), line.begin(), line.end());
  ++lines_said_;
}

}  // namespace twinkeeper::simulation
