#include "app/replay_csv.hpp"

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>

#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::app {
namespace {

std::string cell(double value) {
  if (std::isnan(value)) return "";
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof digits, value).ptr};
}

// Text between quotes, if it needs them.
std::string quoted(const std::string& text) {
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
    case signals::RawKind::text: return quoted(raw.text);
  }
  return "";
}

}  // namespace

base::Result<CsvFile> CsvFile::open(const std::string& file) {
  std::ofstream out(file, std::ios::trunc);
  if (out) return CsvFile(file, std::move(out));
  const int cause = errno;
  return base::Error(cause == ENOENT ? base::ErrorCode::not_found : base::ErrorCode::io,
                     file + ": " + std::strerror(cause));
}

base::Status CsvFile::close() {
  errno = 0;
  out_.close();
  if (out_) return base::Success{};
  return base::Error(base::ErrorCode::io, name_ + " can't be written: " + std::strerror(errno));
}

std::string StepTable::header() const {
  const auto& model = plan_.models[twin_];
  std::string line = "time,step,mode,regime";
  for (const auto& state : model.states) line += ",x." + state.name + ",sd." + state.name;
  for (const auto& input : model.inputs) line += ",u." + input.name;
  for (const auto& output : model.outputs) {
    for (const char* column : {",y.", ",yhat.", ",nu.", ",fused.", ",q."}) line += column + output.name;
  }
  return line + ",nis,nis_dof,anomaly";
}

void StepTable::take(const diagnosis::AnomalyEvent& event) {
  using diagnosis::AnomalyKind;
  const bool counts =
      event.kind == AnomalyKind::sensor || event.kind == AnomalyKind::process || event.kind == AnomalyKind::model;
  if (event.owner_kind != diagnosis::OwnerKind::twin || event.owner != plan_.config.twins[twin_].name || !counts)
    return;
  if (event.event == diagnosis::AnomalyEventKind::raised) raised_.insert(event.id);
  if (event.event == diagnosis::AnomalyEventKind::cleared) raised_.erase(event.id);
}

std::string StepTable::row(const estimation::TwinStep& step, base::WallTime time) const {
  std::string line = base::format_rfc3339(time) + "," + std::to_string(step.step) + "," +
                     std::string(estimation::to_string(step.mode)) + ",";
  for (std::size_t i = 0; i < step.x.size(); ++i) line += "," + cell(step.x[i]) + "," + cell(step.std[i]);
  for (const auto& input : step.inputs) line += "," + cell(input.value);
  for (const auto& output : step.outputs) {
    line += "," + cell(output.measured) + "," + cell(output.expected) + "," + cell(output.innovation) + "," +
            (output.fused ? "1" : "0") + "," + std::string(signals::to_string(output.quality));
  }
  line += step.nis_dof > 0 ? "," + cell(step.nis) + "," + std::to_string(step.nis_dof) : ",,";
  return line + (raised_.empty() ? ",0" : ",1");
}

std::string SampleTable::row(const signals::Sample& sample, base::WallTime time) const {
  const bool good = sample.reason == signals::Reason::none;
  return base::format_rfc3339(time) + "," + std::to_string(sample.time.time_since_epoch().count()) + "," +
         names_[sample.tag] + "," + cell(sample.value) + "," + cell(sample.raw) + "," +
         std::string(signals::to_string(sample.quality)) + "," +
         (good ? std::string() : std::string(signals::to_string(sample.reason)));
}

}  // namespace twinkeeper::app
