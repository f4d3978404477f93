"""AWS IoT's fleet provisioning by claim without the wire: certificates are really signed, by the throwaway authority.

Certificates keep the subject of the signing request, keys made here have the common name of the certificate id. What
the answers to a wrong request say is documented in its shape (statusCode, errorCode, errorMessage) but not in its
texts; that of an empty token is as users have reported it, the others are our own.
"""
import hashlib
import json
import os
import re
import secrets
import ssl
from dataclasses import dataclass, field

from rig.pki import openssl

CREATE_FROM_CSR = "$aws/certificates/create-from-csr/json"
CREATE = "$aws/certificates/create/json"
PROVISION = re.compile(r"\$aws/provisioning-templates/([A-Za-z0-9_-]{1,36})/provision/json")


class Rejected(Exception):
    def __init__(self, status, code, message):
        super().__init__(message)
        self.document = {"statusCode": status, "errorCode": code, "errorMessage": message}


@dataclass
class Template:
    """`thing_name` with {Parameter}s; `configuration` is told to the device; `allows` is the provisioning hook."""
    parameters: tuple = ("SerialNumber",)
    thing_name: str = "{SerialNumber}"
    configuration: dict = field(default_factory=dict)
    allows: object = None  # a function of the parameters


@dataclass
class Certificate:
    certificate_id: str
    common_name: str
    pem: str
    made_at: float
    thing: str = None  # once provisioned


class Provisioning:
    def __init__(self, pki, templates, token_life_s=3600):
        self.templates = templates      # name → Template
        self.token_life_s = token_life_s
        self.certificates = []          # all that were made
        self._pki = pki
        self._tokens = {}               # token → Certificate

    def handle(self, topic, payload, now):
        template = PROVISION.fullmatch(topic)
        if topic not in (CREATE_FROM_CSR, CREATE) and not template:
            return []
        try:
            request = _parse(payload, may_be_empty=topic == CREATE)
            if topic == CREATE_FROM_CSR:
                answer = self._create_from_csr(request, now)
            elif topic == CREATE:
                answer = self._create(now)
            else:
                answer = self._provision(template.group(1), request, now)
        except Rejected as error:
            return [(topic + "/rejected", error.document)]
        return [(topic + "/accepted", answer)]

    def _create_from_csr(self, request, now):
        text = request.get("certificateSigningRequest")
        if not isinstance(text, str) or not text.strip():
            raise Rejected(400, "InvalidCertificateSigningRequest", "Certificate signing request cannot be empty.")
        return self._sign(text, now)

    def _create(self, now):
        key = self._pki.path("provisioned.key")
        request = self._pki.path("provisioned.request")
        openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj",
                "/CN=" + secrets.token_hex(16))
        with open(key, encoding="ascii") as file:
            private = file.read()
        with open(request, encoding="ascii") as file:
            text = file.read()
        os.remove(key)
        os.remove(request)
        return {**self._sign(text, now), "privateKey": private}

    def _sign(self, text, now):
        request, signed = self._pki.path("provisioned.csr"), self._pki.path("provisioned.crt")
        with open(request, "w", encoding="utf-8") as file:
            file.write(text)
        try:
            openssl("req", "-in", request, "-noout", "-verify")
            self._pki.sign(request, signed)
        except AssertionError as error:
            raise Rejected(400, "InvalidCertificateSigningRequest", "Unable to parse the signing request.") from error
        finally:
            os.remove(request)
        with open(signed, encoding="ascii") as file:
            pem = file.read()
        subject = openssl("x509", "-in", signed, "-noout", "-subject", "-nameopt", "multiline")
        os.remove(signed)
        common_name = re.search(r"commonName\s*= (.*)", subject)
        certificate = Certificate(hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest(),
                                  common_name.group(1) if common_name else "", pem, now)
        self.certificates.append(certificate)
        token = secrets.token_urlsafe(48)
        self._tokens[token] = certificate
        return {"certificateOwnershipToken": token, "certificateId": certificate.certificate_id, "certificatePem": pem}

    def _provision(self, name, request, now):
        template = self.templates.get(name)
        if template is None:
            raise Rejected(404, "ResourceNotFound", f"Provisioning template {name} not found.")
        token = request.get("certificateOwnershipToken")
        if not token:
            raise Rejected(400, "InvalidCertificateOwnershipToken", "Certificate ownership token cannot be empty.")
        certificate = self._tokens.get(token) if isinstance(token, str) else None
        if certificate is None or now - certificate.made_at > self.token_life_s:
            raise Rejected(400, "InvalidCertificateOwnershipToken", "Certificate ownership token is invalid.")
        parameters = request.get("parameters", {})
        if not isinstance(parameters, dict) or not all(isinstance(value, str) for value in parameters.values()):
            raise Rejected(400, "InvalidParameters", "Parameters must be a map of text to text.")
        for wanted in template.parameters:
            if not parameters.get(wanted):
                raise Rejected(400, "InvalidParameters", f"Parameter {wanted} is missing.")
        if template.allows is not None and not template.allows(parameters):
            raise Rejected(403, "AccessDenied", "The provisioning hook does not allow this device.")
        del self._tokens[token]  # valid once
        certificate.thing = template.thing_name.format(**parameters)
        return {"deviceConfiguration": template.configuration, "thingName": certificate.thing}


def _parse(payload, may_be_empty):
    if may_be_empty and not payload.strip():
        return {}
    try:
        request = json.loads(payload.decode("utf-8"))
    except ValueError as error:
        raise Rejected(400, "InvalidPayload", "Payload is not valid JSON.") from error
    if not isinstance(request, dict):
        raise Rejected(400, "InvalidPayload", "Payload must be an object.")
    return request
