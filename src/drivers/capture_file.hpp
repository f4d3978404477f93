// A capture as a file: lines of text, so that a person can read it and a tool compare it (docs/capture.md has an
// example). All times are nanoseconds of the monotonic clock after the grid's origin, unless named otherwise.
//
//   header   first line "twinkeeper capture 1", then "key: value" lines, one `endpoint:` for each connection (number,
//            controller, names of its devices), one `model:` for each twin (name, hash), and an empty line
//   turn     T ENDPOINT TIME     a turn of the endpoint's poller; TIME: the newest reading before it
//            n D D …             readings of the clock, each as what it is later than the one before
//            c                   connect                    > HEX   send            < HEX   receive
//            q 0|1               quiet?                     d 0|1   discard_input   x       close
//            o 0|1               connected?                 r 0|1   reopening_discards?
//            c, > and < that failed end in "! CODE: TEXT"
//            f I                 the I-th sample of the turn (from 1) found no room in the twin thread's queue
//            E SAMPLES CHECKSUM [stopped]
//   twins    K ENDPOINT N TIME   the endpoint's N-th sample in the queue (from 0) was taken at the deadline TIME: at
//                                the first one not before its own time it had not come yet
//            W TIME              the twin thread's notes up to here are whole
//            G TIME              it gave up steps or lost notes: nothing after TIME can be replayed
//   losses   L ENDPOINT TURNS    so many turns of the endpoint are missing here
//   end      Z stopped|reload|full|limit|error   why the capture ended; absent: the process was killed
// What is torn at the end of a file without Z counts as not written.
// Errors: corrupt, with the line number. Thread rule: one thread. Allocates.
#pragma once

#include <cstdint>
#include <istream>
#include <optional>
#include <string>
#include <vector>

#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::drivers {

struct CaptureEndpoint {
  std::string controller;
  std::vector<std::string> devices;
};

struct CaptureModel {
  std::string twin;
  std::string hash;
};

struct CaptureHeader {
  std::string version;  // of the program
  std::string gateway;
  std::string config_hash;
  base::WallTime wall_start;      // the wall clock …
  base::Instant monotonic_start;  // … at this instant
  base::Instant grid_origin;
  std::vector<CaptureEndpoint> endpoints;
  std::vector<CaptureModel> models;
};

[[nodiscard]] std::string capture_header_text(const CaptureHeader& header);

struct CaptureBlock {
  enum class Kind : std::uint8_t { turn, late_sample, whole_until, given_up, lost, end };
  Kind kind = Kind::turn;
  std::uint64_t line = 0;  // where it begins in the file
  std::size_t endpoint = 0;
  std::vector<std::string> lines;  // turn: between T and E, exclusive
  std::uint64_t samples = 0;       // turn
  std::uint64_t checksum = 0;      // turn
  bool stopped = false;            // turn
  std::uint64_t number = 0;        // late_sample: N; lost: turns
  base::Instant time;              // turn, late_sample, whole_until, given_up
  std::string reason;              // end
};

class CaptureReader {
 public:
  // `in` outlives the reader.
  [[nodiscard]] static base::Result<CaptureReader> open(std::istream& in);

  [[nodiscard]] const CaptureHeader& header() const noexcept { return header_; }
  // Absent: the file has ended.
  [[nodiscard]] base::Result<std::optional<CaptureBlock>> next();

 private:
  explicit CaptureReader(std::istream& in) : in_(&in) {}
  [[nodiscard]] base::Status read_header();
  [[nodiscard]] base::Status read_turn(CaptureBlock& block, bool& torn);
  bool get_line(std::string& line);  // false: end, or a last line without its end
  [[nodiscard]] base::Error corrupt(const std::string& what) const;

  std::istream* in_;
  std::uint64_t line_ = 0;
  CaptureHeader header_;
};

}  // namespace twinkeeper::drivers
