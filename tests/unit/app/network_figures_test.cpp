#include "app/network_figures.hpp"

#include <random>

#include "support/catch.hpp"

using namespace twinkeeper;

namespace {

constexpr const char* kTcp =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n"
    "   1: 0100007F:05DE 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n"
    "   2: 0501A8C0:C350 04030201:22B3 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n"
    "   3: 0501A8C0:C351 04030201:22B3 06 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n";
constexpr const char* kTcp6 =
    "  sl  local_address                         remote_address                        st tx_queue\n"
    "   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000\n"
    "   1: 000080FE00000000FF005450B6AD1DFE:0050 B80D0120000000000000000001000000:01BB 01 00000000\n"
    "   2: 0000000000000000FFFF00000501A8C0:0051 0000000000000000FFFF000004030201:01BB 01 00000000\n";

}  // namespace

TEST_CASE("listening and established sockets are told with their interface") {
  aws::DeviceFigures figures;
  app::add_tcp(kTcp, {{"127.0.0.1", "lo"}, {"192.168.1.5", "eth0"}}, figures);
  CHECK(figures.tcp_ports == std::vector<aws::ListeningPort>{{"", 22}, {"lo", 1502}});
  CHECK(figures.connections == std::vector<aws::TcpConnection>{{"eth0", 50000, "1.2.3.4:8883"}});
  app::add_tcp(kTcp6, {}, figures);
  CHECK(figures.tcp_ports.size() == 2);  // port 22 of all interfaces once
  REQUIRE(figures.connections.size() == 3);
  CHECK(figures.connections[1].remote == "[2001:db8::1]:443");
  CHECK(figures.connections[2].remote == "1.2.3.4:443");
}

TEST_CASE("addresses of interfaces are read without netlink") {
  app::Interfaces found;
  app::add_ipv6_interfaces(
      "fe80000000000000525400fffeadb6d0 02 40 20 80     eth0\n"
      "00000000000000000000000000000001 01 80 10 80       lo\n"
      "0000000000000000000000000000zz01 01 80 10 80      bad\n"
      "fe80 02 40 20 80 short\n",
      found);
  CHECK(found == app::Interfaces{{"::1", "lo"}, {"fe80::5254:ff:fead:b6d0", "eth0"}});
}

TEST_CASE("datagram sockets with a peer are no open ports") {
  aws::DeviceFigures figures;
  app::add_udp(
      "  sl  local_address rem_address   st\n"
      "  1: 00000000:0044 00000000:0000 07 0\n"
      "  2: 0501A8C0:A350 01010101:0035 01 0\n",
      {}, figures);
  CHECK(figures.udp_ports == std::vector<aws::ListeningPort>{{"", 68}});
}

TEST_CASE("traffic is summed over all interfaces but loopback") {
  const auto totals = app::network_totals(
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls\n"
      "    lo: 9999 99 0 0 0 0 0 0 9999 99 0 0 0 0 0 0\n"
      "  eth0: 1000 10 0 0 0 0 0 0 2000 20 0 0 0 0 0 0\n"
      " wlan0:1 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0\n"
      "broken: 1 x\n");
  CHECK(totals.bytes_in == 1001);
  CHECK(totals.packets_in == 12);
  CHECK(totals.bytes_out == 2003);
  CHECK(totals.packets_out == 24);
}

TEST_CASE("this machine's own figures can be had") {
  const auto figures = app::network_figures();
  CHECK(figures.tcp_ports.size() <= 4096);
  CHECK(figures.custom.empty());
}

TEST_CASE("no text brings the parsers to their knees") {
  std::mt19937_64 random(1);
  const std::string letters = " \n:0123456789ABCDEFxyz\t";
  for (int i = 0; i < 2000; ++i) {
    std::string text = i % 2 == 0 ? kTcp : kTcp6;
    for (int k = 0; k < 20; ++k) text[random() % text.size()] = letters[random() % letters.size()];
    aws::DeviceFigures figures;
    app::add_tcp(text, {}, figures);
    app::add_udp(text, {}, figures);
    app::Interfaces interfaces;
    app::add_ipv6_interfaces(text, interfaces);
    static_cast<void>(app::network_totals(text));
    CHECK(figures.connections.size() <= 5);
  }
}
