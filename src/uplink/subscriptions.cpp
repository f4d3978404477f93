#include "uplink/subscriptions.hpp"

#include <algorithm>
#include <fstream>
#include <utility>

#include "base/durable_file.hpp"

namespace twinkeeper::uplink {

// A line for each topic: client id, endpoint, topic, with spaces between; only a topic may hold one.
Subscriptions::Subscriptions(std::string file, std::string client_id)
    : file_(std::move(file)), client_id_(std::move(client_id)) {
  if (file_.empty()) return;
  std::ifstream in(file_);
  for (std::string line; std::getline(in, line);) {
    const auto first = line.find(' ');
    const auto second = first == std::string::npos ? first : line.find(' ', first + 1);
    if (second == std::string::npos || line.substr(0, first) != client_id_) continue;
    stored_ += line + "\n";
    const std::string endpoint = line.substr(first + 1, second - first - 1);
    held_[endpoint].insert(line.substr(second + 1));
    certain_.insert(endpoint);
  }
}

bool Subscriptions::session_serves(const std::string& endpoint, const std::vector<std::string>& wanted) const {
  const auto held = held_.find(endpoint);
  return held == held_.end() || std::all_of(held->second.begin(), held->second.end(), [&](const std::string& topic) {
           return std::find(wanted.begin(), wanted.end(), topic) != wanted.end();
         });
}

bool Subscriptions::suspected(const std::string& topic) const {
  return losses_ >= kLossesInCompany && std::find(suspects_.begin(), suspects_.end(), topic) != suspects_.end();
}

Subscriptions::Plan Subscriptions::plan(const std::string& endpoint, const std::vector<std::string>& wanted,
                                        bool session_present, std::size_t most, base::Instant now) {
  const bool believed = std::exchange(believe_, true);
  if (!session_present || !believed) held_.erase(endpoint);
  const auto found = held_.find(endpoint);
  Plan plan;
  std::vector<std::vector<std::string>> alone;
  for (const std::string& topic : wanted) {
    if (found != held_.end() && found->second.contains(topic)) continue;
    const auto barred = left_out_.find(topic);
    if (barred != left_out_.end() && now < barred->second) {
      plan.left_out.push_back(topic);
    } else if (suspected(topic) || barred != left_out_.end()) {
      alone.push_back({topic});
    } else {
      if (plan.packets.empty() || plan.packets.back().size() >= most) plan.packets.emplace_back();
      plan.packets.back().push_back(topic);
    }
  }
  plan.packets.insert(plan.packets.end(), alone.begin(), alone.end());
  return plan;
}

void Subscriptions::granted(const std::string& endpoint, const std::vector<std::string>& topics) {
  for (const std::string& topic : topics) {
    left_out_.erase(topic);
    held_[endpoint].insert(topic);
  }
}

std::optional<std::string> Subscriptions::broke(const std::vector<std::string>& packet, base::Instant now) {
  const bool alone = packet.size() == 1 && (suspected(packet.front()) || left_out_.contains(packet.front()));
  ++losses_;
  if (!alone) {
    suspects_ = packet;
    return std::nullopt;
  }
  left_out_[packet.front()] = now + kLeftOutFor;
  return packet.front();
}

void Subscriptions::doubt(const std::string& endpoint) {
  believe_ = certain_.contains(endpoint);
  certain_before_ = std::exchange(certain_, {});
  write();
}

void Subscriptions::began_none() { certain_ = std::exchange(certain_before_, {}); }

void Subscriptions::store(const std::string& endpoint) {
  certain_.insert(endpoint);
  write();
}

void Subscriptions::write() {
  if (file_.empty()) return;
  std::string text;
  for (const auto& [endpoint, topics] : held_) {
    if (!certain_.contains(endpoint)) continue;
    for (const std::string& topic : topics) text.append(client_id_ + " " + endpoint + " " + topic + "\n");
  }
  if (text != stored_ && base::replace_file(file_, text).ok()) stored_ = text;
}

}  // namespace twinkeeper::uplink
