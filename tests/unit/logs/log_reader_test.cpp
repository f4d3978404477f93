#include "logs/log_reader.hpp"

#include <zlib.h>

#include <cmath>
#include <fstream>
#include <random>
#include <string>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace {

using namespace twinkeeper;
using namespace std::chrono_literals;
using logs::LogTable;

struct Folder : test::TemporaryFolder {
  std::string write(const std::string& text, const std::string& name = "log.csv") const {
    std::ofstream(file(name), std::ios::binary) << text;
    return file(name);
  }
};

LogTable read(const std::string& text, const logs::RowRange& rows = {}) {
  const Folder folder;
  auto table = logs::read_log(folder.write(text), rows);
  if (!table.ok()) FAIL(table.error().message());
  return std::move(table).value();
}

// What is said of a faulty log, without its folder.
std::string fault(const std::string& text) {
  const Folder folder;
  const auto table = logs::read_log(folder.write(text));
  REQUIRE_FALSE(table.ok());
  CHECK(table.error().code() == base::ErrorCode::corrupt);
  return table.error().message().substr(folder.path().size() + 1);
}

}  // namespace

TEST_CASE("a log is read with names, units, times and missing cells") {
  const LogTable table = read("time[s],level_1[m], pump [V],spare\n0,1.5,3,\n0.1,NaN,-2e1,null\n0.20,nan,,+7\n");
  REQUIRE(table.columns.size() == 3);
  CHECK(table.columns[0].name == "level_1");
  CHECK(table.columns[0].unit == "m");
  CHECK(table.columns[1].name == "pump");
  CHECK(table.columns[1].unit == "V");
  CHECK(table.columns[2].unit.empty());
  REQUIRE(table.rows() == 3);
  CHECK(table.times[1] == 100ms);
  CHECK(table.time_texts[2] == "0.20");
  CHECK(table.values[0][0] == 1.5);
  CHECK(std::isnan(table.values[0][1]));
  CHECK(table.values[1][1] == -20.0);
  CHECK(std::isnan(table.values[1][2]));
  CHECK(std::isnan(table.values[2][0]));
  CHECK(table.values[2][2] == 7.0);
}

TEST_CASE("separators, comments, blank lines, line ends, quotes and the byte order mark make no difference") {
  const LogTable plain = read("t,a,b\n0,1,2\n1,3,4\n");
  for (const char* text :
       {"t;a;b\n0;1;2\n1;3;4\n", "t\ta\tb\n0\t1\t2\n1\t3\t4", "\xEF\xBB\xBFt,a,b\r\n0,1,2\r\n1,3,4\r\n",
        "# made by hand\n\nt,a,b\n# a, b; c\n0,1,2\n\n1,3,4\n   \n", "\"t\",\"a\",\"b\"\n\"0\",1,\"2\"\n1,3,4\n",
        "t , a , b\n 0 , 1 , 2 \n1,3,4"}) {
    CAPTURE(text);
    const LogTable table = read(text);
    REQUIRE(table.columns.size() == 2);
    CHECK(table.columns[1].name == "b");
    CHECK(table.times == plain.times);
    CHECK(table.values == plain.values);
  }
}

TEST_CASE("times are seconds to the nanosecond, or dates in UTC unless they have an offset") {
  CHECK(read("t,a\n1700000000.123456789,1\n").times[0] == 1'700'000'000'123'456'789ns);
  CHECK(read("t,a\n-0.5,1\n").times[0] == -500ms);
  CHECK(read("t,a\n0.0000000015,1\n").times[0] == 2ns);
  CHECK(read("t,a\n1.001284599304199219e+00,1\n").times[0] == 1'001'284'599ns);
  const auto date = read("t,a\n2020-03-09 10:14:33,1\n").times[0];
  CHECK(date == 1'583'748'873s);
  CHECK(read("t,a\n2020-03-09T10:14:33.250Z,1\n").times[0] == date + 250ms);
  CHECK(read("t,a\n2020-03-09T11:14:33+01:00,1\n").times[0] == date);
}

TEST_CASE("a packed log is the same log, and a damaged one is told") {
  const Folder folder;
  std::string text = "t,a\n";
  for (int k = 0; k < 20'000; ++k) text += std::to_string(k) + "," + std::to_string(k * 7919 % 10'007) + "\n";
  gzFile file = gzopen(folder.file("log.csv.gz").c_str(), "wb");
  REQUIRE(gzwrite(file, text.data(), static_cast<unsigned>(text.size())) == static_cast<int>(text.size()));
  gzclose(file);
  const auto packed = logs::read_log(folder.file("log.csv.gz"));
  REQUIRE(packed.ok());
  CHECK(packed.value().values == read(text).values);

  std::ifstream in(folder.file("log.csv.gz"), std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  for (const std::size_t size : {bytes.size() / 2, bytes.size() - 3}) {
    const auto cut = logs::read_log(folder.write(bytes.substr(0, size), "cut.gz"));
    REQUIRE_FALSE(cut.ok());
    CHECK(cut.error().code() == base::ErrorCode::corrupt);
  }
  bytes[bytes.size() / 2] ^= 0x55;
  CHECK_FALSE(logs::read_log(folder.write(bytes, "bent.gz")).ok());
}

TEST_CASE("rows are chosen zero-based and half-open") {
  const std::string text = "t,a\n0,10\n1,11\n2,12\n3,13\n";
  CHECK(read(text, {1, 3}).values[0] == std::vector<double>{11, 12});
  CHECK(read(text, {3, {}}).values[0] == std::vector<double>{13});
  const Folder folder;
  const auto beyond = logs::read_log(folder.write(text), {0, 5});
  REQUIRE_FALSE(beyond.ok());
  CHECK(beyond.error().code() == base::ErrorCode::invalid_argument);
}

TEST_CASE("a fault names file, line and column, and what is accepted") {
  CHECK(fault("t,a\n0,1\n1,x2\n") ==
        "log.csv:3:3: a: \"x2\" is no number; accepted: a number with a decimal point, or an empty cell, NaN or null "
        "for a missing one");
  CHECK(fault("t;a\n0;1,5\n").substr(0, 30) == "log.csv:2:3: a: \"1,5\" is no nu");
  CHECK(fault("# c\nt,a,b\n0,1\n") == "log.csv:3:4: 2 cells; accepted: 3, as the header has");
  CHECK(fault("t,a,b\n0,1,2,3\n") == "log.csv:2:7: more than 3 cells; accepted: 3, as the header has");
  CHECK(fault("t,a,b\n0,1,2,\n") == "log.csv:2:7: more than 3 cells; accepted: 3, as the header has");
  CHECK(fault("t,a\nnoon,1\n").substr(0, 40) == "log.csv:2:1: \"noon\" is no time; accepted");
  CHECK(fault("t,a\n,1\n").substr(0, 31) == "log.csv:2:1: \"\" is no time; acc");
  CHECK(fault("t,a\n0,1\n2020-03-09 10:14:33,1\n").substr(0, 13) == "log.csv:3:1: ");
  CHECK(fault("t,a\n2020-03-09 10:14:33,1\n5,1\n").substr(0, 13) == "log.csv:3:1: ");
  CHECK(fault("t,a\n1e300,1\n").substr(0, 13) == "log.csv:2:1: ");
  CHECK(fault("t,a,a\n0,1,2\n") == "log.csv:1:5: \"a\" is there twice; accepted: each column once");
  CHECK(fault("t,a[m],\n0,1,2\n") == "log.csv:1:8: a column without a name; accepted: NAME or NAME[UNIT]");
  CHECK(fault("t\n0\n").substr(0, 44) == "log.csv:1:1: no column beside the time; acce");
  CHECK(fault("0,1,2\n1,2,3\n").substr(0, 50) == "log.csv:1:1: numbers where the header should be; a");
  CHECK(fault("").substr(0, 19) == "log.csv: no header;");
  CHECK(fault("t,a\n") == "log.csv has no rows");
  CHECK(fault("t,a\n0," + std::string(3'000'000, '1') + "\n").substr(0, 41) ==
        "log.csv:2: the line does not end within 1");
}

TEST_CASE("a log that is not there is told as such") {
  const Folder folder;
  const auto table = logs::read_log(folder.file("none.csv"));
  REQUIRE_FALSE(table.ok());
  CHECK(table.error().code() == base::ErrorCode::not_found);
  CHECK(logs::read_log(folder.path()).error().code() == base::ErrorCode::io);
}

TEST_CASE("arbitrary bytes are refused or read, but never more than once the same fault") {
  const Folder folder;
  std::mt19937_64 random(7);
  const std::string alphabet = "t,a;\t\n\r\"#0123456789.-+eE[]NaNull \xEF\xBB\xBF\x1f\x8b";
  for (int k = 0; k < 3000; ++k) {
    std::string text = k % 2 == 0 ? "t,a,b\n0,1,2\n" : "";
    for (std::size_t n = random() % 60; n > 0; --n) text += alphabet[random() % alphabet.size()];
    const auto table = logs::read_log(folder.write(text));
    if (!table.ok()) continue;
    for (const auto& column : table.value().values) CHECK(column.size() == table.value().rows());
  }
}
