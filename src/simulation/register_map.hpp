// The registers of the configured devices as words, the way clients read them.
//
// RegisterBank  what one slave id of one endpoint answers with: per kind the span from the lowest to the highest
//               configured address. Gaps inside the span read as 0, anything that leaves the span is no data.
// RegisterMap   tags to banks: values in engineering units go in, are encoded in the register's own type (inverse of
//               scale and offset, saturated) and read back as a client would. Faults change only what is served:
//               `stuck` leaves the words as they are, `bias` adds to the value before it is encoded.
//
// Devices with the same controller and slave id share a bank. The values of a LINE instrument, which have no addresses,
// lie in its bank one behind the other.
// Edge rules: STRING registers hold their device's name and take no values; an unknown tag is the caller's fault.
// Thread rule: one thread. Allocation: at construction only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "drivers/settings.hpp"

namespace twinkeeper::simulation {

class RegisterBank {
 public:
  // Widens the span of `kind`; before any word is written.
  void include(drivers::RegisterKind kind, std::uint16_t address, std::size_t count);
  // `count` words, or bits as 0 and 1, from `address`; empty unless all of them lie inside the span.
  [[nodiscard]] std::span<std::uint16_t> at(drivers::RegisterKind kind, std::uint16_t address, std::size_t count);
  [[nodiscard]] std::span<const std::uint16_t> at(drivers::RegisterKind kind, std::uint16_t address,
                                                  std::size_t count) const;

 private:
  struct Span {
    std::size_t first = 0;
    std::vector<std::uint16_t> words;
  };
  std::array<Span, 4> spans_;
};

class RegisterMap {
 public:
  RegisterMap(const std::vector<drivers::DeviceSettings>& devices, const std::vector<std::optional<double>>& constants);

  [[nodiscard]] std::size_t tag_count() const { return tags_.size(); }
  [[nodiscard]] std::size_t bank_count() const { return banks_.size(); }
  [[nodiscard]] std::size_t bank_of(std::size_t device) const { return bank_of_[device]; }
  [[nodiscard]] const RegisterBank& bank(std::size_t index) const { return banks_[index]; }

  // Returns what a client would read if there were no faults: `value` in the register's resolution.
  double set(signals::TagIndex tag, double value);
  // The same of the last set().
  [[nodiscard]] double value(signals::TagIndex tag) const { return tags_[tag].rounded; }
  // What a client reads now, faults included; NaN for text.
  [[nodiscard]] double served(signals::TagIndex tag) const;
  // The same before scale and offset, in the register's own type.
  [[nodiscard]] signals::RawValue raw(signals::TagIndex tag) const;

  void set_stuck(signals::TagIndex tag, bool stuck);
  void set_bias(signals::TagIndex tag, double bias);

 private:
  struct Tag {
    drivers::RegisterSettings settings;
    std::size_t bank = 0;
    double value = 0.0;    // as set
    double rounded = 0.0;  // as a client would decode it
    double bias = 0.0;
    bool stuck = false;
  };
  [[nodiscard]] std::span<const std::uint16_t> words(const Tag& tag) const;
  void write(const Tag& tag);

  std::vector<Tag> tags_;
  std::vector<RegisterBank> banks_;
  std::vector<std::size_t> bank_of_;  // by device
};

}  // namespace twinkeeper::simulation
