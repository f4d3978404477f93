// Configuration and certificates: what they say, and who may read and change them.
#include <cmath>
#include <filesystem>
#include <set>

#include "app/check_report.hpp"
#include "app/doctor.hpp"
#include "twinkeeper/base/private_file.hpp"
#include "twinkeeper/base/timestamp.hpp"
#include "uplink/preflight.hpp"

namespace twinkeeper::app::doctor {
namespace {

// "twinkeeper.yaml:12:7: devices[0].address" of a fault
std::string place_of_fault(const config::Diagnostic& fault) {
  std::string place = fault.file;
  if (fault.line > 0) place += ":" + std::to_string(fault.line);
  if (fault.column > 0) place += ":" + std::to_string(fault.column);
  return fault.path.empty() ? place : place + ": " + fault.path;
}

std::string edit_of(const config::Diagnostic& fault) {
  std::string edit = "edit " + shell_quoted(fault.file);
  if (fault.line > 0) edit += ", line " + std::to_string(fault.line);
  if (!fault.accepted.empty()) edit += "; accepted: " + fault.accepted;
  return edit;
}

void add_warnings(const Faults& warnings, Group& group) {
  for (const auto& warning : warnings) {
    group.warning("configuration", place_of_fault(warning), warning.what, edit_of(warning));
  }
}

// What lets the account read `path` when `in_the_way` does not.
std::string mend_of_access(const Account& account, const std::string& path, const std::string& in_the_way,
                           bool secret) {
  if (in_the_way != path)
    return "chgrp " + account.group + " " + shell_quoted(in_the_way) + " && chmod g+x " + shell_quoted(in_the_way);
  if (!secret) return "chgrp " + account.group + " " + shell_quoted(path) + " && chmod g+r " + shell_quoted(path);
  return "chown " + account.name + ":" + account.group + " " + shell_quoted(path) + " && chmod 400 " +
         shell_quoted(path);
}

// Whether the account can read it; what is not there is another check's.
bool examine_access(const std::string& id, const std::string& path, const Account& account, bool secret, Group& group) {
  const auto in_the_way = obstacle(account, path, kRead);
  if (!in_the_way) return true;
  const std::string found = *in_the_way == path ? account.name + " can't read it"
                                                : account.name + " can't reach it through the folder " + *in_the_way;
  group.failure(id, path, found, mend_of_access(account, path, *in_the_way, secret), kExitPermission, "not_readable");
  return false;
}

// The file or the folder above it, with which the sentence begins.
std::string at_fault(const base::PrivateFileFault& fault) { return fault.what.substr(0, fault.what.find(": ")); }

void examine_writers(const std::string& id, const std::string& path, Group& group) {
  const auto fault = base::trusted_file_fault(path);
  if (!fault) return;
  struct stat status {};
  const bool by_mode = ::stat(at_fault(*fault).c_str(), &status) == 0 && (status.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  const std::string mend = !by_mode ? "chown root " : at_fault(*fault) == path ? "chmod go-w " : "chmod o-w ";
  group.warning(id, path, fault->what, mend + shell_quoted(at_fault(*fault)), "writable_by_others");
}

// Configuration file and model files as they were read.
std::set<std::string> files_of(const Plan& plan, const std::string& config_file) {
  std::set<std::string> files{config_file};
  for (const auto& [path, position] : plan.config.sources) {
    if (!position.file.empty()) files.insert(position.file);
  }
  return files;
}

std::string days_left(double days) {
  const auto whole = std::llround(std::floor(days < 0 ? -days : days));
  return (days < 0 ? "ended " : "") + std::to_string(whole) + (whole == 1 ? " day" : " days") +
         (days < 0 ? " ago" : " left");
}

void examine_end(const std::string& id, const std::string& path, const std::string& which,
                 const base::Result<uplink::Expiry>& expiry, base::WallTime now, const std::string& mend,
                 Group& group) {
  if (!expiry) return;
  const double days = std::chrono::duration<double, std::ratio<86400>>(expiry.value().at - now).count();
  const std::string found =
      which + " ends on " + base::format_rfc3339(expiry.value().at).substr(0, 10) + ", " + days_left(days);
  const Health health = now < base::kClockIsSet ? Health::ok : health_of_days(days);
  group.add({health, id, path, found,
             health == Health::ok ? ""
             : days < 0           ? "expired"
                                  : "ends_soon",
             health == Health::ok ? "" : mend, kExitConfig});
}

// Which file a fault of check_certificates is about, and what mends it.
struct Remedy {
  std::string id;
  std::string path;
  std::string mend;
};

Remedy remedy_of(const std::string& code, const uplink::UplinkSettings& uplink) {
  const auto begins = [&](const char* start) { return code.rfind(start, 0) == 0; };
  if (begins("crl_")) {
    return {"crl", uplink.crl,
            "put the authority's newest list there as PEM: openssl crl -inform DER -in NEW.crl -out " +
                shell_quoted(uplink.crl)};
  }
  if (begins("password_")) {
    return {"password", uplink.password_file,
            "write the password as the first line of " + shell_quoted(uplink.password_file)};
  }
  if (begins("ca_")) {
    return {"root_ca", uplink.root_ca,
            "install -m 0644 CA.pem " + shell_quoted(uplink.root_ca) +
                ", the authority of the broker's certificate as PEM"};
  }
  if (code == "certificate_not_yet_valid")
    return {"certificate", uplink.cert, "timedatectl set-ntp true, or a new certificate"};
  if (begins("certificate_")) {
    return {"certificate", uplink.cert,
            "have one made for the key (openssl req -new -key " + shell_quoted(uplink.key) +
                " -subj /CN=" + shell_quoted(uplink.client_id) + " -out gateway.csr) and install -m 0644 NEW.crt " +
                shell_quoted(uplink.cert)};
  }
  if (code == "key_mismatch") {
    return {"key", uplink.key,
            "install the key of the certificate, or have a certificate made for this key: openssl req -new -key " +
                shell_quoted(uplink.key) + " -subj /CN=" + shell_quoted(uplink.client_id) + " -out gateway.csr"};
  }
  if (begins("key_"))
    return {"key", uplink.key,
            "install the key of the certificate as PEM without a passphrase as " + shell_quoted(uplink.key)};
  return {"certificate", uplink.cert,
          "openssl verify -CAfile " + shell_quoted(uplink.root_ca) + " " + shell_quoted(uplink.cert)};
}

// A secret nobody but the service may read. True: nothing is wrong with it.
bool examine_secret(const std::string& id, const std::string& path, const Account& account, Group& group) {
  if (const auto fault = base::private_file_fault(path)) {
    const bool itself = at_fault(*fault) == path;
    const std::string mend =
        itself ? mend_of_access(account, path, path, true) : "chmod o-w " + shell_quoted(at_fault(*fault));
    group.failure(id, path, fault->what, mend, kExitPermission, "not_private");
    return false;
  }
  return examine_access(id, path, account, true, group);
}

}  // namespace

Health health_of_days(double days) noexcept {
  return days < 7.0 ? Health::failure : days < 30.0 ? Health::warning : Health::ok;
}

Group faults_of_configuration(const std::string& config_file, const Faults& faults) {
  Group group("configuration");
  for (const auto& fault : faults) {
    const std::string mend =
        fault.no_input ? "write it, readable by whoever asks: man twinkeeper.yaml" : edit_of(fault);
    group.failure("configuration", place_of_fault(fault), fault.what, mend,
                  fault.no_input     ? kExitNoInput
                  : fault.permission ? kExitPermission
                                     : kExitConfig);
  }
  if (faults.empty()) group.ok("configuration", config_file, "no fault");
  return group;
}

Group examine_configuration(const Plan& plan, const Circumstances& circumstances) {
  Findings judged(plan.config);
  [[maybe_unused]] const auto report = judge_plan(plan, judged);
  Group group("configuration");
  if (judged.errors().empty()) {
    group.ok("configuration", circumstances.config_file,
             "no fault; devices: " + std::to_string(plan.config.devices.size()) +
                 ", twins: " + std::to_string(plan.config.twins.size()));
  } else {
    group = faults_of_configuration(circumstances.config_file, judged.errors());
  }
  add_warnings(plan.config.warnings, group);
  add_warnings(judged.warnings(), group);
  if (!plan.config.uplink) {
    group.failure("uplink", circumstances.config_file, "there is no uplink, without which the service does not start",
                  "add a section uplink: man twinkeeper.yaml");
  }
  const std::size_t before = group.findings().size();
  for (const auto& file : files_of(plan, circumstances.config_file)) {
    if (examine_access("configuration_access", file, circumstances.account, false, group)) {
      examine_writers("configuration_access", file, group);
    }
  }
  if (group.findings().size() == before) {
    group.ok("configuration_access", circumstances.config_file,
             circumstances.account.name + " can read it and its models, nobody else can change them");
  }
  return group;
}

Group examine_certificates(const Plan& plan, const Circumstances& circumstances, base::WallTime now) {
  Group group("certificates");
  if (!plan.config.uplink) return group;
  const auto& uplink = *plan.config.uplink;
  const Account& account = circumstances.account;
  std::set<std::string> bad;
  for (const auto& fault : uplink::check_certificates(uplink, now)) {
    const Remedy remedy = remedy_of(fault.code, uplink);
    // Modes are judged below, validity with its days, the clock in its own group.
    if (fault.code == "key_permissions" || fault.code == "password_permissions" || fault.code == "clock_not_set" ||
        fault.code == "certificate_expired") {
      continue;
    }
    bad.insert(remedy.id);
    group.failure(remedy.id, remedy.path, fault.message, remedy.mend, kExitConfig, fault.code);
  }
  const auto good = [&](const std::string& id) { return bad.count(id) == 0; };
  if (examine_access("certificate", uplink.cert, account, false, group) && good("certificate")) {
    examine_end("certificate", uplink.cert, "the gateway's certificate", uplink::certificate_expiry(uplink.cert), now,
                remedy_of("certificate_expired", uplink).mend, group);
  }
  if (examine_secret("key", uplink.key, account, group) && good("key")) {
    group.ok("key", uplink.key, "belongs to the certificate, private, and " + account.name + " can read it");
  }
  const auto first = uplink::first_expiry(uplink.root_ca);
  if (examine_access("root_ca", uplink.root_ca, account, false, group) && good("root_ca")) {
    examine_end(
        "root_ca", uplink.root_ca, first ? "the authority " + first.value().subject : "", first, now,
        "put the broker's new authority into " + shell_quoted(uplink.root_ca) + ", and take out what no broker needs",
        group);
  }
  examine_writers("root_ca", uplink.root_ca, group);
  if (!uplink.crl.empty()) {
    examine_writers("crl", uplink.crl, group);
    if (examine_access("crl", uplink.crl, account, false, group) && good("crl")) group.ok("crl", uplink.crl, "in date");
  }
  if (!uplink.password_file.empty() && examine_secret("password", uplink.password_file, account, group) &&
      good("password")) {
    group.ok("password", uplink.password_file, "private, and " + account.name + " can read it");
  }
  return group;
}

}  // namespace twinkeeper::app::doctor
