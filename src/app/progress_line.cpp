#include "app/progress_line.hpp"

#include <unistd.h>

#include <iostream>
#include <utility>

namespace twinkeeper::app {

ProgressLine::ProgressLine(std::string command)
    : command_(std::move(command)), terminal_(::isatty(STDERR_FILENO) == 1) {}

ProgressLine::~ProgressLine() { end(); }

void ProgressLine::tell(const std::string& text) {
  if (!terminal_) return;
  const std::lock_guard lock(mutex_);
  told_ = true;
  std::cerr << '\r' << command_ << ": " << text << "\033[K" << std::flush;
}

void ProgressLine::end() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(told_, false)) std::cerr << "\r\033[K" << std::flush;
}

}  // namespace twinkeeper::app
