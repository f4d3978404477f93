#include "app/checkpoint.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "app/version.hpp"
#include "base/durable_file.hpp"
#include "uplink/crc32c.hpp"

namespace twinkeeper::app {
namespace {

using Json = nlohmann::json;

// Another number whenever what any archive() describes changes: what was written then is another thing now.
// On processors of 32 bits sizes are half as wide: a form of its own, which a backup may bring to a wider one or back.
constexpr const char* kCheckpointSchema =
    sizeof(std::size_t) == 8 ? "twinkeeper.checkpoint/4" : "twinkeeper.checkpoint/4-32";
constexpr const char* kAnyCheckpointSchema = "twinkeeper.checkpoint/";
constexpr std::size_t kSumBytes = 4;

base::Error corrupt(const std::string& what) { return {base::ErrorCode::corrupt, what}; }

Json number_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

double number_or_nan(const Json& value) {
  return value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

CheckpointHeader header_of(const Json& json) {
  CheckpointHeader header;
  header.twin = json.at("twin").get<std::string>();
  header.model_name = json.at("model").at("name").get<std::string>();
  header.model_hash = json.at("model").at("hash").get<std::string>();
  header.setup_hash = json.at("setup_hash").get<std::string>();
  header.boot_id = json.at("boot_id").get<std::string>();
  header.time = base::Instant{base::Duration{json.at("monotonic_ns").get<std::int64_t>()}};
  header.wall = base::WallTime{base::Duration{json.at("wall_ns").get<std::int64_t>()}};
  header.clock_synchronised = json.at("clock_synced").get<bool>();
  header.tick = json.at("tick").get<std::int64_t>();
  header.mode = json.at("mode").get<std::string>();
  for (const Json& state : json.at("states")) {
    header.states.push_back({state.at("name").get<std::string>(), state.at("unit").get<std::string>(),
                             number_or_nan(state.at("value")), number_or_nan(state.at("std"))});
  }
  for (const Json& input : json.at("inputs")) {
    header.inputs.push_back(
        {input.at("name").get<std::string>(), input.at("unit").get<std::string>(), number_or_nan(input.at("value"))});
  }
  return header;
}

}  // namespace

std::string checkpoint_file(const std::string& state_directory, const std::string& twin) {
  return state_directory + "/checkpoints/" + twin + ".checkpoint";
}

std::string encode_checkpoint(const CheckpointHeader& header, std::span<const std::byte> archive) {
  Json states = Json::array();
  for (const CheckpointState& state : header.states) {
    states.push_back({{"name", state.name},
                      {"unit", state.unit},
                      {"value", number_or_null(state.value)},
                      {"std", number_or_null(state.std)}});
  }
  Json inputs = Json::array();
  for (const CheckpointInput& input : header.inputs) {
    inputs.push_back({{"name", input.name}, {"unit", input.unit}, {"value", number_or_null(input.value)}});
  }
  const Json json = {{"schema", kCheckpointSchema},
                     {"version", std::string(kVersion)},
                     {"twin", header.twin},
                     {"model", {{"name", header.model_name}, {"hash", header.model_hash}}},
                     {"setup_hash", header.setup_hash},
                     {"boot_id", header.boot_id},
                     {"monotonic_ns", header.time.time_since_epoch().count()},
                     {"wall_ns", header.wall.time_since_epoch().count()},
                     {"clock_synced", header.clock_synchronised},
                     {"tick", header.tick},
                     {"mode", header.mode},
                     {"states", std::move(states)},
                     {"inputs", std::move(inputs)},
                     {"bytes", archive.size()}};
  std::string content = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  content.append(reinterpret_cast<const char*>(archive.data()), archive.size());
  const std::uint32_t sum = uplink::crc32c(content);
  for (std::size_t i = 0; i < kSumBytes; ++i) content.push_back(static_cast<char>(sum >> (8 * i) & 0xFFU));
  return content;
}

base::Result<Checkpoint> decode_checkpoint(std::string_view content) {
  if (content.size() < kSumBytes) return corrupt("is cut short");
  const std::string_view sum_text = content.substr(content.size() - kSumBytes);
  content.remove_suffix(kSumBytes);
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < kSumBytes; ++i) {
    sum |= static_cast<std::uint32_t>(static_cast<unsigned char>(sum_text[i])) << (8 * i);
  }
  if (uplink::crc32c(content) != sum) return corrupt("is damaged: its checksum is another");
  const std::size_t line = content.find('\n');
  const Json json = Json::parse(content.substr(0, line), nullptr, false);
  if (line == std::string_view::npos || !json.is_object()) return corrupt("does not begin with a line of JSON");
  Checkpoint checkpoint;
  try {
    const auto schema = json.at("schema").get<std::string>();
    if (!schema.starts_with(kAnyCheckpointSchema)) return corrupt("is of the schema " + schema);
    checkpoint.header = header_of(json);
    if (schema != kCheckpointSchema) {
      checkpoint.other_schema = schema;
      return checkpoint;
    }
    if (json.at("bytes").get<std::size_t>() != content.size() - line - 1) return corrupt("is not as long as it says");
  } catch (const Json::exception& error) {
    return corrupt(std::string("has a first line that can't be used: ") + error.what());
  }
  const auto* bytes = reinterpret_cast<const std::byte*>(content.data());
  checkpoint.archive.assign(bytes + line + 1, bytes + content.size());
  return checkpoint;
}

base::Result<Checkpoint> read_checkpoint(const std::string& file) {
  const auto content = base::content_of(file);
  if (!content) return content.error();
  auto decoded = decode_checkpoint(content.value());
  if (!decoded.ok()) return corrupt(file + " " + decoded.error().message());
  return decoded;
}

base::Status write_checkpoint(const std::string& file, const std::string& content) {
  const std::string folder = file.substr(0, file.rfind('/'));
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return base::system_error(folder, errno);
  return base::replace_file(file, content);
}

}  // namespace twinkeeper::app
