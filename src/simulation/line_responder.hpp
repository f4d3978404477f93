// Instruments that talk lines of text on one line: each answers its own request, or one alone speaks once per poll
// interval.
//
// What comes in is looked through for the requests; anything else is passed over. Of two requests that begin at the
// same byte the longer one is meant. An instrument that is out (a dropout) says nothing. Lines carry the values of the
// instrument's registers as they stand (register_map.hpp), faults included. A slave id is the instrument's position.
// Thread rule: one thread.
#pragma once

#include <functional>
#include <vector>

#include "drivers/settings.hpp"
#include "simulation/line_template.hpp"
#include "simulation/responder.hpp"

namespace twinkeeper::simulation {

class LineResponder final : public Responder {
 public:
  using Values = std::function<std::vector<signals::RawValue>()>;  // by register of the device
  struct Instrument {
    drivers::DeviceSettings device;
    LineTemplate lines;
    Values values;
    bool out = false;
  };

  // At least one; a free running one has no others beside it.
  explicit LineResponder(std::vector<Instrument> instruments);

  bool answer(std::vector<std::uint8_t>& received, std::vector<std::uint8_t>& out, std::size_t most) override;
  [[nodiscard]] base::Instant speaks_at() const override { return speaks_at_; }
  void speak(base::Instant now, std::vector<std::uint8_t>& out) override;
  void set_out(int instrument, bool out) override { instruments_.at(static_cast<std::size_t>(instrument)).out = out; }
  [[nodiscard]] bool all_out() const override;
  [[nodiscard]] std::uint64_t requests() const override { return lines_said_; }
  [[nodiscard]] std::uint64_t exceptions() const override { return 0; }

 private:
  void say(Instrument& instrument, std::vector<std::uint8_t>& out);

  std::vector<Instrument> instruments_;
  std::size_t longest_request_ = 0;
  base::Instant speaks_at_;
  std::uint64_t lines_said_ = 0;
};

}  // namespace twinkeeper::simulation
