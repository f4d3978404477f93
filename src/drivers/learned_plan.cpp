#include "drivers/learned_plan.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "drivers/names.hpp"
#include "drivers/pdu.hpp"

namespace twinkeeper::drivers {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kFirstWait = 10s;
constexpr base::Duration kLongestWait = 1h;

}  // namespace

std::vector<PlannedRequest> LearnedPlan::requests(const std::vector<std::size_t>& registers) const {
  std::vector<std::size_t> asked;
  for (const std::size_t reg : registers) {
    if (refused_.find(reg) == refused_.end()) asked.push_back(reg);
  }
  return plan_requests(device_, std::move(asked), limits_);
}

std::vector<PlannedRequest> LearnedPlan::trials(const std::vector<std::size_t>& registers, base::Instant now) const {
  std::vector<std::size_t> due;
  for (const std::size_t reg : registers) {
    const auto found = refused_.find(reg);
    if (found != refused_.end() && found->second.ask_at <= now) due.push_back(reg);
  }
  return due.empty() ? std::vector<PlannedRequest>{} : plan_requests(device_, std::move(due), limits_);
}

std::uint8_t LearnedPlan::waits(std::size_t reg, base::Instant now) const noexcept {
  const auto found = refused_.find(reg);
  return found != refused_.end() && found->second.ask_at > now ? found->second.code : std::uint8_t{0};
}

void LearnedPlan::accept(const PlannedRequest& request) {
  std::uint16_t& most = is_bit_kind(request.kind) ? most_bits_read_ : most_words_read_;
  most = std::max(most, request.count);
  if (refused_.empty()) return;
  for (const PlannedField& field : request.fields) {
    if (refused_.erase(field.reg) == 0) continue;
    limits_.refused.erase(field.reg);
    ++version_;
  }
}

void LearnedPlan::refuse(const PlannedRequest& request, std::uint8_t code, base::Instant now) {
  for (const PlannedField& field : request.fields) {
    const auto [place, first] = refused_.try_emplace(field.reg);
    Refusal& refusal = place->second;
    refusal.code = code;
    if (!first) refusal.wait = std::clamp(2 * refusal.wait, kFirstWait, kLongestWait);
    refusal.ask_at = now + refusal.wait;
    if (!first) continue;
    limits_.refused.insert(field.reg);
    ++version_;
  }
}

void LearnedPlan::narrow(const PlannedRequest& request, std::uint16_t second_half, std::uint8_t code) {
  const bool bits = is_bit_kind(request.kind);
  ++version_;
  if (code == static_cast<std::uint8_t>(ExceptionCode::illegal_data_value) &&
      request.count > (bits ? most_bits_read_ : most_words_read_)) {
    (bits ? limits_.max_bits : limits_.max_words) = bits ? most_bits_read_ : most_words_read_;
  } else {
    limits_.cuts.insert({request.kind, second_half});
  }
}

void LearnedPlan::ask_all_again(base::Instant now) noexcept {
  for (auto& [reg, refusal] : refused_) refusal.ask_at = std::min(refusal.ask_at, now);
}

std::string LearnedPlan::suggested_configuration() const {
  if (version_ == 0) return {};
  std::vector<std::string> keys;
  std::vector<std::string> workarounds;
  if (!limits_.cuts.empty()) {
    const std::size_t gap = smallest_gap_cut();
    if (gap == 0) {
      workarounds.emplace_back("one_request_per_field: true");
    } else if (gap == 1) {
      keys.emplace_back("optimization: none");
    } else {
      keys.push_back("optimization_max_register_fill: " + std::to_string(gap - 1));
    }
  }
  if (limits_.max_words < kMaxWordsPerRequest) {
    workarounds.push_back("max_word_registers_per_request: " + std::to_string(limits_.max_words));
  }
  if (limits_.max_bits < kMaxBitsPerRequest) {
    workarounds.push_back("max_bit_registers_per_request: " + std::to_string(limits_.max_bits));
  }
  const auto joined = [](const std::vector<std::string>& parts) {
    std::string text;
    for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
    return text;
  };
  if (!workarounds.empty()) keys.push_back("workarounds: {" + joined(workarounds) + "}");
  std::vector<std::string> refused;
  for (const auto& [reg, refusal] : refused_) {
    const RegisterSettings& settings = device_.registers[reg];
    refused.push_back(settings.name + " (" + std::string{to_string(settings.kind)} + " " +
                      std::to_string(settings.address) + ": " + std::string{exception_name(refusal.code)} + ")");
  }
  std::string text = keys.empty() ? "" : "{" + joined(keys) + "}";
  if (!refused.empty()) text += (text.empty() ? "# refused: " : "  # refused: ") + joined(refused);
  return text;
}

// Registers between the two neighbours that no request may join, the nearest ones of all cuts; 0: they touch. The same
// fill then keeps them apart by configuration. A gap of bits counts as the sixteenth part, as the fill does.
std::size_t LearnedPlan::smallest_gap_cut() const {
  std::size_t smallest = SIZE_MAX;
  for (const auto& [kind, address] : limits_.cuts) {
    std::size_t end = 0;
    for (const RegisterSettings& settings : device_.registers) {
      if (settings.kind != kind || settings.address >= address) continue;
      end = std::max(end, settings.address + (is_bit_kind(kind) ? std::size_t{1} : word_count(settings)));
    }
    const std::size_t gap = address > end ? address - end : 0;
    smallest = std::min(smallest, is_bit_kind(kind) ? (gap + 15) / 16 : gap);
  }
  return smallest;
}

}  // namespace twinkeeper::drivers
