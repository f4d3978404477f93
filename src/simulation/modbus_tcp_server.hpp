// A server for one TCP endpoint, Modbus TCP, RTU through TCP or lines of text, without a thread of its own. When all of
// its slave ids are out, the endpoint is closed: its connections end, new ones are refused. What is no Modbus TCP at
// all closes its connection. Bounds: 128 clients, later ones are closed at once; a client that does not fetch its
// replies is not read any further.
//
// Errors of listen(): unavailable (the host is not known, the address in use or not of this machine), permission_denied
// (a port below 1024), io.
// Thread rule: one thread. Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b.
#pragma once

#include <poll.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "drivers/settings.hpp"
#include "simulation/modbus_responder.hpp"
#include "simulation/modbus_server.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::simulation {

class ModbusTcpServer final : public ModbusServer {
 public:
  using Unit = ModbusResponder::Unit;

  // Port 0: any free one; port() tells.
  [[nodiscard]] static base::Result<ModbusTcpServer> listen(const drivers::TcpAddress& address, std::vector<Unit> units,
                                                            Framing framing = Framing::mbap);
  [[nodiscard]] static base::Result<ModbusTcpServer> listen(const drivers::TcpAddress& address,
                                                            std::unique_ptr<Responder> responder);

  void set_out(int slave_id, bool out) override { responder_->set_out(slave_id, out); }
  [[nodiscard]] base::Status settle() override;
  void watch(std::vector<pollfd>& set) override;
  void serve(std::span<const pollfd> ready) override;
  [[nodiscard]] base::Instant speaks_at() const override { return responder_->speaks_at(); }
  // A client that does not fetch what it is told misses lines.
  void speak(base::Instant now) override;

  [[nodiscard]] bool listening() const { return listener_.open(); }
  [[nodiscard]] std::string address() const override { return text_; }
  [[nodiscard]] std::uint16_t port() const override { return address_.port; }
  [[nodiscard]] std::size_t clients() const override { return clients_.size(); }
  [[nodiscard]] std::uint64_t requests() const override { return responder_->requests(); }
  [[nodiscard]] std::uint64_t exceptions() const override { return responder_->exceptions(); }

 private:
  struct Client {
    Descriptor socket;
    std::vector<std::uint8_t> received, pending;
    bool closed = false;
  };
  ModbusTcpServer(drivers::TcpAddress address, std::unique_ptr<Responder> responder);
  [[nodiscard]] base::Status open();
  [[nodiscard]] base::Status adopt(Descriptor listener);
  void accept_clients();
  void receive(Client& client);
  void answer_received(Client& client);
  void send_pending(Client& client);

  drivers::TcpAddress address_;  // with the actual port once bound
  std::string text_;
  std::unique_ptr<Responder> responder_;
  Descriptor listener_;
  std::vector<Client> clients_;
};

}  // namespace twinkeeper::simulation
