// One instrument that talks lines of text, over a serial line or a TCP connection. Has no thread of its own.
//
// With `request`   Cycle m is due at grid_origin + collection_offset + m · poll_interval, one request and the first
// line
//                  that matches the pattern within `timeout`. Every register gives exactly one sample per cycle: good
//                  ones with the middle between the request and the last byte of the line, bad ones with the instant of
//                  the failure. A cycle whose time passed while another was running is skipped and counted.
// Free running     Every line gives one sample per register at once, with the instant of its last byte less half the
//                  line's duration on the wire. descriptor() is what makes poll_due due. If no line comes for
//                  max(timeout, poll_interval), each cycle gives every register one bad sample. The first line after
//                  the connection was opened may lack its beginning and is dropped.
// Text             becomes a value by decode_text; a register whose group is no number, or took no part in the match,
// is
//                  bad/no_match, the others of the line are good.
// Errors           no line, no connection                               bad/timeout
//                  a line that doesn't match; one that is damaged, too long, without end or with a wrong checksum
//                                                                       bad/no_match
// Late lines       A line names no request, so a late one would pass for the answer to a newer request. What keeps it
//                  out: before a request the input is discarded until nothing has come for 20 ms and 3.5 characters; a
//                  line that doesn't match never ends an exchange before its time-out; and after an exchange in which
//                  the instrument can't be taken to have answered (no line, or only damaged ones) it is left alone for
//                  4 time-outs from the request (TCP: also over a new connection). A line later than that can't be told
//                  from an answer. The request itself, sent back by an echo, is passed over.
// Recovery         A connection that is lost or can't be opened is tried again after 0.5, 1, 2 … 10 s. An instrument
//                  that left two requests in a row without answer is left alone in the same way. A free running TCP
//                  connection without a byte for 4 · max(timeout, poll_interval), at least 10 s, is opened again: its
//                  far end may be gone without a word. A serial line stays open.
// Events           subject = device, once per change: `connection_lost` (warning), `degraded` (warning: it speaks, but
//                  gives not every value), `restored` (info). A free running instrument is judged once per cycle, by
//                  all lines since the one before.
// With others      on one line (share_line_with), all of them asked: while one rests that may still answer late, a line
//                  in another's exchange that matches its pattern too is nobody's value (bad/no_match); one whose
//                  newest answer was such a line is not asked until then (bad/timeout). Lines of another
//                  terminator or checksum count as matching. After any exchange without a value the instrument rests,
//                  as no line without a value can be told from garbage or another's. The pause between requests, at
//                  least 3.5 characters, is kept between any two.
// Statistics       as of a polled device; of a free running one every line, and every cycle in silence, is one request.
// Thread rule: as Poller. Allocation: none per cycle but for text, events, and what the sink does.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/back_off.hpp"
#include "drivers/line_pattern.hpp"
#include "drivers/line_reader.hpp"
#include "drivers/poller.hpp"
#include "drivers/serial_timing.hpp"
#include "drivers/transport.hpp"
#include "twinkeeper/signals/event.hpp"

namespace twinkeeper::drivers {

class LinePoller final : public Poller {
 public:
  // `device` has passed examine_line and has a positive poll interval. References outlive the poller.
  LinePoller(DeviceSettings device, base::Instant grid_origin, const base::Clock& clock, SampleSink& samples,
             signals::EventSink& events, std::unique_ptr<Transport> transport);
  // Before the first poll_due; the others are asked by the same thread and live as long.
  void share_line_with(std::vector<LinePoller*> others);

  base::Instant poll_due(std::stop_token stop) override;
  [[nodiscard]] int descriptor() const noexcept override;
  [[nodiscard]] std::size_t device_count() const noexcept override { return 1; }
  [[nodiscard]] const DeviceStatistics& statistics(std::size_t) const override { return statistics_; }
  [[nodiscard]] base::Duration longest_block() const noexcept override;
  [[nodiscard]] base::Instant due() const noexcept;
  // When the newest exchange ended; Instant::min() before the first.
  [[nodiscard]] base::Instant newest_request() const noexcept { return newest_request_; }

 private:
  struct Heard {      // lines of one exchange, or of one cycle of a free running instrument
    int good = 0;     // every register has a value
    int partly = 0;   // whole and undamaged, but not every register has a value
    int damaged = 0;  // or on a line with others: without a value, and nobody knows whose
    int doubted = 0;  // of partly: another may have said it
    [[nodiscard]] int lines() const noexcept { return good + partly + damaged; }
  };

  [[nodiscard]] base::Instant on_grid() const noexcept;
  void run_cycle();
  void ask();
  void judge_silence();
  void listen();

  [[nodiscard]] base::Duration patience() const noexcept;
  bool open();
  void close_after(DeviceError error, const std::string& failure);
  void keep_pause() const;
  bool silent();
  void exchange(base::Instant sent);
  // The lines in `bytes`, the last of which arrived at `arrived`. True: one of them answered the request `sent`.
  bool hear(std::span<const std::uint8_t> bytes, base::Instant arrived, std::optional<base::Instant> sent);
  bool is_echo(const ReadLine& line) const noexcept;
  void spoke() noexcept;
  void left_unanswered(base::Instant now, DeviceError error);

  [[nodiscard]] bool another_is_late(base::Instant sent) const noexcept;
  // Of those whose late answer `line`, heard after a request sent at `sent`, may be the one that rests longest;
  // nullptr: nobody's.
  [[nodiscard]] const LinePoller* late_sender_of(std::string_view line, base::Instant sent) const;
  [[nodiscard]] bool might_say(std::string_view line, const LineSettings& read_as);

  void count_good(base::Instant sent, base::Instant received) noexcept;
  void count_failure(DeviceError error, std::string failure);
  int give_values(base::Instant time);
  void give_bad(DeviceError error);
  void end_cycle(DeviceState after);

  const DeviceSettings settings_;
  const SerialTiming timing_;
  const base::Instant origin_;
  const std::string echo_;  // the request without its end
  const base::Clock& clock_;
  SampleSink& samples_;
  signals::EventSink& events_;
  std::unique_ptr<Transport> transport_;
  LineReader reader_;
  LinePattern pattern_;
  std::vector<std::size_t> group_of_;    // by register: position among the pattern's groups
  std::vector<std::string_view> texts_;  // of the newest match

  DeviceStatistics statistics_;
  BackOff back_off_;
  DeviceError down_error_ = DeviceError::none;  // what led to the back-off
  std::string failure_;                         // the newest, for a person
  int unanswered_in_a_row_ = 0;
  std::int64_t next_cycle_ = 0;
  std::optional<base::Instant> ask_at_;  // out of turn
  base::Instant rests_until_ = base::Instant::min();
  base::Instant newest_request_ = base::Instant::min();
  base::Instant newest_line_, newest_byte_;  // or the opening of the connection; free running only
  Heard heard_;
  std::vector<LinePoller*> others_;
  std::string newest_answer_;  // on a line with others: the newest line that matched
  bool ever_connected_ = false;
  std::array<std::uint8_t, 1024> buffer_{};
};

}  // namespace twinkeeper::drivers
