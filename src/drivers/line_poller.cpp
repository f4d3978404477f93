#include "drivers/line_poller.hpp"

#include <algorithm>
#include <utility>

#include "drivers/text_decoder.hpp"
#include "drivers/transport_errors.hpp"

namespace twinkeeper::drivers {
namespace {

// Adapters hand bytes over in lumps (an FTDI every 16 ms unless told otherwise), so a shorter pause says nothing.
constexpr base::Duration kLineLump = std::chrono::milliseconds{20};
constexpr base::Duration kLeastPatience = std::chrono::seconds{10};  // with a free running TCP connection
constexpr std::size_t kLongestQuote = 60;

SerialTiming timing_of(const DeviceSettings& device) noexcept {
  return is_serial(device) ? timing_of(device.line) : SerialTiming{};
}

std::string without_end(std::string request, const std::string& terminator) {
  if (request.ends_with(terminator)) request.resize(request.size() - terminator.size());
  while (!request.empty() && (request.back() == '\r' || request.back() == '\n')) request.pop_back();
  return request;
}

std::string line_quoted(std::string_view line) {
  std::string out = "\"";
  for (const char c : line.substr(0, kLongestQuote)) out += c >= ' ' && c <= '~' ? c : '?';
  return out + (line.size() > kLongestQuote ? "…\"" : "\"");
}

std::vector<std::size_t> places_of(const DeviceSettings& device, const std::vector<std::string>& groups) {
  std::vector<std::size_t> places;
  for (const RegisterSettings& reg : device.registers) {
    places.push_back(static_cast<std::size_t>(std::find(groups.begin(), groups.end(), reg.group) - groups.begin()));
  }
  return places;
}

}  // namespace

LinePoller::LinePoller(DeviceSettings device, base::Instant grid_origin, const base::Clock& clock, SampleSink& samples,
                       signals::EventSink& events, std::unique_ptr<Transport> transport)
    : settings_(std::move(device)),
      timing_(timing_of(settings_)),
      origin_(grid_origin + phase_of(settings_)),
      echo_(without_end(settings_.instrument.request, settings_.instrument.terminator)),
      clock_(clock),
      samples_(samples),
      events_(events),
      transport_(std::move(transport)),
      reader_(settings_.instrument),
      pattern_(LinePattern::compile(settings_.instrument.pattern).value()),
      group_of_(places_of(settings_, pattern_.groups())),
      newest_line_(clock.now()),
      newest_byte_(newest_line_) {
  texts_.reserve(pattern_.groups().size());
  // Cycles from before the poller existed are nobody's: the first is the next point of the grid.
  const base::Instant now = clock_.now();
  const base::Duration interval = settings_.poll_interval;
  if (now > origin_) next_cycle_ = (now - origin_ + interval - base::Duration{1}) / interval;
  if (settings_.instrument.free_running()) ask_at_ = now;  // to be heard, it need not be asked
}

void LinePoller::share_line_with(std::vector<LinePoller*> others) {
  others_ = std::move(others);
  newest_answer_.reserve(static_cast<std::size_t>(settings_.instrument.max_line));
}

base::Instant LinePoller::on_grid() const noexcept {
  return base::grid_point(origin_, settings_.poll_interval, next_cycle_);
}
base::Instant LinePoller::due() const noexcept { return ask_at_ ? std::min(*ask_at_, on_grid()) : on_grid(); }

int LinePoller::descriptor() const noexcept {
  return settings_.instrument.free_running() ? transport_->descriptor() : -1;
}

base::Duration LinePoller::longest_block() const noexcept {
  const Workarounds& pauses = settings_.workarounds;
  return kReturnAfter + kAddressesPerName * settings_.timeout + pauses.pause_after_connect +
         std::max(pauses.pause_between_requests, timing_.frame_gap()) + 2 * settings_.timeout +
         2 * (kLineLump + timing_.frame_gap());
}

base::Instant LinePoller::poll_due(std::stop_token stop) {
  if (settings_.instrument.free_running()) listen();
  const base::Instant now = clock_.now();
  if (stop.stop_requested() || due() > now) return due();
  // One cycle serves both the grid and a question out of turn, if that is what is due.
  const bool of_grid = on_grid() <= now;
  if (ask_at_ && *ask_at_ <= now) ask_at_.reset();
  run_cycle();
  const base::Instant end = clock_.now();
  const std::int64_t passed = end < on_grid() ? 0 : (end - on_grid()) / settings_.poll_interval + 1;
  next_cycle_ += passed;
  statistics_.missed_cycles_total.fetch_add(static_cast<std::uint64_t>(std::max<std::int64_t>(0, passed - of_grid)),
                                            kRelaxed);
  return due();
}

void LinePoller::run_cycle() {
  const base::Instant begin = clock_.now();
  if (back_off_.blocks(begin)) {
    give_bad(down_error_);
    end_cycle(DeviceState::down);
  } else if (begin < rests_until_) {
    give_bad(DeviceError::no_answer);
    end_cycle(statistics_.state.load(kRelaxed));  // as the exchange before left it
  } else if (settings_.instrument.free_running()) {
    judge_silence();
  } else if (const LinePoller* late = newest_answer_.empty() ? nullptr : late_sender_of(newest_answer_, begin)) {
    failure_ = "not asked: " + late->settings_.name + " may still answer late, and with such a line";
    give_bad(DeviceError::no_answer);
    ask_at_ = late->rests_until_;
    end_cycle(DeviceState::degraded);
  } else {
    ask();
  }
  statistics_.busy_ns_total.fetch_add((clock_.now() - begin).count(), kRelaxed);
}

// ---- with a request ----

void LinePoller::ask() {
  heard_ = {};
  keep_pause();  // first, so that what comes meanwhile is discarded
  bool ready = silent();
  if (!ready && !transport_->connected()) {
    if (!open()) {
      give_bad(DeviceError::unavailable);
      return end_cycle(DeviceState::down);
    }
    ready = silent();
  }
  if (!ready && transport_->connected()) {
    // It talks, so it is there; which of its lines would be the answer nobody can tell.
    count_failure(DeviceError::mismatch, "it speaks without end and without being asked");
    give_bad(DeviceError::mismatch);
    return end_cycle(DeviceState::degraded);
  }
  if (!ready) {
    close_after(DeviceError::closed, "it closed the connection");
    give_bad(DeviceError::closed);
    return end_cycle(DeviceState::down);
  }
  reader_.restart(LineReader::Start::at_a_line);
  exchange(clock_.now());
  newest_request_ = clock_.now();
  if (heard_.good + heard_.partly == 0) return end_cycle(DeviceState::down);
  end_cycle(heard_.good > 0 ? DeviceState::up : DeviceState::degraded);
}

void LinePoller::keep_pause() const {
  base::Instant newest = newest_request_;
  for (const LinePoller* other : others_) newest = std::max(newest, other->newest_request_);
  const base::Duration pause = std::max(settings_.workarounds.pause_between_requests, timing_.frame_gap());
  if (pause > base::Duration::zero() && newest != base::Instant::min()) clock_.sleep_until(newest + pause);
}

// Discards what has come unasked until nothing comes any more. False: the connection is closed, or the instrument talks
// on for the whole time-out.
bool LinePoller::silent() {
  const base::Instant give_up = clock_.now() + settings_.timeout;
  while (transport_->connected()) {
    if (transport_->discard_input()) {
      if (clock_.now() >= give_up) return false;
      clock_.sleep_until(clock_.now() + kLineLump + timing_.frame_gap());
    } else if (transport_->quiet()) {
      return true;
    } else if (!transport_->discard_input()) {  // not a byte that has just come: the far end is gone
      transport_->close();
    }
  }
  return false;
}

void LinePoller::exchange(base::Instant sent) {
  const base::Instant deadline = sent + settings_.timeout;
  const std::string& request = settings_.instrument.request;
  statistics_.requests_total.fetch_add(1, kRelaxed);
  base::Status sending =
      transport_->send({reinterpret_cast<const std::uint8_t*>(request.data()), request.size()}, deadline);
  DeviceError error = sending.ok() ? DeviceError::none : device_error(sending.error());
  std::string failure = sending.ok() ? std::string{} : sending.error().message();
  while (error == DeviceError::none) {
    const base::Result<std::size_t> received = transport_->receive(buffer_, deadline);
    const base::Instant arrived = clock_.now();
    if (!received.ok()) {
      error = device_error(received.error());
      failure = received.error().message();
    } else if (hear(std::span{buffer_}.first(received.value()), arrived, sent)) {
      return;
    } else if (arrived >= deadline) {
      error = DeviceError::no_answer;
      failure = "no line in time";
    }
  }
  if (heard_.partly > 0) {  // it has answered, if only with a line that is no value
    count_failure(DeviceError::mismatch, failure_);
    give_bad(DeviceError::mismatch);
    if (error == DeviceError::closed) transport_->close();
    if (others_.empty()) return;
    rests_until_ = sent + kRestAfterTimeout * settings_.timeout;
    if (heard_.doubted > 0) ask_at_ = rests_until_;
    return;
  }
  if (error == DeviceError::no_answer && (heard_.damaged > 0 || reader_.begun() > 0)) {
    error = DeviceError::mismatch;
    failure = heard_.damaged > 0 ? failure_ : "a line began and did not end in time";
  }
  count_failure(error, std::move(failure));
  give_bad(error);
  if (error == DeviceError::closed || transport_->reopening_discards()) transport_->close();
  // Whoever closed has not answered late so far: a line under way comes within its time. With others on the line the
  // one that closed is the device server.
  const bool in_time = error == DeviceError::closed && others_.empty();
  rests_until_ = sent + (in_time ? 1 : kRestAfterTimeout) * settings_.timeout;
  left_unanswered(clock_.now(), error);
}

void LinePoller::left_unanswered(base::Instant now, DeviceError error) {
  if (++unanswered_in_a_row_ < kUnansweredBeforeBackOff) return;
  down_error_ = error;
  back_off_.fail(now);
  ask_at_ = std::max(back_off_.until(), rests_until_);
}

// ---- with others on the line ----

bool LinePoller::another_is_late(base::Instant sent) const noexcept {
  return std::any_of(others_.begin(), others_.end(), [&](const auto* other) { return other->rests_until_ > sent; });
}

const LinePoller* LinePoller::late_sender_of(std::string_view line, base::Instant sent) const {
  const LinePoller* found = nullptr;
  for (LinePoller* other : others_) {
    if (other->rests_until_ <= sent || !other->might_say(line, settings_.instrument)) continue;
    if (found == nullptr || other->rests_until_ > found->rests_until_) found = other;
  }
  return found;
}

// Lines that end otherwise are cut otherwise: what this one's would look like then nobody knows.
bool LinePoller::might_say(std::string_view line, const LineSettings& read_as) {
  const LineSettings& mine = settings_.instrument;
  if (mine.terminator != read_as.terminator || mine.checksum != read_as.checksum) return true;
  return pattern_.match(line, texts_);
}

// ---- free running ----

void LinePoller::listen() {
  const base::Instant begin = clock_.now();
  while (transport_->connected()) {
    const base::Result<std::size_t> received = transport_->receive(buffer_, clock_.now());  // doesn't wait
    const base::Instant arrived = clock_.now();
    if (!received.ok()) {
      if (device_error(received.error()) == DeviceError::no_answer) return;
      return close_after(DeviceError::closed, received.error().message());
    }
    newest_byte_ = arrived;
    hear(std::span{buffer_}.first(received.value()), arrived, std::nullopt);
    if (received.value() < buffer_.size() || arrived - begin >= kReturnAfter) return;
  }
}

// Once per cycle: whether the instrument has spoken, and what of it was good for something.
void LinePoller::judge_silence() {
  if (!transport_->connected()) {
    if (open()) return;
    give_bad(DeviceError::unavailable);
    return end_cycle(DeviceState::down);
  }
  const Heard heard = std::exchange(heard_, {});
  if (heard.lines() > 0) {
    if (heard.good == heard.lines()) return end_cycle(DeviceState::up);
    return end_cycle(heard.good + heard.partly > 0 ? DeviceState::degraded : DeviceState::down);
  }
  if (clock_.now() - newest_line_ < std::max(settings_.timeout, settings_.poll_interval)) return;
  statistics_.requests_total.fetch_add(1, kRelaxed);
  const bool endless = reader_.begun() > static_cast<std::size_t>(settings_.instrument.max_line);
  const base::Duration mute = clock_.now() - newest_byte_;
  if (transport_->reopening_discards() ? mute >= patience() : !transport_->quiet()) {
    close_after(DeviceError::no_answer, "it is silent");
  } else {
    count_failure(DeviceError::no_answer, endless ? "it speaks, but no line ends" : "it is silent");
  }
  give_bad(DeviceError::no_answer);
  end_cycle(DeviceState::down);
}

// Over TCP. Longer than any pause between two lines should be: each new connection costs a line.
base::Duration LinePoller::patience() const noexcept {
  return std::max<base::Duration>(kLeastPatience, 4 * std::max(settings_.timeout, settings_.poll_interval));
}

void LinePoller::close_after(DeviceError error, const std::string& failure) {
  transport_->close();
  statistics_.connected.store(false, kRelaxed);
  count_failure(error, failure);
  down_error_ = error;
  back_off_.fail(clock_.now());
  ask_at_ = back_off_.until();
}

// ---- both ----

bool LinePoller::open() {
  const base::Status status = transport_->connect(settings_.timeout);
  if (!status.ok()) {
    count_failure(DeviceError::unavailable, status.error().message());
    down_error_ = DeviceError::unavailable;
    back_off_.fail(clock_.now());
    ask_at_ = back_off_.until();
    return false;
  }
  if (ever_connected_) statistics_.reconnects_total.fetch_add(1, kRelaxed);
  ever_connected_ = true;
  if (settings_.workarounds.pause_after_connect > base::Duration::zero()) {
    clock_.sleep_until(clock_.now() + settings_.workarounds.pause_after_connect);
  }
  reader_.restart(LineReader::Start::cut);
  heard_ = {};
  newest_line_ = newest_byte_ = clock_.now();
  statistics_.connected.store(true, kRelaxed);
  return true;
}

bool LinePoller::is_echo(const ReadLine& line) const noexcept { return !echo_.empty() && line.text == echo_; }

bool LinePoller::hear(std::span<const std::uint8_t> bytes, base::Instant arrived, std::optional<base::Instant> sent) {
  while (const auto line = reader_.take(bytes)) {
    if (is_echo(*line)) continue;
    base::Instant last_byte = arrived - timing_.duration_of(bytes.size());
    if (sent) last_byte = std::max(last_byte, *sent);  // a pseudo-terminal is faster than its settings
    newest_line_ = last_byte;
    if (!sent) statistics_.requests_total.fetch_add(1, kRelaxed);
    if (line->fault != LineFault::none) {
      ++heard_.damaged;
      failure_ = "a line " + std::string{to_string(line->fault)};
      if (line->fault != LineFault::over_long) failure_ += ": " + line_quoted(line->text);
    } else if (!pattern_.match(line->text, texts_)) {
      const bool own = !sent || !another_is_late(*sent);
      if (own) spoke();
      ++(own ? heard_.partly : heard_.damaged);
      failure_ = "a line that does not match the pattern: " + line_quoted(line->text);
    } else if (const LinePoller* late = sent ? late_sender_of(line->text, *sent) : nullptr) {
      ++heard_.partly;
      ++heard_.doubted;
      newest_answer_ = line->text;
      failure_ = "a line that may be a late answer of " + late->settings_.name + ": " + line_quoted(line->text);
    } else {
      spoke();
      if (!others_.empty()) newest_answer_ = line->text;
      const base::Instant time =
          sent ? *sent + (last_byte - *sent) / 2 : last_byte - timing_.duration_of(line->bytes) / 2;
      count_good(sent.value_or(last_byte), last_byte);
      const int missing = give_values(time);
      if (missing == 0) {
        ++heard_.good;
      } else {
        ++heard_.partly;
        count_failure(DeviceError::mismatch, "a line without a value for every register: " + line_quoted(line->text));
      }
      if (sent) return true;
      continue;
    }
    if (sent) continue;  // the answer may still come
    count_failure(DeviceError::mismatch, failure_);
    give_bad(DeviceError::mismatch);
  }
  return false;
}

void LinePoller::count_good(base::Instant sent, base::Instant received) noexcept {
  statistics_.last_round_trip_ns.store((received - sent).count(), kRelaxed);
  statistics_.last_sent_ns.store(sent.time_since_epoch().count(), kRelaxed);
  statistics_.last_received_ns.store(received.time_since_epoch().count(), kRelaxed);
  statistics_.consecutive_failures.store(0, kRelaxed);
}

void LinePoller::spoke() noexcept {
  unanswered_in_a_row_ = 0;
  back_off_.clear();
}

void LinePoller::count_failure(DeviceError error, std::string failure) {
  failure_ = std::move(failure);
  statistics_.consecutive_failures.fetch_add(1, kRelaxed);
  statistics_.failures_total[static_cast<std::size_t>(error)].fetch_add(1, kRelaxed);
  statistics_.last_error.store(error, kRelaxed);
}

// Returns how many registers have no value.
int LinePoller::give_values(base::Instant time) {
  int missing = 0;
  for (std::size_t r = 0; r < settings_.registers.size(); ++r) {
    const RegisterSettings& reg = settings_.registers[r];
    const std::string_view text = texts_[group_of_[r]];
    signals::Sample sample;
    sample.tag = reg.tag;
    sample.time = time;
    if (auto decoded = text.data() == nullptr ? std::nullopt : decode_text(reg, text)) {
      sample.value = decoded->value;
      sample.raw = std::move(decoded->raw);
      sample.quality = signals::Quality::good;
    } else {
      sample.reason = signals::Reason::no_match;
      ++missing;
    }
    samples_.accept(std::move(sample));
  }
  return missing;
}

void LinePoller::give_bad(DeviceError error) {
  const base::Instant now = clock_.now();
  for (const RegisterSettings& reg : settings_.registers) {
    signals::Sample sample;
    sample.tag = reg.tag;
    sample.reason = error == DeviceError::mismatch ? signals::Reason::no_match : signals::Reason::timeout;
    sample.time = now;
    samples_.accept(std::move(sample));
  }
}

void LinePoller::end_cycle(DeviceState after) {
  statistics_.cycles_total.fetch_add(1, kRelaxed);
  statistics_.connected.store(transport_->connected(), kRelaxed);
  if (after != DeviceState::up) statistics_.last_failure.set(failure_);
  const DeviceState before = statistics_.state.exchange(after, kRelaxed);
  if (before == after) return;
  const std::string& who = settings_.controller;
  if (after == DeviceState::down) {
    events_.raise(
        {signals::EventLevel::warning, settings_.name, "connection_lost", who + " gives no line: " + failure_});
  } else if (after == DeviceState::degraded) {
    events_.raise({signals::EventLevel::warning, settings_.name, "degraded",
                   who + " speaks, but gives not every value: " + failure_});
  } else if (before != DeviceState::unknown) {
    events_.raise({signals::EventLevel::info, settings_.name, "restored", who + " gives every value again"});
  }
}

}  // namespace twinkeeper::drivers
