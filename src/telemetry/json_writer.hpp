// Writes the members of a JSON object one after the other, without the outer braces and without building a tree.
//
// A comma is put where one is due: that is after anything but an opening bracket, which the buffer's last byte tells
// (a string ends in a quote, so text can't be mistaken for a bracket).
// Thread rule: one thread. Allocation: only what the buffer needs to grow.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "telemetry/number.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/signals/quality.hpp"

namespace twinkeeper::telemetry {

// Of a value that is not good: what has no reason of its own has not been heard yet.
[[nodiscard]] inline std::string_view reason_text(signals::Reason reason) {
  return signals::to_string(reason == signals::Reason::none ? signals::Reason::stale : reason);
}

class JsonWriter {
 public:
  explicit JsonWriter(std::string& out, int digits = kDefaultDigits) : out_(out), digits_(digits) {}

  void key(std::string_view name);  // the next value belongs to it
  void comma();                     // before an element of an array

  void open_object(std::string_view name) { open(name, '{'); }
  void open_array(std::string_view name) { open(name, '['); }
  void open_element() {
    comma();
    out_ += '{';
  }
  void close_object() { out_ += '}'; }
  void close_array() { out_ += ']'; }

  void null(std::string_view name);
  void text(std::string_view name, std::string_view value);
  void text_or_null(std::string_view name, std::string_view value);  // null: empty
  void number(std::string_view name, double value);                  // null: not finite
  void number(std::string_view name, const std::optional<double>& value);
  void integer(std::string_view name, std::int64_t value);
  void natural(std::string_view name, std::uint64_t value);
  void boolean(std::string_view name, bool value);
  void milliseconds(std::string_view name, base::Duration value);  // whole, rounded down
  void timestamp(std::string_view name, base::WallTime value);     // RFC 3339
  void texts(std::string_view name, const std::vector<std::string>& values);

  [[nodiscard]] std::string& out() { return out_; }
  [[nodiscard]] int digits() const { return digits_; }

 private:
  void open(std::string_view name, char bracket);

  std::string& out_;
  int digits_;
};

}  // namespace twinkeeper::telemetry
