// HOST and HOST:PORT, as controllers and brokers are written.
//
// A host is a name of the DNS (labels of letters, digits, - and _), an IPv4 address of four decimal numbers, or an IPv6
// address in brackets, with a zone (%eth0) if it is link-local. One host has one spelling after reading: small letters,
// IPv6 in its canonical text (RFC 5952), IPv4 inside IPv6 (::ffff:10.0.0.7) as the IPv4 address. What the resolver
// would take for a number although it is no full address (127.1, 010.0.0.1, 0x7f.1) is refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace twinkeeper::config {

struct HostAndPort {
  std::string host;                   // an IPv6 address stands here without brackets
  std::optional<std::uint16_t> port;  // 1 to 65535
};

[[nodiscard]] std::optional<HostAndPort> parse_host_and_port(std::string_view text);
[[nodiscard]] bool is_ipv6(std::string_view host);

}  // namespace twinkeeper::config
