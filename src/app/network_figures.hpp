// What this machine listens on, whom it is connected to and how much it has sent and received: /proc/net, as Device
// Defender wants it told.
//
// The texts are parsed by functions of their own; lines that are not understood are left out. Bounded: 1 MiB of each
// file and 4096 entries of each kind. Loopback traffic is not counted.
// Thread rule: free functions. Allocates.
// Source: proc(5), Documentation/networking/proc_net_tcp.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "aws/defender_report.hpp"

namespace twinkeeper::app {

// By the address as text; "" for those that belong to none.
using Interfaces = std::map<std::string, std::string>;

// Of /proc/net/if_inet6.
void add_ipv6_interfaces(std::string_view text, Interfaces& out);
// Of /proc/net/tcp or tcp6: listening (0A) and established (01) sockets.
void add_tcp(std::string_view text, const Interfaces& interfaces, aws::DeviceFigures& out);
// Of /proc/net/udp or udp6: sockets without a peer.
void add_udp(std::string_view text, const Interfaces& interfaces, aws::DeviceFigures& out);
// Of /proc/net/dev.
[[nodiscard]] aws::NetworkTotals network_totals(std::string_view text);

// Of this machine; what can't be read is absent.
[[nodiscard]] aws::DeviceFigures network_figures();

}  // namespace twinkeeper::app
