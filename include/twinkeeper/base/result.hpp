// Result<T>: a value or an Error, for everything that the run-time environment can make fail.
//
// Errors carry a code (what a caller can react to), a message (what a person reads), whether trying again later
// makes sense, and the chain of contexts they passed through. No exception crosses a layer; a third-party exception
// ends in the one .cpp that includes the library and becomes an Error there.
#pragma once

#include <cstdlib>
#include <string>
#include <utility>
#include <variant>

namespace twinkeeper::base {

enum class ErrorCode {
  invalid_argument,   // the caller's value can never work
  not_found,          // a named file, host or row is absent
  permission_denied,  // the system or the peer refuses
  timeout,            // nothing arrived in time
  unavailable,        // the peer is not there: refused, unreachable, name not resolved
  connection_lost,    // the peer was there and went away
  protocol,           // the peer answered with something that does not match the request
  exception,          // the peer answered with a well-formed refusal (a Modbus exception)
  io,                 // a system call failed
  corrupt,            // stored data are damaged
  newer_version,      // stored data are whole, in a form that only a newer version reads
  full,               // a bound was reached
  cancelled,          // a stop was requested
  internal,           // ours
};

[[nodiscard]] const char* to_string(ErrorCode code) noexcept;

class [[nodiscard]] Error {
 public:
  Error(ErrorCode code, std::string message, bool retryable = false)
      : code_(code), retryable_(retryable), message_(std::move(message)) {}

  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  [[nodiscard]] bool retryable() const noexcept { return retryable_; }
  [[nodiscard]] const std::string& message() const noexcept { return message_; }

  // Puts "context: " before the message; the outermost context stands first.
  Error with_context(const std::string& context) && {
    message_ = context + ": " + message_;
    return std::move(*this);
  }

 private:
  ErrorCode code_;
  bool retryable_;
  std::string message_;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool ok() const noexcept { return content_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  // Asking a failed Result for its value (or the reverse) is a broken invariant: the process aborts.
  [[nodiscard]] T& value() & { return ok() ? *std::get_if<0>(&content_) : broken<T>(); }
  [[nodiscard]] const T& value() const& { return ok() ? *std::get_if<0>(&content_) : broken<const T>(); }
  [[nodiscard]] T&& value() && { return std::move(value()); }
  [[nodiscard]] const Error& error() const& { return ok() ? broken<const Error>() : *std::get_if<1>(&content_); }
  [[nodiscard]] Error&& error() && { return std::move(ok() ? broken<Error>() : *std::get_if<1>(&content_)); }

 private:
  template <class U>
  [[noreturn]] static U& broken() {
    std::abort();
  }
  std::variant<T, Error> content_;
};

struct Success {};
using Status = Result<Success>;

}  // namespace twinkeeper::base
