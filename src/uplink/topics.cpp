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

}  // namespace twinkeeper::uplink
