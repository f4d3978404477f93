// A courier between a real spool and a link whose other end the test plays.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/uplink_parts.hpp"
#include "uplink/courier.hpp"

namespace twinkeeper::test {

// The test plays the connection thread.
struct CourierRig {
  TemporaryFolder folder;
  StandingClock clock;
  RememberingSink events;
  uplink::UplinkSettings settings;
  uplink::SpoolSettings spool_settings;
  uplink::Statistics statistics;
  uplink::Link link;
  std::optional<uplink::Spool> spool;
  std::optional<uplink::Courier> courier;
  std::uint64_t connection = 0;
  std::map<std::pair<std::string, std::uint64_t>, std::uint64_t> seqs;  // for tests that count, by stream and epoch

  CourierRig() {
    settings.topic_prefix = "twinkeeper/gw1";
    spool_settings.directory = folder.path();
  }
  void start() {
    auto opened = uplink::Spool::open(spool_settings, "gw1", clock, "boot-1", events);
    REQUIRE(opened.ok());
    spool.emplace(std::move(opened).value());
    courier.emplace(*spool, link, statistics, settings, "gw1", clock, events);
  }
  void turn() { courier->run_once(base::Duration::zero()); }
  void connect(std::size_t window = 20) {
    link.send_up({uplink::LinkEvent::Kind::connected, ++connection, 0, window, {}});
    turn();
  }
  void lose() {
    link.forget_down();
    link.send_up({uplink::LinkEvent::Kind::lost, connection, 0, 0, {}});
    turn();
  }
  void answer(const uplink::Publication& publication,
              uplink::LinkEvent::Kind kind = uplink::LinkEvent::Kind::acknowledged, std::string reason = {}) {
    link.send_up({kind, publication.connection, publication.token, 0, std::move(reason)});
  }
  // Acknowledges all until nothing comes any more; what came, in order.
  std::vector<uplink::Publication> drain() {
    std::vector<uplink::Publication> all;
    while (true) {
      turn();
      auto some = link.take_down();
      if (some.empty()) return all;
      for (auto& publication : some) {
        answer(publication);
        all.push_back(std::move(publication));
      }
    }
  }
};

// The messages of publications, those in packets one by one.
inline std::vector<nlohmann::json> messages(const std::vector<uplink::Publication>& publications) {
  std::vector<nlohmann::json> found;
  for (const auto& publication : publications) {
    const nlohmann::json document = nlohmann::json::parse(publication.payload);
    if (document["schema"] == "twinkeeper.backlog/1") {
      for (const auto& message : document["messages"]) found.push_back(message);
    } else {
      found.push_back(document);
    }
  }
  return found;
}

}  // namespace twinkeeper::test
