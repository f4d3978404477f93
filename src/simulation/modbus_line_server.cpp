#include "simulation/modbus_line_server.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

namespace twinkeeper::simulation {
namespace {

constexpr std::size_t kMaxPendingOnLine = 4096;

base::Error line_failure(const std::string& what, int number) {
  auto code = base::ErrorCode::io;
  if (number == EACCES || number == EPERM) code = base::ErrorCode::permission_denied;
  if (number == ENOENT) code = base::ErrorCode::not_found;
  if (number == EEXIST) code = base::ErrorCode::unavailable;
  return {code, what + ": " + std::generic_category().message(number)};
}

bool is_left_behind(const std::string& path) {
  std::error_code error;
  const auto target = std::filesystem::read_symlink(path, error);
  return !error && target.string().rfind("/dev/pts/", 0) == 0;
}

}  // namespace

base::Result<std::unique_ptr<ModbusServer>> ModbusLineServer::open(const std::string& device,
                                                                   std::unique_ptr<Responder> responder) {
  const std::string what = "cannot serve on " + device;
  Descriptor line(::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  std::array<char, 64> name{};
  if (!line.open() || ::grantpt(line.number()) != 0 || ::unlockpt(line.number()) != 0 ||
      ::ptsname_r(line.number(), name.data(), name.size()) != 0) {
    return line_failure(what + ": no pseudo-terminal", errno);
  }
  Descriptor far_end(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  termios settings{};
  if (!far_end.open() || ::tcgetattr(far_end.number(), &settings) != 0) return line_failure(what, errno);
  ::cfmakeraw(&settings);
  if (::tcsetattr(far_end.number(), TCSANOW, &settings) != 0) return line_failure(what, errno);
  if (is_left_behind(device)) ::unlink(device.c_str());
  if (::symlink(name.data(), device.c_str()) != 0) return line_failure(what, errno);
  return std::unique_ptr<ModbusServer>(
      std::make_unique<ModbusLineServer>(device, std::move(responder), std::move(line), std::move(far_end)));
}

ModbusLineServer::ModbusLineServer(std::string device, std::unique_ptr<Responder> responder, Descriptor line,
                                   Descriptor far_end)
    : device_(std::move(device)),
      responder_(std::move(responder)),
      line_(std::move(line)),
      far_end_(std::move(far_end)) {}

ModbusLineServer::~ModbusLineServer() { ::unlink(device_.c_str()); }

void ModbusLineServer::watch(std::vector<pollfd>& set) {
  set.push_back({line_.number(), static_cast<short>(POLLIN | (pending_.empty() ? 0 : POLLOUT)), 0});
}

void ModbusLineServer::serve(std::span<const pollfd> ready) {
  if (ready.empty()) return;
  if ((ready[0].revents & POLLIN) != 0) {
    std::array<std::uint8_t, 1024> buffer;  // NOLINT: filled by read
    const ssize_t count = ::read(line_.number(), buffer.data(), buffer.size());
    if (count > 0) received_.insert(received_.end(), buffer.begin(), buffer.begin() + count);
    responder_->answer(received_, pending_, kMaxPendingOnLine);
  }
  send_pending();
}

void ModbusLineServer::speak(base::Instant now) {
  const bool unread = !pending_.empty();
  responder_->speak(now, pending_);
  if (unread) {
    pending_.clear();
  } else {
    send_pending();
  }
}

void ModbusLineServer::send_pending() {
  if (pending_.empty()) return;
  const ssize_t count = ::write(line_.number(), pending_.data(), pending_.size());
  if (count > 0) pending_.erase(pending_.begin(), pending_.begin() + count);
}

}  // namespace twinkeeper::simulation
