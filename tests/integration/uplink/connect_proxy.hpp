// A small HTTP proxy that knows CONNECT: it opens tunnels on the loopback, or denies them.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace twinkeeper::test {

class ConnectProxy {
 public:
  explicit ConnectProxy(bool denies = false);
  ~ConnectProxy();
  ConnectProxy(const ConnectProxy&) = delete;
  ConnectProxy& operator=(const ConnectProxy&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] int requests() const { return requests_; }
  void allow() { denies_ = false; }

 private:
  void serve(const std::stop_token& stop);
  void tunnel(const std::stop_token& stop, int client);

  std::atomic<bool> denies_;
  std::atomic<int> requests_{0};
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::vector<std::jthread> tunnels_;
  std::jthread thread_;
};

}  // namespace twinkeeper::test
