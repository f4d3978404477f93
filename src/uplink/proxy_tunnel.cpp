#include "uplink/proxy_tunnel.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <string_view>

namespace twinkeeper::uplink {
namespace {

constexpr std::size_t kMostHead = 8192;
constexpr std::size_t kMostQuoted = 100;

bool wait_for(int descriptor, short events, base::Instant deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - base::SystemClock{}.now()).count();
  pollfd entry{descriptor, events, 0};
  return left > 0 && ::poll(&entry, 1, static_cast<int>(left)) > 0;
}

std::string answer_quoted(std::string_view head) {
  std::string line(head.substr(0, std::min(head.find('\r'), kMostQuoted)));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7F) c = '?';
  }
  return line;
}

}  // namespace

std::optional<std::string> open_tunnel(int descriptor, const std::string& server, base::Instant deadline) {
  const std::string request = "CONNECT " + server + " HTTP/1.1\r\nHost: " + server + "\r\n\r\n";
  if (::send(descriptor, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    return "it hung up";
  }
  // Byte by byte: what comes behind the head belongs to TLS.
  std::string head;
  while (head.size() < kMostHead && head.find("\r\n\r\n") == std::string::npos) {
    char byte = 0;
    const ssize_t got = ::recv(descriptor, &byte, 1, 0);
    if (got == 1) {
      head += byte;
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
      return "it hung up";
    } else if (!wait_for(descriptor, POLLIN, deadline)) {
      return "it does not answer";
    }
  }
  const auto space = head.find(' ');
  if (head.rfind("HTTP/1.", 0) != 0 || space == std::string::npos) return "it does not speak HTTP";
  if (head.compare(space + 1, 1, "2") != 0) return answer_quoted(head);
  return std::nullopt;
}

}  // namespace twinkeeper::uplink
