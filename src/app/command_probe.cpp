#include <algorithm>
#include <charconv>
#include <cmath>
#include <iostream>
#include <limits>

#include "app/commands.hpp"
#include "app/exit_codes.hpp"
#include "app/probe_report.hpp"
#include "config/host.hpp"
#include "drivers/modbus_tcp_transport.hpp"
#include "drivers/names.hpp"
#include "drivers/serial_transport.hpp"
#include "twinkeeper/base/quantity.hpp"

namespace twinkeeper::app {
namespace {

using drivers::TransmissionMode;
using nlohmann::ordered_json;

constexpr std::size_t kNearestShown = 20;

struct Range {
  int first = 0;
  int last = 0;
};

// The arguments as values. Every fault is told, not the first alone.
class Question {
 public:
  explicit Question(const ProbeArguments& arguments) : arguments_(arguments) {
    read_controller();
    read_line();
    const bool serial = !device.line.device.empty();
    device.slave_id = integer("--slave-id", arguments.slave_id, serial ? 1 : 0, serial ? 247 : 255);
    choose("--register", arguments.register_kind,
           {{"coil", drivers::RegisterKind::coil},
            {"discrete", drivers::RegisterKind::discrete},
            {"input", drivers::RegisterKind::input},
            {"holding", drivers::RegisterKind::holding}},
           kind);
    bits = drivers::is_bit_kind(kind);
    const int most = bits ? drivers::kMaxBitsPerRequest : drivers::kMaxWordsPerRequest;
    request.unit = static_cast<std::uint8_t>(device.slave_id);
    request.function = drivers::function_code(kind);
    request.address = static_cast<std::uint16_t>(integer("--address", arguments.address, 0, 65535));
    const int room = std::min(most, 65536 - request.address);
    const bool once = !arguments.scan_slaves && !arguments.scan_addresses;
    const int usual = once ? std::min(bits ? 16 : 4, room) : 1;
    request.count = static_cast<std::uint16_t>(arguments.count ? integer("--count", *arguments.count, 1, room) : usual);
    if (arguments.expect) expected = number("--expect", *arguments.expect);
    device.timeout = duration("--timeout", arguments.timeout);
    if (device.timeout < std::chrono::milliseconds{1}) fault("--timeout", "0s", "at least 1ms");
    pace.pause = duration("--pause", arguments.pause);
    pace.max_requests = static_cast<std::size_t>(integer("--max-requests", arguments.max_requests, 1, 1'000'000));
    if (arguments.repeat) repeat = static_cast<std::size_t>(integer("--repeat", *arguments.repeat, 1, 1'000'000));
    if (arguments.scan_slaves)
      slaves = range("--scan-slaves", *arguments.scan_slaves, serial ? 1 : 0, serial ? 247 : 255);
    if (arguments.scan_addresses) addresses = range("--scan-addresses", *arguments.scan_addresses, 0, 65535);
  }

  drivers::DeviceSettings device;
  drivers::RegisterKind kind = drivers::RegisterKind::holding;
  bool bits = false;
  drivers::ReadRequest request;
  std::optional<double> expected;
  drivers::ProbePace pace;
  std::optional<std::size_t> repeat;
  std::optional<Range> slaves, addresses;
  std::vector<std::string> faults;

 private:
  void fault(const std::string& option, const std::string& given, const std::string& accepted) {
    faults.push_back(option + ": " + given + "; accepted: " + accepted);
  }

  void read_controller() {
    static constexpr std::string_view kTcp = "tcp://";
    static constexpr std::string_view kFile = "file:///";
    const std::string& text = arguments_.controller;
    device.controller = text;
    if (text.starts_with(kFile) && text.size() > kFile.size()) {
      device.line.device = text.substr(kFile.size() - 1);
      return;
    }
    const auto address =
        text.starts_with(kTcp) ? config::parse_host_and_port(std::string_view(text).substr(kTcp.size())) : std::nullopt;
    if (!address) return fault("CONTROLLER", text, "tcp://HOST[:PORT] or file:///dev/… for a serial line");
    device.address.host = address->host;
    device.address.port = address->port.value_or(device.address.port);
  }

  void read_line() {
    const bool serial = !device.line.device.empty();
    device.transmission_mode = serial ? TransmissionMode::RTU : TransmissionMode::TCP;
    if (arguments_.transmission_mode) {
      choose("--transmission-mode", *arguments_.transmission_mode,
             {{"TCP", TransmissionMode::TCP},
              {"RTUoverTCP", TransmissionMode::RTUoverTCP},
              {"RTU", TransmissionMode::RTU}},
             device.transmission_mode);
      if ((device.transmission_mode == TransmissionMode::RTU) != serial) {
        fault("--transmission-mode", "does not go with " + device.controller,
              "TCP or RTUoverTCP with tcp://, RTU with file://");
      }
    }
    for (const auto& [name, given] : {std::pair{"--baud-rate", &arguments_.baud_rate},
                                      {"--data-bits", &arguments_.data_bits},
                                      {"--parity", &arguments_.parity},
                                      {"--stop-bits", &arguments_.stop_bits}}) {
      if (*given && !serial) fault(name, "belongs to a serial line", "a controller file:///dev/…, or no such option");
    }
    if (!serial) return;
    auto& line = device.line;
    if (arguments_.baud_rate) {
      line.baud_rate = integer("--baud-rate", *arguments_.baud_rate, 1200, 921600);
      if (std::find(drivers::kBaudRates.begin(), drivers::kBaudRates.end(), line.baud_rate) ==
          drivers::kBaudRates.end()) {
        fault("--baud-rate", std::to_string(line.baud_rate) + " is no usual rate",
              "1200 2400 4800 9600 19200 38400 57600 115200 230400 460800 921600");
      }
    }
    if (arguments_.data_bits) line.data_bits = integer("--data-bits", *arguments_.data_bits, 8, 8);
    if (arguments_.parity) {
      choose("--parity", *arguments_.parity,
             {{"none", drivers::Parity::none}, {"even", drivers::Parity::even}, {"odd", drivers::Parity::odd}},
             line.parity);
    }
    if (arguments_.stop_bits) line.stop_bits = integer("--stop-bits", *arguments_.stop_bits, 1, 2);
  }

  static std::optional<int> whole(std::string_view text) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
  }
  int integer(const char* option, const std::string& text, int least, int most) {
    const auto value = whole(text);
    if (value && *value >= least && *value <= most) return *value;
    fault(option, text, least == most ? std::to_string(least) : std::to_string(least) + " to " + std::to_string(most));
    return least;
  }
  double number(const char* option, const std::string& text) {
    double value = 0.0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc{} && end == text.data() + text.size() && std::isfinite(value)) return value;
    fault(option, text, "a number");
    return 0.0;
  }
  base::Duration duration(const char* option, const std::string& text) {
    const auto value = base::parse_duration(text);
    if (value.ok()) return value.value();
    faults.push_back(std::string(option) + ": " + value.error().message());
    return std::chrono::seconds{1};
  }
  Range range(const char* option, const std::string& text, int least, int most) {
    const std::size_t colon = text.find(':');
    const auto first = whole(std::string_view(text).substr(0, colon));
    const auto last = colon == std::string::npos ? first : whole(std::string_view(text).substr(colon + 1));
    if (first && last && *first >= least && *first <= *last && *last <= most) return {*first, *last};
    fault(option, text, "A:B, both included, within " + std::to_string(least) + ":" + std::to_string(most));
    return {least, least};
  }
  template <class Value>
  void choose(const char* option, const std::string& text, const std::vector<std::pair<const char*, Value>>& words,
              Value& value) {
    std::string accepted;
    for (const auto& [word, meaning] : words) {
      if (text == word) {
        value = meaning;
        return;
      }
      accepted += (accepted.empty() ? "" : ", ") + std::string(word);
    }
    fault(option, text, accepted);
  }

  const ProbeArguments& arguments_;
};

class Probe {
 public:
  Probe(const ProbeArguments& arguments, const Question& question)
      : arguments_(arguments),
        question_(question),
        link_(question.device,
              question.device.transmission_mode == TransmissionMode::RTU
                  ? drivers::make_serial_transport(question.device.line, clock_)
                  : drivers::make_modbus_tcp_transport(question.device.address, clock_),
              clock_, question.pace) {
    json_ = {{"controller", question.device.controller},
             {"slave_id", question.device.slave_id},
             {"register", drivers::to_string(question.kind)}};
  }

  int run() {
    const int code = question_.slaves      ? scan_slaves()
                     : question_.addresses ? scan_addresses()
                     : question_.repeat    ? repeat()
                                           : read_once();
    if (arguments_.json) {
      std::cout << json_.dump(2, ' ', false, ordered_json::error_handler_t::replace) << '\n';
    }
    return code;
  }

 private:
  [[nodiscard]] bool text() const { return !arguments_.json; }
  [[nodiscard]] std::string subject() const {
    return question_.device.controller + " slave " + std::to_string(question_.device.slave_id);
  }

  int fail(const drivers::ExchangeResult& result, const std::string& hint = "") {
    const std::string what = failure_text(result, link_.connection_error());
    std::cerr << "twinkeeper: " << subject() << ": " << what << (hint.empty() ? "" : "; " + hint) << '\n';
    json_["error"] = what;
    return kExitUnavailable;
  }

  int read_once() {
    const auto& request = question_.request;
    json_["address"] = request.address;
    json_["count"] = request.count;
    const auto result = link_.read(request);
    if (result.error != drivers::DeviceError::none) {
      const bool address = result.error == drivers::DeviceError::exception && result.exception_code == 2;
      const bool silent = result.error == drivers::DeviceError::no_answer;
      return fail(result, address  ? "try another --count, or --scan-addresses"
                          : silent ? "try --scan-slaves, another time-out, or the settings of the line"
                                   : "");
    }
    const base::Duration took = result.finished - result.sent;
    json_["round_trip_ms"] = static_cast<double>(took.count()) / 1e6;
    if (text()) {
      std::cout << subject() << ", " << drivers::to_string(question_.kind) << " " << request.address << " to "
                << request.address + request.count - 1 << ", answered in " << milliseconds(took) << "\n\n";
    }
    question_.bits ? show_bits(result) : show_words(result);
    return kExitDone;
  }

  void show_bits(const drivers::ExchangeResult& result) {
    json_["bits"] = ordered_json::array();
    for (std::size_t i = 0; i < question_.request.count; ++i) {
      const bool bit = drivers::reply_bit(result.data, i);
      json_["bits"].push_back(bit ? 1 : 0);
      if (!text()) continue;
      if (i % 16 == 0) std::cout << (i > 0 ? "\n" : "") << "from " << question_.request.address + i << ": ";
      std::cout << (i % 16 != 0 && i % 4 == 0 ? " " : "") << (bit ? '1' : '0');
    }
    if (text()) std::cout << '\n';
  }

  void show_words(const drivers::ExchangeResult& result) {
    std::vector<std::uint16_t> words;
    for (std::size_t i = 0; i < question_.request.count; ++i) words.push_back(drivers::reply_word(result.data, i));
    const auto found = drivers::decodings(question_.request.address, words, question_.expected);
    json_["words"] = words;
    if (question_.expected) json_["expected"] = *question_.expected;
    json_["decodings"] = ordered_json::array();
    for (const auto& decoding : found) json_["decodings"].push_back(json_of(decoding));
    if (!text()) return;
    print_words(question_.request.address, words, std::cout);
    std::cout << '\n';
    if (question_.expected) {
      const std::size_t most = arguments_.all ? std::numeric_limits<std::size_t>::max() : kNearestShown;
      print_nearest(found, *question_.expected, most, std::cout);
    } else {
      print_table(found, std::cout);
    }
  }

  int repeat() {
    const auto statistics = drivers::measure_latency(link_, question_.request, *question_.repeat);
    json_["connect_ms"] = static_cast<double>(link_.connect_time().count()) / 1e6;
    json_.update(json_of(statistics));
    if (text()) {
      std::cout << subject() << ", connected in " << milliseconds(link_.connect_time()) << '\n';
      print(statistics, std::cout);
      if (statistics.requests < *question_.repeat) std::cout << "ended by --max-requests\n";
    }
    if (statistics.answered > 0) return kExitDone;
    std::cerr << "twinkeeper: " << subject() << ": no request was answered with data\n";
    return kExitUnavailable;
  }

  int scan_slaves() {
    const auto& range = *question_.slaves;
    const auto found = drivers::scan_slaves(link_, question_.request, range.first, range.last);
    json_.erase("slave_id");
    json_["slaves"] = ordered_json::array();
    std::size_t answering = 0;
    for (const auto& slave : found) {
      if (!slave.answers()) continue;
      ++answering;
      const std::string how = failure_text(slave.result, "");
      const base::Duration took = slave.result.finished - slave.result.sent;
      json_["slaves"].push_back(
          {{"slave_id", slave.slave_id}, {"answer", how}, {"round_trip_ms", static_cast<double>(took.count()) / 1e6}});
      if (text()) std::cout << "slave " << slave.slave_id << ": " << how << ", " << milliseconds(took) << '\n';
    }
    const bool connected = found.empty() || found.back().result.error != drivers::DeviceError::unavailable;
    json_["asked"] = found.size();
    const auto wanted = static_cast<std::size_t>(range.last - range.first + 1);
    if (text()) std::cout << answering << " of " << found.size() << " slave ids answer\n";
    if (!connected) return fail(found.back().result);
    if (found.size() < wanted)
      std::cerr << "warning: ended by --max-requests after slave " << found.back().slave_id << '\n';
    if (answering > 0) return kExitDone;
    std::cerr << "twinkeeper: " << question_.device.controller << ": no slave answers\n";
    return kExitUnavailable;
  }

  int scan_addresses() {
    const auto& range = *question_.addresses;
    const auto found = drivers::scan_addresses(link_, question_.request, static_cast<std::uint16_t>(range.first),
                                               static_cast<std::uint16_t>(range.last));
    json_["readable"] = json_of(found.readable);
    json_["refused"] = json_of(found.refused);
    json_["unknown_from"] = found.unknown_from ? ordered_json(*found.unknown_from) : ordered_json(nullptr);
    json_["requests"] = link_.requests();
    if (found.unknown_from) json_["ended"] = found.ended;
    if (text()) {
      std::cout << subject() << ", " << drivers::to_string(question_.kind) << ", " << link_.requests() << " requests\n"
                << "readable: " << ranges_text(found.readable) << "\nrefused:  " << ranges_text(found.refused) << '\n';
    }
    if (!found.unknown_from) return kExitDone;
    std::cerr << "warning: nothing is known from " << *found.unknown_from << " on: " << found.ended << '\n';
    const bool asked_something = !found.readable.empty() || !found.refused.empty();
    return asked_something ? kExitDone : fail(found.newest_failure);
  }

  const ProbeArguments& arguments_;
  const Question& question_;
  const base::SystemClock clock_;
  drivers::ProbeLink link_;
  ordered_json json_;
};

}  // namespace

int probe_command(const ProbeArguments& arguments) {
  const Question question(arguments);
  if (!question.faults.empty()) {
    for (const auto& fault : question.faults) std::cerr << "twinkeeper probe: " << fault << '\n';
    std::cerr << "See twinkeeper probe --help\n";
    return kExitUsage;
  }
  return Probe(arguments, question).run();
}

}  // namespace twinkeeper::app
