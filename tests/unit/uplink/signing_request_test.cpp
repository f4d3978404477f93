#include "uplink/signing_request.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace twinkeeper;

namespace {

std::string content(const std::string& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

X509_REQ* parsed(const std::string& pem) {
  BIO* memory = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509_REQ* request = PEM_read_bio_X509_REQ(memory, nullptr, nullptr, nullptr);
  BIO_free(memory);
  return request;
}

}  // namespace

TEST_CASE("a key of one's own is private and a request over it is signed by it") {
  const test::TemporaryFolder folder;
  const std::string key = folder.file("own.key");
  REQUIRE(uplink::make_private_key(key).ok());
  struct stat status {};
  REQUIRE(::stat(key.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK(content(key).compare(0, 27, "-----BEGIN PRIVATE KEY-----") == 0);
  const auto request = uplink::signing_request(key, "line3-gw1");
  REQUIRE(request.ok());
  X509_REQ* read = parsed(request.value());
  REQUIRE(read != nullptr);
  CHECK(X509_REQ_verify(read, X509_REQ_get0_pubkey(read)) == 1);
  char name[64] = "";
  X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(read), NID_commonName, name, sizeof name);
  CHECK(std::string(name) == "line3-gw1");
  CHECK(EVP_PKEY_get_bits(X509_REQ_get0_pubkey(read)) == 256);
  X509_REQ_free(read);
}

TEST_CASE("a key that exists is never overwritten, and two keys differ") {
  const test::TemporaryFolder folder;
  const std::string key = folder.file("own.key");
  REQUIRE(uplink::make_private_key(key).ok());
  const std::string before = content(key);
  CHECK_FALSE(uplink::make_private_key(key).ok());
  CHECK(content(key) == before);
  REQUIRE(uplink::make_private_key(folder.file("other.key")).ok());
  CHECK(content(folder.file("other.key")) != before);
}

TEST_CASE("what is no key is told as such") {
  const test::TemporaryFolder folder;
  CHECK(uplink::signing_request(folder.file("none"), "x").error().code() == base::ErrorCode::not_found);
  std::ofstream(folder.file("text")) << "no key\n";
  CHECK(uplink::signing_request(folder.file("text"), "x").error().message().find("holds no private key") !=
        std::string::npos);
  REQUIRE(uplink::make_private_key(folder.file("own.key")).ok());
  CHECK_FALSE(uplink::is_for_key("no certificate", folder.file("own.key")).ok());
}
