// How far a command is, in one line on standard error that the next one writes over: on a terminal. Where standard
// error is a file or a pipe there is none of it.
//
// Thread rule: any thread. Allocates.
#pragma once

#include <mutex>
#include <string>

namespace twinkeeper::app {

class ProgressLine {
 public:
  // `command`: what the line begins with.
  explicit ProgressLine(std::string command);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void tell(const std::string& text);
  // The line is empty again: before anything else is written.
  void end();

 private:
  const std::string command_;
  const bool terminal_;
  std::mutex mutex_;
  bool told_ = false;
};

}  // namespace twinkeeper::app
