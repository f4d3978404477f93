#include "app/last_good.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "app/version.hpp"
#include "base/durable_file.hpp"
#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::app {
namespace {

using nlohmann::json;

constexpr const char* kLastGoodSchema = "twinkeeper.last-good/1";
constexpr const char* kUsualStateDirectory = "/var/lib/twinkeeper";

std::string absolute_path(const std::string& file) {
  return std::filesystem::absolute(file).lexically_normal().string();
}

// Of a file that may have any fault: the first value of a key of that name.
std::string written_state_directory(const std::string& text) {
  static const std::string kKey = "state_directory:";
  const std::size_t key = text.find(kKey);
  if (key == std::string::npos) return {};
  std::size_t begin = text.find_first_not_of(" \t", key + kKey.size());
  if (begin == std::string::npos) return {};
  if (text[begin] == '"' || text[begin] == '\'') ++begin;
  const std::string value = text.substr(begin, text.find_first_of("\"',}#\r\n", begin) - begin);
  const std::size_t last = value.find_last_not_of(" \t");
  if (last == std::string::npos || value.find("${") != std::string::npos) return {};
  return value.substr(0, last + 1);
}

}  // namespace

std::string last_good_file(const std::string& state_directory) { return state_directory + "/last_good"; }

base::Status keep_last_good(const std::string& state_directory, const std::string& config_file,
                            const std::map<std::string, std::string>& texts, base::WallTime now) {
  LastGood next{absolute_path(config_file), {}, now};
  for (const auto& [file, text] : texts) next.files[absolute_path(file)] = text;
  if (const auto before = read_last_good(state_directory);
      before.ok() && before.value().config_file == next.config_file && before.value().files == next.files) {
    return base::Success{};
  }
  json header{{"schema", kLastGoodSchema}, {"version", kVersion}, {"time", base::format_rfc3339(now)}};
  header["time_ns"] = now.time_since_epoch().count();
  header["files"] = json::array();
  std::string contents;
  const auto add = [&](const std::string& file, const std::string& text) {
    header["files"].push_back({{"path", file}, {"bytes", text.size()}});
    contents += text;
  };
  add(next.config_file, next.files[next.config_file]);
  for (const auto& [file, text] : next.files) {
    if (file != next.config_file) add(file, text);
  }
  const std::string line = header.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  return base::replace_file(last_good_file(state_directory), line + contents);
}

base::Result<LastGood> read_last_good(const std::string& state_directory) {
  const std::string file = last_good_file(state_directory);
  auto content = base::content_of(file);
  if (!content) return std::move(content).error();
  const std::string& text = content.value();
  const base::Error corrupt(base::ErrorCode::corrupt, file + " is damaged");
  const std::size_t end = std::min(text.find('\n'), text.size());
  const json header = json::parse(text.substr(0, end), nullptr, false);
  LastGood kept;
  try {
    if (header.at("schema") != kLastGoodSchema) return corrupt;
    kept.since = base::WallTime{base::Duration{header.at("time_ns").get<std::int64_t>()}};
    std::size_t begin = std::min(end + 1, text.size());
    for (const json& entry : header.at("files")) {
      const auto bytes = entry.at("bytes").get<std::size_t>();
      if (bytes > text.size() - begin) return corrupt;
      const auto path = entry.at("path").get<std::string>();
      if (kept.config_file.empty()) kept.config_file = path;
      kept.files[path] = text.substr(begin, bytes);
      begin += bytes;
    }
    if (begin != text.size() || kept.files.empty()) return corrupt;
  } catch (const json::exception&) {
    return corrupt;
  }
  return kept;
}

std::vector<std::string> likely_state_directories(const std::string& config_file) {
  std::vector<std::string> directories;
  if (const std::string written = written_state_directory(base::content_if_any(config_file)); !written.empty()) {
    directories.push_back((std::filesystem::path(absolute_path(config_file)).parent_path() / written).string());
  }
  if (const char* given = std::getenv("STATE_DIRECTORY"); given != nullptr && *given != '\0') {
    directories.emplace_back(given);
  }
  directories.emplace_back(kUsualStateDirectory);
  return directories;
}

std::optional<FoundLastGood> find_last_good(const std::string& config_file,
                                            const std::vector<std::string>& state_directories) {
  for (const std::string& directory : state_directories) {
    auto kept = read_last_good(directory);
    if (kept.ok() && kept.value().config_file == absolute_path(config_file)) {
      return FoundLastGood{directory, std::move(kept).value()};
    }
  }
  return std::nullopt;
}

std::vector<std::string> changed_since(const LastGood& kept) {
  std::vector<std::string> changed;
  for (const auto& [file, text] : kept.files) {
    const auto content = base::content_of(file);
    if (!content.ok() || content.value() != text) changed.push_back(file);
  }
  return changed;
}

}  // namespace twinkeeper::app
