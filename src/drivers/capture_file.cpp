#include "drivers/capture_file.hpp"

#include <charconv>
#include <sstream>
#include <utility>

#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::drivers {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::string_view kFirstLine = "twinkeeper capture 1";

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

template <class Number>
bool parse(const std::string& text, Number& value, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc{} && end == text.data() + text.size();
}

// A time whose sums with others stay in range: 73 years to either side.
bool parse_time(const std::string& text, std::int64_t& value) {
  constexpr std::int64_t kMost = 1LL << 61;
  return parse(text, value) && value >= -kMost && value <= kMost;
}

std::string nanoseconds(base::Duration duration) { return std::to_string(duration.count()); }

}  // namespace

std::string capture_header_text(const CaptureHeader& header) {
  std::string text = std::string(kFirstLine) + "\nversion: " + header.version + "\ngateway: " + header.gateway +
                     "\nconfig_hash: " + header.config_hash + "\nstarted: " + base::format_rfc3339(header.wall_start) +
                     "\nwall_ns: " + nanoseconds(header.wall_start.time_since_epoch()) +
                     "\nmonotonic_ns: " + nanoseconds(header.monotonic_start.time_since_epoch()) +
                     "\norigin_ns: " + nanoseconds(header.grid_origin.time_since_epoch()) + "\n";
  for (std::size_t i = 0; i < header.endpoints.size(); ++i) {
    text += "endpoint: " + std::to_string(i) + " " + header.endpoints[i].controller;
    for (const auto& device : header.endpoints[i].devices) text += " " + device;
    text += '\n';
  }
  for (const auto& model : header.models) text += "model: " + model.twin + " " + model.hash + "\n";
  return text + "\n";
}

base::Error CaptureReader::corrupt(const std::string& what) const {
  return {ErrorCode::corrupt, "line " + std::to_string(line_) + ": " + what};
}

bool CaptureReader::get_line(std::string& line) {
  if (!std::getline(*in_, line) || in_->eof()) return false;
  ++line_;
  return true;
}

base::Result<CaptureReader> CaptureReader::open(std::istream& in) {
  CaptureReader reader(in);
  if (base::Status status = reader.read_header(); !status.ok()) return std::move(status).error();
  return reader;
}

base::Status CaptureReader::read_header() {
  std::string line;
  if (!get_line(line) || line != kFirstLine) {
    line_ = 1;
    return corrupt("no capture of this format; it begins with \"" + std::string(kFirstLine) + "\"");
  }
  int times = 0;
  while (get_line(line)) {
    if (line.empty()) {
      if (times != 7) return corrupt("the header lacks wall_ns, monotonic_ns or origin_ns");
      if (header_.endpoints.empty()) return corrupt("the header names no endpoint");
      return base::Success{};
    }
    const std::size_t colon = line.find(": ");
    const std::string key = line.substr(0, colon);
    const std::string value = colon == std::string::npos ? std::string() : line.substr(colon + 2);
    const std::vector<std::string> words = words_of(value);
    std::int64_t number = 0;
    const bool numeric = parse_time(value, number);
    if (key == "version") {
      header_.version = value;
    } else if (key == "gateway") {
      header_.gateway = value;
    } else if (key == "config_hash") {
      header_.config_hash = value;
    } else if (key == "wall_ns" && numeric) {
      header_.wall_start = base::WallTime{base::Duration{number}};
      times |= 1;
    } else if (key == "monotonic_ns" && numeric) {
      header_.monotonic_start = base::Instant{base::Duration{number}};
      times |= 2;
    } else if (key == "origin_ns" && numeric) {
      header_.grid_origin = base::Instant{base::Duration{number}};
      times |= 4;
    } else if (key == "endpoint" && words.size() >= 3 && words[0] == std::to_string(header_.endpoints.size())) {
      header_.endpoints.push_back({words[1], {words.begin() + 2, words.end()}});
    } else if (key == "model" && words.size() == 2) {
      header_.models.push_back({words[0], words[1]});
    } else if (key != "started") {
      return corrupt("\"" + line + "\" does not belong into the header");
    }
  }
  return corrupt("the header breaks off");
}

base::Status CaptureReader::read_turn(CaptureBlock& block, bool& torn) {
  std::string line;
  while (get_line(line)) {
    if (line.empty() || line[0] != 'E') {
      block.lines.push_back(std::move(line));
      continue;
    }
    const std::vector<std::string> words = words_of(line);
    block.stopped = words.size() == 4 && words[3] == "stopped";
    if ((words.size() != 3 && !block.stopped) || !parse(words[1], block.samples) ||
        !parse(words[2], block.checksum, 16)) {
      return corrupt("\"" + line + "\" does not end a turn");
    }
    return base::Success{};
  }
  torn = true;
  return base::Success{};
}

base::Result<std::optional<CaptureBlock>> CaptureReader::next() {
  using Found = std::optional<CaptureBlock>;
  std::string line;
  if (!get_line(line)) return Found{};
  CaptureBlock block;
  block.line = line_;
  const std::vector<std::string> words = words_of(line);
  const std::string kind = words.empty() ? std::string() : words[0];
  std::int64_t time = 0;
  const auto is = [&](const char* name, std::size_t size) { return kind == name && words.size() == size; };
  const auto endpoint = [&] { return parse(words[1], block.endpoint) && block.endpoint < header_.endpoints.size(); };
  if (is("T", 3) && endpoint() && parse_time(words[2], time)) {
    block.kind = CaptureBlock::Kind::turn;
    bool torn = false;
    if (base::Status status = read_turn(block, torn); !status.ok()) return std::move(status).error();
    if (torn) return Found{};
  } else if (is("K", 4) && endpoint() && parse(words[2], block.number) && parse_time(words[3], time)) {
    block.kind = CaptureBlock::Kind::late_sample;
  } else if (is("W", 2) && parse_time(words[1], time)) {
    block.kind = CaptureBlock::Kind::whole_until;
  } else if (is("G", 2) && parse_time(words[1], time)) {
    block.kind = CaptureBlock::Kind::given_up;
  } else if (is("L", 3) && endpoint() && parse(words[2], block.number)) {
    block.kind = CaptureBlock::Kind::lost;
  } else if (is("Z", 2)) {
    block.kind = CaptureBlock::Kind::end;
    block.reason = words[1];
  } else {
    return corrupt("\"" + line.substr(0, 60) + "\" begins no block");
  }
  block.time = header_.grid_origin + base::Duration{time};
  return Found{std::move(block)};
}

}  // namespace twinkeeper::drivers
