#include "simulation/truth_writer.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>
#include <utility>

namespace twinkeeper::simulation {
namespace {

base::Error failure(const std::string& file, const std::string& what, int number) {
  auto code = base::ErrorCode::io;
  if (number == EACCES || number == EPERM || number == EROFS) code = base::ErrorCode::permission_denied;
  if (number == ENOENT) code = base::ErrorCode::not_found;
  return {code, "truth file '" + file + "': " + what + ": " + std::generic_category().message(number)};
}

void append(std::string& line, double value) {
  std::array<char, 32> text{};
  const auto result = std::to_chars(text.data(), text.data() + text.size(), value);
  line.append(text.data(), result.ptr);
}

}  // namespace

TruthWriter::TruthWriter(std::string name, std::FILE* file, std::vector<std::size_t> counts)
    : name_(std::move(name)), file_(file), counts_(std::move(counts)) {}

base::Result<TruthWriter> TruthWriter::open(const std::string& file, const std::vector<TwinSettings>& twins) {
  std::FILE* stream = std::fopen(file.c_str(), "we");
  if (stream == nullptr) return failure(file, "cannot be written", errno);
  std::vector<std::size_t> counts;
  for (const TwinSettings& twin : twins) counts.push_back(twin.model.states.size());
  TruthWriter writer(file, stream, std::move(counts));
  writer.line_ = "time[s]";
  for (const TwinSettings& twin : twins) {
    for (const model::Signal& state : twin.model.states) {
      writer.line_ += "," + twin.name + "." + state.name;
      if (!state.unit.empty()) writer.line_ += "[" + state.unit + "]";
    }
  }
  writer.line_ += "\n";
  if (auto status = writer.put(); !status) return std::move(status).error();
  if (auto status = writer.flush(); !status) return std::move(status).error();
  return writer;
}

base::Status TruthWriter::write(base::WallTime time, const std::vector<const Eigen::VectorXd*>& states) {
  const auto microseconds = std::chrono::floor<std::chrono::microseconds>(time.time_since_epoch()).count();
  std::array<char, 40> stamp{};
  std::snprintf(stamp.data(), stamp.size(), "%lld.%06lld", static_cast<long long>(microseconds / 1000000),
                static_cast<long long>(microseconds % 1000000));
  line_ = stamp.data();
  for (std::size_t t = 0; t < states.size(); ++t) {
    for (std::size_t s = 0; s < counts_[t]; ++s) {
      line_ += ',';
      if (states[t] != nullptr) append(line_, (*states[t])[static_cast<Eigen::Index>(s)]);
    }
  }
  line_ += '\n';
  if (auto status = put(); !status) return status;
  // A wall clock that is set back must not keep the rows in the buffer.
  if (time < flushed_ || time - flushed_ >= std::chrono::seconds{1}) {
    flushed_ = time;
    return flush();
  }
  return base::Success{};
}

base::Status TruthWriter::put() {
  if (std::fwrite(line_.data(), 1, line_.size(), file_.get()) == line_.size()) return base::Success{};
  return failure(name_, "cannot be written", errno);
}

base::Status TruthWriter::flush() {
  if (std::fflush(file_.get()) == 0) return base::Success{};
  return failure(name_, "cannot be written", errno);
}

}  // namespace twinkeeper::simulation
