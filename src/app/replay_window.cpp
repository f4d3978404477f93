#include "app/replay_window.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/durable_file.hpp"
#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::app {
namespace {

constexpr const char* kFirstLine = "twinkeeper.replay_window/1\n";
constexpr std::size_t kLeastLines = 200;  // before the file is written anew

}  // namespace

ReplayWindow::ReplayWindow(std::string file, base::Duration longest, const base::Clock& clock,
                           signals::EventSink& events)
    : file_(std::move(file)), clock_(clock), events_(events) {
  read(longest);
  write_anew();
}

void ReplayWindow::read(base::Duration longest) {
  const auto read = base::content_of(file_);
  if (!read) return;
  const std::string& content = read.value();
  const std::string first(kFirstLine);
  if (content.compare(0, first.size(), first) != 0) {
    events_.raise({signals::EventLevel::error, "commands", "replay_window_damaged",
                   file_ + " is damaged: commands from before this start are refused"});
    return;
  }
  knows_the_past_ = true;
  const base::Instant now = clock_.now();
  const std::int64_t wall_ms = base::unix_milliseconds(clock_.wall_now());
  // A last line without its end belongs to a command that was not obeyed.
  for (std::size_t begin = first.size(), end = 0; (end = content.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    const std::size_t space = content.find(' ', begin);
    if (space == std::string::npos || space > end) continue;
    std::int64_t until_ms = 0;
    if (std::from_chars(content.data() + space + 1, content.data() + end, until_ms).ec != std::errc{}) continue;
    const std::int64_t longest_ms = longest / std::chrono::milliseconds{1};
    const base::Duration left = std::chrono::milliseconds{std::min(until_ms - wall_ms, longest_ms)};
    if (left > base::Duration::zero()) ids_[content.substr(begin, space - begin)] = now + left;
  }
}

ReplayWindow::Answer ReplayWindow::see(const std::string& id, base::Instant until) {
  const base::Instant now = clock_.now();
  std::erase_if(ids_, [now](const auto& known) { return known.second < now; });
  if (ids_.count(id) > 0) return Answer::repeated;
  if (ids_.size() >= kMost) return Answer::full;
  ids_.emplace(id, until);
  if (failed_ || lines_ > kLeastLines + 2 * ids_.size()) {
    write_anew();
  } else {
    append(id, until);
  }
  return failed_ ? Answer::failed : Answer::fresh;
}

std::string ReplayWindow::line(const std::string& id, base::Instant until) const {
  return id + " " + std::to_string(base::unix_milliseconds(clock_.to_wall(until)) + 1) + "\n";
}

void ReplayWindow::append(const std::string& id, base::Instant until) {
  const base::Status appended = base::append_to_file(file_, line(id, until));
  ++lines_;
  if (!appended) write_anew();
}

void ReplayWindow::write_anew() {
  std::string text = kFirstLine;
  for (const auto& [id, until] : ids_) text += line(id, until);
  const base::Status written = base::replace_file(file_, text);
  if (!written.ok()) return tell(written.error().message());
  lines_ = ids_.size();
  failed_ = false;
}

void ReplayWindow::tell(const std::string& what) {
  if (!std::exchange(failed_, true)) {
    events_.raise({signals::EventLevel::error, "commands", "replay_window_failed",
                   what + ": commands to write are refused; others could be obeyed twice after a restart"});
  }
}

}  // namespace twinkeeper::app
