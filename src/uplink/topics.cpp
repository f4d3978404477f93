#include "uplink/topics.hpp"

#include <algorithm>

#include "uplink/envelope.hpp"

namespace twinkeeper::uplink {

bool goes_to_rule(const UplinkSettings& settings, std::string_view stream) {
  if (!settings.basic_ingest) return false;
  const std::string_view kind = stream.substr(stream.rfind('.') + 1);  // npos + 1 is 0
  const auto& kinds = settings.basic_ingest->streams;
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

std::string topic_for(const UplinkSettings& settings, std::string_view stream) {
  std::string topic = topic_of_stream(settings.topic_prefix, stream);
  if (goes_to_rule(settings, stream)) topic.insert(0, "$aws/rules/" + settings.basic_ingest->rule + "/");
  return topic;
}

std::string dead_topics(const std::vector<DeadMessages>& dead, const UplinkSettings& settings) {
  constexpr std::size_t kNamed = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(dead.size(), kNamed); ++i) {
    text += (i == 0 ? "" : ", ") + topic_for(settings, dead[i].stream) + " (" + dead[i].reason +
            "; kept: " + std::to_string(dead[i].count) + ")";
  }
  if (dead.size() > kNamed) text += " and " + std::to_string(dead.size() - kNamed) + " more";
  return text;
}

}  // namespace twinkeeper::uplink
