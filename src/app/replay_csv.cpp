#include "app/replay_csv.hpp"

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::app {
namespace {

constexpr std::size_t kBlock = 1 << 16;

std::string cell(double value) {
  std::string out;
  append_shortest(out, value);
  return out;
}

// Text between quotes, if it needs them.
std::string csv_quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    out += c;
    if (c == '"') out += c;
  }
  return out + "\"";
}

std::string cell(const signals::RawValue& raw) {
  switch (raw.kind) {
    case signals::RawKind::none: break;
    case signals::RawKind::boolean:
    case signals::RawKind::signed_integer: return std::to_string(raw.integer);
    case signals::RawKind::unsigned_integer: return std::to_string(raw.natural);
    case signals::RawKind::float16:
    case signals::RawKind::float32:
    case signals::RawKind::float64: return cell(raw.real);
    case signals::RawKind::text: return csv_quoted(raw.text);
  }
  return "";
}

}  // namespace

void append_shortest(std::string& out, double value) {
  if (std::isnan(value)) return;
  char digits[32];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

base::Result<CsvFile> CsvFile::open(const std::string& file) {
  std::ofstream out(file, std::ios::trunc);
  if (out) return CsvFile(file, std::move(out));
  const int cause = errno;
  return base::Error(cause == ENOENT ? base::ErrorCode::not_found : base::ErrorCode::io,
                     file + ": " + std::strerror(cause));
}

bool is_same_file(const std::string& output, const std::string& input) {
  std::error_code unknown;
  return std::filesystem::equivalent(output, input, unknown);
}

void CsvFile::row(std::string_view line) {
  buffer_ += line;
  buffer_ += '\n';
  if (buffer_.size() < kBlock) return;
  out_.write(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
  buffer_.clear();
}

void CsvFile::flush() {
  out_.write(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
  buffer_.clear();
  out_.flush();
}

base::Status CsvFile::close() {
  errno = 0;
  out_.write(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
  out_.close();
  if (out_) return base::Success{};
  return base::Error(base::ErrorCode::io, name_ + " can't be written: " + std::strerror(errno));
}

std::string step_header(const model::StateSpace& model) {
  std::string line = "time,step,mode,regime";
  for (const auto& state : model.states) line += ",x." + state.name + ",sd." + state.name;
  for (const auto& input : model.inputs) line += ",u." + input.name;
  for (const auto& output : model.outputs) {
    for (const char* column : {",y.", ",yhat.", ",nu.", ",fused.", ",q."}) line += column + output.name;
  }
  return line + ",nis,nis_dof,anomaly";
}

void write_step(std::string& line, std::string_view time, std::int64_t step, const estimation::TwinStep& content,
                std::string_view regime, bool anomaly) {
  line.assign(time);
  const auto number = [&line](double value) {
    line += ',';
    append_shortest(line, value);
  };
  const auto integer = [&line](std::int64_t value) {
    char digits[24];
    line += ',';
    line.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  };
  integer(step);
  line += ',';
  line += estimation::to_string(content.mode);
  line += ',';
  line += regime;
  for (std::size_t i = 0; i < content.x.size(); ++i) {
    number(content.x[i]);
    number(content.std[i]);
  }
  for (const auto& input : content.inputs) number(input.value);
  for (const auto& output : content.outputs) {
    number(output.fresh ? output.measured : std::numeric_limits<double>::quiet_NaN());
    number(output.expected);
    number(output.innovation);
    line += output.fused ? ",1," : ",0,";
    line += signals::to_string(output.quality);
  }
  if (content.nis_dof > 0) {
    number(content.nis);
    integer(content.nis_dof);
  } else {
    line += ",,";
  }
  line += anomaly ? ",1" : ",0";
}

std::string SampleTable::row(const signals::Sample& sample, base::WallTime time) const {
  const bool good = sample.reason == signals::Reason::none;
  return base::format_rfc3339(time) + "," + std::to_string(sample.time.time_since_epoch().count()) + "," +
         names_[sample.tag] + "," + cell(sample.value) + "," + cell(sample.raw) + "," +
         std::string(signals::to_string(sample.quality)) + "," +
         (good ? std::string() : std::string(signals::to_string(sample.reason)));
}

}  // namespace twinkeeper::app
