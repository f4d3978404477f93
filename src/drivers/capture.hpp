// Keeps all that a poller is told, so that the same poller can be run over it again and gives the same samples.
//
// A poller with its exchange has no will of its own: what it does follows from its settings, the origin of the grid,
// and what its clock and its transport answer. So a capture holds these answers in the order in which they were asked
// for. The transport itself runs on the real clock: what it waits for comes back as its answer.
//
//   CapturingClock      answers as the clock behind it and notes every reading of now()
//   CapturingTransport  the same for a transport: bytes, outcomes, states
//   TurnRecorder        gathers them; what one turn (one poll_due) asked is one block of lines, see capture_file.hpp
//   CaptureSink         where blocks go: bounded, never waits
// Blocks that find no room are counted and told before the next one that does.
// Thread rule: all of one connection belong to the thread of its poller (and before it starts, to the one that builds
// it). Allocation: the block's text.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/transport.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/sample.hpp"

namespace twinkeeper::drivers {

// Over every field of the samples added, bit by bit (FNV-1a, 64 bits).
class SampleChecksum {
 public:
  void add(const signals::Sample& sample) noexcept;
  [[nodiscard]] std::uint64_t value() const noexcept { return hash_; }

 private:
  void add(std::uint64_t bits) noexcept;
  std::uint64_t hash_ = 0xCBF29CE484222325;
};

class CaptureSink {
 public:
  virtual ~CaptureSink() = default;
  // False: no room, the block is dropped.
  virtual bool take(std::string&& block) = 0;
};

class TurnRecorder {
 public:
  // `endpoint`: number of the connection in the capture. `sink` outlives the recorder.
  TurnRecorder(std::size_t endpoint, base::Instant grid_origin, CaptureSink& sink);

  void reading(base::Instant now);
  void line(std::string_view text);  // one answer of the transport, without its end of line
  void sample(const signals::Sample& sample);
  void sample_found_no_room();  // the newest one: the twin thread's queue was full
  // `stopped`: a stop was requested, so the turn may have been cut short.
  void end_turn(bool stopped);

 private:
  void begin_line();

  const std::size_t endpoint_;
  const base::Instant origin_;
  CaptureSink& sink_;
  std::string block_;
  bool in_readings_ = false;  // the block ends with a line of clock readings, still open
  base::Instant newest_reading_;
  std::uint64_t samples_ = 0;
  SampleChecksum checksum_;
  std::uint64_t lost_turns_ = 0;
};

class CapturingClock final : public base::Clock {
 public:
  CapturingClock(const base::Clock& clock, TurnRecorder& recorder) : clock_(clock), recorder_(recorder) {}
  [[nodiscard]] base::Instant now() const override {
    const base::Instant now = clock_.now();
    recorder_.reading(now);
    return now;
  }
  [[nodiscard]] base::WallTime wall_now() const override { return clock_.wall_now(); }
  [[nodiscard]] bool synchronised() const override { return clock_.synchronised(); }
  void sleep_until(base::Instant deadline) const override { clock_.sleep_until(deadline); }

 private:
  const base::Clock& clock_;
  TurnRecorder& recorder_;
};

[[nodiscard]] std::unique_ptr<Transport> make_capturing_transport(std::unique_ptr<Transport> transport,
                                                                  TurnRecorder& recorder);

void append_hex(std::string& out, std::span<const std::uint8_t> bytes);

}  // namespace twinkeeper::drivers
