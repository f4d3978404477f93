// Whatever topic_prefix, names and rule a configuration is given: if it is accepted, every topic that follows from it is
// one that MQTT and AWS IoT Core take.
#include <algorithm>
#include <fstream>
#include <string>
#include <variant>
#include <vector>

#include "config/config.hpp"
#include "fuzz_input.hpp"
#include "support/temporary_folder.hpp"
#include "uplink/topics.hpp"

using namespace twinkeeper;

namespace {

// As a double-quoted YAML scalar.
std::string as_yaml(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += std::string("\\") + c;
    } else if (code < 0x20 || code == 0x7f) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\x%02X", code);
      out += escape;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80                   ? 1
                               : lead >= 0xC2 && lead < 0xE0 ? 2
                               : lead < 0xF0 && lead >= 0xE0 ? 3
                               : lead >= 0xF0 && lead < 0xF5 ? 4
                                                             : 0;
    if (length == 0 || i + length > text.size()) return false;
    for (std::size_t k = 1; k < length; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xC0) != 0x80) return false;
    }
    i += length;
  }
  return true;
}

void judge(const uplink::UplinkSettings& settings, const std::string& stream) {
  std::string topic = uplink::topic_for(settings, stream);
  if (uplink::goes_to_rule(settings, stream)) {
    fuzz::demand(topic.rfind("$aws/rules/", 0) == 0, "a stream of Basic Ingest goes to its rule");
    topic = topic.substr(topic.find('/', 11) + 1);  // AWS counts from behind the rule
  }
  fuzz::demand(!topic.empty() && topic.front() != '$' && topic.front() != '/',
               "a topic begins with a level of its own");
  fuzz::demand(topic.find_first_of("+#") == std::string::npos, "a topic has no wildcard");
  fuzz::demand(std::none_of(topic.begin(), topic.end(),
                            [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }),
               "a topic has no control character");
  fuzz::demand(is_utf8(topic), "a topic is UTF-8");
  fuzz::demand(topic.size() <= 256, "a topic has at most 256 bytes");
  fuzz::demand(std::count(topic.begin(), topic.end(), '/') <= 7, "a topic has at most 7 slashes");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const test::TemporaryFolder folder;
  static const std::string path = folder.file("twinkeeper.yaml");
  fuzz::Input input(data, size);
  const std::string rule(input.text(input.byte() % 32));
  const std::string device(input.text(input.byte() % 64));
  const bool prefixed = input.byte() % 4 != 0;
  const std::string prefix(input.text(300));
  {
    std::ofstream file(path);
    file << "gateway: {id: gw, state_directory: state}\n"
         << "devices:\n  - {name: " << as_yaml(device)
         << ", controller: \"tcp://127.0.0.1:1502\", slave_id: 1, poll_interval: 1s, registers: [{name: x, register: "
            "holding, address: 0, type: INT16}]}\n"
         << "twins: []\n"
         << "commands: {enabled: true, allow: [describe]}\n"
         << "uplink:\n  endpoint: localhost\n  cert: c\n  key: k\n  root_ca: r\n";
    if (prefixed) file << "  topic_prefix: " << as_yaml(prefix) << "\n";
    if (!rule.empty()) file << "  basic_ingest: {rule: " << as_yaml(rule) << ", streams: [samples, backlog]}\n";
  }
  config::LoadOptions options;
  options.check_files = false;
  options.overlay = false;
  options.environment = {};
  const auto loaded = config::load(path, options);
  const auto* config = std::get_if<config::Config>(&loaded);
  if (config == nullptr) return 0;
  const std::string name = config->devices.front().driver.name;
  const std::string longest_id(64, 'x');
  for (const std::string& stream : std::vector<std::string>{
           "status", "metrics", "gap", "backlog", "anomaly", "logs", "devices." + name + ".samples",
           "devices." + name + ".anomaly", "devices." + name + ".info", "response." + longest_id}) {
    judge(*config->uplink, stream);
  }
  return 0;
}
