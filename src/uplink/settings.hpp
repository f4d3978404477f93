// Broker connection and spool, in std types only. Paths are absolute (config resolves them).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::uplink {

enum class Profile { aws_iot_core, mqtt };
enum class MqttVersion { v3_1_1, v5 };
enum class BacklogFormat { packed, plain };
enum class DiscardPolicy { oldest, newest, thin };
enum class Shadows { off, twins, all };

// Streams of these kinds go straight to a rule of AWS IoT Core, past its message broker.
struct BasicIngest {
  std::string rule;
  std::vector<std::string> streams;  // of state, samples, metrics, backlog

  bool operator==(const BasicIngest&) const = default;
};

struct Endpoint {
  std::string host;
  std::uint16_t port = 8883;

  [[nodiscard]] std::string name() const { return host + ":" + std::to_string(port); }
  bool operator==(const Endpoint&) const = default;
};

struct UplinkSettings {
  std::vector<Endpoint> endpoints;  // at least one, in the order they are tried
  Profile profile = Profile::aws_iot_core;
  std::string client_id;  // thing_name, by default the gateway id
  std::string cert;
  std::string key;
  std::string root_ca;
  std::string crl;                // empty: revocation is not checked
  std::string username;           // empty: none
  std::string password_file;      // empty: none
  std::optional<Endpoint> proxy;  // an HTTP proxy to tunnel through
  std::string topic_prefix;
  MqttVersion mqtt_version = MqttVersion::v5;
  base::Duration keep_alive = std::chrono::seconds{30};
  std::optional<double> max_messages_per_second;      // absent: unlimited; 80 under aws-iot-core unless given
  std::optional<std::uint64_t> max_bytes_per_second;  // absent: unlimited; 400 KiB under aws-iot-core unless given
  bool retain = true;
  base::Duration status_interval = std::chrono::minutes{15};
  int digits = 7;
  BacklogFormat backlog = BacklogFormat::packed;
  base::Duration backlog_after = std::chrono::seconds{10};
  std::string state_directory;      // what the broker's session holds is remembered there; empty: in memory only
  base::Duration session_expiry{};  // how long the broker keeps the session; 0: it ends with the connection
  // aws-iot-core only
  std::optional<BasicIngest> basic_ingest;
  std::optional<Shadows> shadows;  // absent until the profile has decided
  base::Duration shadow_interval = std::chrono::seconds{60};
  std::optional<bool> jobs;                         // as shadows
  std::optional<base::Duration> defender_interval;  // absent: no reports to Device Defender
  base::Duration connect_timeout = std::chrono::seconds{10};
  base::Duration acknowledge_timeout = std::chrono::seconds{20};

  bool operator==(const UplinkSettings&) const = default;
};

struct SpoolSettings {
  std::string directory;  // the state directory; the spool is <directory>/spool.db
  std::uint64_t max_bytes = 256ull << 20;
  base::Duration max_age = std::chrono::hours{7 * 24};
  DiscardPolicy discard_policy = DiscardPolicy::oldest;
  base::Duration commit_interval = std::chrono::milliseconds{200};

  bool operator==(const SpoolSettings&) const = default;
};

}  // namespace twinkeeper::uplink
