#include <set>

#include "config/checks.hpp"

namespace twinkeeper::config {
namespace {

void check_basic_ingest(Reader& reader, const uplink::BasicIngest& ingest) {
  static const std::string kPath = "uplink.basic_ingest";
  static constexpr const char* kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
  if (ingest.rule.empty() || ingest.rule.find_first_not_of(kLetters) != std::string::npos) {
    reader.error(kPath + ".rule", quote(ingest.rule) + " is no name of a rule", "letters, digits and _");
  }
  if (std::set<std::string>(ingest.streams.begin(), ingest.streams.end()).size() != ingest.streams.size()) {
    reader.error(kPath + ".streams", "names a stream twice", "each once");
  }
}

}  // namespace

void resolve_aws(Reader& reader, uplink::UplinkSettings& settings) {
  const bool aws = settings.profile == uplink::Profile::aws_iot_core;
  const auto only_aws = [&](const char* key, bool used) {
    if (aws || !used) return;
    reader.error(std::string("uplink.") + key, "is something that only AWS IoT Core has",
                 "no such key, or profile aws-iot-core");
  };
  only_aws("basic_ingest", settings.basic_ingest.has_value());
  only_aws("shadows", settings.shadows.value_or(uplink::Shadows::off) != uplink::Shadows::off);
  only_aws("jobs", settings.jobs.value_or(false));
  only_aws("defender_interval", settings.defender_interval.has_value());
  if (!settings.shadows) settings.shadows = aws ? uplink::Shadows::all : uplink::Shadows::off;
  if (!settings.jobs) settings.jobs = aws;
  if (settings.basic_ingest) check_basic_ingest(reader, *settings.basic_ingest);
}

}  // namespace twinkeeper::config
