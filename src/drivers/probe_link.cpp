#include "drivers/probe_link.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "drivers/poller.hpp"

namespace twinkeeper::drivers {
namespace {

constexpr int kUnansweredInARow = 3;
constexpr int kBusyRetries = 5;
constexpr base::Duration kProbeBusyPause = std::chrono::milliseconds{100};

ExceptionCode code_of(const ExchangeResult& result) { return static_cast<ExceptionCode>(result.exception_code); }

bool is_exception(const ExchangeResult& result, std::initializer_list<ExceptionCode> codes) {
  return result.error == DeviceError::exception &&
         std::find(codes.begin(), codes.end(), code_of(result)) != codes.end();
}

// Ranges in ascending order; neighbours become one.
void append(std::vector<AddressRange>& ranges, AddressRange range) {
  if (!ranges.empty() && ranges.back().last + 1 == range.first) {
    ranges.back().last = range.last;
  } else {
    ranges.push_back(range);
  }
}

class AddressScanner {
 public:
  AddressScanner(ProbeLink& link, const ReadRequest& request) : link_(link), request_(request) {}

  ScannedAddresses run(int first, int last) {
    const int most = request_.function <= 2 ? kMaxBitsPerRequest : kMaxWordsPerRequest;
    for (int at = first; at <= last && !found_.unknown_from; at += most) split(at, std::min(last, at + most - 1));
    return std::move(found_);
  }

 private:
  void split(int first, int last) {
    if (found_.unknown_from) return;
    const auto range = AddressRange{static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(last)};
    const auto result = ask(range);
    if (!result) return;
    if (result->error == DeviceError::none) return append(found_.readable, range);
    if (!is_exception(*result, {ExceptionCode::illegal_data_address, ExceptionCode::illegal_data_value,
                                ExceptionCode::server_device_failure})) {
      return end(first, is_busy(*result)           ? "the device stays busy"
                        : is_from_gateway(*result) ? "the gateway says that the slave gives no answer"
                                                   : "the device does not know the function");
    }
    if (first == last) return append(found_.refused, range);
    const int middle = first + (last - first) / 2;
    split(first, middle);
    split(middle + 1, last);
  }

  // Absent: the scan has ended.
  std::optional<ExchangeResult> ask(AddressRange range) {
    request_.address = range.first;
    request_.count = static_cast<std::uint16_t>(range.last - range.first + 1);
    for (int unanswered = 0, busy = 0; link_.requests_left() > 0;) {
      const ExchangeResult result = link_.read(request_);
      if (result.error != DeviceError::none) found_.newest_failure = result;
      if (is_busy(result) && busy++ < kBusyRetries) {
        link_.wait(kProbeBusyPause);
      } else if (result.error == DeviceError::none || result.error == DeviceError::exception) {
        return result;
      } else if (++unanswered == kUnansweredInARow) {
        end(range.first, "no answer three times in a row");
        return std::nullopt;
      }
    }
    end(range.first, "the limit of requests is reached");
    return std::nullopt;
  }

  void end(int from, const char* why) {
    found_.unknown_from = static_cast<std::uint16_t>(from);
    found_.ended = why;
  }

  ProbeLink& link_;
  ReadRequest request_;
  ScannedAddresses found_;
};

}  // namespace

ProbeLink::ProbeLink(const DeviceSettings& device, std::unique_ptr<Transport> transport, const base::Clock& clock,
                     ProbePace pace)
    : timeout_(device.timeout),
      transport_(std::move(transport)),
      clock_(clock),
      exchange_(make_exchange(device, *transport_, clock)),
      pace_(pace) {}

ExchangeResult ProbeLink::read(const ReadRequest& request) {
  if (newest_) clock_.sleep_until(*newest_ + pace_.pause);
  if (resting_ && resting_->first == request.unit) clock_.sleep_until(resting_->second);
  ++requests_;
  if (transport_->connected() && !transport_->quiet()) transport_->close();
  if (!transport_->connected()) {
    const base::Instant begun = clock_.now();
    const base::Status status = transport_->connect(timeout_);
    newest_ = clock_.now();
    if (!status.ok()) {
      connection_error_ = status.error().message();
      ExchangeResult result;
      result.error = DeviceError::unavailable;
      result.sent = begun;
      result.finished = *newest_;
      return result;
    }
    connect_time_ = *newest_ - begun;
  }
  const ExchangeResult result = exchange_->run(request, timeout_);
  newest_ = result.finished;
  if (result.error == DeviceError::none || result.error == DeviceError::exception) return result;
  if (result.error == DeviceError::closed || transport_->reopening_discards()) transport_->close();
  if (result.may_come_late) resting_ = {request.unit, result.sent + kRestAfterTimeout * timeout_};
  return result;
}

bool ScannedSlave::answers() const noexcept {
  return result.error == DeviceError::none || (result.error == DeviceError::exception && !is_from_gateway(result));
}

std::vector<ScannedSlave> scan_slaves(ProbeLink& link, ReadRequest request, int first, int last) {
  std::vector<ScannedSlave> found;
  for (int slave = first; slave <= last && link.requests_left() > 0; ++slave) {
    request.unit = static_cast<std::uint8_t>(slave);
    found.push_back({slave, link.read(request)});
    found.back().result.data = {};
    if (found.back().result.error == DeviceError::unavailable) return found;  // nobody is there at all
  }
  return found;
}

ScannedAddresses scan_addresses(ProbeLink& link, ReadRequest request, std::uint16_t first, std::uint16_t last) {
  return AddressScanner(link, request).run(first, last);
}

LatencyStatistics measure_latency(ProbeLink& link, const ReadRequest& request, std::size_t repeat) {
  LatencyStatistics statistics;
  std::vector<base::Duration> round_trips;
  for (; statistics.requests < repeat && link.requests_left() > 0; ++statistics.requests) {
    const ExchangeResult result = link.read(request);
    switch (result.error) {
      case DeviceError::none: round_trips.push_back(result.finished - result.sent); break;
      case DeviceError::exception: ++statistics.exceptions; break;
      case DeviceError::no_answer: ++statistics.timeouts; break;
      case DeviceError::mismatch: ++statistics.mismatches; break;
      case DeviceError::unavailable:
      case DeviceError::closed: ++statistics.connection_failures; break;
    }
  }
  statistics.answered = round_trips.size();
  if (round_trips.empty()) return statistics;
  std::sort(round_trips.begin(), round_trips.end());
  const auto quantile = [&](double q) {
    const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(round_trips.size())));
    return round_trips[std::max<std::size_t>(rank, 1) - 1];
  };
  statistics.min = round_trips.front();
  statistics.median = quantile(0.5);
  statistics.p90 = quantile(0.9);
  statistics.p99 = quantile(0.99);
  statistics.max = round_trips.back();
  return statistics;
}

}  // namespace twinkeeper::drivers
