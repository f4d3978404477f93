#include "simulation/register_map.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "drivers/decoder.hpp"
#include "drivers/pdu.hpp"

namespace twinkeeper::simulation {

void RegisterBank::include(drivers::RegisterKind kind, std::uint16_t address, std::size_t count) {
  Span& span = spans_[static_cast<std::size_t>(kind)];
  const std::size_t first = span.words.empty() ? address : std::min<std::size_t>(span.first, address);
  const std::size_t end = std::max(span.words.empty() ? 0 : span.first + span.words.size(), address + count);
  span.first = first;
  span.words.assign(end - first, 0);
}

std::span<std::uint16_t> RegisterBank::at(drivers::RegisterKind kind, std::uint16_t address, std::size_t count) {
  Span& span = spans_[static_cast<std::size_t>(kind)];
  if (address < span.first || address + count > span.first + span.words.size()) return {};
  return std::span(span.words).subspan(address - span.first, count);
}

std::span<const std::uint16_t> RegisterBank::at(drivers::RegisterKind kind, std::uint16_t address,
                                                std::size_t count) const {
  const Span& span = spans_[static_cast<std::size_t>(kind)];
  if (address < span.first || address + count > span.first + span.words.size()) return {};
  return std::span(span.words).subspan(address - span.first, count);
}

RegisterMap::RegisterMap(const std::vector<drivers::DeviceSettings>& devices,
                         const std::vector<std::optional<double>>& constants) {
  std::map<std::pair<std::string, int>, std::size_t> known;
  for (const drivers::DeviceSettings& device : devices) {
    const std::pair key(drivers::endpoint_key(device), device.slave_id);
    const std::size_t bank = known.emplace(key, known.size()).first->second;
    if (bank == banks_.size()) banks_.emplace_back();
    bank_of_.push_back(bank);
    for (const drivers::RegisterSettings& reg : device.registers) {
      banks_[bank].include(reg.kind, reg.address, drivers::word_count(reg));
      tags_.push_back({reg, bank});
    }
  }
  std::size_t next = 0;
  for (const drivers::DeviceSettings& device : devices) {
    for (std::size_t r = 0; r < device.registers.size(); ++r, ++next) {
      const Tag& tag = tags_[next];
      if (tag.settings.type == drivers::ValueType::STRING) {
        signals::RawValue text;
        text.kind = signals::RawKind::text;
        text.text = device.name;
        drivers::encode_words(
            tag.settings, text,
            banks_[tag.bank].at(tag.settings.kind, tag.settings.address, drivers::word_count(tag.settings)));
      } else {
        set(static_cast<signals::TagIndex>(next), next < constants.size() ? constants[next].value_or(0.0) : 0.0);
      }
    }
  }
}

double RegisterMap::set(signals::TagIndex index, double value) {
  Tag& tag = tags_[index];
  if (tag.settings.type == drivers::ValueType::STRING) return value;
  tag.value = value;
  std::array<std::uint16_t, 4> scratch{};  // the longest number has 64 bits
  if (drivers::is_bit_kind(tag.settings.kind)) {
    tag.rounded = drivers::decode_bit(tag.settings, drivers::raw_from_value(tag.settings, value).integer != 0).value;
  } else {
    const auto words = std::span(scratch).first(drivers::word_count(tag.settings));
    drivers::encode_value(tag.settings, value, words);
    tag.rounded = drivers::decode_words(tag.settings, words).value;
  }
  write(tag);
  return tag.rounded;
}

double RegisterMap::served(signals::TagIndex index) const {
  const Tag& tag = tags_[index];
  const auto words_now = words(tag);
  if (drivers::is_bit_kind(tag.settings.kind)) return drivers::decode_bit(tag.settings, words_now[0] != 0).value;
  return drivers::decode_words(tag.settings, words_now).value;
}

void RegisterMap::set_stuck(signals::TagIndex index, bool stuck) {
  tags_[index].stuck = stuck;
  write(tags_[index]);
}

void RegisterMap::set_bias(signals::TagIndex index, double bias) {
  tags_[index].bias = bias;
  write(tags_[index]);
}

std::span<const std::uint16_t> RegisterMap::words(const Tag& tag) const {
  return banks_[tag.bank].at(tag.settings.kind, tag.settings.address, drivers::word_count(tag.settings));
}

void RegisterMap::write(const Tag& tag) {
  if (tag.stuck || tag.settings.type == drivers::ValueType::STRING) return;
  const auto words = banks_[tag.bank].at(tag.settings.kind, tag.settings.address, drivers::word_count(tag.settings));
  const double value = tag.value + tag.bias;
  if (drivers::is_bit_kind(tag.settings.kind)) {
    words[0] = drivers::raw_from_value(tag.settings, value).integer != 0 ? 1 : 0;
  } else {
    drivers::encode_value(tag.settings, value, words);
  }
}

}  // namespace twinkeeper::simulation
