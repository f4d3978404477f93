#include "app/control_client.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <system_error>

#include "base/durable_file.hpp"

namespace twinkeeper::app {

using base::Error;
using base::ErrorCode;

base::Result<ControlClient> ControlClient::connect(const std::string& path) {
  auto socket = connect_to(path);
  if (!socket.ok()) return std::move(socket).error();
  return ControlClient(std::move(socket).value());
}

base::Status ControlClient::ask(const std::string& verb, const std::string& arguments) {
  const std::string line =
      R"({"schema":"twinkeeper.control/1","verb":")" + verb + R"(","arguments":)" + arguments + "}\n";
  for (std::size_t sent = 0; sent < line.size();) {
    const ssize_t more = ::send(socket_.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (more < 0 && errno != EINTR) return Error(ErrorCode::connection_lost, "the service has hung up");
    if (more > 0) sent += static_cast<std::size_t>(more);
  }
  return base::Success{};
}

base::Result<std::string> ControlClient::line(base::Duration patience, int give_up) {
  const auto until = std::chrono::steady_clock::now() + patience;
  for (;;) {
    if (const std::size_t end = in_.find('\n'); end != std::string::npos) {
      std::string line = in_.substr(0, end);
      in_.erase(0, end + 1);
      return line;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return Error(ErrorCode::timeout, "the service does not answer");
    pollfd set[2]{{socket_.get(), POLLIN, 0}, {give_up, POLLIN, 0}};
    const int ready = ::poll(set, 2, static_cast<int>(left.count()));
    if (ready <= 0) continue;
    if (set[1].revents != 0) return Error(ErrorCode::cancelled, "interrupted");
    char piece[65536];
    const ssize_t read = ::recv(socket_.get(), piece, sizeof piece, 0);
    if (read == 0) return Error(ErrorCode::connection_lost, "the service has hung up");
    if (read < 0 && errno != EINTR) return base::system_error("control socket", errno);
    if (read > 0) in_.append(piece, static_cast<std::size_t>(read));
  }
}

}  // namespace twinkeeper::app
