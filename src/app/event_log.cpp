#include "app/event_log.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::app {
namespace {

constexpr unsigned kLinesPerWindow = 10;
constexpr std::size_t kKept = 500;
constexpr std::size_t kKeptBytes = 1000;
constexpr base::Duration kWindow = std::chrono::minutes{1};

// sd-daemon(3): the priority in angle brackets that the journal takes off again.
class JournalPriority final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
    const std::string_view prefix = message.level >= spdlog::level::err     ? "<3>"
                                    : message.level == spdlog::level::warn  ? "<4>"
                                    : message.level == spdlog::level::debug ? "<7>"
                                                                            : "<6>";
    out.append(prefix.data(), prefix.data() + prefix.size());
  }
  [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JournalPriority>();
  }
};

// systemd.exec(5): JOURNAL_STREAM is inherited, so it counts only if it names this very stderr.
bool stderr_is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat self {};
  return stream != nullptr && ::fstat(STDERR_FILENO, &self) == 0 &&
         stream == std::to_string(self.st_dev) + ":" + std::to_string(self.st_ino);
}

void open_log() {
  if (spdlog::get("twinkeeper")) return;
  auto logger = spdlog::stderr_logger_mt("twinkeeper");
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<JournalPriority>('*');
  formatter->set_pattern(stderr_is_journal() ? "%*%v" : "%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  logger->set_formatter(std::move(formatter));
  logger->set_level(spdlog::level::trace);  // what is written decides EventLog
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

spdlog::level::level_enum level_of(signals::EventLevel level) {
  switch (level) {
    case signals::EventLevel::trace:
    case signals::EventLevel::debug: return spdlog::level::debug;
    case signals::EventLevel::info: return spdlog::level::info;
    case signals::EventLevel::warning: return spdlog::level::warn;
    case signals::EventLevel::error: return spdlog::level::err;
  }
  return spdlog::level::err;
}

std::string word_of(signals::EventLevel level) {
  return std::string(signals::kEventLevels[static_cast<std::size_t>(level)]);
}

}  // namespace

std::string escape_control_bytes(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out += c;
    } else {
      out += "\\x";
      out += kHex[byte >> 4u];
      out += kHex[byte & 15u];
    }
  }
  return out;
}

EventLog::EventLog(const base::Clock& clock) : clock_(clock) { open_log(); }

void EventLog::raise(signals::Event event) {
  unsigned suppressed = 0;
  {
    const std::lock_guard lock(mutex_);
    const base::Instant now = clock_.now();
    const signals::EventLevel least = level_locked(now);
    if (event.level < least) return;
    Window& window = windows_[event.subject + '\n' + event.code];
    if (now - window.start > kWindow) {
      suppressed = window.suppressed;
      window = {now, 0, 0};
    }
    if (++window.lines > kLinesPerWindow && least != signals::EventLevel::trace) {
      ++window.suppressed;
      return;
    }
  }
  std::string line = escape_control_bytes(event.subject + ": " + event.message);
  if (suppressed > 0) line += " (" + std::to_string(suppressed) + " like it were not written)";
  {
    const std::lock_guard lock(mutex_);
    if (newest_.size() >= kKept) newest_.pop_front();
    newest_.push_back(base::format_rfc3339(clock_.wall_now()) + " " + word_of(event.level) + " " +
                      line.substr(0, kKeptBytes));
  }
  // The text is an argument, never the format: it may hold braces.
  spdlog::log(level_of(event.level), "{}", line);
}

signals::EventLevel EventLog::level_locked(base::Instant now) {
  if (other_ && other_->until && *other_->until <= now) other_.reset();
  return other_ ? other_->level : configured_;
}

void EventLog::configure(signals::EventLevel level) {
  const std::lock_guard lock(mutex_);
  if (level != configured_) other_.reset();
  configured_ = level;
}

void EventLog::set_level(signals::EventLevel level, base::Duration length) {
  const std::lock_guard lock(mutex_);
  other_ = OtherLevel{level, std::nullopt};
  if (length > base::Duration::zero()) other_->until = clock_.now() + length;
}

std::string EventLog::level_members() {
  const std::lock_guard lock(mutex_);
  const signals::EventLevel level = level_locked(clock_.now());
  std::string members =
      R"("level":")" + word_of(level) + R"(","configured":")" + word_of(configured_) + R"(","until":)";
  const bool ends = other_ && other_->until;
  return members + (ends ? '"' + base::format_rfc3339(clock_.to_wall(*other_->until)) + '"' : "null");
}

std::vector<std::string> EventLog::newest(std::size_t most) {
  const std::lock_guard lock(mutex_);
  const std::size_t count = std::min(most, newest_.size());
  return {newest_.end() - static_cast<std::ptrdiff_t>(count), newest_.end()};
}

void EventLog::info(std::string_view subject, std::string message) {
  raise({signals::EventLevel::info, std::string(subject), "info", std::move(message)});
}

void EventLog::warning(std::string_view subject, std::string message) {
  raise({signals::EventLevel::warning, std::string(subject), "warning", std::move(message)});
}

}  // namespace twinkeeper::app
