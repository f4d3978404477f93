// A serial line without a wire: the end under a name is the driver's, the other one the test's.
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <string>

#include "support/catch.hpp"

namespace twinkeeper::test {

class PseudoTerminal {
 public:
  PseudoTerminal() : far_end_(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    REQUIRE(far_end_ >= 0);
    REQUIRE(::grantpt(far_end_) == 0);
    REQUIRE(::unlockpt(far_end_) == 0);
    std::array<char, 64> name{};
    REQUIRE(::ptsname_r(far_end_, name.data(), name.size()) == 0);
    name_ = name.data();
    // Raw and open from the beginning, or what is written before the driver opens it would be echoed.
    kept_open_ = ::open(name_.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);
    termios settings{};
    REQUIRE(::tcgetattr(kept_open_, &settings) == 0);
    ::cfmakeraw(&settings);
    REQUIRE(::tcsetattr(kept_open_, TCSANOW, &settings) == 0);
  }
  ~PseudoTerminal() {
    ::close(kept_open_);
    ::close(far_end_);
  }
  PseudoTerminal(const PseudoTerminal&) = delete;
  PseudoTerminal& operator=(const PseudoTerminal&) = delete;
  [[nodiscard]] int far_end() const { return far_end_; }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  int far_end_;
  int kept_open_ = -1;
  std::string name_;
};

}  // namespace twinkeeper::test
