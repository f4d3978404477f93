// The way of a LINE instrument's bytes: lines, checksum, pattern, numbers; and patterns themselves, which a person may
// write as wrongly as they like.
//
// Input   mode (1) | mode 0: terminator, max_line, checksum, pattern (1 each), seed of the splits (2), bytes
//                  | mode 1: a pattern
#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "drivers/line_checksum.hpp"
#include "drivers/line_pattern.hpp"
#include "drivers/line_reader.hpp"
#include "drivers/text_decoder.hpp"
#include "fuzz_input.hpp"
#include "simulation/line_template.hpp"

namespace {

using namespace twinkeeper;
using drivers::LineFault;
using drivers::ValueType;
using fuzz::demand;

constexpr std::array kTerminators{"\n", "\r\n", "\r", "aba"};
constexpr std::array kTypes{ValueType::INT16,   ValueType::UINT16, ValueType::INT32,   ValueType::UINT32,
                            ValueType::INT64,   ValueType::UINT64, ValueType::FLOAT16, ValueType::FLOAT32,
                            ValueType::FLOAT64, ValueType::STRING, ValueType::BIT};

std::vector<drivers::LinePattern>& patterns() {
  static std::vector<drivers::LinePattern> all = [] {
    std::vector<drivers::LinePattern> out;
    for (const char* text : {R"(^\s*(?P<weight>[-+0-9.]+) kg)", R"((?P<a>.*?),(?P<b>[^*]*))",
                             R"(^(?P<x>(a+)+)$|(?P<y>[-+ 0-9.eE]+))", R"(>(?P<v>[+-]\d+\.\d{3}))"}) {
      out.push_back(drivers::LinePattern::compile(text).value());
    }
    return out;
  }();
  return all;
}

void decode(std::string_view text) {
  for (const ValueType type : kTypes) {
    drivers::RegisterSettings settings;
    settings.type = type;
    const auto decoded = drivers::decode_text(settings, text);
    if (!decoded) continue;
    demand(type == ValueType::STRING || std::isfinite(decoded->value), "a number is finite");
    demand(type != ValueType::STRING || decoded->raw.text == text, "a text is itself");
    demand(type == ValueType::STRING || !text.empty(), "nothing is no number");
  }
}

using Lines = std::vector<std::pair<LineFault, std::string>>;

Lines lines_of(drivers::LineReader& reader, std::span<const std::uint8_t> bytes, std::uint32_t splits) {
  Lines out;
  while (!bytes.empty()) {
    splits = splits * 1664525 + 1013904223;
    auto piece = bytes.first(std::min<std::size_t>(bytes.size(), splits == 0 ? bytes.size() : 1 + (splits >> 28)));
    bytes = bytes.subspan(piece.size());
    while (const auto line = reader.take(piece)) out.emplace_back(line->fault, std::string(line->text));
  }
  return out;
}

void read_lines(fuzz::Input& input) {
  drivers::LineSettings settings;
  settings.terminator = kTerminators[input.byte() % kTerminators.size()];
  settings.max_line = 1 + input.byte();
  settings.checksum = static_cast<drivers::LineChecksum>(input.byte() % 4);
  auto& pattern = patterns()[input.byte() % patterns().size()];
  const std::uint32_t splits = input.word();
  const auto bytes = input.bytes(SIZE_MAX);

  drivers::LineReader one(settings), other(settings);
  Lines whole;
  auto rest = bytes;
  while (const auto line = one.take(rest)) whole.emplace_back(line->fault, std::string(line->text));
  demand(lines_of(other, bytes, splits) == whole, "splits change nothing");
  demand(one.begun() == other.begun(), "splits change nothing of the line begun");

  std::vector<std::string_view> texts;
  for (const auto& [fault, text] : whole) {
    demand(text.size() <= static_cast<std::size_t>(settings.max_line), "no line is too long");
    demand(text.find(settings.terminator) == std::string::npos || settings.checksum != drivers::LineChecksum::none,
           "no terminator is in a line");
    if (fault != LineFault::none) continue;
    std::string again = text;
    drivers::append_checksum(settings.checksum, again);
    demand(drivers::without_checksum(settings.checksum, again) == text, "a checksum is that of its text");
    if (!pattern.match(text, texts)) continue;
    demand(texts.size() == pattern.groups().size(), "each group has its text");
    for (const std::string_view group : texts) decode(group);
  }
}

void read_pattern(fuzz::Input& input) {
  drivers::DeviceSettings device;
  device.transmission_mode = drivers::TransmissionMode::LINE;
  device.instrument.pattern = input.text(120);
  auto pattern = drivers::LinePattern::compile(device.instrument.pattern);
  const auto issues = drivers::examine_line(device);
  demand(pattern.ok() || !issues.empty(), "what RE2 refuses is told");
  if (!issues.empty()) return;
  for (const std::string& group : pattern.value().groups()) {
    device.registers.emplace_back();
    device.registers.back().name = device.registers.back().group = group;
    device.registers.back().type = ValueType::FLOAT64;
  }
  demand(drivers::examine_line(device).empty(), "its own groups are known");
  static_cast<void>(simulation::LineTemplate::create(device));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  if (input.byte() % 2 == 0) {
    read_lines(input);
  } else {
    read_pattern(input);
  }
  return 0;
}
