// The other end of the control socket: what the commands of the executable ask a running service.
//
// Errors: those of connect_to(); timeout if no whole line comes in time; connection_lost; permission_denied where the
// socket belongs to a group that the user is not in. Thread rule: one thread. Blocks.
#pragma once

#include <string>

#include "app/control_socket.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::app {

class ControlClient {
 public:
  [[nodiscard]] static base::Result<ControlClient> connect(const std::string& path);

  // `arguments`: a JSON object.
  [[nodiscard]] base::Status ask(const std::string& verb, const std::string& arguments);
  // The next line, without its end. `give_up`: a descriptor that ends the wait when it is readable (cancelled), or −1.
  [[nodiscard]] base::Result<std::string> line(base::Duration patience, int give_up = -1);

 private:
  explicit ControlClient(SocketDescriptor socket) : socket_(std::move(socket)) {}
  SocketDescriptor socket_;
  std::string in_;
};

}  // namespace twinkeeper::app
