// An instrument that talks lines of text: answers its request, or speaks once per poll interval.
//
// What comes in is looked through for the request; anything else is passed over. While it is out (a dropout) it says
// nothing. Lines carry the values of the instrument's registers as they stand (register_map.hpp), faults included.
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

  LineResponder(const drivers::DeviceSettings& device, LineTemplate lines, Values values);

  bool answer(std::vector<std::uint8_t>& received, std::vector<std::uint8_t>& out, std::size_t most) override;
  [[nodiscard]] base::Instant speaks_at() const override { return speaks_at_; }
  void speak(base::Instant now, std::vector<std::uint8_t>& out) override;
  void set_out(int, bool out) override { out_ = out; }
  [[nodiscard]] bool all_out() const override { return out_; }
  [[nodiscard]] std::uint64_t requests() const override { return lines_said_; }
  [[nodiscard]] std::uint64_t exceptions() const override { return 0; }

 private:
  void say(std::vector<std::uint8_t>& out);

  const drivers::LineSettings settings_;
  const base::Duration interval_;
  LineTemplate lines_;
  Values values_;
  base::Instant speaks_at_;
  bool out_ = false;
  std::uint64_t lines_said_ = 0;
};

}  // namespace twinkeeper::simulation
