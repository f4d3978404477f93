// A Modbus TCP server for one endpoint with one or several slave ids, without a thread of its own.
//
// Functions 1–4 are answered from the slave ids' register banks. Exceptions: 1 for another function, 2 for anything
// outside the span of configured registers of that kind, 3 for a count that no request may have, 0x0B (gateway target
// device failed to respond) for a slave id that nobody has here. What is no Modbus TCP at all closes its connection.
// A slave id that is out (a dropout) is not answered; when all of an endpoint's are out, the endpoint is closed: its
// connections end, new ones are refused.
// Bounds: 128 clients, later ones are closed at once; a client that does not fetch its replies is not read any further.
//
// Use: watch() appends descriptors to a poll(2) set, serve() takes them back after poll; run_once() does both.
// Errors of listen(): not_found (host), permission_denied (a port below 1024), unavailable (address in use or not of
// this machine), io.
// Thread rule: one thread. Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b.
#pragma once

#include <poll.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "drivers/mbap.hpp"
#include "drivers/settings.hpp"
#include "simulation/register_map.hpp"
#include "twinkeeper/base/clock.hpp"
#include "twinkeeper/base/result.hpp"

namespace twinkeeper::simulation {

class Descriptor {  // closes what it owns
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : number_(other.number_) { other.number_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept;
  void close() noexcept;
  [[nodiscard]] bool open() const noexcept { return number_ >= 0; }
  [[nodiscard]] int number() const noexcept { return number_; }

 private:
  int number_ = -1;
};

class ModbusTcpServer {
 public:
  struct Unit {
    int slave_id = 1;
    const RegisterBank* bank = nullptr;  // outlives the server
    bool out = false;
  };

  // Port 0: any free one; port() tells.
  [[nodiscard]] static base::Result<ModbusTcpServer> listen(const drivers::TcpAddress& address,
                                                            std::vector<Unit> units);

  void set_out(int slave_id, bool out);
  // Opens or closes the endpoint as the units that are out demand. Fails while the port can't be had again.
  [[nodiscard]] base::Status settle();

  void watch(std::vector<pollfd>& set);
  // `ready`: exactly what the last watch() appended, with revents filled in.
  void serve(std::span<const pollfd> ready);
  [[nodiscard]] base::Status run_once(base::Duration timeout);

  [[nodiscard]] bool listening() const { return listener_.open(); }
  [[nodiscard]] const std::string& address() const { return text_; }
  [[nodiscard]] std::uint16_t port() const { return address_.port; }
  [[nodiscard]] std::size_t clients() const { return clients_.size(); }
  [[nodiscard]] std::uint64_t requests() const { return requests_; }
  [[nodiscard]] std::uint64_t exceptions() const { return exceptions_; }

 private:
  struct Client {
    Descriptor socket;
    std::vector<std::uint8_t> received, pending;
    bool closed = false;
  };
  ModbusTcpServer(drivers::TcpAddress address, std::vector<Unit> units);
  [[nodiscard]] base::Status open();
  [[nodiscard]] base::Status adopt(Descriptor listener);
  void accept_clients();
  void receive(Client& client);
  void answer_received(Client& client);
  void answer_from(const RegisterBank& bank, const drivers::ReadRequest& request, std::vector<std::uint8_t>& out);
  void send_pending(Client& client);
  [[nodiscard]] bool all_out() const;

  drivers::TcpAddress address_;  // with the actual port once bound
  std::string text_;
  std::vector<Unit> units_;
  Descriptor listener_;
  std::vector<Client> clients_;
  std::uint64_t requests_ = 0;
  std::uint64_t exceptions_ = 0;
};

}  // namespace twinkeeper::simulation
