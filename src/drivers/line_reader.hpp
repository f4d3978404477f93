// Cuts lines out of bytes that come in pieces of any size. Pure: no I/O, no clock.
//
// A line ends in `terminator`; what lies between two terminators is one line, whatever pieces it came in. Faults:
//   over_long  more than `max_line` bytes before the terminator: all of them are dropped
//   damaged    a byte 0 in it, which is how the kernel gives a byte with a parity or framing error
//   checksum   missing or wrong (line_checksum.hpp)
// Lines without any byte are passed over: some instruments put one before each reply.
// After restart(cut) the bytes up to the first terminator are dropped: they may be the end of a line whose beginning
// nobody read, and "2.5 kg" is as good a weight as "12.5 kg".
// Thread rule: one thread. Allocation: at construction only; `text` is valid until the next call of take() or
// restart().
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "drivers/settings.hpp"

namespace twinkeeper::drivers {

enum class LineFault : std::uint8_t { none, over_long, damaged, checksum };
[[nodiscard]] std::string_view to_string(LineFault fault) noexcept;

struct ReadLine {
  LineFault fault = LineFault::none;
  std::string_view text;  // without terminator and checksum; with damaged or checksum: all of the line
  std::size_t bytes = 0;  // on the wire, terminator included
};

class LineReader {
 public:
  explicit LineReader(const LineSettings& settings);

  // Takes bytes off the front of `bytes` up to the end of the first line; nothing: all were taken and no line ended.
  [[nodiscard]] std::optional<ReadLine> take(std::span<const std::uint8_t>& bytes);

  enum class Start { at_a_line, cut };
  // Forgets the line begun.
  void restart(Start start) noexcept;
  // Bytes of the line begun.
  [[nodiscard]] std::size_t begun() const noexcept { return finished_ ? 0 : begun_; }

 private:
  [[nodiscard]] std::optional<ReadLine> end_line();

  const std::string terminator_;
  const std::size_t max_line_;
  const LineChecksum checksum_;
  std::string buffer_;     // the line begun; of one that is too long, its end
  std::size_t begun_ = 0;  // all bytes of it
  bool dropping_ = false;  // up to the next terminator
  bool finished_ = false;  // buffer_ holds a line that was handed out
};

}  // namespace twinkeeper::drivers
