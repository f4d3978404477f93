// One endpoint of the simulation, whatever carries its bytes and whatever they mean (responder.hpp).
//
// Use: watch() appends descriptors to a poll(2) set, serve() takes them back after poll; run_once() does both.
// Thread rule: one thread.
#pragma once

#include <poll.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::simulation {

class Descriptor {  // closes what it owns
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : number_(other.number_) { other.number_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept;
  void close() noexcept;
  [[nodiscard]] bool open() const noexcept { return number_ >= 0; }
  [[nodiscard]] int number() const noexcept { return number_; }

 private:
  int number_ = -1;
};

class ModbusServer {
 public:
  virtual ~ModbusServer() = default;

  virtual void set_out(int slave_id, bool out) = 0;
  // Opens or closes the endpoint as the units that are out demand. Fails while it can't be had again.
  [[nodiscard]] virtual base::Status settle() = 0;

  virtual void watch(std::vector<pollfd>& set) = 0;
  // `ready`: exactly what the last watch() appended, with revents filled in.
  virtual void serve(std::span<const pollfd> ready) = 0;
  // When something is to be said unasked, and the saying of it.
  [[nodiscard]] virtual base::Instant speaks_at() const { return base::Instant::max(); }
  virtual void speak([[maybe_unused]] base::Instant now) {}
  [[nodiscard]] base::Status run_once(base::Duration timeout);

  [[nodiscard]] virtual std::string address() const = 0;
  [[nodiscard]] virtual std::uint16_t port() const = 0;  // 0: none
  [[nodiscard]] virtual std::size_t clients() const = 0;
  [[nodiscard]] virtual std::uint64_t requests() const = 0;
  [[nodiscard]] virtual std::uint64_t exceptions() const = 0;
};

}  // namespace twinkeeper::simulation
