#include "app/tool_options.hpp"

namespace twinkeeper::app {

CLI::App* add_probe(CLI::App& cli, ProbeArguments& question) {
  auto* probe = cli.add_subcommand("probe", "Reads a device once and shows all that its words could mean");
  probe->add_option("CONTROLLER", question.controller, "tcp://HOST[:PORT] or file:///dev/…")->required();
  probe->add_option("--slave-id", question.slave_id, "Unit to ask [1]");
  probe->add_option("--register", question.register_kind, "coil, discrete, input or holding [holding]");
  probe->add_option("--address", question.address, "First address, zero-based as on the wire [0]");
  probe->add_option("--count", question.count, "Words or bits to read [4 words or 16 bits]");
  probe->add_option("--expect", question.expect, "What the value should be: the nearest decodings come first");
  probe->add_option("--transmission-mode", question.transmission_mode, "TCP, RTUoverTCP or RTU [by the controller]");
  probe->add_option("--baud-rate", question.baud_rate, "Serial line: bits per second [9600]");
  probe->add_option("--data-bits", question.data_bits, "Serial line [8]");
  probe->add_option("--parity", question.parity, "Serial line: none, even or odd [none]");
  probe->add_option("--stop-bits", question.stop_bits, "Serial line: 1 or 2 [1]");
  probe->add_option("--timeout", question.timeout, "Longest wait for a reply [1s]");
  auto* slaves = probe->add_option("--scan-slaves", question.scan_slaves,
                                   "Which slave ids from A to B answer, an exception being an answer; e.g. 1:247");
  auto* addresses =
      probe->add_option("--scan-addresses", question.scan_addresses,
                        "Which addresses from A to B can be read, by halving what is refused; e.g. 0:999");
  auto* repeat = probe->add_option("--repeat", question.repeat, "Reads so many times and shows the latency");
  slaves->excludes(addresses)->excludes(repeat);
  addresses->excludes(repeat);
  probe->add_option("--pause", question.pause, "Scans and repetitions: least time between two requests [20ms]");
  probe->add_option("--max-requests", question.max_requests, "Scans and repetitions end after so many [1000]");
  probe->add_flag("--all", question.all, "Every decoding beside --expect, not the nearest 20 only");
  probe->add_flag("--json", question.json, "Print as JSON");
  probe->footer(
      "It only reads. Example: twinkeeper probe tcp://192.168.0.10 --register input --address 100 --count 4 --expect "
      "21.5\n"
      "         twinkeeper probe file:///dev/ttyUSB0 --baud-rate 19200 --parity even --scan-slaves 1:20 --timeout "
      "200ms");
  return probe;
}

CLI::App* add_provision(CLI::App& cli, ProvisionArguments& claim) {
  auto* provision = cli.add_subcommand(
      "provision", "Gets the gateway its certificate from AWS IoT Core: fleet provisioning by claim");
  provision->add_option("--config", claim.config_file, "Configuration file: says where key and certificate go")
      ->required();
  provision->add_option("--claim-cert", claim.claim_cert, "Certificate that many gateways share (PEM)")->required();
  provision->add_option("--claim-key", claim.claim_key, "Its key (PEM)")->required();
  provision->add_option("--template", claim.template_name, "Provisioning template")->required();
  provision->add_option("--parameter", claim.parameters, "KEY=VALUE for the template; may be given several times")
      ->take_all();
  provision->add_option("--timeout", claim.timeout, "How long it may take [2min]");
  provision->footer(
      "A key is made unless uplink.key exists. Can be repeated until it succeeds.\n"
      "Example: twinkeeper provision --config twinkeeper.yaml --claim-cert claim.crt --claim-key claim.key --template "
      "gateways --parameter SerialNumber=1234");
  return provision;
}

}  // namespace twinkeeper::app
