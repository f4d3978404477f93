// Answers Modbus requests in a stream of bytes from the register banks of one or several slave ids; what carries the
// bytes is the servers' business.
//
// Functions 1–4 are answered. Exceptions: 1 for another function, 2 for anything outside the span of configured
// registers of that kind, 3 for a count that no request may have. A slave id that is out (a dropout) is not answered.
// Modbus TCP: a slave id that nobody has here gets exception 0x0B (gateway target device failed to respond), as from a
// gateway. RTU: it gets nothing, as on a line; what is no frame is discarded together with all that came with it.
// Thread rule: one thread.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "drivers/pdu.hpp"
#include "simulation/register_map.hpp"
#include "simulation/responder.hpp"

namespace twinkeeper::simulation {

enum class Framing { mbap, rtu };

class ModbusResponder final : public Responder {
 public:
  struct Unit {
    int slave_id = 1;
    const RegisterBank* bank = nullptr;  // outlives the responder
    bool out = false;
  };

  ModbusResponder(Framing framing, std::vector<Unit> units) : framing_(framing), units_(std::move(units)) {}

  // False: what has been received is not Modbus TCP.
  bool answer(std::vector<std::uint8_t>& received, std::vector<std::uint8_t>& out, std::size_t most) override;

  void set_out(int slave_id, bool out) override;
  [[nodiscard]] bool all_out() const override;
  [[nodiscard]] std::uint64_t requests() const override { return requests_; }
  [[nodiscard]] std::uint64_t exceptions() const override { return exceptions_; }

 private:
  void answer_one(const drivers::ParsedRequest& parsed, std::vector<std::uint8_t>& out);
  void answer_from(const RegisterBank& bank, const drivers::ReadRequest& request, std::vector<std::uint8_t>& out);
  void refuse(const drivers::ReadRequest& request, std::uint8_t code, std::vector<std::uint8_t>& out);

  Framing framing_;
  std::vector<Unit> units_;
  std::uint64_t requests_ = 0;
  std::uint64_t exceptions_ = 0;
};

}  // namespace twinkeeper::simulation
