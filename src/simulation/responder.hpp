// What stands behind one endpoint of the simulation and answers a stream of bytes, whatever carries them.
// Thread rule: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::simulation {

class Responder {
 public:
  virtual ~Responder() = default;
  // Takes whole requests off the front of `received` and appends their replies to `out`, until that has `most` bytes.
  // False: what has been received can't be understood; a connection is to be closed.
  virtual bool answer(std::vector<std::uint8_t>& received, std::vector<std::uint8_t>& out, std::size_t most) = 0;

  // When it speaks unasked, and what it says then to everyone; speak() moves speaks_at() beyond `now`.
  [[nodiscard]] virtual base::Instant speaks_at() const { return base::Instant::max(); }
  virtual void speak([[maybe_unused]] base::Instant now, [[maybe_unused]] std::vector<std::uint8_t>& out) {}

  virtual void set_out(int slave_id, bool out) = 0;
  [[nodiscard]] virtual bool all_out() const = 0;
  [[nodiscard]] virtual std::uint64_t requests() const = 0;
  [[nodiscard]] virtual std::uint64_t exceptions() const = 0;
};

}  // namespace twinkeeper::simulation
