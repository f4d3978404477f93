#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "app/commands.hpp"
#include "app/control_session.hpp"
#include "app/exit_codes.hpp"
#include "app/plan.hpp"
#include "app/process_usage.hpp"
#include "app/replay_csv.hpp"
#include "twinkeeper/base/quantity.hpp"
#include "twinkeeper/base/timestamp.hpp"
#include "uplink/envelope.hpp"
#include "uplink/outgoing.hpp"
#include "uplink/spool_reader.hpp"

namespace twinkeeper::app {
namespace {

using nlohmann::ordered_json;
using uplink::SpoolReader;

constexpr std::size_t kRowsAtOnce = 500;
constexpr base::Duration kPurgePatience = std::chrono::minutes{10};

class NoEvents final : public signals::EventSink {
 public:
  void raise(signals::Event) override {}
};

const char* name_of(signals::MessageClass message_class) {
  switch (message_class) {
    case signals::MessageClass::gap: return "gap";
    case signals::MessageClass::anomaly: return "anomaly";
    case signals::MessageClass::info: return "info";
    case signals::MessageClass::metrics: return "metrics";
    case signals::MessageClass::state: return "state";
    case signals::MessageClass::samples: return "samples";
  }
  return "state";
}

int told_error(const base::Error& error) {
  switch (error.code()) {
    case base::ErrorCode::not_found:
      return told("spool: " + error.message() + ": the service has not run with this state directory yet",
                  kExitNoInput);
    case base::ErrorCode::newer_version:
    case base::ErrorCode::corrupt: return told("spool: " + error.message(), kExitBadData);
    case base::ErrorCode::unavailable: return told("spool: " + error.message(), kExitUnavailable);
    default: return told("spool: " + error.message(), kExitIo);
  }
}

std::variant<SpoolReader, int> reader_of(const Plan& plan) {
  auto reader = SpoolReader::open(plan.config.spool.directory, read_boot_id());
  if (!reader.ok()) return told_error(reader.error());
  return std::move(reader).value();
}

ordered_json time_or_null(const std::optional<base::WallTime>& time) {
  return time ? ordered_json(base::format_rfc3339(*time)) : ordered_json(nullptr);
}

ordered_json document_of(const uplink::SpoolStatus& status, const Plan& plan) {
  ordered_json document{{"directory", plan.config.spool.directory},
                        {"epoch", status.epoch},
                        {"messages", 0},
                        {"bytes", 0},
                        {"max_bytes", plan.config.spool.max_bytes},
                        {"file_bytes", status.file_bytes},
                        {"streams", ordered_json::array()},
                        {"dead", ordered_json::array()},
                        {"gaps", ordered_json::array()}};
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  for (const auto& stream : status.streams) {
    messages += stream.messages;
    bytes += stream.bytes;
    document["streams"].push_back({{"stream", stream.stream},
                                   {"class", name_of(stream.message_class)},
                                   {"messages", stream.messages},
                                   {"bytes", stream.bytes},
                                   {"oldest", time_or_null(stream.oldest)},
                                   {"newest", time_or_null(stream.newest)}});
  }
  document["messages"] = messages;
  document["bytes"] = bytes;
  for (const auto& dead : status.dead) {
    document["dead"].push_back({{"stream", dead.stream}, {"reason", dead.reason}, {"messages", dead.count}});
  }
  for (const auto& gap : status.gaps) {
    document["gaps"].push_back(ordered_json::parse("{" + uplink::gap_members(gap) + "}"));
  }
  return document;
}

std::string or_dash(const ordered_json& value) { return value.is_null() ? "-" : value.get<std::string>(); }

void print_spool(const ordered_json& document) {
  const auto number = [](const ordered_json& value) { return std::to_string(value.get<std::uint64_t>()); };
  const auto size = [](const ordered_json& value) { return base::format_size(value.get<std::uint64_t>()); };
  std::cout << document["directory"].get<std::string>() << ": epoch " << number(document["epoch"]) << ", "
            << number(document["messages"]) << " messages, " << size(document["bytes"]) << " of "
            << size(document["max_bytes"]) << "; on disk " << size(document["file_bytes"]) << '\n';
  for (const auto& stream : document["streams"]) {
    std::cout << "  " << stream["stream"].get<std::string>() << " (" << stream["class"].get<std::string>()
              << "): " << number(stream["messages"]) << " messages, " << size(stream["bytes"]) << ", "
              << or_dash(stream["oldest"]) << " … " << or_dash(stream["newest"]) << '\n';
  }
  for (const auto& dead : document["dead"]) {
    std::cout << "set aside: " << number(dead["messages"]) << " of " << dead["stream"].get<std::string>() << ": "
              << dead["reason"].get<std::string>() << '\n';
  }
  for (const auto& gap : document["gaps"]) {
    std::cout << "lost, to be told: " << (gap["count"].is_null() ? "some" : number(gap["count"])) << " of "
              << (gap["stream"].is_null() ? "streams unknown" : gap["stream"].get<std::string>()) << ": "
              << gap["reason"].get<std::string>() << '\n';
  }
}

// A line of the export goes to a file or to standard output; false if it takes no more.
class Lines {
 public:
  static std::variant<Lines, int> to(const std::optional<std::string>& file) {
    Lines lines;
    if (!file) return lines;
    auto opened = CsvFile::open(*file);
    if (!opened.ok()) return told("spool: " + opened.error().message(), kExitIo);
    lines.file_.emplace(std::move(opened).value());
    return lines;
  }
  bool write(const std::string& line) {
    if (file_) {
      file_->row(line);
      return true;
    }
    std::cout << line << '\n';
    return std::cout.good();
  }
  int close() {
    if (!file_) return kExitDone;
    const auto closed = file_->close();
    return closed.ok() ? kExitDone : told("spool: " + closed.error().message(), kExitIo);
  }

 private:
  std::optional<CsvFile> file_;
};

// A duration back from now, or a point in time.
std::variant<std::optional<base::WallTime>, int> since_of(const SpoolArguments& arguments, const base::Clock& clock) {
  if (!arguments.since) return std::optional<base::WallTime>{};
  if (const auto time = base::parse_rfc3339(*arguments.since)) return time;
  if (const auto duration = base::parse_duration(*arguments.since); duration.ok()) {
    return std::optional<base::WallTime>(clock.wall_now() - duration.value());
  }
  return told("spool: --since " + *arguments.since +
                  "; accepted: a duration back from now such as 2h, or a time such as "
                  "2026-03-01T08:00:00Z",
              kExitUsage);
}

int tell_purged(std::uint64_t messages, std::uint64_t dead) {
  std::cout << "purged " << messages << " messages and " << dead << " that had been set aside\n";
  return kExitDone;
}

// The running service owns its spool: it is asked to do it.
int purge_by_service(const SpoolArguments& arguments, const Plan& plan, const std::string& why_not_here) {
  std::error_code error;
  const auto directory = std::filesystem::absolute(plan.config.spool.directory, error);
  nlohmann::json asked{{"spool", directory.string()}};
  if (arguments.stream) asked["stream"] = *arguments.stream;
  if (arguments.dead) asked["dead"] = true;
  if (arguments.all) asked["all"] = true;
  auto begun = ControlSession::ask("spool", control_socket_path(plan.config.gateway.control_socket), "purge", asked);
  if (const int* code = std::get_if<int>(&begun)) {
    return told("spool: " + why_not_here + "; accepted: the control socket of the service, or that it is stopped",
                *code);
  }
  const auto answered = std::get<ControlSession>(begun).answer(kPurgePatience);
  if (const int* code = std::get_if<int>(&answered)) return *code;
  const auto& answer = std::get<nlohmann::json>(answered);
  const std::string result = text_of(answer, "result");
  if (result != "done") {
    return told("spool: " + result + ": " + text_of(answer, "reason"), result == "failed" ? kExitIo : kExitBadData);
  }
  return tell_purged(answer.value("messages", std::uint64_t{0}), answer.value("dead", std::uint64_t{0}));
}

}  // namespace

int spool_status_command(const SpoolArguments& arguments) {
  auto loaded = load_or_report(arguments.config_file, false);
  if (const int* code = std::get_if<int>(&loaded)) return *code;
  const Plan& plan = std::get<Plan>(loaded);
  auto reader = reader_of(plan);
  if (const int* code = std::get_if<int>(&reader)) return *code;
  const auto status = std::get<SpoolReader>(reader).status();
  if (!status.ok()) return told_error(status.error());
  const ordered_json document = document_of(status.value(), plan);
  if (arguments.json) {
    std::cout << document.dump(2, ' ', false, ordered_json::error_handler_t::replace) << '\n';
  } else {
    print_spool(document);
  }
  return kExitDone;
}

int spool_export_command(const SpoolArguments& arguments) {
  auto loaded = load_or_report(arguments.config_file, false);
  if (const int* code = std::get_if<int>(&loaded)) return *code;
  const Plan& plan = std::get<Plan>(loaded);
  const base::SystemClock clock;
  const auto since = since_of(arguments, clock);
  if (const int* code = std::get_if<int>(&since)) return *code;
  const auto& begin = std::get<std::optional<base::WallTime>>(since);
  auto opened = reader_of(plan);
  if (const int* code = std::get_if<int>(&opened)) return *code;
  SpoolReader& reader = std::get<SpoolReader>(opened);
  auto to = Lines::to(arguments.output_file);
  if (const int* code = std::get_if<int>(&to)) return *code;
  Lines& lines = std::get<Lines>(to);
  const auto meant = [&](const uplink::StoredMessage& message) {
    if (arguments.stream && message.message.stream != *arguments.stream) return false;
    return !begin || (message.wall ? *message.wall : clock.to_wall(message.message.time)) >= *begin;
  };
  const std::string& gateway = plan.config.gateway.id;
  std::int64_t after = 0;
  while (arguments.dead) {
    auto rows = reader.dead(after, kRowsAtOnce);
    if (!rows.ok()) return told_error(rows.error());
    if (rows.value().empty()) return lines.close();
    after = rows.value().back().number;
    for (const auto& row : rows.value()) {
      if (!meant(row.message)) continue;
      std::string line = "{\"reason\":";
      uplink::append_json_string(line, row.reason);
      line += ",\"set_aside_at\":\"" + base::format_rfc3339(row.at) +
              "\",\"message\":" + uplink::message_text(row.message, gateway, clock, true) + "}";
      if (!lines.write(line)) return kExitIo;
    }
  }
  while (true) {
    const std::int64_t before = after;
    auto rows = reader.messages(after, kRowsAtOnce);
    if (!rows.ok()) return told_error(rows.error());
    if (after == before) return lines.close();
    for (const auto& message : rows.value()) {
      if (meant(message) && !lines.write(uplink::message_text(message, gateway, clock, true))) return kExitIo;
    }
  }
}

int spool_purge_command(const SpoolArguments& arguments) {
  auto loaded = load_or_report(arguments.config_file, false);
  if (const int* code = std::get_if<int>(&loaded)) return *code;
  const Plan& plan = std::get<Plan>(loaded);
  if (!arguments.yes) {
    return told(
        "spool purge: what is purged is gone for good; give --yes to do it, or look first: twinkeeper spool status",
        kExitUsage);
  }
  const auto absent = SpoolReader::open(plan.config.spool.directory, read_boot_id());
  if (!absent.ok() && absent.error().code() == base::ErrorCode::not_found) return told_error(absent.error());
  const base::SystemClock clock;
  NoEvents events;
  auto spool =
      uplink::Spool::open_for_maintenance(plan.config.spool, plan.config.gateway.id, clock, read_boot_id(), events);
  if (!spool.ok()) {
    const base::ErrorCode code = spool.error().code();
    const bool owned = code == base::ErrorCode::unavailable || code == base::ErrorCode::permission_denied;
    return owned ? purge_by_service(arguments, plan, spool.error().message()) : told_error(spool.error());
  }
  uplink::PurgeFilter filter;
  filter.stream = arguments.stream;
  filter.messages = arguments.all || (arguments.stream && !arguments.dead);
  filter.dead = arguments.all || arguments.dead;
  const auto purged = spool.value().purge(filter);
  if (!purged.ok()) return told_error(purged.error());
  return tell_purged(purged.value().messages, purged.value().dead);
}

}  // namespace twinkeeper::app
