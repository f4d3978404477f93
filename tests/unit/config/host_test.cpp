#include "config/host.hpp"

#include "support/catch.hpp"

using namespace twinkeeper::config;

namespace {

std::string read(const std::string& text) {
  const auto parsed = parse_host_and_port(text);
  if (!parsed) return "refused";
  return parsed->host + (parsed->port ? " " + std::to_string(*parsed->port) : "");
}

}  // namespace

TEST_CASE("parse_host_and_port reads names and addresses of both versions") {
  CHECK(read("plc") == "plc");
  CHECK(read("plc-1.line_3.example.org:1502") == "plc-1.line_3.example.org 1502");
  CHECK(read("plc.:502") == "plc. 502");
  CHECK(read("10.0.0.7:65535") == "10.0.0.7 65535");
  CHECK(read("7up.example") == "7up.example");
  CHECK(read("[::1]") == "::1");
  CHECK(read("[2001:db8::7]:502") == "2001:db8::7 502");
}

TEST_CASE("parse_host_and_port gives every spelling of a host the same text") {
  CHECK(read("PLC.Local") == "plc.local");
  for (const char* text : {"[2001:db8::7]", "[2001:DB8:0:0:0:0:0:7]", "[2001:0db8::0007]", "[2001:db8::0.0.0.7]"}) {
    INFO(text);
    CHECK(read(text) == "2001:db8::7");
  }
  CHECK(read("[0:0::1]:502") == "::1 502");
  CHECK(read("[::ffff:10.0.0.7]") == "10.0.0.7");
  CHECK(read("[FE80:0::1%Eth0]") == "fe80::1%Eth0");
}

TEST_CASE("parse_host_and_port refuses numbers that are no IPv4 address") {
  for (const char* text : {"999.1.1.1", "10.0.0.256", "10.0.0.07", "10.0.0", "127.1", "2130706433", "0x7f000001",
                           "0x7f.0.0.0x1", "1.2.3.4.5", "plc.7", "10.0.0.7."}) {
    INFO(text);
    CHECK(read(text) == "refused");
  }
}

TEST_CASE("parse_host_and_port refuses what is no IPv6 address in brackets") {
  for (const char* text : {"[host]", "[1:2]", "[]", "[::1", "::1", "[10.0.0.7]", "[::1]502", "[::1] :502", "[[::1]]",
                           "[:::1]", "[1:2:3:4:5:6:7:8:9]", "[::1%]", "[fe80::1%]", "[2001:db8::7%eth0]",
                           "[fe80::1%et h0]", "[fe80::1%an_interface_of_16]"}) {
    INFO(text);
    CHECK(read(text) == "refused");
  }
}

TEST_CASE("parse_host_and_port refuses names with odd characters or empty labels") {
  for (const std::string& text :
       {std::string(), std::string("%"), std::string("a b"), std::string("a/b"), std::string("a..b"), std::string(".a"),
        std::string("."), std::string("-"), std::string("-a"), std::string("a-.b"), std::string("plc%eth0"),
        std::string("pl\xc3\xa9"), std::string(64, 'a'), std::string(254, 'a')}) {
    INFO(text);
    CHECK(read(text) == "refused");
  }
}

TEST_CASE("parse_host_and_port refuses ports that are none or have a leading zero") {
  for (const char* text : {"a:", "a:0", "a:0502", "a:65536", "a:-1", "a:+5", "a:5x", "a:502:502", ":502", "[::1]:"}) {
    INFO(text);
    CHECK(read(text) == "refused");
  }
}
