#include "drivers/line_reader.hpp"

#include <algorithm>

#include "drivers/line_checksum.hpp"

namespace twinkeeper::drivers {

std::string_view to_string(LineFault fault) noexcept {
  switch (fault) {
    case LineFault::none: return "none";
    case LineFault::over_long: return "longer than max_line";
    case LineFault::damaged: return "with a damaged byte";
    case LineFault::checksum: return "with a wrong checksum";
  }
  return "none";
}

LineReader::LineReader(const LineSettings& settings)
    : terminator_(settings.terminator),
      max_line_(static_cast<std::size_t>(std::max(1, settings.max_line))),
      checksum_(settings.checksum) {
  buffer_.reserve(max_line_ + terminator_.size() + 1);
}

std::optional<ReadLine> LineReader::take(std::span<const std::uint8_t>& bytes) {
  while (!bytes.empty()) {
    if (finished_) restart(Start::at_a_line);
    buffer_.push_back(static_cast<char>(bytes.front()));
    bytes = bytes.subspan(1);
    ++begun_;
    if (buffer_.ends_with(terminator_)) {
      if (auto line = end_line()) return line;
    } else if (buffer_.size() > max_line_ + terminator_.size()) {
      buffer_.erase(0, buffer_.size() - terminator_.size());  // a terminator may be under way
    }
  }
  return std::nullopt;
}

std::optional<ReadLine> LineReader::end_line() {
  finished_ = true;
  if (dropping_ || begun_ == terminator_.size()) return std::nullopt;
  ReadLine line{.fault = LineFault::none, .text = {}, .bytes = begun_};
  if (begun_ > max_line_ + terminator_.size()) {
    line.fault = LineFault::over_long;
    return line;
  }
  line.text = std::string_view{buffer_}.substr(0, buffer_.size() - terminator_.size());
  if (line.text.find('\0') != std::string_view::npos) {
    line.fault = LineFault::damaged;
  } else if (const auto text = without_checksum(checksum_, line.text)) {
    line.text = *text;
  } else {
    line.fault = LineFault::checksum;
  }
  return line;
}

void LineReader::restart(Start start) noexcept {
  buffer_.clear();
  begun_ = 0;
  finished_ = false;
  dropping_ = start == Start::cut;
}

}  // namespace twinkeeper::drivers
