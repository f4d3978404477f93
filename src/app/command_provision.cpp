// `provision`: a key of the gateway's own, a certificate for it by a claim, both in the place where `run` looks.
//
// What was got is kept beside the certificate's place (CERT.provisioning) until the whole is done, so that an attempt
// that was cut off goes on where it stood. The certificate takes its place only when the thing exists under the
// configured name. At the end a connection with it is tried.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>
#include <map>
#include <mutex>
#include <random>

#include "app/commands.hpp"
#include "app/environment.hpp"
#include "app/exit_codes.hpp"
#include "app/plan.hpp"
#include "app/provisioned.hpp"
#include "aws/provisioning.hpp"
#include "base/durable_file.hpp"
#include "twinkeeper/base/private_file.hpp"
#include "twinkeeper/base/quantity.hpp"
#include "uplink/paho_connection.hpp"
#include "uplink/preflight.hpp"
#include "uplink/signing_request.hpp"

namespace twinkeeper::app {
namespace {

using namespace std::chrono_literals;
using aws::Json;
using aws::Provisioning;

constexpr base::Duration kTokenLife = 55min;  // an hour, and clocks differ
constexpr base::Duration kBetweenConnects = 10s;

int fail(int code, const std::string& what) {
  std::cerr << "twinkeeper: " << what << '\n';
  return code;
}

class Letterbox final : public uplink::Inbox {
 public:
  struct Letter {
    std::string topic, payload;
  };
  explicit Letterbox(std::vector<std::string> topics) : topics_(std::move(topics)) {}
  [[nodiscard]] std::vector<std::string> topics() const override { return topics_; }
  void connected(const std::vector<std::string>&) override {}
  void arrived(std::string topic, std::string payload, bool) override {
    const std::lock_guard lock(mutex_);
    if (letters_.size() < 100) letters_.push_back({std::move(topic), std::move(payload)});
  }
  std::vector<Letter> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(letters_, {});
  }

 private:
  const std::vector<std::string> topics_;
  std::mutex mutex_;
  std::vector<Letter> letters_;
};

// What was reached by an earlier attempt.
struct Progress {
  std::optional<Provisioning::Certificate> certificate;
  std::int64_t made_at = 0;  // seconds since 1970
  std::string thing;         // empty: not yet
  Json configuration = Json::object();

  [[nodiscard]] std::string text() const {
    return Json{{"certificateId", certificate->id},
                {"certificatePem", certificate->pem},
                {"token", certificate->token},
                {"made_at", made_at},
                {"thing", thing},
                {"configuration", configuration}}
        .dump();
  }
  static Progress read(const std::string& file) {
    Progress out;
    const auto document = aws::parse_object(base::content_if_any(file));
    if (!document) return out;
    Provisioning::Certificate certificate{aws::text(*document, "certificateId"), aws::text(*document, "certificatePem"),
                                          aws::text(*document, "token")};
    if (certificate.pem.empty() || certificate.token.empty()) return out;
    out.made_at = static_cast<std::int64_t>(aws::natural(*document, "made_at").value_or(0));
    out.certificate = std::move(certificate);
    out.thing = aws::text(*document, "thing");
    out.configuration = aws::object(*document, "configuration");
    return out;
  }
};

class Provision {
 public:
  Provision(const ProvisionArguments& arguments, uplink::UplinkSettings settings, base::Duration timeout)
      : arguments_(arguments), settings_(std::move(settings)), deadline_(clock_.now() + timeout) {}

  int run(const std::map<std::string, std::string>& parameters) {
    if (const int code = look_at_claim(); code != kExitDone) return code;
    if (const auto present = base::content_of(settings_.cert)) return already(present.value());
    if (const int code = own_key(); code != kExitDone) return code;
    progress_ = Progress::read(progress_file());
    if (progress_.certificate) {
      const auto fits = uplink::is_for_key(progress_.certificate->pem, settings_.key);
      const bool fresh = wall_seconds() - progress_.made_at < kTokenLife / 1s;
      if (!fits || !fits.value() || (progress_.thing.empty() && !fresh)) progress_ = {};
    }
    if (progress_.thing.empty()) {
      if (const int code = ask(parameters); code != kExitDone) return code;
    }
    return settle();
  }

 private:
  [[nodiscard]] std::string progress_file() const { return progress_of_provisioning(settings_); }
  [[nodiscard]] std::int64_t wall_seconds() const {
    return std::chrono::floor<std::chrono::seconds>(clock_.wall_now().time_since_epoch()).count();
  }
  [[nodiscard]] std::string server() const { return settings_.endpoints.front().name(); }

  int look_at_claim() const {
    for (const std::string& file : {arguments_.claim_cert, arguments_.claim_key}) {
      if (::access(file.c_str(), R_OK) == 0) continue;
      const int code = errno == EACCES ? kExitPermission : kExitNoInput;
      return fail(code, base::system_error(file, errno).message());
    }
    if (const auto fault = base::private_file_fault(arguments_.claim_key)) {
      return fail(kExitPermission, fault->what + "; accepted: " + fault->accepted);
    }
    return kExitDone;
  }

  int already(const std::string& certificate) const {
    const auto fits = uplink::is_for_key(certificate, settings_.key);
    if (fits && fits.value()) {
      std::cerr << "twinkeeper: " << settings_.cert << " is there already and is for " << settings_.key << '\n';
      return kExitDone;
    }
    return fail(kExitConfig, "uplink.cert: " + settings_.cert + " exists and " +
                                 (fits ? "is not for the key " + settings_.key : fits.error().message()) +
                                 "; accepted: a path without a file, or a certificate that fits");
  }

  int own_key() const {
    if (::access(settings_.key.c_str(), F_OK) == 0) {
      if (const auto fault = base::private_file_fault(settings_.key)) {
        return fail(kExitPermission, fault->what + "; accepted: " + fault->accepted);
      }
      return kExitDone;
    }
    if (const auto made = uplink::make_private_key(settings_.key); !made) {
      return fail(made.error().code() == base::ErrorCode::permission_denied ? kExitPermission : kExitIo,
                  "uplink.key: " + made.error().message());
    }
    note_provisioned(settings_, settings_.key);
    std::cerr << "twinkeeper: made the key " << settings_.key << '\n';
    return kExitDone;
  }

  int keep() const {
    const auto kept = base::replace_file(progress_file(), progress_.text());
    return kept ? kExitDone : fail(kExitIo, progress_file() + ": " + kept.error().message());
  }

  int ask(const std::map<std::string, std::string>& parameters) {
    auto request = uplink::signing_request(settings_.key, settings_.client_id);
    if (!request) return fail(kExitConfig, "uplink.key: " + request.error().message());
    Provisioning client(arguments_.template_name, std::move(request).value(), parameters, progress_.certificate,
                        std::random_device{}());
    std::string trouble = "no answer came in time";
    while (clock_.now() < deadline_) {
      const base::Instant begun = clock_.now();
      if (const auto code = talk(client, trouble)) return *code;
      clock_.sleep_until(std::min(deadline_, begun + kBetweenConnects));
    }
    return fail(kExitUnavailable, "provisioning at " + server() + " failed: " + trouble);
  }

  // Without a will: a claim may not publish one.
  [[nodiscard]] uplink::Connect first_endpoint() const {
    uplink::Connect request;
    request.endpoint = settings_.endpoints.front();
    request.keep_alive = settings_.keep_alive;
    return request;
  }

  // One connection; nothing: another one may do better, for what `trouble` says.
  std::optional<int> talk(Provisioning& client, std::string& trouble) {
    uplink::UplinkSettings claim = settings_;
    claim.cert = arguments_.claim_cert;
    claim.key = arguments_.claim_key;
    const uplink::KeysInSoftware with_claim(claim.key);
    uplink::Link link;
    Letterbox letters(client.topics());
    uplink::PahoConnection connection(claim, 1, 4, link, &letters);
    const auto alive = [this] { return clock_.now() < deadline_; };
    if (const auto connected = connection.connect(first_endpoint(), alive); !connected) {
      const uplink::LinkFault fault = uplink::probe_server(claim, claim.endpoints.front(), claim.connect_timeout);
      trouble = fault.code == "tls_works" ? connected.error().message() : fault.message;
      return std::nullopt;
    }
    const auto subscribed = connection.subscribe(letters.topics(), alive);
    if (subscribed.answer != uplink::PahoConnection::Subscribed::Answer::given) {
      trouble = "the broker did not answer the subscription";
      return std::nullopt;
    }
    for (const auto& refused : subscribed.refused) {
      return fail(kExitUnavailable, "nothing may be heard on " + refused.topic + ": " + refused.reason +
                                        "; accepted: a claim whose policy allows it");
    }
    client.connected(clock_.now());
    std::uint64_t token = uplink::PahoConnection::kStatusToken;
    while (alive()) {
      if (const auto lost = connection.lost()) {
        trouble = *lost;
        return std::nullopt;
      }
      for (const auto& letter : letters.take()) client.take(letter.topic, letter.payload, clock_.now());
      if (client.failure()) return fail(kExitUnavailable, *client.failure());
      if (client.certificate() && (!progress_.certificate || progress_.certificate->id != client.certificate()->id)) {
        progress_.certificate = client.certificate();
        progress_.made_at = wall_seconds();
        if (const int code = keep(); code != kExitDone) return code;
        client.certificate_kept();
      }
      if (client.done()) {
        progress_.thing = client.done()->name;
        progress_.configuration = client.done()->configuration;
        if (const int code = keep(); code != kExitDone) return code;
        connection.disconnect(1s);
        return kExitDone;
      }
      if (const auto publication = client.due(clock_.now())) {
        static_cast<void>(connection.publish(++token, publication->topic, publication->payload, false));
      }
      link.connection_wake_up().wait_for(50ms);
    }
    return std::nullopt;
  }

  int settle() const {
    if (progress_.thing != settings_.client_id) {
      return fail(kExitConfig, "uplink.thing_name: the template made the thing \"" + progress_.thing + "\", not \"" +
                                   settings_.client_id + "\"; accepted: thing_name: " + progress_.thing +
                                   " (then repeat this command: its certificate is kept)");
    }
    if (const auto put = base::replace_file(settings_.cert, progress_.certificate->pem); !put) {
      return fail(kExitIo, "uplink.cert: " + put.error().message());
    }
    ::chmod(settings_.cert.c_str(), 0644);
    note_provisioned(settings_, settings_.cert);
    ::unlink(progress_file().c_str());
    std::cout << Json{{"thing_name", progress_.thing},
                      {"certificate_id", progress_.certificate->id},
                      {"cert", settings_.cert},
                      {"key", settings_.key},
                      {"device_configuration", progress_.configuration}}
                     .dump(2)
              << '\n';
    return try_it();
  }

  // The service may need a moment to know the new certificate.
  int try_it() const {
    std::string trouble;
    do {
      uplink::Link link;
      uplink::PahoConnection connection(settings_, 2, 4, link, nullptr);
      const auto alive = [this] { return clock_.now() < deadline_; };
      const base::Instant begun = clock_.now();
      const auto connected = connection.connect(first_endpoint(), alive);
      if (connected) {
        connection.disconnect(1s);
        return kExitDone;
      }
      trouble = connected.error().message();
      if (begun + kBetweenConnects >= deadline_) break;
      clock_.sleep_until(begun + kBetweenConnects);
    } while (clock_.now() < deadline_);
    return fail(kExitUnavailable,
                "the certificate is in its place, but connecting to " + server() + " with it failed: " + trouble);
  }

  const base::SystemClock clock_;
  const ProvisionArguments& arguments_;
  const uplink::UplinkSettings settings_;
  const base::Instant deadline_;
  Progress progress_;
};

}  // namespace

int provision_command(const ProvisionArguments& arguments) {
  forget_proxies();
  std::map<std::string, std::string> parameters;
  for (const std::string& parameter : arguments.parameters) {
    const std::size_t split = parameter.find('=');
    if (split == 0 || split == std::string::npos) {
      return fail(kExitUsage, "--parameter: " + parameter + "; accepted: KEY=VALUE");
    }
    parameters[parameter.substr(0, split)] = parameter.substr(split + 1);
  }
  const auto timeout = base::parse_duration(arguments.timeout);
  if (!timeout || timeout.value() <= base::Duration::zero()) {
    return fail(kExitUsage, "--timeout: " + arguments.timeout + "; accepted: a duration such as 2min");
  }
  auto loaded = load_or_report(arguments.config_file, false);
  if (const int* code = std::get_if<int>(&loaded)) return *code;
  const auto& uplink = std::get<Plan>(loaded).config.uplink;
  if (!uplink) return fail(kExitConfig, "uplink: missing; accepted: a map with endpoint, cert, key, root_ca");
  if (uplink->profile != uplink::Profile::aws_iot_core) {
    return fail(kExitConfig,
                "uplink.profile: provisioning is something that only AWS IoT Core has; accepted: aws-iot-core");
  }
  return Provision(arguments, *uplink, timeout.value()).run(parameters);
}

}  // namespace twinkeeper::app
