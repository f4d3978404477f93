#include "aws/defender_report.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace twinkeeper::aws {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMostEntries = 50;
constexpr base::Duration kAfterConnect = 30s;  // the first one tells of a gateway that has come up

Json ports_of(const std::vector<ListeningPort>& ports) {
  Json list = Json::array();
  for (const ListeningPort& port : ports) {
    if (list.size() == kMostEntries) break;
    Json entry{{"port", port.port}};
    if (!port.interface.empty()) entry["interface"] = port.interface;
    list.push_back(std::move(entry));
  }
  Json out{{"total", ports.size()}};
  if (!list.empty()) out["ports"] = std::move(list);
  return out;
}

Json connections_of(const std::vector<TcpConnection>& connections) {
  Json list = Json::array();
  for (const TcpConnection& connection : connections) {
    if (list.size() == kMostEntries) break;
    Json entry{{"local_port", connection.local_port}, {"remote_addr", connection.remote}};
    if (!connection.local_interface.empty()) entry["local_interface"] = connection.local_interface;
    list.push_back(std::move(entry));
  }
  Json established{{"total", connections.size()}};
  if (!list.empty()) established["connections"] = std::move(list);
  return Json{{"established_connections", std::move(established)}};
}

// Of counters that begin anew when an interface does.
std::uint64_t grown(std::uint64_t now, std::uint64_t before) { return now >= before ? now - before : now; }

}  // namespace

DefenderReport::DefenderReport(const std::string& thing, base::Duration interval)
    : topic_("$aws/things/" + thing + "/defender/metrics/json"),
      interval_(std::max(interval, kLeastDefenderInterval)) {}

std::vector<std::string> DefenderReport::topics() const { return {topic_ + "/accepted", topic_ + "/rejected"}; }

void DefenderReport::connected(base::Instant now) {
  connected_ = true;
  connected_at_ = now;
}

bool DefenderReport::take(const std::string& topic, const std::string& payload) {
  if (topic.compare(0, topic_.size(), topic_) != 0) return false;
  if (topic == topic_ + "/accepted") {
    told_.clear();
  } else if (topic == topic_ + "/rejected") {
    const auto answer = parse_object(payload);
    const Json details = answer ? object(*answer, "statusDetails") : Json::object();
    const std::string why =
        "a report to Device Defender was refused: " + text(details, "ErrorCode") + " " + text(details, "ErrorMessage");
    if (told_ != why) notices_.push_back({"defender_refused", why});
    told_ = why;
  }
  return true;
}

bool DefenderReport::is_due(base::Instant now) const {
  if (!connected_) return false;
  return sent_at_ ? now - *sent_at_ >= interval_ : now - connected_at_ >= kAfterConnect;
}

Publication DefenderReport::make(const DeviceFigures& figures, base::Instant now, base::WallTime wall) {
  sent_at_ = now;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(wall.time_since_epoch()).count();
  report_id_ = std::max(report_id_ + 1, static_cast<std::uint64_t>(std::max<std::int64_t>(1, seconds)));
  Json metrics{{"listening_tcp_ports", ports_of(figures.tcp_ports)},
               {"listening_udp_ports", ports_of(figures.udp_ports)},
               {"tcp_connections", connections_of(figures.connections)}};
  if (before_) {  // what went before the service started is nobody's interval
    metrics["network_stats"] = {{"bytes_in", grown(figures.network.bytes_in, before_->bytes_in)},
                                {"bytes_out", grown(figures.network.bytes_out, before_->bytes_out)},
                                {"packets_in", grown(figures.network.packets_in, before_->packets_in)},
                                {"packets_out", grown(figures.network.packets_out, before_->packets_out)}};
  }
  before_ = figures.network;
  Json report{{"header", {{"report_id", report_id_}, {"version", "1.0"}}}, {"metrics", std::move(metrics)}};
  for (const auto& [name, value] : figures.custom) {
    if (std::isfinite(value)) report["custom_metrics"][name] = Json::array({Json{{"number", value}}});
  }
  return {topic_, report.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

std::vector<Notice> DefenderReport::take_notices() { return std::exchange(notices_, {}); }

}  // namespace twinkeeper::aws
