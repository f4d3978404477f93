#include "drivers/capture.hpp"

#include <bit>
#include <charconv>
#include <utility>

namespace twinkeeper::drivers {
namespace {

void append_number(std::string& out, std::int64_t value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

class CapturingTransport final : public Transport {
 public:
  CapturingTransport(std::unique_ptr<Transport> transport, TurnRecorder& recorder)
      : transport_(std::move(transport)), recorder_(recorder) {}

  base::Status connect(base::Duration timeout) override {
    base::Status status = transport_->connect(timeout);
    line_ = "c";
    return noted(std::move(status));
  }
  base::Status send(std::span<const std::uint8_t> frame, base::Instant deadline) override {
    base::Status status = transport_->send(frame, deadline);
    line_ = "> ";
    append_hex(line_, frame);
    return noted(std::move(status));
  }
  base::Result<std::size_t> receive(std::span<std::uint8_t> into, base::Instant deadline) override {
    base::Result<std::size_t> size = transport_->receive(into, deadline);
    line_ = "<";
    if (size.ok()) {
      line_ += ' ';
      append_hex(line_, into.first(size.value()));
    }
    return noted(std::move(size));
  }
  bool quiet() noexcept override { return noted('q', transport_->quiet()); }
  bool discard_input() noexcept override { return noted('d', transport_->discard_input()); }
  bool reopening_discards() const noexcept override { return noted('r', transport_->reopening_discards()); }
  int descriptor() const noexcept override { return transport_->descriptor(); }  // waited on between turns only
  void close() noexcept override {
    transport_->close();
    recorder_.line("x");
  }
  bool connected() const noexcept override { return noted('o', transport_->connected()); }

 private:
  template <class T>
  base::Result<T> noted(base::Result<T> result) {
    if (!result.ok()) {
      line_ += std::string(" ! ") + base::to_string(result.error().code()) + ": ";
      for (const char c : result.error().message()) line_ += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
    }
    recorder_.line(line_);
    return result;
  }
  bool noted(char what, bool answer) const {
    const char line[] = {what, ' ', answer ? '1' : '0'};
    recorder_.line({line, sizeof line});
    return answer;
  }

  std::unique_ptr<Transport> transport_;
  TurnRecorder& recorder_;
  std::string line_;
};

}  // namespace

void append_hex(std::string& out, std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (const std::uint8_t byte : bytes) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 0xF];
  }
}

void SampleChecksum::add(std::uint64_t bits) noexcept {
  for (int i = 0; i < 8; ++i, bits >>= 8) hash_ = (hash_ ^ (bits & 0xFF)) * 0x100000001B3;
}

void SampleChecksum::add(const signals::Sample& sample) noexcept {
  add(sample.tag);
  add(std::bit_cast<std::uint64_t>(sample.value));
  add(static_cast<std::uint64_t>(sample.raw.kind));
  add(static_cast<std::uint64_t>(sample.raw.integer));
  add(sample.raw.natural);
  add(std::bit_cast<std::uint64_t>(sample.raw.real));
  add(sample.raw.text.size());
  for (const char c : sample.raw.text) add(static_cast<std::uint64_t>(static_cast<unsigned char>(c)));
  add(static_cast<std::uint64_t>(sample.quality));
  add(static_cast<std::uint64_t>(sample.reason));
  add(sample.exception_code);
  add(static_cast<std::uint64_t>(sample.time.time_since_epoch().count()));
}

TurnRecorder::TurnRecorder(std::size_t endpoint, base::Instant grid_origin, CaptureSink& sink)
    : endpoint_(endpoint), origin_(grid_origin), sink_(sink), newest_reading_(grid_origin) {}

void TurnRecorder::begin_line() {
  if (block_.empty()) {
    block_ = "T ";
    append_number(block_, static_cast<std::int64_t>(endpoint_));
    block_ += ' ';
    append_number(block_, (newest_reading_ - origin_).count());
    block_ += '\n';
  }
  if (std::exchange(in_readings_, false)) block_ += '\n';
}

void TurnRecorder::reading(base::Instant now) {
  if (!in_readings_) {
    begin_line();
    block_ += 'n';
    in_readings_ = true;
  }
  block_ += ' ';
  append_number(block_, (now - newest_reading_).count());
  newest_reading_ = now;
}

void TurnRecorder::line(std::string_view text) {
  begin_line();
  block_ += text;
  block_ += '\n';
}

void TurnRecorder::sample(const signals::Sample& sample) {
  ++samples_;
  checksum_.add(sample);
}

void TurnRecorder::sample_found_no_room() { line("f " + std::to_string(samples_)); }

void TurnRecorder::end_turn(bool stopped) {
  begin_line();
  block_ += "E ";
  append_number(block_, static_cast<std::int64_t>(std::exchange(samples_, 0)));
  block_ += ' ';
  const std::uint64_t checksum = std::exchange(checksum_, {}).value();
  for (int shift = 56; shift >= 0; shift -= 8) {
    const auto byte = static_cast<std::uint8_t>(checksum >> shift);
    append_hex(block_, {&byte, 1});
  }
  block_ += stopped ? " stopped\n" : "\n";
  if (lost_turns_ > 0) {
    block_.insert(0, "L " + std::to_string(endpoint_) + " " + std::to_string(lost_turns_) + "\n");
  }
  if (sink_.take(std::move(block_))) {
    lost_turns_ = 0;
  } else {
    ++lost_turns_;
  }
  block_ = {};
}

std::unique_ptr<Transport> make_capturing_transport(std::unique_ptr<Transport> transport, TurnRecorder& recorder) {
  return std::make_unique<CapturingTransport>(std::move(transport), recorder);
}

}  // namespace twinkeeper::drivers
