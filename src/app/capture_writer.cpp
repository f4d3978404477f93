#include "app/capture_writer.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "app/real_time.hpp"
#include "twinkeeper/base/quantity.hpp"

namespace twinkeeper::app {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBlocksPerChannel = 1024;
constexpr std::size_t kMostWaitingBytes = 16U << 20;
constexpr std::size_t kWriteSize = 256U << 10;
constexpr base::Duration kWriteInterval = 200ms;

}  // namespace

class CaptureWriter::Channel final : public drivers::CaptureSink {
 public:
  explicit Channel(CaptureWriter& writer) : writer_(writer), blocks_(kBlocksPerChannel) {}
  bool take(std::string&& block) override {
    const std::size_t size = block.size();
    if (writer_.ended_.load(std::memory_order_relaxed)) return true;  // nobody asks any more
    if (writer_.waiting_bytes_.fetch_add(size, std::memory_order_relaxed) + size > kMostWaitingBytes ||
        !blocks_.try_push(std::move(block))) {
      writer_.waiting_bytes_.fetch_sub(size, std::memory_order_relaxed);
      ++untold_;
      return false;
    }
    untold_ = 0;
    return true;
  }
  // Blocks refused since the last one taken, which tells of those before it. When the producer has ended.
  [[nodiscard]] std::uint64_t untold() const { return untold_; }
  base::BoundedQueue<std::string>& blocks() { return blocks_; }

 private:
  CaptureWriter& writer_;
  base::BoundedQueue<std::string> blocks_;
  std::uint64_t untold_ = 0;  // the producer's
};

base::Result<std::unique_ptr<CaptureWriter>> CaptureWriter::open(const std::string& file, std::uint64_t limit,
                                                                 signals::EventSink& events) {
  const auto failed = [&](const std::string& what, int cause) {
    const auto code = cause == ENOENT   ? base::ErrorCode::not_found
                      : cause == EACCES ? base::ErrorCode::permission_denied
                                        : base::ErrorCode::io;
    return base::Error(code, file + ": " + what + (cause != 0 ? std::string(": ") + std::strerror(cause) : ""));
  };
  struct stat status {};
  if (::lstat(file.c_str(), &status) == 0) {
    if (!S_ISREG(status.st_mode)) return failed("is there already and no regular file", 0);
    if (::rename(file.c_str(), (file + ".old").c_str()) != 0) return failed("can't be renamed to .old", errno);
  }
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return failed("can't be made", errno);
  return std::unique_ptr<CaptureWriter>(new CaptureWriter(file, descriptor, limit, events));
}

CaptureWriter::CaptureWriter(std::string file, int descriptor, std::uint64_t limit, signals::EventSink& events)
    : file_(std::move(file)), descriptor_(descriptor), limit_(limit), events_(events) {}

CaptureWriter::~CaptureWriter() {
  finish("error");
  ::close(descriptor_);
}

drivers::CaptureSink& CaptureWriter::sink(std::size_t endpoint) { return *channels_[endpoint]; }

void CaptureWriter::start(const drivers::CaptureHeader& header) {
  origin_ = header.grid_origin;
  for (std::size_t i = 0; i < header.endpoints.size(); ++i) channels_.push_back(std::make_unique<Channel>(*this));
  notes_ = std::make_unique<TwinNotes>(header.endpoints.size());
  buffer_ = drivers::capture_header_text(header);
  thread_ = std::jthread([this](const std::stop_token& stop) {
    begin_ordinary_thread("capture");
    run(stop);
  });
}

void CaptureWriter::finish(const char* reason) {
  if (thread_.joinable()) {
    thread_.request_stop();
    bell_.ring();
    thread_.join();
  }
  if (ended_.load(std::memory_order_relaxed) || notes_ == nullptr) return;
  gather();
  for (std::size_t e = 0; e < channels_.size(); ++e) {
    if (const auto lost = channels_[e]->untold(); lost > 0) {
      buffer_ += "L " + std::to_string(e) + " " + std::to_string(lost) + "\n";
    }
  }
  write_out();
  if (!ended_.load(std::memory_order_relaxed)) end(reason, "");
}

void CaptureWriter::run(const std::stop_token& stop) {
  while (!stop.stop_requested() && !ended_.load(std::memory_order_relaxed)) {
    bell_.wait_for(kWriteInterval);
    gather();
    write_out();
  }
}

// One block of each channel in turn, so that none is kept waiting by a busy one.
void CaptureWriter::gather() {
  for (bool any = true; any && !ended_.load(std::memory_order_relaxed);) {
    any = false;
    for (auto& channel : channels_) {
      std::string block;
      if (!channel->blocks().try_pop(block)) continue;
      any = true;
      waiting_bytes_.fetch_sub(block.size(), std::memory_order_relaxed);
      buffer_ += block;
    }
    if (buffer_.size() >= kWriteSize) write_out();
  }
  TwinNote note;
  while (notes_->try_pop(note)) {
    const std::string time = std::to_string((note.time - origin_).count()) + "\n";
    switch (note.kind) {
      case TwinNote::Kind::late_sample:
        buffer_ += "K " + std::to_string(note.queue) + " " + std::to_string(note.number) + " " + time;
        break;
      case TwinNote::Kind::whole_until: buffer_ += "W " + time; break;
      case TwinNote::Kind::given_up: buffer_ += "G " + time; break;
    }
  }
}

void CaptureWriter::write_out() {
  if (buffer_.empty() || ended_.load(std::memory_order_relaxed)) return;
  if (written_ + buffer_.size() > limit_) {
    return end("limit", "has reached its limit of " + base::format_size(limit_));
  }
  struct statvfs system {};
  if (::fstatvfs(descriptor_, &system) == 0 && system.f_bavail * system.f_frsize < kSpared + buffer_.size()) {
    return end("full", "leaves the last " + base::format_size(kSpared) + " of its disk free");
  }
  std::size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t size = ::write(descriptor_, buffer_.data() + done, buffer_.size() - done);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) {
      const int cause = size < 0 ? errno : EIO;
      // If this fails as well, the block that is cut short stays without its end, as a reader notices.
      if (::ftruncate(descriptor_, static_cast<off_t>(written_)) == 0) ::lseek(descriptor_, 0, SEEK_END);
      return end(cause == ENOSPC ? "full" : "error", std::string("can't be written: ") + std::strerror(cause));
    }
    done += static_cast<std::size_t>(size);
  }
  written_ += buffer_.size();
  buffer_.clear();
}

void CaptureWriter::end(const char* reason, const std::string& message) {
  ended_.store(true, std::memory_order_relaxed);
  buffer_ = {};
  const std::string last = std::string("Z ") + reason + "\n";
  static_cast<void>(!::write(descriptor_, last.data(), last.size()));  // what can't be written is absent
  if (message.empty()) return;
  events_.raise({signals::EventLevel::warning, "capture", reason,
                 file_ + " " + message + "; the capture has ended, the service goes on"});
}

}  // namespace twinkeeper::app
