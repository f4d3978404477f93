#include "config/host.hpp"
#include "config/tables.hpp"

namespace twinkeeper::config {
namespace {

using namespace std::chrono_literals;

constexpr const char* kEndpointForm = "HOST or HOST:PORT, the port being 8883 unless given";

Type<uplink::Endpoint> endpoint() {
  return {kEndpointForm, substitutable({{"type", "string"}, {"pattern", "^[A-Za-z0-9._-]+(:[1-9][0-9]{0,4})?$"}}),
          [](Reader& reader, const Cursor& at, uplink::Endpoint& value) {
            std::string written;
            if (!read_text(reader, at, kEndpointForm, written)) return false;
            const auto parsed = parse_host_and_port(written);
            if (!parsed) {
              reader.error(at, quote(written) + " is no endpoint", kEndpointForm);
              return false;
            }
            if (is_ipv6(parsed->host)) {
              // paho-mqtt-c 1.3 looks for "[…" in the certificate, so that no connection would ever come about.
              reader.error(at, quote(written) + " is an IPv6 address, whose certificate could not be verified",
                           std::string(kEndpointForm) + ", HOST being a name or an IPv4 address");
              return false;
            }
            value.host = parsed->host;
            value.port = parsed->port.value_or(8883);
            return true;
          },
          [](const uplink::Endpoint& value) { return Json(value.host + ":" + std::to_string(value.port)); }};
}

Type<std::vector<uplink::Endpoint>> endpoints() {
  const Type<uplink::Endpoint> one = endpoint();
  const Type<std::vector<uplink::Endpoint>> many = list(one, 1);
  return {std::string(kEndpointForm) + "; or a list of them",
          {{"anyOf", Json::array({one.schema, many.schema})}},
          [one, many](Reader& reader, const Cursor& at, std::vector<uplink::Endpoint>& values) {
            if (at.node->kind == NodeKind::sequence) return many.read(reader, at, values);
            values.assign(1, {});
            return one.read(reader, at, values.front());
          },
          [one, many](const std::vector<uplink::Endpoint>& values) {
            return values.size() == 1 ? one.write(values.front()) : many.write(values);
          }};
}

constexpr const char* kProxyForm = "http://HOST:PORT";

Type<uplink::Endpoint> proxy() {
  return {kProxyForm, substitutable({{"type", "string"}, {"pattern", "^http://[A-Za-z0-9._-]+:[1-9][0-9]{0,4}/?$"}}),
          [](Reader& reader, const Cursor& at, uplink::Endpoint& value) {
            static const std::string kScheme = "http://";
            std::string written;
            if (!read_text(reader, at, kProxyForm, written)) return false;
            std::string rest = written.rfind(kScheme, 0) == 0 ? written.substr(kScheme.size()) : std::string{};
            if (!rest.empty() && rest.back() == '/') rest.pop_back();
            const auto parsed = parse_host_and_port(rest);
            if (!parsed || !parsed->port || is_ipv6(parsed->host)) {
              // A password in it is not repeated.
              const std::string what = written.find('@') == std::string::npos ? quote(written) : "what is written";
              reader.error(at, what + " is no proxy", kProxyForm);
              return false;
            }
            value = {parsed->host, *parsed->port};
            return true;
          },
          [](const uplink::Endpoint& value) { return Json("http://" + value.name()); }};
}

std::vector<std::pair<std::string, signals::EventLevel>> log_levels() {
  std::vector<std::pair<std::string, signals::EventLevel>> levels;
  for (const auto word : signals::kEventLevels) {
    levels.emplace_back(word, static_cast<signals::EventLevel>(levels.size()));
  }
  return levels;
}

const Table<GatewayConfig>& gateway_table() {
  using T = GatewayConfig;
  static const Table<T> table(
      "a mapping with id, state_directory, control_socket and log_level",
      {
          key<T>("id", gateway_id(), &T::id, "Name of the gateway, part of every message", Need::required),
          key<T>("state_directory", path(), &T::state_directory, "Where the spool and checkpoints are kept"),
          key<T>("control_socket", path(), &T::control_socket,
                 "Where the running service is asked, by `twinkeeper alarms` and `record`; its folder must be there. "
                 "Unless "
                 "given, in $RUNTIME_DIRECTORY if there is one"),
          key<T>("log_level", choice<signals::EventLevel>(log_levels()), &T::log_level,
                 "The least that is written to the log; at `trace` also what repeats itself"),
      });
  return table;
}

std::optional<Json> not_written(const ConfigText&) { return std::nullopt; }

}  // namespace

const Table<uplink::BasicIngest>& basic_ingest_table() {
  using T = uplink::BasicIngest;
  const auto same = [](const char* word) { return std::pair<std::string, std::string>{word, word}; };
  static const Table<T> table(
      "a mapping with rule and streams",
      {
          key<T>("rule", text(128, "the name of a rule: letters, digits and _"), &T::rule, "The rule", Need::required),
          key<T>("streams",
                 list(choice<std::string>({same("state"), same("samples"), same("metrics"), same("backlog")}), 1),
                 &T::streams, "Kinds of streams that go there; all else stays below the prefix", Need::required),
      });
  return table;
}

const Table<UplinkText>& uplink_table() {
  using T = UplinkText;
  using uplink::BacklogFormat;
  using uplink::MqttVersion;
  using uplink::Profile;
  static const Table<T> table(
      "a mapping with endpoint, cert, key and root_ca",
      {
          key<T>(
              "endpoint", endpoints(), [](auto& t) -> auto& { return t.settings.endpoints; },
              "The broker; of a list each is tried in turn", Need::required),
          key<T>(
              "profile", choice<Profile>({{"aws-iot-core", Profile::aws_iot_core}, {"mqtt", Profile::mqtt}}),
              [](auto& t) -> auto& { return t.settings.profile; }, "Whose limits are kept"),
          key<T>("thing_name", gateway_id(), &T::thing_name, "MQTT client id; the gateway id unless given"),
          key<T>(
              "cert", path(), [](auto& t) -> auto& { return t.settings.cert; }, "Client certificate (PEM)",
              Need::required),
          key<T>(
              "key", path(), [](auto& t) -> auto& { return t.settings.key; },
              "Private key (PEM), readable by its owner and at most its group", Need::required),
          key<T>(
              "root_ca", path(), [](auto& t) -> auto& { return t.settings.root_ca; },
              "Certificates the broker's is checked against (PEM)", Need::required),
          key<T>("crl", path(), &T::crl,
                 "Revocation list of the broker certificate's issuer (PEM); with it a revoked certificate is refused"),
          key<T>("username", text(256, "a user name"), &T::username,
                 "User name of the MQTT CONNECT; none unless given"),
          key<T>("password_file", path(), &T::password_file,
                 "File whose first line is the password, as private as the key"),
          key<T>(
              "proxy", proxy(), [](auto& t) -> auto& { return t.settings.proxy; },
              "HTTP proxy to tunnel through; those of the environment are ignored"),
          key<T>("topic_prefix", text(256, "a topic"), &T::topic_prefix,
                 "Start of every topic; twinkeeper/<gateway id> unless given"),
          key<T>(
              "mqtt_version", choice<MqttVersion>({{"5", MqttVersion::v5}, {"3.1.1", MqttVersion::v3_1_1}}),
              [](auto& t) -> auto& { return t.settings.mqtt_version; }, "Protocol version"),
          key<T>(
              "keep_alive", duration(5s, 18h), [](auto& t) -> auto& { return t.settings.keep_alive; },
              "Keep-alive interval, whole seconds; 30s to 20min under aws-iot-core"),
          key<T>("session_expiry", duration(0s, 7 * 24h), &T::session_expiry,
                 "How long the broker keeps subscriptions and what arrives for them while the gateway is away; 0s: not "
                 "at all; 1h under aws-iot-core, 0s under mqtt unless given"),
          key<T>(
              "max_messages_per_second", number({0.0, 1e6, true}),
              [](auto& t) -> auto& { return t.settings.max_messages_per_second; },
              "80 under aws-iot-core, unlimited under mqtt unless given"),
          key<T>(
              "max_bytes_per_second", size(1024, 1ull << 40),
              [](auto& t) -> auto& { return t.settings.max_bytes_per_second; },
              "400KiB under aws-iot-core, unlimited under mqtt unless given"),
          key<T>(
              "retain", boolean(), [](auto& t) -> auto& { return t.settings.retain; },
              "Whether status, info and health are retained by the broker"),
          key<T>(
              "status_interval", duration(5s, 24h), [](auto& t) -> auto& { return t.settings.status_interval; },
              "How often the status is published without a change"),
          key<T>(
              "digits", integer<int>(1, 17), [](auto& t) -> auto& { return t.settings.digits; },
              "Significant digits of numbers other than samples"),
          key<T>(
              "backlog", choice<BacklogFormat>({{"packed", BacklogFormat::packed}, {"plain", BacklogFormat::plain}}),
              [](auto& t) -> auto& { return t.settings.backlog; },
              "Old samples and states in packs, or each on its own topic"),
          key<T>(
              "backlog_after", duration(1s, 24h), [](auto& t) -> auto& { return t.settings.backlog_after; },
              "Age from which samples and states are backlog"),
          key<T>(
              "basic_ingest", mapping(basic_ingest_table()), [](auto& t) -> auto& { return t.settings.basic_ingest; },
              "Streams that go straight to a rule, past the message broker; aws-iot-core only"),
          key<T>(
              "shadows",
              choice<uplink::Shadows>(
                  {{"off", uplink::Shadows::off}, {"twins", uplink::Shadows::twins}, {"all", uplink::Shadows::all}}),
              [](auto& t) -> auto& { return t.settings.shadows; },
              "Named shadows: none, twin-<name> of each twin, or config, too; all under aws-iot-core unless given"),
          key<T>(
              "shadow_interval", duration(10s, 24h), [](auto& t) -> auto& { return t.settings.shadow_interval; },
              "Shortest time between two updates of a twin's shadow"),
          key<T>(
              "jobs", boolean(), [](auto& t) -> auto& { return t.settings.jobs; },
              "Whether jobs are carried out; true under aws-iot-core unless given"),
          key<T>(
              "defender_interval", duration(5min, 24h), [](auto& t) -> auto& { return t.settings.defender_interval; },
              "Time between two reports to Device Defender; no reports unless given"),
          key<T>(
              "connect_timeout", duration(1s, 5min), [](auto& t) -> auto& { return t.settings.connect_timeout; },
              "How long a connection attempt may take"),
          key<T>(
              "acknowledge_timeout", duration(1s, 10min),
              [](auto& t) -> auto& { return t.settings.acknowledge_timeout; },
              "Unacknowledged for longer, the connection is renewed"),
      });
  return table;
}

const Table<uplink::SpoolSettings>& spool_table() {
  using T = uplink::SpoolSettings;
  using uplink::DiscardPolicy;
  static const Table<T> table(
      "a mapping with max_bytes, max_age, discard_policy and commit_interval",
      {
          key<T>("max_bytes", size(1ull << 20, 1ull << 40), &T::max_bytes, "Largest size of the spool"),
          key<T>("max_age", duration(1min, 3650 * 24h), &T::max_age, "Older messages are discarded"),
          key<T>("discard_policy",
                 choice<DiscardPolicy>({{"oldest", DiscardPolicy::oldest},
                                        {"newest", DiscardPolicy::newest},
                                        {"thin", DiscardPolicy::thin}}),
                 &T::discard_policy,
                 "What a full spool discards; thin: every other one of the older states and samples"),
          key<T>("commit_interval", duration(10ms, 10s), &T::commit_interval, "What a power cut can take at most"),
      });
  return table;
}

const Table<ConfigText>& configuration_table() {
  using T = ConfigText;
  static const Json sets_schema = {
      {"type", "object"},
      {"additionalProperties", {{"type", "array"}, {"minItems", 1}, {"items", register_table().schema()}}}};
  static const Table<T> table(
      "a mapping with gateway, buses, devices, twins, uplink, spool and commands",
      {
          key<T>("gateway", mapping(gateway_table()), &T::gateway, "The gateway itself", Need::required),
          deferred<T>("register_sets", "a mapping from names to lists of registers", sets_schema, &T::register_sets_at,
                      not_written, "Named lists of registers for devices of one kind"),
          key<T>("buses", list(tracked(bus_table())), &T::buses, "Connections that several devices share"),
          key<T>("devices", list(tracked(device_table())), &T::devices, "The devices that are read"),
          key<T>("twins", list(tracked(twin_table())), &T::twins, "The twins; none makes a plain gateway"),
          key<T>("uplink", mapping(uplink_table()), &T::uplink, "The broker; without it nothing is published"),
          key<T>("spool", mapping(spool_table()), &T::spool, "The durable queue in front of the broker"),
          key<T>("commands", mapping(commands_table()), &T::commands,
                 "What may be asked of the gateway; nothing by default"),
      });
  return table;
}

}  // namespace twinkeeper::config
