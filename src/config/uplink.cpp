#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "config/checks.hpp"
#include "twinkeeper/base/private_file.hpp"
#include "twinkeeper/base/quantity.hpp"

namespace twinkeeper::config {
namespace {

using namespace std::chrono_literals;
using uplink::Profile;

constexpr std::size_t kMaxTopicBytes = 256;
constexpr std::size_t kMaxSlashes = 7;           // aws-iot-core
constexpr double kMaxMessagesPerSecond = 100.0;  // aws-iot-core, per connection

// Of each kind the topic with the longest names.
std::vector<std::string> widest_topics(const ConfigText& text, const std::string& prefix) {
  std::vector<std::string> topics{prefix + "/metrics"};
  for (const DeviceText& device : text.devices)
    topics.push_back(prefix + "/devices/" + device.config.driver.name + "/samples");
  for (const TwinText& twin : text.twins) topics.push_back(prefix + "/twins/" + twin.name + "/anomaly");
  // The longest correlation id is the asker's to choose.
  if (text.commands.enabled) topics.push_back(prefix + "/response/" + std::string(64, 'x'));
  return topics;
}

std::size_t slashes(const std::string& topic) {
  return static_cast<std::size_t>(std::count(topic.begin(), topic.end(), '/'));
}

void check_prefix(Reader& reader, const ConfigText& text, const uplink::UplinkSettings& settings) {
  static const std::string kPath = "uplink.topic_prefix";
  const std::string& prefix = settings.topic_prefix;
  if (prefix.front() == '$') {
    reader.error(kPath, quote(prefix) + " starts with $, which belongs to the broker",
                 "a prefix that does not start with $");
  }
  if (prefix.find_first_of("+#") != std::string::npos) {
    reader.error(kPath, quote(prefix) + " has a wildcard", "a prefix without + and #");
  }
  if (prefix.front() == '/' || prefix.back() == '/' || prefix.find("//") != std::string::npos) {
    reader.error(kPath, quote(prefix) + " has an empty level", "levels with text between single slashes");
  }
  const std::vector<std::string> topics = widest_topics(text, prefix);
  const auto longest =
      std::max_element(topics.begin(), topics.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); });
  if (longest->size() > kMaxTopicBytes) {
    reader.error(kPath, "the topic " + quote(*longest) + " has " + std::to_string(longest->size()) + " bytes",
                 "topics of at most " + std::to_string(kMaxTopicBytes) + " bytes");
  }
  const auto deepest = std::max_element(topics.begin(), topics.end(),
                                        [](const auto& a, const auto& b) { return slashes(a) < slashes(b); });
  if (settings.profile == Profile::aws_iot_core && slashes(*deepest) > kMaxSlashes) {
    reader.error(kPath, "the topic " + quote(*deepest) + " has " + std::to_string(slashes(*deepest)) + " slashes",
                 "topics with at most " + std::to_string(kMaxSlashes) + " slashes under aws-iot-core");
  }
}

void check_keep_alive(Reader& reader, const uplink::UplinkSettings& settings) {
  static const std::string kPath = "uplink.keep_alive";
  if (settings.keep_alive % 1s != 0s) {
    reader.error(kPath, base::format_duration(settings.keep_alive) + " is no whole number of seconds", "whole seconds");
  }
  if (settings.profile == Profile::aws_iot_core && (settings.keep_alive < 30s || settings.keep_alive > 20min)) {
    reader.error(kPath, base::format_duration(settings.keep_alive) + " is out of range under aws-iot-core",
                 "30s to 20min");
  }
}

struct FileRule {
  const char* key;
  const char* kind;  // "a PEM file"
  bool secret;       // nobody else may read it
};

void check_file(Reader& reader, const FileRule& rule, const std::string& file) {
  const std::string path = std::string("uplink.") + rule.key;
  const std::string kind = rule.kind;
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) {
    if (errno == EACCES && rule.secret) {
      reader.permission_error(path, file + ": not reachable (permission denied)", "a key this process may read");
    } else {
      reader.error(path, file + ": " + (errno == ENOENT ? "no such file" : std::strerror(errno)),
                   kind + " that exists");
    }
  } else if (!S_ISREG(status.st_mode)) {
    reader.error(path, file + ": not a regular file", kind);
  } else if (::access(file.c_str(), R_OK) != 0) {
    if (rule.secret) {
      reader.permission_error(path, file + ": not readable by this process", "a key this process may read");
    } else {
      reader.error(path, file + ": not readable by this process", "a file this process may read");
    }
  } else if (const auto fault = rule.secret ? base::private_file_fault(file) : std::nullopt) {
    reader.permission_error(path, fault->what, fault->accepted);
  }
}

void check_key_files(Reader& reader, const uplink::UplinkSettings& settings) {
  check_file(reader, {"cert", "a PEM file", false}, settings.cert);
  check_file(reader, {"root_ca", "a PEM file", false}, settings.root_ca);
  check_file(reader, {"key", "a PEM file", true}, settings.key);
  if (!settings.crl.empty()) check_file(reader, {"crl", "a PEM file", false}, settings.crl);
  if (!settings.password_file.empty()) check_file(reader, {"password_file", "a file", true}, settings.password_file);
}

}  // namespace

void resolve_uplink(Reader& reader, ConfigText& text, bool check_files) {
  text.spool.directory = text.gateway.state_directory;
  if (!text.uplink) return;
  UplinkText& uplink = *text.uplink;
  uplink::UplinkSettings& settings = uplink.settings;
  const bool aws = settings.profile == Profile::aws_iot_core;
  if (aws && uplink.thing_name && *uplink.thing_name != text.gateway.id && !uplink.topic_prefix &&
      !text.gateway.id.empty()) {
    reader.error("uplink.thing_name",
                 quote(*uplink.thing_name) + " differs from the gateway id " + quote(text.gateway.id) +
                     ", so that the default topic_prefix may not be what the policy allows",
                 "the gateway id, or an explicit topic_prefix");
  }
  if (!uplink.thing_name) uplink.thing_name = text.gateway.id;
  if (!uplink.topic_prefix) uplink.topic_prefix = "twinkeeper/" + text.gateway.id;
  settings.client_id = *uplink.thing_name;
  settings.topic_prefix = *uplink.topic_prefix;
  settings.crl = uplink.crl.value_or("");
  settings.username = uplink.username.value_or("");
  settings.password_file = uplink.password_file.value_or("");
  if (uplink.password_file && !uplink.username) {
    reader.error("uplink.password_file", "a password without a user name", "a username beside it");
  }
  settings.state_directory = text.gateway.state_directory;
  if (!uplink.session_expiry) uplink.session_expiry = aws ? base::Duration{1h} : base::Duration::zero();
  settings.session_expiry = *uplink.session_expiry;
  if (settings.session_expiry % 1s != 0s) {
    reader.error("uplink.session_expiry",
                 base::format_duration(settings.session_expiry) + " is no whole number of seconds", "whole seconds");
  }
  if (aws && !settings.max_messages_per_second) settings.max_messages_per_second = 80.0;
  if (aws && !settings.max_bytes_per_second) settings.max_bytes_per_second = 400 * 1024;
  if (aws && *settings.max_messages_per_second > kMaxMessagesPerSecond) {
    reader.warn("uplink.max_messages_per_second", "the broker accepts 100 publishes per second and connection");
  }
  if (!text.gateway.id.empty()) check_prefix(reader, text, settings);
  check_keep_alive(reader, settings);
  resolve_aws(reader, settings);
  if (check_files) check_key_files(reader, settings);
}

}  // namespace twinkeeper::config
