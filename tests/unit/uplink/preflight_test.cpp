#include "uplink/preflight.hpp"

#include <cstdlib>
#include <fstream>

#include "support/catch.hpp"
#include "support/uplink_parts.hpp"
#include "uplink/revocation.hpp"

using namespace twinkeeper;
using namespace twinkeeper::uplink;

namespace {

const test::TemporaryFolder& pki() {
  static const test::TemporaryFolder folder;
  static const bool made =
      std::system((std::string(TWINKEEPER_SOURCE_DIR "/scripts/make-pki ") + folder.path() + " --faults").c_str()) == 0;
  REQUIRE(made);
  return folder;
}

UplinkSettings settings() {
  UplinkSettings value;
  value.root_ca = pki().file("ca.crt");
  value.cert = pki().file("gateway.crt");
  value.key = pki().file("gateway.key");
  return value;
}

LinkFault only_fault(const UplinkSettings& value, base::WallTime now = base::SystemClock{}.wall_now()) {
  const auto faults = check_certificates(value, now);
  REQUIRE(faults.size() == 1);
  return faults.front();
}

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("good certificate files have no fault") {
  const UplinkSettings value = settings();  // made before the clock is read: valid from this second on
  CHECK(check_certificates(value, base::SystemClock{}.wall_now()).empty());
}

TEST_CASE("each fault of the certificate files has its own code and names its file") {
  UplinkSettings value = settings();
  value.root_ca = pki().file("none.crt");
  CHECK(only_fault(value).code == "ca_missing");
  value.root_ca = value.key;
  CHECK(only_fault(value).code == "ca_invalid");

  value = settings();
  value.cert = pki().file("none.crt");
  CHECK(only_fault(value).code == "certificate_missing");
  CHECK(only_fault(value).message.find(value.cert) != std::string::npos);
  value.cert = value.key;
  CHECK(check_certificates(value, base::SystemClock{}.wall_now()).front().code == "certificate_invalid");

  value = settings();
  value.key = pki().file("none.key");
  CHECK(only_fault(value).code == "key_missing");
  value.key = pki().file("stranger.key");
  CHECK(only_fault(value).code == "key_mismatch");
  CHECK(only_fault(value).message.find("does not match certificate " + value.cert) != std::string::npos);
  value.key = pki().file("rubbish.key");
  std::ofstream(value.key) << "rubbish\n";
  std::filesystem::permissions(value.key, std::filesystem::perms::owner_read);
  CHECK(only_fault(value).code == "key_invalid");

  value = settings();
  value.cert.clear();
  CHECK(only_fault(value).message.find("not configured") != std::string::npos);
  value.cert = pki().path();
  CHECK(only_fault(value).message.find("not a regular file") != std::string::npos);
}

TEST_CASE("a key that others can read is refused with the command that repairs it") {
  UplinkSettings value = settings();
  value.key = pki().file("open.key");
  std::filesystem::copy_file(pki().file("gateway.key"), value.key, std::filesystem::copy_options::overwrite_existing);
  std::filesystem::permissions(value.key, std::filesystem::perms{0644});
  const LinkFault fault = only_fault(value);
  CHECK(fault.code == "key_permissions");
  CHECK(fault.fatal);
  CHECK(fault.message.find("0644") != std::string::npos);
  CHECK(fault.message.find("chmod 600 " + value.key) != std::string::npos);
  std::filesystem::permissions(value.key, std::filesystem::perms{0440});  // our own group
  CHECK(check_certificates(value, base::SystemClock{}.wall_now()).empty());
}

TEST_CASE("dates of a certificate are judged by the clock and an unset clock judges none") {
  UplinkSettings value = settings();
  value.cert = pki().file("expired.crt");
  value.key = pki().file("expired.key");
  const LinkFault expired = only_fault(value);
  CHECK(expired.code == "certificate_expired");
  CHECK_FALSE(expired.fatal);
  CHECK(expired.message.find("has expired on 20") != std::string::npos);

  const base::WallTime before{std::chrono::sys_days{std::chrono::year{2025} / 1 / 1}};
  CHECK(only_fault(settings(), before).code == "certificate_not_yet_valid");
  const base::WallTime unset{std::chrono::hours{5}};
  CHECK(only_fault(settings(), unset).code == "clock_not_set");
  CHECK(only_fault(settings(), unset).message.find("1970-01-01") != std::string::npos);
}

TEST_CASE("the end of a certificate's validity can be read") {
  const auto expiry = certificate_expiry(pki().file("gateway.crt"));
  REQUIRE(expiry.ok());
  const auto days =
      std::chrono::duration<double, std::ratio<86400>>(expiry.value().at - base::SystemClock{}.wall_now());
  CHECK(days.count() > 28.0);
  CHECK(days.count() < 365.1);
  CHECK(expiry.value().subject == "CN=gateway");
  CHECK_FALSE(certificate_expiry(pki().file("none.crt")).ok());
  CHECK_FALSE(first_expiry(pki().file("gateway.key")).ok());
}

TEST_CASE("a certificate that never ends has not expired") {
  const std::string make =
      "cd " + pki().path() +
      " && openssl req -x509 -key gateway.key -days 2900000 -out ever.crt -subj /CN=ever 2>openssl.log";
  REQUIRE(std::system(make.c_str()) == 0);
  UplinkSettings value = settings();
  value.cert = pki().file("ever.crt");
  CHECK(check_certificates(value, base::SystemClock{}.wall_now()).empty());
  CHECK(certificate_expiry(value.cert).value().at > base::SystemClock{}.wall_now() + std::chrono::years{100});
}

TEST_CASE("of several authorities the one that ends first is told, wherever it stands") {
  const std::string make = "cd " + pki().path() +
                           " && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9"
                           " -keyout soon.key -out soon.crt -utf8 -subj '/O=Wärme/CN=ends soon' 2>openssl.log";
  REQUIRE(std::system(make.c_str()) == 0);
  const std::string bundle = pki().file("bundle.crt");
  std::ofstream(bundle) << "the first\n"
                        << content_of(pki().file("ca.crt")) << content_of(pki().file("ca.crl"))
                        << content_of(pki().file("soon.crt")) << content_of(pki().file("other_ca.crt"));
  const auto first = first_expiry(bundle);
  REQUIRE(first.ok());
  CHECK(first.value().subject == "CN=ends soon,O=W\\C3\\A4rme");
  const auto left = first.value().at - base::SystemClock{}.wall_now();
  CHECK(left > std::chrono::days{8});
  CHECK(left < std::chrono::days{9});
  CHECK(certificate_expiry(bundle).value().at > first.value().at);
}

TEST_CASE("a certificate among the revocation lists is refused and never trusted") {
  UplinkSettings value = settings();
  value.crl = pki().file("mixed.crl");
  for (const char* alien : {"other_ca.crt", "gateway.key"}) {
    std::ofstream(value.crl) << content_of(pki().file("ca.crl")) << content_of(pki().file(alien));
    CHECK(only_fault(value).code == "crl_invalid");
    CHECK(only_fault(value).fatal);
    CHECK(only_fault(value).message.find(value.crl + " holds a block that is no revocation list") != std::string::npos);
    CHECK_FALSE(TrustFile::open(value).ok());
  }
  std::string cut = content_of(pki().file("ca.crl"));
  cut.resize(cut.size() / 2);
  std::ofstream(value.crl) << content_of(pki().file("ca.crl")) << cut;
  CHECK(only_fault(value).code == "crl_invalid");
  std::ofstream(value.crl) << "nothing\n";
  CHECK(only_fault(value).message.find("holds no revocation list") != std::string::npos);
}

TEST_CASE("the authorities and the lists are trusted together without a file on a disk") {
  UplinkSettings value = settings();
  {
    const auto plain = TrustFile::open(value);
    REQUIRE(plain.ok());
    CHECK(plain.value().path() == value.root_ca);
  }
  value.state_directory = pki().file("not there");
  value.crl = pki().file("both.crl");
  std::ofstream(value.crl) << "some words\n"
                           << content_of(pki().file("ca.crl")) << content_of(pki().file("other_ca.crl"));
  const auto both = TrustFile::open(value);
  REQUIRE(both.ok());
  const std::string text = content_of(both.value().path());
  CHECK(text.find(content_of(value.root_ca)) == 0);
  std::size_t lists = 0;
  for (auto at = text.find("BEGIN X509 CRL"); at != std::string::npos; at = text.find("BEGIN X509 CRL", at + 1))
    ++lists;
  CHECK(lists == 2);
  CHECK(check_certificates(value, base::SystemClock{}.wall_now()).empty());
  static_cast<void>(TrustFile::open(settings()));  // other tests: nothing is asked of lists any more
}
