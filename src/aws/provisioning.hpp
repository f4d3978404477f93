// Fleet provisioning by claim: a certificate for a key that never leaves the gateway, then the thing that a template
// makes of it.
//
//   connected   create-from-csr
//   accepted    certificate() is to be made durable, then certificate_kept(): the template is asked with its token
//   accepted    done() with the thing's name
//
// A request without an answer is repeated; a repeated create-from-csr makes another certificate, and the one that was
// not claimed is deleted by the service. Refused: failure() says why, and nothing goes on.
// Thread rule: one thread. No I/O. Allocates.
// Source: AWS IoT Core developer guide, fleet-provision-api.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "aws/document.hpp"

namespace twinkeeper::aws {

class Provisioning {
 public:
  struct Certificate {
    std::string id;
    std::string pem;
    std::string token;  // proves ownership to the template, for an hour
  };

  // `known`: of an attempt that was interrupted after the certificate was kept; its pem may be empty.
  Provisioning(std::string template_name, std::string csr, std::map<std::string, std::string> parameters,
               std::optional<Certificate> known, std::uint64_t seed);

  [[nodiscard]] std::vector<std::string> topics() const;
  void connected(base::Instant now);
  void take(const std::string& topic, const std::string& payload, base::Instant now);
  [[nodiscard]] std::optional<Publication> due(base::Instant now);

  [[nodiscard]] const std::optional<Certificate>& certificate() const { return certificate_; }
  void certificate_kept() { kept_ = true; }
  struct Thing {
    std::string name;
    Json configuration;
  };
  [[nodiscard]] const std::optional<Thing>& done() const { return thing_; }
  [[nodiscard]] const std::optional<std::string>& failure() const { return failure_; }

 private:
  const std::string create_;
  const std::string provision_;
  const std::string csr_;
  const std::map<std::string, std::string> parameters_;
  Pause pause_;
  bool connected_ = false;
  bool kept_ = false;
  std::optional<Certificate> certificate_;
  std::optional<Thing> thing_;
  std::optional<std::string> failure_;
  std::optional<base::Instant> asked_at_;
  base::Instant not_before_{};
};

}  // namespace twinkeeper::aws
