// The file behind `run --capture`: blocks from every device thread and notes of the twin thread, through bounded queues
// to one writer thread. Nobody waits for the disk; what finds no room is told in the file (drivers/capture_file.hpp).
//
// The capture ends by itself, with one log line, when the disk has less than kSpared bytes left (the spool needs them),
// when a write fails, or when the file has reached its limit. What was written stays whole: a block cut short by a
// failed write is taken off again. The service goes on in any case.
// The file is new and mode 0600; one that is there already is renamed to FILE.old before.
// Errors of open(): io, permission_denied, not_found.
// Thread rule: open, start and finish from one thread; each sink and the notes from the one thread that owns them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "app/twin_notes.hpp"
#include "drivers/capture.hpp"
#include "drivers/capture_file.hpp"
#include "twinkeeper/base/queue.hpp"
#include "twinkeeper/base/result.hpp"
#include "twinkeeper/base/wake_up.hpp"
#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::app {

class CaptureWriter {
 public:
  static constexpr std::uint64_t kSpared = 64ULL << 20;
  static constexpr std::uint64_t kDefaultLimit = 1ULL << 30;

  [[nodiscard]] static base::Result<std::unique_ptr<CaptureWriter>> open(const std::string& file, std::uint64_t limit,
                                                                         signals::EventSink& events);
  ~CaptureWriter();  // finish("error") if nobody did
  CaptureWriter(const CaptureWriter&) = delete;
  CaptureWriter& operator=(const CaptureWriter&) = delete;

  // Writes the header and starts the thread.
  void start(const drivers::CaptureHeader& header);
  [[nodiscard]] drivers::CaptureSink& sink(std::size_t endpoint);
  [[nodiscard]] TwinNotes& twin_notes() { return *notes_; }
  // Whether the writer has taken all that was handed over so far: what comes later stands behind it in the file.
  [[nodiscard]] bool caught_up() const noexcept { return waiting_bytes_.load() == 0; }
  // Writes what is left. All threads that write have ended.
  void finish(const char* reason);

 private:
  class Channel;
  CaptureWriter(std::string file, int descriptor, std::uint64_t limit, signals::EventSink& events);
  void run(const std::stop_token& stop);
  void gather();
  void write_out();
  void end(const char* reason, const std::string& message);

  const std::string file_;
  const int descriptor_;
  const std::uint64_t limit_;
  signals::EventSink& events_;
  base::Instant origin_;
  std::vector<std::unique_ptr<Channel>> channels_;
  std::unique_ptr<TwinNotes> notes_;
  std::atomic<std::size_t> waiting_bytes_{0};  // in all channels
  std::atomic<bool> ended_{false};
  std::string buffer_;
  std::uint64_t written_ = 0;
  base::WakeUp bell_;
  std::jthread thread_;
};

}  // namespace twinkeeper::app
