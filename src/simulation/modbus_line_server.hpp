// Modbus RTU slaves, or an instrument that talks lines of text, on a pseudo-terminal: the serial line that a
// configuration names is a link to it.
//
// The link is made where the configuration says and taken away at the end; a link left behind by a run that was killed
// is replaced, anything else that stands there is left alone. A dropout leaves the line open and silent, as on a bus.
// Bytes take no time on a pseudo-terminal.
// Errors of open(): unavailable (something else is there, or no pseudo-terminal), permission_denied, not_found (the
// folder of the link), io.
// Thread rule: one thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "simulation/modbus_server.hpp"
#include "simulation/responder.hpp"

namespace twinkeeper::simulation {

class ModbusLineServer final : public ModbusServer {
 public:
  [[nodiscard]] static base::Result<std::unique_ptr<ModbusServer>> open(const std::string& device,
                                                                        std::unique_ptr<Responder> responder);
  ModbusLineServer(std::string device, std::unique_ptr<Responder> responder, Descriptor line, Descriptor far_end);
  ~ModbusLineServer() override;

  void set_out(int slave_id, bool out) override { responder_->set_out(slave_id, out); }
  [[nodiscard]] base::Status settle() override { return base::Success{}; }
  void watch(std::vector<pollfd>& set) override;
  void serve(std::span<const pollfd> ready) override;
  [[nodiscard]] base::Instant speaks_at() const override { return responder_->speaks_at(); }
  // What nobody reads is not kept: a line is lost, as on a wire.
  void speak(base::Instant now) override;
  [[nodiscard]] std::string address() const override { return device_; }
  [[nodiscard]] std::uint16_t port() const override { return 0; }
  [[nodiscard]] std::size_t clients() const override { return 0; }
  [[nodiscard]] std::uint64_t requests() const override { return responder_->requests(); }
  [[nodiscard]] std::uint64_t exceptions() const override { return responder_->exceptions(); }

 private:
  void send_pending();

  const std::string device_;
  std::unique_ptr<Responder> responder_;
  Descriptor line_;     // the simulation's end
  Descriptor far_end_;  // held open, so that the line outlives its clients
  std::vector<std::uint8_t> received_, pending_;
};

}  // namespace twinkeeper::simulation
