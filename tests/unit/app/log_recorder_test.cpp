// Samples to rows: what is written when, and what is in it.
#include "app/log_recorder.hpp"

#include <fstream>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace {

using namespace twinkeeper;
using namespace std::chrono_literals;

constexpr base::WallTime kRecordingWall{base::Duration{1'767'225'600'123'456'789}};  // 2026-01-01T00:00:00.123456789Z

struct LogRecorderRig {
  // At 10.25 s, on a grid that began at 3 s.
  explicit LogRecorderRig(base::Duration interval = 100ms) {
    auto out = app::CsvFile::open(file);
    recorder.emplace(std::vector<app::RecordedTag>{{"plc.level", "m", true, interval, 500ms},
                                                   {"plc.name", "", false, 1s, 500ms},
                                                   {"plc.pump", "", true, 3 * interval, 500ms}},
                     std::move(out).value(), at(3s), at(10250ms), kRecordingWall);
  }
  static base::Instant at(base::Duration time) { return base::Instant{time}; }
  std::vector<std::string> lines() const {
    std::ifstream in(file);
    std::vector<std::string> read;
    for (std::string line; std::getline(in, line);) read.push_back(line);
    return read;
  }

  test::TemporaryFolder folder;
  std::string file = folder.file("log.csv");
  std::optional<app::LogRecorder> recorder;
};

}  // namespace

TEST_CASE("a recording begins on a whole second, with a row for each poll of the fastest tag") {
  LogRecorderRig rig;
  CHECK(rig.recorder->first_row() == LogRecorderRig::at(11s));
  rig.recorder->take(0, LogRecorderRig::at(10990ms - 50ms), 0.5);  // belongs to the row before the first
  rig.recorder->take(0, LogRecorderRig::at(11004ms), 1.25);
  rig.recorder->take(2, LogRecorderRig::at(11006ms), 1);
  rig.recorder->take(1, LogRecorderRig::at(11006ms), 7);  // text has no column
  rig.recorder->take(0, LogRecorderRig::at(11104ms), 1.5);
  rig.recorder->take(0, LogRecorderRig::at(11296ms), 0.1);  // nearest to 11.3 s
  rig.recorder->take(9, LogRecorderRig::at(11296ms), 0.1);
  REQUIRE(rig.recorder->finish(LogRecorderRig::at(11301ms)).ok());
  CHECK(rig.lines() == std::vector<std::string>{"time,plc.level[m],plc.pump", "2026-01-01T00:00:00.873Z,1.25,1",
                                                "2026-01-01T00:00:00.973Z,1.5,", "2026-01-01T00:00:01.073Z,,",
                                                "2026-01-01T00:00:01.173Z,0.1,"});
  CHECK(rig.recorder->rows() == 4);
  CHECK(rig.recorder->values() == 4);
}

TEST_CASE("a row is written when nothing more can come for it, and what comes later is counted") {
  LogRecorderRig rig;
  const base::Duration patience = rig.recorder->patience();
  CHECK(patience >= 1s);
  rig.recorder->take(0, LogRecorderRig::at(11s), 1);
  rig.recorder->advance(LogRecorderRig::at(11s) + patience);
  CHECK(rig.recorder->rows() == 0);
  rig.recorder->advance(LogRecorderRig::at(11s) + patience + 1ns);
  CHECK(rig.recorder->rows() == 1);
  CHECK(rig.lines().size() == 2);  // others may read it already
  rig.recorder->take(0, LogRecorderRig::at(11020ms), 2);
  CHECK(rig.recorder->late() == 1);
  rig.recorder->take(0, LogRecorderRig::at(11s) + 1000h, 3);  // no sample of this time
  rig.recorder->advance(LogRecorderRig::at(12s) + patience);
  CHECK(rig.recorder->rows() == 10);
}

TEST_CASE("intervals that are no whole milliseconds keep their times") {
  LogRecorderRig rig(2500us);
  rig.recorder->take(0, LogRecorderRig::at(11s + 2500us), 1);
  REQUIRE(rig.recorder->finish(LogRecorderRig::at(11s + 5ms + 1us)).ok());
  CHECK(rig.lines() == std::vector<std::string>{"time,plc.level[m],plc.pump", "2026-01-01T00:00:00.873Z,,",
                                                "2026-01-01T00:00:00.875500000Z,1,", "2026-01-01T00:00:00.878Z,,"});
}

TEST_CASE("a disk that takes no more ends the recording") {
  LogRecorderRig rig;
  auto out = app::CsvFile::open("/dev/full");
  REQUIRE(out.ok());
  app::LogRecorder full({{"plc.level", "m", true, 100ms, 0s}}, std::move(out).value(), LogRecorderRig::at(0s),
                        LogRecorderRig::at(0s), kRecordingWall);
  CHECK(full.good());
  full.advance(LogRecorderRig::at(10s));
  CHECK_FALSE(full.good());
  CHECK_FALSE(full.finish(LogRecorderRig::at(11s)).ok());
}
