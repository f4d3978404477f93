// JSON as text, as it may stand in a script element of HTML: `<` is written as \u003c, so nothing in it ends the
// element. Whoever writes sees to it that keys are in objects and values where values belong.
// Thread rule: one thread. Allocates.
#pragma once

#include <string>
#include <string_view>

namespace twinkeeper::logs {

class JsonText {
 public:
  JsonText& begin(char bracket);  // { or [
  JsonText& end(char bracket);    // } or ]
  JsonText& key(std::string_view name);
  JsonText& text(std::string_view value);           // bytes that are no UTF-8 become U+FFFD
  JsonText& number(double value, int digits = 17);  // significant ones; the shortest text with 17; not finite: null
  JsonText& flag(bool value);
  [[nodiscard]] const std::string& str() const { return out_; }

 private:
  void separate();
  std::string out_;
  bool first_ = true;
};

}  // namespace twinkeeper::logs
