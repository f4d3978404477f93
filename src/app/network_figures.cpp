#include "app/network_figures.hpp"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <fstream>
#include <optional>

#include "app/control_socket.hpp"

namespace twinkeeper::app {
namespace {

constexpr std::size_t kMostTableBytes = 1 << 20;
constexpr std::size_t kMostEntries = 4096;

struct End {
  std::string address;  // empty: any
  std::uint16_t port = 0;
};

std::string_view next_word(std::string_view& line) {
  const std::size_t start = line.find_first_not_of(" \t");
  if (start == std::string_view::npos) {
    line = {};
    return {};
  }
  const std::size_t end = std::min(line.find_first_of(" \t", start), line.size());
  const std::string_view word = line.substr(start, end - start);
  line.remove_prefix(end);
  return word;
}

std::string_view next_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

template <class Number>
std::optional<Number> number(std::string_view text, int base) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "0100007F:1F90": words of 32 bits as the kernel holds them.
std::optional<End> end_of(std::string_view word) {
  const std::size_t colon = word.find(':');
  if (colon != 8 && colon != 32) return std::nullopt;
  const auto port = number<std::uint16_t>(word.substr(colon + 1), 16);
  if (!port) return std::nullopt;
  std::array<std::uint32_t, 4> words{};
  for (std::size_t i = 0; i < colon / 8; ++i) {
    const auto part = number<std::uint32_t>(word.substr(8 * i, 8), 16);
    if (!part) return std::nullopt;
    words[i] = *part;
  }
  End out;
  out.port = *port;
  if (std::all_of(words.begin(), words.end(), [](std::uint32_t part) { return part == 0; })) return out;
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool mapped = colon == 32 && words[0] == 0 && words[1] == 0 && words[2] == htonl(0xFFFF);
  const bool v4 = colon == 8 || mapped;
  const void* from = mapped ? static_cast<const void*>(&words[3]) : words.data();
  if (::inet_ntop(v4 ? AF_INET : AF_INET6, from, text.data(), text.size()) == nullptr) return std::nullopt;
  out.address = text.data();
  return out;
}

struct Socket {
  End local, remote;
  std::string_view state;
};

template <class Use>
void each_socket(std::string_view text, Use use) {
  next_line(text);  // heads of columns
  while (!text.empty()) {
    std::string_view line = next_line(text);
    next_word(line);
    const auto local = end_of(next_word(line));
    const auto remote = end_of(next_word(line));
    if (local && remote) use(Socket{*local, *remote, next_word(line)});
  }
}

std::string interface_of(const Interfaces& interfaces, const std::string& address) {
  const auto found = interfaces.find(address);
  return found == interfaces.end() ? std::string() : found->second;
}

std::string with_port(const End& end) {
  const bool v6 = end.address.find(':') != std::string::npos;
  return (v6 ? "[" + end.address + "]" : end.address) + ":" + std::to_string(end.port);
}

template <class T>
void add(std::vector<T>& list, T entry) {
  if (list.size() < kMostEntries && std::find(list.begin(), list.end(), entry) == list.end()) {
    list.push_back(std::move(entry));
  }
}

std::string content_of(const char* file) {
  std::ifstream stream(file, std::ios::binary);
  std::string text(kMostTableBytes, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, stream.gcount())));
  return text;
}

// Without getifaddrs(), whose netlink socket the unit's sandbox does not allow.
void add_ipv4_interfaces(Interfaces& out) {
  constexpr std::size_t kMost = 64;
  std::array<ifreq, kMost> found{};
  ifconf asked{};
  asked.ifc_len = sizeof found;
  asked.ifc_req = found.data();
  const SocketDescriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (socket.get() < 0 || ::ioctl(socket.get(), SIOCGIFCONF, &asked) != 0) return;
  const std::size_t count = static_cast<std::size_t>(asked.ifc_len) / sizeof(ifreq);
  for (std::size_t i = 0; i < std::min(count, kMost); ++i) {
    sockaddr_in address{};
    std::memcpy(&address, &found[i].ifr_addr, sizeof address);
    std::array<char, INET_ADDRSTRLEN> text{};
    if (::inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size()) == nullptr) continue;
    out.emplace(text.data(), std::string(found[i].ifr_name, ::strnlen(found[i].ifr_name, IFNAMSIZ)));
  }
}

}  // namespace

void add_ipv6_interfaces(std::string_view text, Interfaces& out) {
  while (!text.empty()) {
    std::string_view line = next_line(text);
    const std::string_view digits = next_word(line);
    for (int i = 0; i < 4; ++i) static_cast<void>(next_word(line));  // index, prefix, scope, flags
    const std::string_view name = next_word(line);
    std::array<std::uint8_t, 16> address{};
    bool good = digits.size() == 2 * address.size() && !name.empty() && out.size() < kMostEntries;
    for (std::size_t i = 0; good && i < address.size(); ++i) {
      const auto byte = number<std::uint8_t>(digits.substr(2 * i, 2), 16);
      good = byte.has_value();
      address[i] = byte.value_or(0);
    }
    std::array<char, INET6_ADDRSTRLEN> shown{};
    if (!good || ::inet_ntop(AF_INET6, address.data(), shown.data(), shown.size()) == nullptr) continue;
    out.emplace(shown.data(), name);
  }
}

void add_tcp(std::string_view text, const Interfaces& interfaces, aws::DeviceFigures& out) {
  each_socket(text, [&](const Socket& socket) {
    if (socket.state == "0A") {
      add(out.tcp_ports, {interface_of(interfaces, socket.local.address), socket.local.port});
    } else if (socket.state == "01") {
      add(out.connections,
          {interface_of(interfaces, socket.local.address), socket.local.port, with_port(socket.remote)});
    }
  });
}

void add_udp(std::string_view text, const Interfaces& interfaces, aws::DeviceFigures& out) {
  each_socket(text, [&](const Socket& socket) {
    if (socket.remote.address.empty() && socket.remote.port == 0) {
      add(out.udp_ports, {interface_of(interfaces, socket.local.address), socket.local.port});
    }
  });
}

aws::NetworkTotals network_totals(std::string_view text) {
  aws::NetworkTotals totals;
  while (!text.empty()) {
    std::string_view line = next_line(text);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    std::string_view name_part = line.substr(0, colon);
    const std::string_view name = next_word(name_part);
    line.remove_prefix(colon + 1);
    std::array<std::uint64_t, 10> columns{};  // bytes, packets, 6 more received; then bytes, packets sent
    bool good = name != "lo";
    for (std::uint64_t& column : columns) {
      const auto value = number<std::uint64_t>(next_word(line), 10);
      good = good && value.has_value();
      column = value.value_or(0);
    }
    if (!good) continue;
    totals.bytes_in += columns[0];
    totals.packets_in += columns[1];
    totals.bytes_out += columns[8];
    totals.packets_out += columns[9];
  }
  return totals;
}

aws::DeviceFigures network_figures() {
  aws::DeviceFigures out;
  Interfaces interfaces;
  add_ipv4_interfaces(interfaces);
  add_ipv6_interfaces(content_of("/proc/net/if_inet6"), interfaces);
  for (const char* file : {"/proc/net/tcp", "/proc/net/tcp6"}) add_tcp(content_of(file), interfaces, out);
  for (const char* file : {"/proc/net/udp", "/proc/net/udp6"}) add_udp(content_of(file), interfaces, out);
  out.network = network_totals(content_of("/proc/net/dev"));
  return out;
}

}  // namespace twinkeeper::app
