#include "aws/provisioning.hpp"

#include <utility>

namespace twinkeeper::aws {
namespace {

using namespace std::chrono_literals;

}  // namespace

Provisioning::Provisioning(std::string template_name, std::string csr, std::map<std::string, std::string> parameters,
                           std::optional<Certificate> known, std::uint64_t seed)
    : create_("$aws/certificates/create-from-csr/json"),
      provision_("$aws/provisioning-templates/" + std::move(template_name) + "/provision/json"),
      csr_(std::move(csr)),
      parameters_(std::move(parameters)),
      pause_(2s, 1min, seed),
      kept_(known.has_value()),
      certificate_(std::move(known)) {}

std::vector<std::string> Provisioning::topics() const {
  return {create_ + "/accepted", create_ + "/rejected", provision_ + "/accepted", provision_ + "/rejected"};
}

void Provisioning::connected(base::Instant now) {
  connected_ = true;
  asked_at_.reset();
  not_before_ = now;
}

void Provisioning::take(const std::string& topic, const std::string& payload, base::Instant now) {
  const auto answer = parse_object(payload);
  if (!answer || thing_ || failure_) return;
  if (topic == create_ + "/accepted" && !certificate_) {
    Certificate certificate{text(*answer, "certificateId"), text(*answer, "certificatePem"),
                            text(*answer, "certificateOwnershipToken")};
    if (certificate.pem.empty() || certificate.token.empty()) {
      failure_ = "the answer to the signing request holds no certificate";
      return;
    }
    certificate_ = std::move(certificate);
    asked_at_.reset();
    pause_.reset();
  } else if (topic == provision_ + "/accepted" && certificate_) {
    thing_ = Thing{text(*answer, "thingName"), object(*answer, "deviceConfiguration")};
  } else if (topic == create_ + "/rejected" || topic == provision_ + "/rejected") {
    const std::uint64_t status = natural(*answer, "statusCode").value_or(500);
    asked_at_.reset();
    not_before_ = now + pause_.next();
    if (status == 429 || status >= 500) return;
    const std::string code = text(*answer, "errorCode");
    const bool at_template = topic == provision_ + "/rejected";
    if (at_template && (code == "InvalidCertificateOwnershipToken" || code == "InvalidOwnershipToken")) {
      certificate_.reset();  // its hour is over
      kept_ = false;
      return;
    }
    failure_ = std::string(at_template ? "the template" : "the signing request") +
               " was refused: " + std::to_string(status) + " " + code + ": " + text(*answer, "errorMessage");
  }
}

std::optional<Publication> Provisioning::due(base::Instant now) {
  if (!connected_ || thing_ || failure_ || (certificate_ && !kept_)) return std::nullopt;
  if (asked_at_) {
    if (now - *asked_at_ < kAnswerWithin) return std::nullopt;
    asked_at_.reset();
    not_before_ = now + pause_.next();
  }
  if (now < not_before_) return std::nullopt;
  asked_at_ = now;
  if (!certificate_) return Publication{create_, Json{{"certificateSigningRequest", csr_}}.dump()};
  const Json message{{"certificateOwnershipToken", certificate_->token}, {"parameters", parameters_}};
  return Publication{provision_, message.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

}  // namespace twinkeeper::aws
