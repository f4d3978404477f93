// How devices are reached: the keys that a bus and a device without one have in common.
#include "config/host.hpp"
#include "config/tables.hpp"
#include "config/yaml_text.hpp"

namespace twinkeeper::config {
namespace {

using namespace std::chrono_literals;
using drivers::Parity;
using drivers::TransmissionMode;

Key<LinkText> controller() {
  Key<LinkText> out;
  out.name = "controller";
  out.description = "Where the device is reached; devices with the same controller share one connection";
  out.accepted = kControllerForm;
  out.schema = substitutable({{"type", "string"}, {"pattern", "^(tcp://[^/]+|file:///.+)$"}});
  out.read = [](Reader& reader, const Cursor& at, LinkText& link) {
    std::string written;
    link.has_controller = true;
    if (!read_text(reader, at, kControllerForm, written)) return false;
    static constexpr std::string_view kTcp = "tcp://";
    static constexpr std::string_view kFile = "file:///";
    link.settings.controller = written;
    if (written.starts_with(kFile) && written.size() > kFile.size()) {
      link.settings.line.device = written.substr(kFile.size() - 1);
      return true;
    }
    std::optional<HostAndPort> address;
    if (written.starts_with(kTcp)) address = parse_host_and_port(std::string_view(written).substr(kTcp.size()));
    if (!address) {
      reader.error(at, quote(written) + " is no controller", kControllerForm);
      return false;
    }
    link.settings.address.host = address->host;
    if (address->port) link.settings.address.port = *address->port;
    return true;
  };
  out.write = [](const LinkText& link) -> std::optional<Json> { return Json(link.settings.controller); };
  return out;
}

const Table<drivers::Rs485Settings>& rs485_table() {
  using T = drivers::Rs485Settings;
  static const Table<T> table(
      "a mapping of RS-485 settings",
      {
          key<T>("delay_rts_before_send", duration(0ms, 100ms), &T::delay_rts_before_send,
                 "From driving RTS to the first bit, whole ms"),
          key<T>("delay_rts_after_send", duration(0ms, 100ms), &T::delay_rts_after_send,
                 "From the last bit to releasing RTS, whole ms"),
          key<T>("rts_high_during_send", boolean(), &T::rts_high_during_send, "Level of RTS while sending"),
          key<T>("rts_high_after_send", boolean(), &T::rts_high_after_send, "Level of RTS while receiving"),
          key<T>("rx_during_tx", boolean(), &T::rx_during_tx, "Receive what is sent, too"),
      });
  return table;
}

}  // namespace

std::vector<Key<LinkText>> link_keys() {
  using T = LinkText;
  return {
      controller(),
      key<T>("transmission_mode",
             choice<TransmissionMode>({{"TCP", TransmissionMode::TCP},
                                       {"RTUoverTCP", TransmissionMode::RTUoverTCP},
                                       {"RTU", TransmissionMode::RTU}}),
             &T::transmission_mode,
             "How frames are carried: TCP or RTUoverTCP on tcp://, RTU on file://; TCP or RTU unless given"),
      key<T>("baud_rate", integer<int>(1200, 921600), &T::baud_rate, "Serial line: bits per second, 9600 unless given"),
      key<T>("data_bits", integer<int>(7, 8), &T::data_bits, "Serial line: 8 unless given"),
      key<T>("parity", choice<Parity>({{"none", Parity::none}, {"even", Parity::even}, {"odd", Parity::odd}}),
             &T::parity, "Serial line: none unless given"),
      key<T>("stop_bits", integer<int>(1, 2), &T::stop_bits, "Serial line: 1 unless given"),
      key<T>(
          "rs485", mapping(rs485_table()), [](auto& t) -> auto& { return t.settings.line.rs485; },
          "Serial line: RS-485 switched by the kernel's driver; not for adapters that switch by themselves"),
  };
}

const Table<BusText>& bus_table() {
  static const Table<BusText> table = [] {
    std::vector<Key<BusText>> keys{
        key<BusText>("name", identifier(), &BusText::name, "Name of the bus", Need::required)};
    for (const Key<LinkText>& link : link_keys()) keys.push_back(of_link<BusText>(link));
    keys[1].need = Need::required;  // the controller
    return Table<BusText>("a mapping with name and controller", std::move(keys));
  }();
  return table;
}

}  // namespace twinkeeper::config
