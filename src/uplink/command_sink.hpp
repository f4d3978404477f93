// Where commands that arrive from the broker are left.
#pragma once

#include <string>

namespace twinkeeper::uplink {

class CommandSink {
 public:
  virtual ~CommandSink() = default;
  // `verb`: what stood behind P/command/. Returns at once. Thread rule: any thread.
  virtual void arrived(std::string verb, std::string payload, bool retained) = 0;
};

}  // namespace twinkeeper::uplink
