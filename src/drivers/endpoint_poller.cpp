#include "drivers/endpoint_poller.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <utility>

#include "drivers/back_off.hpp"
#include "drivers/decoder.hpp"
#include "drivers/exchange.hpp"
#include "drivers/polled_device.hpp"
#include "drivers/write_request.hpp"

namespace twinkeeper::drivers {
namespace {

constexpr base::Duration kBusyPause = std::chrono::milliseconds{10};
constexpr int kMaxSplitsPerCycle = 32;
constexpr std::int64_t kRequestsPerWrite = 3;

// The device won't give this, however often it is asked.
bool is_refusal(const ExchangeResult& result) noexcept {
  return result.exception_code == static_cast<std::uint8_t>(ExceptionCode::illegal_function) ||
         result.exception_code == static_cast<std::uint8_t>(ExceptionCode::illegal_data_address) ||
         result.exception_code == static_cast<std::uint8_t>(ExceptionCode::illegal_data_value);
}

signals::Reason reason_of(DeviceError error) noexcept {
  switch (error) {
    case DeviceError::none: return signals::Reason::none;
    case DeviceError::mismatch: return signals::Reason::no_match;
    case DeviceError::exception: return signals::Reason::exception;
    case DeviceError::no_answer:
    case DeviceError::unavailable:
    case DeviceError::closed: break;
  }
  return signals::Reason::timeout;
}

}  // namespace

class EndpointPoller::Implementation {
 public:
  Implementation(std::vector<DeviceSettings> devices, base::Instant grid_origin, const base::Clock& clock,
                 SampleSink& samples, signals::EventSink& events, std::unique_ptr<Transport> transport,
                 WriteQueue* writes)
      : clock_(clock),
        writes_(writes),
        samples_(samples),
        events_(events),
        transport_(std::move(transport)),
        exchange_(make_exchange(devices.front(), *transport_, clock_)),
        newest_request_(base::Instant::min()) {
    const base::Instant now = clock_.now();
    devices_.reserve(devices.size());
    for (DeviceSettings& device : devices) {
      devices_.push_back(std::make_unique<PolledDevice>(std::move(device), grid_origin, now));
    }
  }

  base::Instant poll_due(const std::stop_token& stop) {
    const base::Instant entered = clock_.now();
    while (true) {
      if (writes_ != nullptr) carry_out_writes();
      const auto [device, group] = earliest();
      if (group == nullptr) return base::Instant::max();
      const base::Instant now = clock_.now();
      // A cycle that fell due only while this call was running belongs to the next one.
      if (stop.stop_requested() || group->due() > entered || now - entered >= kReturnAfter) return group->due();
      // One cycle serves both the grid and a question out of turn, if that is what is due.
      const bool of_grid = group->on_grid() <= now;
      if (group->ask_at && *group->ask_at <= now) group->ask_at.reset();
      run_cycle(*device, *group, stop);
      const std::int64_t passed = group->passed(clock_.now());  // this one, and those that it came or ran too late for
      group->next_cycle += passed;
      device->statistics.missed_cycles_total.fetch_add(static_cast<std::uint64_t>(passed - (of_grid ? 1 : 0)),
                                                       kRelaxed);
    }
  }

  [[nodiscard]] std::size_t device_count() const noexcept { return devices_.size(); }
  [[nodiscard]] const DeviceStatistics& statistics(std::size_t device) const { return devices_.at(device)->statistics; }

  [[nodiscard]] base::Duration longest_block() const noexcept {
    base::Duration longest{};
    for (const auto& device : devices_) {
      const DeviceSettings& settings = device->settings;
      const Workarounds& workarounds = settings.workarounds;
      const int tries = 1 + std::max(0, settings.busy_retries);
      const base::Duration each = kAddressesPerName * settings.timeout + workarounds.pause_after_connect +
                                  tries * (settings.timeout + exchange_->longest_extra(settings.timeout) +
                                           workarounds.pause_between_requests + kBusyPause);
      for (const PolledGroup& group : device->groups) {
        // Split to the utmost: a request for each register.
        const auto requests =
            static_cast<std::int64_t>(group.registers.size()) + 2 * kMaxSplitsPerCycle +
            (writes_ != nullptr ? kRequestsPerWrite * static_cast<std::int64_t>(WriteQueue::kMost) : 0);
        longest = std::max(longest, requests * each);
      }
    }
    return kReturnAfter + longest;
  }

 private:
  std::pair<PolledDevice*, PolledGroup*> earliest() noexcept {
    std::pair<PolledDevice*, PolledGroup*> found{nullptr, nullptr};
    for (const auto& device : devices_) {
      for (PolledGroup& group : device->groups) {
        if (found.second == nullptr || group.due() < found.second->due()) found = {device.get(), &group};
      }
    }
    return found;
  }

  void run_cycle(PolledDevice& device, PolledGroup& group, const std::stop_token& stop) {
    const base::Instant begin = clock_.now();
    CycleOutcome outcome;
    splits_left_ = kMaxSplitsPerCycle;
    // Settled before the cycle: what it finds out concerns the next one.
    std::vector<PlannedRequest> trials;
    waiting_.clear();
    if (device.plan.refused_registers() > 0) {
      trials = device.plan.trials(group.registers, begin);
      for (const std::size_t reg : group.registers) {
        if (const std::uint8_t code = device.plan.waits(reg, begin); code != 0) waiting_.emplace_back(reg, code);
      }
    }
    const std::size_t requests = group.requests.size();
    for (std::size_t k = 0, at = requests == 0 ? 0 : group.first_request % requests; k < requests; ++k) {
      if (stop.stop_requested()) return;
      run_request(device, group, group.requests[at], at, outcome);
      at = (at + 1) % requests;
    }
    run_refused(device, group, trials, outcome);
    if (device.settings.workarounds.close_connection_after_gather) {
      transport_->close();
      closed_on_purpose_ = true;
    }
    device.statistics.cycles_total.fetch_add(1, kRelaxed);
    device.statistics.connected.store(transport_->connected(), kRelaxed);
    device.statistics.busy_ns_total.fetch_add((clock_.now() - begin).count(), kRelaxed);
    device.end_cycle(clock_.now(), group, outcome, connection_error_, events_);
    device.revise(group);
  }

  // Registers that are refused: asked apart from the others if it is their turn, bad without a request if not.
  void run_refused(PolledDevice& device, PolledGroup& group, const std::vector<PlannedRequest>& trials,
                   CycleOutcome& outcome) {
    for (const PlannedRequest& trial : trials) run_request(device, group, trial, group.first_request, outcome);
    const bool silent = outcome.requests > 0 && outcome.answered == 0;  // then it has refused nothing either
    for (const auto& [reg, code] : waiting_) {
      ++outcome.requests;
      const base::Instant now = clock_.now();
      if (silent || device.left_alone(group, now) || rests(device.settings.slave_id, now) ||
          !ensure_connection(device, group)) {
        give_bad(device, reg, now, device.back_off.failed() ? reason_of(device.down_error) : signals::Reason::timeout);
        continue;
      }
      ++outcome.answered;
      give_bad(device, reg, now, signals::Reason::exception, code);
    }
  }

  void run_request(PolledDevice& device, PolledGroup& group, const PlannedRequest& planned, std::size_t at,
                   CycleOutcome& outcome) {
    bool answered = false;
    const bool good = read_batch(device, group, planned, at, answered);
    ++outcome.requests;
    outcome.answered += answered ? 1 : 0;
    outcome.good += good ? 1 : 0;
  }

  // Gives every register of `planned` one sample; true if all of them are good. `at` is where the request stands in the
  // plan. What the device refuses is halved on the spot, so that one register costs no other a cycle.
  bool read_batch(PolledDevice& device, PolledGroup& group, const PlannedRequest& planned, std::size_t at,
                  bool& answered) {
    const auto failed = [&](signals::Reason reason, std::uint8_t exception_code = 0) {
      give_bad(device, planned, reason, exception_code);
      return false;
    };
    const base::Instant now = clock_.now();
    if (device.left_alone(group, now)) return failed(reason_of(device.down_error));
    if (rests(device.settings.slave_id, now)) return failed(signals::Reason::timeout);
    if (!ensure_connection(device, group)) {
      device.found_unavailable();
      return failed(signals::Reason::timeout);
    }
    const ExchangeResult result = exchange(device, planned);
    if (result.may_come_late) rest(device, result);
    if (result.error == DeviceError::none) {
      device.answered(result.finished, group);
      answered = true;
      give_good(device, planned, result);
      device.plan.accept(planned);
      return true;
    }
    if (result.error == DeviceError::exception) {
      device.answered(result.finished, group);
      if (!is_from_gateway(result)) answered = true;
      const std::uint8_t code = result.exception_code;
      if (!is_refusal(result)) return failed(signals::Reason::exception, code);
      const bool whole_function = code == static_cast<std::uint8_t>(ExceptionCode::illegal_function);
      if (whole_function || !divisible(device.settings, planned)) {
        device.plan.refuse(planned, code, result.finished);
        return failed(signals::Reason::exception, code);
      }
      if (splits_left_ == 0) return failed(signals::Reason::exception, code);
      --splits_left_;
      device.statistics.splits_total.fetch_add(1, kRelaxed);
      const auto [first, second] = halves(device.settings, planned);
      const bool first_good = read_batch(device, group, first, at, answered);
      const bool second_good = read_batch(device, group, second, at, answered);
      if (first_good && second_good) device.plan.narrow(planned, second.address, code);
      return first_good && second_good;
    }
    if (result.error == DeviceError::closed || transport_->reopening_discards()) {
      transport_->close();
      closed_on_purpose_ = false;
    }
    device.left_unanswered(result, group, at);
    return failed(reason_of(result.error));
  }

  // A late reply of this slave could pass for that to its next request.
  void rest(const PolledDevice& device, const ExchangeResult& result) {
    resting_[device.settings.slave_id] = result.asked_last + kRestAfterTimeout * device.settings.timeout;
  }
  [[nodiscard]] bool rests(int slave_id, base::Instant now) const {
    const auto found = resting_.find(slave_id);
    return found != resting_.end() && now < found->second;
  }

  bool ensure_connection(PolledDevice& device, const PolledGroup& group) {
    if (transport_->connected()) {
      if (transport_->quiet()) return true;
      transport_->close();
      closed_on_purpose_ = false;
    }
    if (connection_back_off_.blocks(clock_.now())) return false;
    const base::Status status = transport_->connect(device.settings.timeout);
    if (!status.ok()) {
      connection_error_ = status.error().message();
      if (!connection_back_off_.failed()) ask_others(group);
      connection_back_off_.fail(clock_.now());
      device.count_unavailable();
      return false;
    }
    if (connection_back_off_.failed()) ask_others(group);
    connection_back_off_.clear();
    if (ever_connected_ && !closed_on_purpose_) {
      device.statistics.reconnects_total.fetch_add(1, kRelaxed);
      for (const auto& each : devices_) each->plan.ask_all_again(clock_.now());
    }
    ever_connected_ = true;
    if (device.settings.workarounds.pause_after_connect > base::Duration::zero()) {
      clock_.sleep_until(clock_.now() + device.settings.workarounds.pause_after_connect);
    }
    return true;
  }

  void carry_out_writes() {
    while (const auto order = writes_->take()) {
      WriteOutcome outcome;
      outcome.number = order->number;
      carry_out(*order, outcome);
      writes_->settle(std::move(outcome));
    }
  }

  void carry_out(const WriteOrder& order, WriteOutcome& outcome) {
    PolledDevice& device = *devices_[order.device];
    const WritableSettings& writable = device.settings.writable[order.writable];
    const RegisterSettings& reg = device.settings.registers[writable.reg];
    if (clock_.now() > order.valid_until) {
      outcome.reason = "expired before its turn came";
      return;
    }
    if (const auto failure = read_for_write(device, reg, outcome.before)) {
      outcome.reason = "not written, as its present value can't be read: " + *failure;
      return;
    }
    if (writable.max_step && !(std::abs(order.value - outcome.before) <= *writable.max_step)) {
      outcome.reason = "not written: too large a step from the present value";
      return;
    }
    ReadRequest request = write_encoder_.encode(reg, order.value, writable.multiple);
    ExchangeResult result;
    if (const auto failure = ask_for_write(device, request, result)) {
      const bool refused = result.error == DeviceError::exception;
      outcome.reason = *failure + (refused ? ": refused by the device" : ": whether it was written is not known");
      return;
    }
    outcome.done = true;
    if (const auto failure = read_for_write(device, reg, outcome.after)) {
      outcome.reason = "acknowledged, but can't be read back: " + *failure;
    } else if (!same_raw(reg, order.value, outcome.after)) {
      outcome.reason = "acknowledged, but another value is read back";
    }
  }

  static bool same_raw(const RegisterSettings& reg, double a, double b) noexcept {
    if (is_bit_kind(reg.kind)) return raw_from_value(reg, a).integer == raw_from_value(reg, b).integer;
    std::array<std::uint16_t, 4> first{};
    std::array<std::uint16_t, 4> second{};
    encode_value(reg, a, std::span{first}.first(word_count(reg)));
    encode_value(reg, b, std::span{second}.first(word_count(reg)));
    return first == second;
  }

  // Asks if the device may be asked now. What went wrong; nothing: it answered with data, or acknowledged.
  std::optional<std::string> ask_for_write(PolledDevice& device, const ReadRequest& request, ExchangeResult& result) {
    const base::Instant now = clock_.now();
    if (device.back_off.blocks(now) || rests(device.settings.slave_id, now)) {
      result.error = DeviceError::no_answer;
      return "the device does not answer and is left alone";
    }
    if (!ensure_connection(device, device.groups.front())) {
      result.error = DeviceError::unavailable;
      return connection_error_;
    }
    result = exchange(device, request);
    if (result.may_come_late) rest(device, result);
    if (result.error == DeviceError::none) return std::nullopt;
    if (result.error == DeviceError::exception) return std::string{exception_name(result.exception_code)};
    if (result.error == DeviceError::closed || transport_->reopening_discards()) {
      transport_->close();
      closed_on_purpose_ = false;
    }
    return std::string{to_string(result.error)};
  }

  std::optional<std::string> read_for_write(PolledDevice& device, const RegisterSettings& reg, double& value) {
    ReadRequest request;
    request.function = function_code(reg.kind);
    request.address = reg.address;
    request.count = static_cast<std::uint16_t>(is_bit_kind(reg.kind) ? 1 : word_count(reg));
    ExchangeResult result;
    if (auto failure = ask_for_write(device, request, result)) return failure;
    if (is_bit_kind(reg.kind)) {
      value = decode_bit(reg, reply_bit(result.data, 0)).value;
    } else {
      for (std::size_t i = 0; i < request.count; ++i) words_[i] = reply_word(result.data, i);
      value = decode_words(reg, std::span{words_}.first(request.count)).value;
    }
    return std::nullopt;
  }

  void ask_others(const PolledGroup& group) {
    for (const auto& device : devices_) device->ask_others(clock_.now(), group);
  }

  ExchangeResult exchange(PolledDevice& device, const PlannedRequest& planned) {
    ReadRequest request;
    request.function = function_code(planned.kind);
    request.address = planned.address;
    request.count = planned.count;
    return exchange(device, request);
  }

  ExchangeResult exchange(PolledDevice& device, ReadRequest request) {
    request.unit = static_cast<std::uint8_t>(device.settings.slave_id);
    base::Duration pause = device.settings.workarounds.pause_between_requests;
    for (int retries = device.settings.busy_retries;; --retries) {
      if (pause > base::Duration::zero() && newest_request_ != base::Instant::min()) {
        clock_.sleep_until(newest_request_ + pause);
      }
      const ExchangeResult result = exchange_->run(request, device.settings.timeout);
      newest_request_ = result.finished;
      device.count_exchange(result);
      if (retries <= 0 || !is_busy(result) || result.may_come_late) return result;
      pause = std::max(pause, kBusyPause);
    }
  }

  void give_good(const PolledDevice& device, const PlannedRequest& planned, const ExchangeResult& result) {
    const bool bits = is_bit_kind(planned.kind);
    if (!bits) {
      for (std::size_t i = 0; i < planned.count; ++i) words_[i] = reply_word(result.data, i);
    }
    for (const PlannedField& field : planned.fields) {
      const RegisterSettings& settings = device.settings.registers[field.reg];
      Decoded decoded = bits ? decode_bit(settings, reply_bit(result.data, field.offset))
                             : decode_words(settings, std::span{words_}.subspan(field.offset, word_count(settings)));
      signals::Sample sample;
      sample.tag = settings.tag;
      sample.value = decoded.value;
      sample.raw = std::move(decoded.raw);
      sample.quality = signals::Quality::good;
      sample.time = result.sent + (result.finished - result.sent) / 2;
      samples_.accept(std::move(sample));
    }
  }

  void give_bad(const PolledDevice& device, std::size_t reg, base::Instant time, signals::Reason reason,
                std::uint8_t exception_code = 0) {
    signals::Sample sample;
    sample.tag = device.settings.registers[reg].tag;
    sample.reason = reason;
    sample.exception_code = exception_code;
    sample.time = time;
    samples_.accept(std::move(sample));
  }

  void give_bad(const PolledDevice& device, const PlannedRequest& planned, signals::Reason reason,
                std::uint8_t exception_code = 0) {
    const base::Instant now = clock_.now();
    for (const PlannedField& field : planned.fields) give_bad(device, field.reg, now, reason, exception_code);
  }

  const base::Clock& clock_;
  WriteQueue* const writes_;  // nullptr: nothing is ever written
  WriteEncoder write_encoder_;
  SampleSink& samples_;
  signals::EventSink& events_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Exchange> exchange_;
  std::vector<std::unique_ptr<PolledDevice>> devices_;  // statistics can't move
  BackOff connection_back_off_;
  std::string connection_error_;
  base::Instant newest_request_;
  std::map<int, base::Instant> resting_;  // slave ids, until when
  std::array<std::uint16_t, kMaxWordsPerRequest> words_{};
  std::vector<std::pair<std::size_t, std::uint8_t>> waiting_;  // registers refused before the cycle under way, codes
  int splits_left_ = 0;                                        // of the cycle under way
  bool ever_connected_ = false;
  bool closed_on_purpose_ = false;
};

EndpointPoller::EndpointPoller(std::vector<DeviceSettings> devices, base::Instant grid_origin, const base::Clock& clock,
                               SampleSink& samples, signals::EventSink& events, std::unique_ptr<Transport> transport,
                               WriteQueue* writes)
    : implementation_(std::make_unique<Implementation>(std::move(devices), grid_origin, clock, samples, events,
                                                       std::move(transport), writes)) {}

EndpointPoller::~EndpointPoller() = default;

base::Instant EndpointPoller::poll_due(std::stop_token stop) { return implementation_->poll_due(stop); }

std::size_t EndpointPoller::device_count() const noexcept { return implementation_->device_count(); }

const DeviceStatistics& EndpointPoller::statistics(std::size_t device) const {
  return implementation_->statistics(device);
}

base::Duration EndpointPoller::longest_block() const noexcept { return implementation_->longest_block(); }

}  // namespace twinkeeper::drivers
