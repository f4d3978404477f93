#include "simulation/line_responder.hpp"

#include <algorithm>
#include <utility>

#include "drivers/line_checksum.hpp"

namespace twinkeeper::simulation {

LineResponder::LineResponder(std::vector<Instrument> instruments) : instruments_(std::move(instruments)) {
  for (const Instrument& one : instruments_) {
    longest_request_ = std::max(longest_request_, one.device.instrument.request.size());
  }
  speaks_at_ = longest_request_ == 0 ? base::Instant{} : base::Instant::max();
}

bool LineResponder::answer(std::vector<std::uint8_t>& received, std::vector<std::uint8_t>& out, std::size_t most) {
  auto begin = received.begin();
  while (out.size() < most) {
    Instrument* asked = nullptr;
    auto first = received.end();
    for (Instrument& one : instruments_) {
      const std::string& request = one.device.instrument.request;
      if (request.empty()) continue;
      const auto found = std::search(begin, received.end(), request.begin(), request.end(),
                                     [](std::uint8_t byte, char c) { return byte == static_cast<std::uint8_t>(c); });
      if (found == received.end() || found > first) continue;
      if (found == first && asked != nullptr && request.size() <= asked->device.instrument.request.size()) continue;
      asked = &one;
      first = found;
    }
    if (asked == nullptr) break;
    begin = first + static_cast<std::ptrdiff_t>(asked->device.instrument.request.size());
    say(*asked, out);
  }
  received.erase(received.begin(), begin);
  // Of what is no request only its end can still become one.
  const std::size_t kept = longest_request_ == 0 ? 0 : longest_request_ - 1;
  if (out.size() < most && received.size() > kept) {
    received.erase(received.begin(), received.end() - static_cast<std::ptrdiff_t>(kept));
  }
  return true;
}

void LineResponder::speak(base::Instant now, std::vector<std::uint8_t>& out) {
  if (now < speaks_at_) return;
  const base::Duration interval = instruments_.front().device.poll_interval;
  const std::int64_t turns = (now - speaks_at_) / interval + 1;  // on whole multiples of the interval
  speaks_at_ += turns * interval;
  say(instruments_.front(), out);
}

bool LineResponder::all_out() const {
  return std::all_of(instruments_.begin(), instruments_.end(), [](const Instrument& one) { return one.out; });
}

void LineResponder::say(Instrument& instrument, std::vector<std::uint8_t>& out) {
  if (instrument.out) return;
  const auto values = instrument.values();
  std::string line = instrument.lines.line(values);
  drivers::append_checksum(instrument.device.instrument.checksum, line);
  line += instrument.device.instrument.terminator;
  out.insert(out.end(), line.begin(), line.end());
  ++lines_said_;
}

}  // namespace twinkeeper::simulation
