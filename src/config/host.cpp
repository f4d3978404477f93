#include "config/host.hpp"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "config/scalar.hpp"

namespace twinkeeper::config {
namespace {

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '_';
}

std::string in_small_letters(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

template <class Address>
std::string text_of(int family, const Address& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const char* written = ::inet_ntop(family, &address, text.data(), text.size());
  return written == nullptr ? std::string{} : written;
}

// What stands in brackets.
std::optional<std::string> ipv6(std::string_view text) {
  const std::size_t percent = text.find('%');
  const std::string_view zone = percent == std::string_view::npos ? std::string_view{} : text.substr(percent);
  in6_addr address{};
  if (::inet_pton(AF_INET6, std::string(text.substr(0, percent)).c_str(), &address) != 1) return std::nullopt;
  if (percent != std::string_view::npos) {
    const auto allowed = [](char c) { return is_name_character(c) || c == '.'; };
    if (!IN6_IS_ADDR_LINKLOCAL(&address) || zone.size() < 2 || zone.size() > IF_NAMESIZE ||
        !std::all_of(zone.begin() + 1, zone.end(), allowed)) {
      return std::nullopt;
    }
  }
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    in_addr inner{};
    std::copy_n(std::begin(address.s6_addr) + 12, 4, reinterpret_cast<unsigned char*>(&inner));
    return text_of(AF_INET, inner);
  }
  return text_of(AF_INET6, address) + std::string(zone);  // names of interfaces keep their capitals
}

// A name whose last label is a number is taken for an IPv4 address by every resolver.
bool ends_in_a_number(std::string_view host) {
  const std::size_t dot = host.rfind('.');
  std::string_view last = dot == std::string_view::npos ? host : host.substr(dot + 1);
  if (last.substr(0, 2) == "0x") {
    last.remove_prefix(2);
    return last.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  }
  return std::all_of(last.begin(), last.end(), is_digit);
}

bool is_label(std::string_view label) {
  return !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
         std::all_of(label.begin(), label.end(), is_name_character);
}

std::optional<std::string> name_or_ipv4(std::string_view text) {
  std::string host = in_small_letters(text);
  std::string_view rest = host;
  if (!rest.empty() && rest.back() == '.') rest.remove_suffix(1);  // a name from the root
  if (rest.empty() || rest.size() > 253) return std::nullopt;
  if (ends_in_a_number(rest)) {
    in_addr address{};
    return ::inet_pton(AF_INET, host.c_str(), &address) == 1 ? std::optional(std::move(host)) : std::nullopt;
  }
  while (true) {
    const std::size_t dot = rest.find('.');
    if (!is_label(rest.substr(0, dot))) return std::nullopt;
    if (dot == std::string_view::npos) return host;
    rest.remove_prefix(dot + 1);
  }
}

}  // namespace

std::optional<HostAndPort> parse_host_and_port(std::string_view text) {
  std::optional<std::string> host;
  if (!text.empty() && text.front() == '[') {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    host = ipv6(text.substr(1, end - 1));
    text.remove_prefix(end + 1);
  } else {
    const std::size_t end = std::min(text.find(':'), text.size());
    host = name_or_ipv4(text.substr(0, end));
    text.remove_prefix(end);
  }
  if (!host) return std::nullopt;
  HostAndPort out{*std::move(host), std::nullopt};
  if (text.empty()) return out;
  if (text.front() != ':' || text.size() < 2 || text[1] == '0') return std::nullopt;
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  out.port = port;
  return out;
}

bool is_ipv6(std::string_view host) { return host.find(':') != std::string_view::npos; }

}  // namespace twinkeeper::config
