// What one device has refused so far, and what follows for its requests.
//
// A refusal is the exception ILLEGAL FUNCTION, ILLEGAL DATA ADDRESS or ILLEGAL DATA VALUE. The poller halves a refused
// request on the spot until what remains is read or stands alone, and tells the outcome here:
//   refuse()  registers that are refused also alone, or whose function is: taken out of the plan and read along by no
//             gap. They are asked again, apart from the others, in the next cycle, then after 10 s, 20 s, … 1 h, and
//             all at once when a new connection may lead to a restarted device.
//   narrow()  both halves are read, the whole is not. With ILLEGAL DATA VALUE and more words (or bits) than any request
//             read so far, the device takes fewer per request; else it takes no request across that address.
// Nothing learned is forgotten but by a restart of the service; a refused register comes back when it is read.
// Thread rule: the poller's thread. Allocation: when something is learned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "drivers/request_planner.hpp"
#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::drivers {

class LearnedPlan {
 public:
  // `device` outlives the plan.
  explicit LearnedPlan(const DeviceSettings& device) : device_(device) {}

  // Of the given registers, those not refused.
  [[nodiscard]] std::vector<PlannedRequest> requests(const std::vector<std::size_t>& registers) const;
  // Of the given registers, those whose turn to be asked again has come.
  [[nodiscard]] std::vector<PlannedRequest> trials(const std::vector<std::size_t>& registers, base::Instant now) const;
  // The exception with which the register is refused and left alone until its next turn; 0: it is asked.
  [[nodiscard]] std::uint8_t waits(std::size_t reg, base::Instant now) const noexcept;

  void accept(const PlannedRequest& request);
  void refuse(const PlannedRequest& request, std::uint8_t code, base::Instant now);
  void narrow(const PlannedRequest& request, std::uint16_t second_half, std::uint8_t code);
  void ask_all_again(base::Instant now) noexcept;

  // Grows whenever requests() may have become different.
  [[nodiscard]] std::uint64_t version() const noexcept { return version_; }
  [[nodiscard]] std::size_t refused_registers() const noexcept { return refused_.size(); }
  // Device keys with which no request is refused, as a YAML flow mapping, and what no key can mend as a comment behind
  // it: "{workarounds: {max_word_registers_per_request: 60}}  # refused: …"; empty if nothing was learned.
  [[nodiscard]] std::string suggested_configuration() const;

 private:
  struct Refusal {
    std::uint8_t code = 0;
    base::Duration wait{};
    base::Instant ask_at;
  };
  [[nodiscard]] std::size_t smallest_gap_cut() const;

  const DeviceSettings& device_;
  DeviceLimits limits_;  // `refused` holds the keys of refused_
  std::map<std::size_t, Refusal> refused_;
  std::uint16_t most_words_read_ = 0;  // by one request
  std::uint16_t most_bits_read_ = 0;
  std::uint64_t version_ = 0;
};

}  // namespace twinkeeper::drivers
