#include "drivers/capture_replay.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include "drivers/builtin_drivers.hpp"
#include "drivers/capture.hpp"

namespace twinkeeper::drivers {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::int64_t kLongestStep = 1LL << 56;  // ns, more than two years; keeps sums in range

ErrorCode code_of(std::string_view name) {
  for (const ErrorCode code : {ErrorCode::timeout, ErrorCode::unavailable, ErrorCode::connection_lost, ErrorCode::io}) {
    if (name == base::to_string(code)) return code;
  }
  return ErrorCode::internal;
}

std::optional<std::vector<std::uint8_t>> bytes_of(std::string_view hex) {
  if (hex.size() % 2 != 0) return std::nullopt;
  std::vector<std::uint8_t> bytes(hex.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const char* first = hex.data() + 2 * i;
    if (std::from_chars(first, first + 2, bytes[i], 16).ptr != first + 2) return std::nullopt;
  }
  return bytes;
}

// What the recorded poller was answered in one turn, handed out in order.
class Answers {
 public:
  explicit Answers(base::Instant grid_origin) : now_(grid_origin) {}

  void begin(CaptureBlock turn) {
    turn_ = std::move(turn);
    stop_ = {};
    parted_.reset();
    line_ = 0;
    readings_ = {};
    no_room_.clear();
    for (const std::string& line : turn_.lines) {
      std::uint64_t number = 0;
      if (line.starts_with("f ")) std::from_chars(line.data() + 2, line.data() + line.size(), number);
      if (number > 0) no_room_.push_back(number);
    }
    now_ = turn_.time;
  }

  base::Instant reading() {
    if (readings_.empty()) {
      const std::string* line = next('n', "reads the clock");
      if (line == nullptr) return now_;
      readings_ = std::string_view(*line).substr(1);
    }
    std::int64_t step = 0;
    const char* last = readings_.data() + readings_.size();
    const char* first = readings_.empty() ? last : readings_.data() + 1;  // behind the blank
    const auto [end, error] = std::from_chars(first, last, step);
    if (error != std::errc{} || step > kLongestStep || step < -kLongestStep) {
      part("a line of readings is damaged");
      return now_;
    }
    readings_.remove_prefix(static_cast<std::size_t>(end - readings_.data()));
    now_ += base::Duration{step};
    return now_;
  }

  bool flag(char kind, const char* what) {
    const std::string* line = next(kind, what);
    return line != nullptr && line->ends_with('1');
  }

  // The hex text of an answer that may be an error.
  base::Result<std::string_view> text(char kind, const char* what) {
    const std::string* line = next(kind, what);
    if (line == nullptr) return Error{ErrorCode::connection_lost, "the capture has no answer", true};
    std::string_view rest = std::string_view(*line).substr(1);
    const std::size_t failed = rest.find("! ");
    if (failed == std::string_view::npos) return trimmed(rest);
    sent_before_error_ = trimmed(rest.substr(0, failed));
    rest.remove_prefix(failed + 2);
    const std::size_t colon = rest.find(": ");
    if (colon == std::string_view::npos) {
      part("an error without a text");
      return Error{ErrorCode::internal, "", true};
    }
    return Error{code_of(rest.substr(0, colon)), std::string(rest.substr(colon + 2)), true};
  }
  [[nodiscard]] std::string_view sent_before_error() const { return sent_before_error_; }

  void part(const std::string& what) {
    if (!parted_) parted_ = what + here();
    stop_.request_stop();
  }

  // What remains to be said when the turn is over.
  [[nodiscard]] std::optional<std::string> verdict(std::size_t samples, std::uint64_t checksum) {
    if (!turn_.stopped) {
      if (parted_) return parted_;
      if (next_line() != nullptr || !readings_.empty()) return "the recorded turn went on" + here();
    }
    if (samples != turn_.samples) {
      return parted_.value_or("it gave " + std::to_string(samples) + " samples, the recorded turn " +
                              std::to_string(turn_.samples) + at(turn_.line));
    }
    if (checksum != turn_.checksum) return "its samples are not those of the recorded turn" + at(turn_.line);
    return std::nullopt;
  }

  [[nodiscard]] base::Instant now() const noexcept { return now_; }
  [[nodiscard]] std::stop_token token() const { return stop_.get_token(); }
  [[nodiscard]] std::uint64_t wanted() const noexcept { return turn_.samples; }
  [[nodiscard]] bool found_room(std::size_t number) const {
    return std::find(no_room_.begin(), no_room_.end(), number) == no_room_.end();
  }

 private:
  static std::string_view trimmed(std::string_view text) {
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
    return text;
  }
  static std::string at(std::uint64_t line) { return " (line " + std::to_string(line) + ")"; }
  [[nodiscard]] std::string here() const { return at(turn_.line + 1 + line_); }

  const std::string* next_line() {
    while (line_ < turn_.lines.size() && turn_.lines[line_].starts_with('f')) ++line_;
    return line_ < turn_.lines.size() ? &turn_.lines[line_] : nullptr;
  }

  const std::string* next(char kind, const char* what) {
    if (parted_) return nullptr;
    const std::string* line = next_line();
    if (line == nullptr || !readings_.empty() || !line->starts_with(kind)) {
      part(std::string("the replay ") + what +
           (line == nullptr ? ", the recorded turn was over"
                            : ", the recording went on with \"" + line->substr(0, 40) + "\""));
      return nullptr;
    }
    ++line_;
    return line;
  }

  base::Instant now_;
  CaptureBlock turn_;
  std::size_t line_ = 0;       // of turn_.lines, to be answered next
  std::string_view readings_;  // left of the newest line of readings
  std::string_view sent_before_error_;
  std::vector<std::uint64_t> no_room_;
  std::optional<std::string> parted_;
  std::stop_source stop_;
};

class ReplayClock final : public base::Clock {
 public:
  explicit ReplayClock(Answers& answers) : answers_(answers) {}
  [[nodiscard]] base::Instant now() const override { return answers_.reading(); }
  [[nodiscard]] base::WallTime wall_now() const override { return {}; }
  [[nodiscard]] bool synchronised() const override { return true; }
  void sleep_until(base::Instant) const override {}

 private:
  Answers& answers_;
};

class ReplayTransport final : public Transport {
 public:
  explicit ReplayTransport(Answers& answers) : answers_(answers) {}

  base::Status connect(base::Duration) override {
    auto answer = answers_.text('c', "opens the connection");
    if (!answer.ok()) return std::move(answer).error();
    return base::Success{};
  }
  base::Status send(std::span<const std::uint8_t> frame, base::Instant) override {
    auto answer = answers_.text('>', "sends");
    std::string hex;
    append_hex(hex, frame);
    if (const auto sent = answer.ok() ? answer.value() : answers_.sent_before_error(); sent != hex) {
      answers_.part("the replay sends " + hex + ", the recording has " + std::string(sent));
    }
    if (!answer.ok()) return std::move(answer).error();
    return base::Success{};
  }
  base::Result<std::size_t> receive(std::span<std::uint8_t> into, base::Instant) override {
    auto answer = answers_.text('<', "receives");
    if (!answer.ok()) return std::move(answer).error();
    const auto bytes = bytes_of(answer.value());
    if (!bytes || bytes->empty() || bytes->size() > into.size()) {
      answers_.part("the replay can't take the bytes received");
      return Error{ErrorCode::connection_lost, "the capture has no answer", true};
    }
    std::copy(bytes->begin(), bytes->end(), into.begin());
    return bytes->size();
  }
  bool quiet() noexcept override { return answers_.flag('q', "looks for silence"); }
  bool discard_input() noexcept override { return answers_.flag('d', "discards input"); }
  bool reopening_discards() const noexcept override { return answers_.flag('r', "asks what reopening does"); }
  void close() noexcept override { static_cast<void>(answers_.flag('x', "closes the connection")); }
  bool connected() const noexcept override { return answers_.flag('o', "asks whether it is connected"); }

 private:
  Answers& answers_;
};

}  // namespace

class EndpointReplay::Implementation final : public SampleSink {
 public:
  Implementation(std::vector<DeviceSettings> devices, base::Instant grid_origin, signals::EventSink& events)
      : devices_(std::move(devices)), origin_(grid_origin), events_(events), answers_(grid_origin), clock_(answers_) {}

  // What comes after a turn's last recorded sample is what a stop had kept from coming.
  void accept(signals::Sample&& sample) override {
    if (samples_.size() == answers_.wanted()) {
      answers_.part("the replay gives another sample");
      return;
    }
    checksum_.add(sample);
    const bool found_room = answers_.found_room(samples_.size() + 1);
    samples_.push_back({std::move(sample), found_room});
  }

  base::Result<std::vector<ReplayedSample>> replay(CaptureBlock turn) {
    answers_.begin(std::move(turn));
    samples_.clear();
    checksum_ = {};
    if (!poller_) {
      poller_ = make_poller(devices_, origin_, clock_, *this, events_, std::make_unique<ReplayTransport>(answers_));
    }
    poller_->poll_due(answers_.token());
    if (const auto parted = answers_.verdict(samples_.size(), checksum_.value())) {
      return Error{ErrorCode::protocol, *parted};
    }
    return std::move(samples_);
  }

  [[nodiscard]] base::Instant now() const noexcept { return answers_.now(); }
  [[nodiscard]] const Poller* poller() const noexcept { return poller_.get(); }

 private:
  const std::vector<DeviceSettings> devices_;
  const base::Instant origin_;
  signals::EventSink& events_;
  Answers answers_;
  ReplayClock clock_;
  std::unique_ptr<Poller> poller_;
  std::vector<ReplayedSample> samples_;
  SampleChecksum checksum_;
};

EndpointReplay::EndpointReplay(std::vector<DeviceSettings> devices, base::Instant grid_origin,
                               signals::EventSink& events)
    : implementation_(std::make_unique<Implementation>(std::move(devices), grid_origin, events)) {}
EndpointReplay::~EndpointReplay() = default;
EndpointReplay::EndpointReplay(EndpointReplay&&) noexcept = default;

base::Result<std::vector<ReplayedSample>> EndpointReplay::replay(CaptureBlock turn) {
  return implementation_->replay(std::move(turn));
}

base::Instant EndpointReplay::now() const noexcept { return implementation_->now(); }

const DeviceStatistics& EndpointReplay::statistics(std::size_t device) const {
  return implementation_->poller()->statistics(device);
}

}  // namespace twinkeeper::drivers
