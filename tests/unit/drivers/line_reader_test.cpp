#include "drivers/line_reader.hpp"

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "drivers/line_checksum.hpp"
#include "support/catch.hpp"

namespace {

using namespace twinkeeper::drivers;
using Lines = std::vector<std::pair<LineFault, std::string>>;

LineSettings settings_of(std::string terminator, int max_line = 16, LineChecksum checksum = LineChecksum::none) {
  LineSettings settings;
  settings.terminator = std::move(terminator);
  settings.max_line = max_line;
  settings.checksum = checksum;
  return settings;
}

void read(LineReader& reader, std::string_view bytes, Lines& lines, std::size_t& wire_bytes) {
  std::span<const std::uint8_t> rest{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
  while (const auto line = reader.take(rest)) {
    lines.emplace_back(line->fault, std::string(line->text));
    wire_bytes += line->bytes;
  }
  CHECK(rest.empty());
}

Lines lines_of(const LineSettings& settings, std::string_view bytes) {
  LineReader reader(settings);
  Lines lines;
  std::size_t wire_bytes = 0;
  read(reader, bytes, lines, wire_bytes);
  return lines;
}

}  // namespace

TEST_CASE("lines are what lies between terminators and empty ones are passed over") {
  CHECK(lines_of(settings_of("\r\n"), "12.5 kg\r\n\r\n 13 kg\r\n7") ==
        Lines{{LineFault::none, "12.5 kg"}, {LineFault::none, " 13 kg"}});
  CHECK(lines_of(settings_of("\r"), "\n12.5\r\n13\r") == Lines{{LineFault::none, "\n12.5"}, {LineFault::none, "\n13"}});
  CHECK(lines_of(settings_of("ab"), "aab1ab") == Lines{{LineFault::none, "a"}, {LineFault::none, "1"}});
}

TEST_CASE("a line longer than max_line is dropped to its terminator and told") {
  const std::string longest(16, 'x');
  CHECK(lines_of(settings_of("\r\n"), longest + "\r\n" + longest + "x\r\n5\r\n") ==
        Lines{{LineFault::none, longest}, {LineFault::over_long, ""}, {LineFault::none, "5"}});
  CHECK(lines_of(settings_of("\r\n"), std::string(100'000, 'x') + "\r\n6\r\n") ==
        Lines{{LineFault::over_long, ""}, {LineFault::none, "6"}});
}

TEST_CASE("a byte that came with a parity error damages its line") {
  CHECK(lines_of(settings_of("\n"), std::string("1\0.5\n2.5\n", 9)) ==
        Lines{{LineFault::damaged, std::string("1\0.5", 4)}, {LineFault::none, "2.5"}});
}

TEST_CASE("a line that may have been cut at its beginning is dropped") {
  LineReader reader(settings_of("\r\n"));
  Lines lines;
  std::size_t wire_bytes = 0;
  read(reader, "99", lines, wire_bytes);
  reader.restart(LineReader::Start::cut);
  CHECK(reader.begun() == 0);
  read(reader, "2.5 kg\r\n", lines, wire_bytes);
  CHECK(lines.empty());
  read(reader, "12.5 kg\r\n", lines, wire_bytes);
  CHECK(lines == Lines{{LineFault::none, "12.5 kg"}});
  read(reader, "77", lines, wire_bytes);
  CHECK(reader.begun() == 2);
  reader.restart(LineReader::Start::at_a_line);
  read(reader, "5\r\n", lines, wire_bytes);
  CHECK(lines.back().second == "5");
}

TEST_CASE("checksums are those of their standards") {
  // A sentence from the wild, a DCON reply whose sum is 3E 2B 31 2E 35 → FD, and the check value of CRC-16/MODBUS.
  const std::string sentence = "$GPGLL,4916.45,N,12311.12,W,225444,A,*1D";
  CHECK(without_checksum(LineChecksum::xor8, sentence) == sentence.substr(0, sentence.size() - 3));
  CHECK(without_checksum(LineChecksum::sum8, ">+1.5FD") == ">+1.5");
  CHECK(without_checksum(LineChecksum::sum8, ">+1.5fd") == ">+1.5");
  CHECK(without_checksum(LineChecksum::crc16, "1234567894B37") == "123456789");
  CHECK(without_checksum(LineChecksum::none, "1*00") == "1*00");
  for (const auto kind : {LineChecksum::xor8, LineChecksum::sum8, LineChecksum::crc16}) {
    CHECK_FALSE(without_checksum(kind, ""));
    CHECK_FALSE(without_checksum(kind, "A"));
    CHECK_FALSE(without_checksum(kind, "12.5*ZZZZ"));
    std::string line = "S S   12.50 kg";
    append_checksum(kind, line);
    CHECK(without_checksum(kind, line) == "S S   12.50 kg");
    for (std::size_t at = 0; at < line.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        std::string spoilt = line;
        spoilt[at] = static_cast<char>(spoilt[at] ^ (1 << bit));
        if ((spoilt[at] ^ line[at]) == 0x20 && at + 4 >= line.size()) continue;  // a digit in the other case
        INFO(spoilt);
        CHECK(without_checksum(kind, spoilt) != "S S   12.50 kg");
        CHECK_FALSE(without_checksum(kind, spoilt));
      }
    }
  }
}

TEST_CASE("however the bytes are split the lines are the same") {
  std::mt19937_64 random(7);
  const std::vector<std::string> terminators{"\n", "\r\n", "\r", "aba", "\r\n\r\n"};
  for (int round = 0; round < 2000; ++round) {
    const auto& terminator = terminators[random() % terminators.size()];
    const LineSettings settings =
        settings_of(terminator, 1 + static_cast<int>(random() % 12), static_cast<LineChecksum>(random() % 4));
    std::string bytes;
    for (std::size_t n = random() % 12; n > 0; --n) {
      std::string line;
      for (std::size_t k = random() % 16; k > 0; --k) line += std::string("ab\r\n*0A7.")[random() % 9];
      if (random() % 2 == 0) append_checksum(settings.checksum, line);
      bytes += line + (random() % 8 == 0 ? "" : terminator);
    }
    const Lines whole = lines_of(settings, bytes);
    LineReader reader(settings);
    Lines pieces;
    std::size_t wire_bytes = 0;
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t size = std::min<std::size_t>(1 + random() % 7, bytes.size() - at);
      read(reader, std::string_view(bytes).substr(at, size), pieces, wire_bytes);
      at += size;
    }
    CHECK(pieces == whole);
    CHECK(wire_bytes + reader.begun() <= bytes.size());
  }
}

TEST_CASE("every split of a short text gives the same lines") {
  const LineSettings settings = settings_of("\r\n", 5);
  const std::string bytes = "12\r\n\r\r\n123456\r\n7\r\n8";
  const Lines whole = lines_of(settings, bytes);
  REQUIRE(whole.size() == 4);
  for (std::uint32_t cuts = 0; cuts < 1U << (bytes.size() - 1); ++cuts) {
    LineReader reader(settings);
    Lines pieces;
    std::size_t from = 0;
    for (std::size_t at = 1; at <= bytes.size(); ++at) {
      if (at < bytes.size() && (cuts >> (at - 1) & 1U) == 0) continue;
      std::span<const std::uint8_t> rest{reinterpret_cast<const std::uint8_t*>(bytes.data()) + from, at - from};
      while (const auto line = reader.take(rest)) pieces.emplace_back(line->fault, std::string(line->text));
      from = at;
    }
    if (pieces != whole) FAIL("cuts " << cuts);
  }
}
