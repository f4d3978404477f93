// Reads one device without a poller: single requests, scans of slave ids and addresses, latency. Reads only.
//
// A scan is kept from hammering a device: one request at a time, at least `pause` between two, at most `max_requests`.
//   slaves     one request per id. A reply of any kind is an answer, an exception too; but 0x0A and 0x0B come from a
//              gateway whose slave gave none.
//   addresses  as many as a request may have, and halves of what is refused (exceptions 2, 3 and 4), down to single
//              ones. Each absent address so costs about two requests; an absent block of n, 2n − 1. It ends early after
//              three requests in a row without answer, at a function that the device does not know, and at the limit;
//              `unknown_from` says from where on nothing is known.
// After a failed request a TCP connection is opened again; on a serial line the slave is left alone for 4 time-outs, as
// its reply may come late.
// Thread rule: one thread. Blocks as long as the requests take.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/exchange.hpp"
#include "drivers/settings.hpp"
#include "drivers/transport.hpp"

namespace twinkeeper::drivers {

struct ProbePace {
  base::Duration pause = std::chrono::milliseconds{20};
  std::size_t max_requests = 1000;
};

class ProbeLink {
 public:
  // `device`: transmission_mode, line, timeout. `clock` outlives the link.
  ProbeLink(const DeviceSettings& device, std::unique_ptr<Transport> transport, const base::Clock& clock,
            ProbePace pace);

  // Connects if necessary. The data are valid until the next read.
  [[nodiscard]] ExchangeResult read(const ReadRequest& request);
  [[nodiscard]] const std::string& connection_error() const noexcept { return connection_error_; }
  [[nodiscard]] base::Duration connect_time() const noexcept { return connect_time_; }  // of the newest connection
  [[nodiscard]] std::size_t requests() const noexcept { return requests_; }
  [[nodiscard]] std::size_t requests_left() const noexcept { return pace_.max_requests - requests_; }
  void wait(base::Duration duration) { clock_.sleep_until(clock_.now() + duration); }

 private:
  const base::Duration timeout_;
  std::unique_ptr<Transport> transport_;
  const base::Clock& clock_;
  std::unique_ptr<Exchange> exchange_;
  const ProbePace pace_;
  std::string connection_error_;
  base::Duration connect_time_{};
  std::size_t requests_ = 0;
  std::optional<base::Instant> newest_;
  std::optional<std::pair<int, base::Instant>> resting_;  // slave, until when
};

struct ScannedSlave {
  int slave_id = 0;
  ExchangeResult result;  // without data
  [[nodiscard]] bool answers() const noexcept;
};
// Ids first to last, as far as the limit of requests goes.
[[nodiscard]] std::vector<ScannedSlave> scan_slaves(ProbeLink& link, ReadRequest request, int first, int last);

struct AddressRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
};
struct ScannedAddresses {
  std::vector<AddressRange> readable;
  std::vector<AddressRange> refused;
  std::optional<std::uint16_t> unknown_from;
  std::string ended;  // why, with unknown_from
  ExchangeResult newest_failure;
};
[[nodiscard]] ScannedAddresses scan_addresses(ProbeLink& link, ReadRequest request, std::uint16_t first,
                                              std::uint16_t last);

struct LatencyStatistics {
  std::size_t requests = 0;
  std::size_t answered = 0;  // with data: their round trips are below, by nearest rank
  std::size_t exceptions = 0;
  std::size_t timeouts = 0;
  std::size_t mismatches = 0;
  std::size_t connection_failures = 0;
  base::Duration min{}, median{}, p90{}, p99{}, max{};
};
[[nodiscard]] LatencyStatistics measure_latency(ProbeLink& link, const ReadRequest& request, std::size_t repeat);

}  // namespace twinkeeper::drivers
