#include <pwd.h>
#include <sys/stat.h>

#include <cmath>

#include "app/check_report.hpp"
#include "twinkeeper/base/private_file.hpp"
#include "twinkeeper/base/timestamp.hpp"
#include "uplink/preflight.hpp"

namespace twinkeeper::app {
namespace {

using nlohmann::ordered_json;

constexpr double kWarnDays = 30.0;

std::string owner_of(uid_t user) {
  const passwd* const entry = ::getpwuid(user);
  return entry == nullptr ? std::to_string(user) : entry->pw_name;
}

ordered_json describe_file(const std::string& file) {
  ordered_json report{{"path", file}, {"owner", nullptr}, {"mode", nullptr}};
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return report;
  report["owner"] = owner_of(status.st_uid);
  report["mode"] = base::octal_mode(status.st_mode & 07777U);
  return report;
}

// `which`: "the certificate". Expired ones are told by check_certificates with the gateway's own; here what is about to
// expire, and the CA.
ordered_json describe_certificate(const std::string& key, const std::string& file,
                                  const base::Result<uplink::Expiry>& expiry, const std::string& which,
                                  base::WallTime now, bool tell_expired, Findings& findings) {
  ordered_json report = describe_file(file);
  report["certificate_expires"] = nullptr;
  report["certificate_days_left"] = nullptr;
  if (!expiry) return report;
  const std::string date = base::format_rfc3339(expiry.value().at).substr(0, 10);
  const double days = std::chrono::duration<double, std::ratio<86400>>(expiry.value().at - now).count();
  report["certificate_expires"] = date;
  report["certificate_days_left"] = std::llround(std::floor(days));
  if (days >= 0 && days < kWarnDays) {
    findings.warn("uplink." + key,
                  file + ": " + which + " expires in " + short_number(std::floor(days)) + " days, on " + date);
  } else if (days < 0 && tell_expired) {
    findings.warn("uplink." + key, file + ": " + which + " has expired on " + date);
  }
  return report;
}

struct Place {
  const char* path;
  const char* accepted;
};

Place place_of(const std::string& code) {
  if (code.rfind("crl_", 0) == 0)
    return {"uplink.crl", "a PEM file with the revocation list of the broker certificate's issuer"};
  if (code.rfind("password_", 0) == 0) return {"uplink.password_file", "a file whose first line is the password"};
  if (code.rfind("ca_", 0) == 0)
    return {"uplink.root_ca", "a PEM file with the certificates the broker's is checked against"};
  if (code.rfind("certificate_", 0) == 0)
    return {"uplink.cert", "a PEM file with the gateway's certificate, its chain behind it"};
  if (code == "key_mismatch") return {"uplink.key", "the private key that the certificate was made for"};
  if (code.rfind("key_", 0) == 0) return {"uplink.key", "a PEM file with the private key, without a passphrase"};
  return {"uplink", "files that OpenSSL can use"};
}

void report_faults(const uplink::UplinkSettings& uplink, base::WallTime now, Findings& findings) {
  for (const auto& fault : uplink::check_certificates(uplink, now)) {
    const Place place = place_of(fault.code);
    if (fault.fatal) {
      findings.error(place.path, fault.message, place.accepted);
    } else {
      findings.warn(place.path, fault.message);
    }
  }
}

// Who can change it decides whom the gateway takes for its broker.
void report_trusted(const std::string& key, const std::string& file, Findings& findings) {
  const auto fault = base::trusted_file_fault(file);
  if (fault) findings.warn("uplink." + key, fault->what + "; better: " + fault->accepted);
}

// An out-of-date list is told by check_certificates.
ordered_json describe_list(const std::string& file, base::WallTime now, Findings& findings) {
  ordered_json report = describe_file(file);
  report["next_update"] = nullptr;
  const auto expiry = uplink::crl_expiry(file);
  if (!expiry.ok() || !expiry.value()) return report;
  const std::string date = base::format_rfc3339(*expiry.value()).substr(0, 10);
  report["next_update"] = date;
  if (*expiry.value() > now && *expiry.value() - now < std::chrono::hours{24}) {
    findings.warn("uplink.crl", file + ": the list is out of date within a day, and then no broker is let in");
  }
  return report;
}

}  // namespace

ordered_json check_files(const Plan& plan, Findings& findings) {
  if (!plan.config.uplink) return nullptr;
  const auto& uplink = *plan.config.uplink;
  const auto now = std::chrono::time_point_cast<base::Duration>(std::chrono::system_clock::now());
  report_faults(uplink, now, findings);
  report_trusted("root_ca", uplink.root_ca, findings);
  if (!uplink.crl.empty()) report_trusted("crl", uplink.crl, findings);
  const auto own = uplink::certificate_expiry(uplink.cert);
  const auto first = uplink::first_expiry(uplink.root_ca);
  const std::string authority = "the certificate of " + (first ? first.value().subject : "");
  ordered_json report{
      {"cert", describe_certificate("cert", uplink.cert, own, "the certificate", now, false, findings)},
      {"key", describe_file(uplink.key)},
      {"root_ca", describe_certificate("root_ca", uplink.root_ca, first, authority, now, true, findings)}};
  if (!uplink.crl.empty()) report["crl"] = describe_list(uplink.crl, now, findings);
  if (!uplink.password_file.empty()) report["password_file"] = describe_file(uplink.password_file);
  return report;
}

}  // namespace twinkeeper::app
