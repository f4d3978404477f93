// What the gateway tells AWS IoT Device Defender of itself: open ports, connections, traffic since the last report, and
// figures of the gateway's health as custom metrics.
//
// At most one report every 5 minutes, which is what the service allows. Report numbers only grow: they are the wall
// time in seconds, or one more than the last. A report that is refused is told once per reason and not repeated.
// Lists are cut at 50 entries beside a true total.
// Thread rule: one thread. No I/O. Allocates.
// Source: AWS IoT Device Defender developer guide, detect-device-side-metrics.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "aws/document.hpp"

namespace twinkeeper::aws {

struct ListeningPort {
  std::string interface;  // empty: all of them
  std::uint16_t port = 0;
  bool operator==(const ListeningPort&) const = default;
};

struct TcpConnection {
  std::string local_interface;  // empty: not known
  std::uint16_t local_port = 0;
  std::string remote;  // "1.2.3.4:8883"
  bool operator==(const TcpConnection&) const = default;
};

struct NetworkTotals {
  std::uint64_t bytes_in = 0, bytes_out = 0, packets_in = 0, packets_out = 0;
};

struct DeviceFigures {
  std::vector<ListeningPort> tcp_ports, udp_ports;
  std::vector<TcpConnection> connections;  // established
  NetworkTotals network;                   // since the machine started
  std::map<std::string, double> custom;    // names [A-Za-z0-9_-]; what is not finite is left out
};

inline constexpr base::Duration kLeastDefenderInterval = std::chrono::minutes{5};

class DefenderReport {
 public:
  DefenderReport(const std::string& thing, base::Duration interval);

  [[nodiscard]] std::vector<std::string> topics() const;
  void connected(base::Instant now);
  void disconnected() { connected_ = false; }
  bool take(const std::string& topic, const std::string& payload);
  // Whether it is time for make().
  [[nodiscard]] bool is_due(base::Instant now) const;
  [[nodiscard]] Publication make(const DeviceFigures& figures, base::Instant now, base::WallTime wall);
  [[nodiscard]] std::vector<Notice> take_notices();

 private:
  const std::string topic_;
  const base::Duration interval_;
  bool connected_ = false;
  std::optional<base::Instant> sent_at_;
  base::Instant connected_at_{};
  std::uint64_t report_id_ = 0;
  std::optional<NetworkTotals> before_;
  std::vector<Notice> notices_;
  std::string told_;
};

}  // namespace twinkeeper::aws
