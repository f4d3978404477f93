#include "simulation/modbus_responder.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "drivers/mbap.hpp"
#include "drivers/rtu.hpp"

namespace twinkeeper::simulation {

namespace mbap = drivers::mbap;
namespace rtu = drivers::rtu;

bool ModbusResponder::answer(std::vector<std::uint8_t>& received, std::vector<std::uint8_t>& out, std::size_t most) {
  std::size_t taken = 0;
  bool good = true;
  while (out.size() < most) {
    const auto rest = std::span(std::as_const(received)).subspan(taken);
    const auto parsed = framing_ == Framing::mbap ? mbap::parse_request(rest) : rtu::parse_request(rest, false);
    if (parsed.state == drivers::RequestState::incomplete) break;
    if (parsed.state == drivers::RequestState::garbage) {
      taken = received.size();
      good = framing_ == Framing::rtu;
      break;
    }
    taken += parsed.frame_size;
    answer_one(parsed, out);
  }
  received.erase(received.begin(), received.begin() + static_cast<std::ptrdiff_t>(taken));
  return good;
}

void ModbusResponder::answer_one(const drivers::ParsedRequest& parsed, std::vector<std::uint8_t>& out) {
  const auto unit = std::find_if(units_.begin(), units_.end(),
                                 [&](const Unit& candidate) { return candidate.slave_id == parsed.request.unit; });
  const bool nobody = unit == units_.end();
  if ((nobody && framing_ == Framing::rtu) || (!nobody && unit->out)) return;
  ++requests_;
  if (nobody) {
    refuse(parsed.request, static_cast<std::uint8_t>(drivers::ExceptionCode::gateway_target_failed_to_respond), out);
  } else if (parsed.exception_code != 0) {
    refuse(parsed.request, parsed.exception_code, out);
  } else {
    answer_from(*unit->bank, parsed.request, out);
  }
}

void ModbusResponder::answer_from(const RegisterBank& bank, const drivers::ReadRequest& request,
                                  std::vector<std::uint8_t>& out) {
  constexpr std::array kKinds{drivers::RegisterKind::coil, drivers::RegisterKind::discrete,
                              drivers::RegisterKind::holding, drivers::RegisterKind::input};
  const auto kind = kKinds[request.function - 1U];
  const auto words = bank.at(kind, request.address, request.count);
  if (words.empty()) {
    refuse(request, static_cast<std::uint8_t>(drivers::ExceptionCode::illegal_data_address), out);
  } else if (drivers::is_bit_kind(kind)) {
    std::array<bool, drivers::kMaxBitsPerRequest> bits{};
    std::transform(words.begin(), words.end(), bits.begin(), [](std::uint16_t word) { return word != 0; });
    const auto append = framing_ == Framing::mbap ? mbap::append_bit_reply : rtu::append_bit_reply;
    append(request, std::span(bits).first(words.size()), out);
  } else {
    const auto append = framing_ == Framing::mbap ? mbap::append_word_reply : rtu::append_word_reply;
    append(request, words, out);
  }
}

void ModbusResponder::refuse(const drivers::ReadRequest& request, std::uint8_t code, std::vector<std::uint8_t>& out) {
  ++exceptions_;
  const auto append = framing_ == Framing::mbap ? mbap::append_exception_reply : rtu::append_exception_reply;
  append(request, code, out);
}

void ModbusResponder::set_out(int slave_id, bool out) {
  for (Unit& unit : units_) {
    if (unit.slave_id == slave_id) unit.out = out;
  }
}

bool ModbusResponder::all_out() const {
  return std::all_of(units_.begin(), units_.end(), [](const Unit& unit) { return unit.out; });
}

}  // namespace twinkeeper::simulation
