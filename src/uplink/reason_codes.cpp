#include "uplink/reason_codes.hpp"

#include <cstdio>

namespace twinkeeper::uplink {

bool permanent(int reason) {
  switch (reason) {
    case 0x87:  // not authorised
    case 0x90:  // topic name invalid
    case 0x95:  // packet too large
    case 0x99:  // payload format invalid
    case 0x9A:  // retain not supported
    case 0x9B:  // QoS not supported
      return true;
    default: return false;
  }
}

std::string reason_text(int reason) {
  char number[8];
  std::snprintf(number, sizeof number, "0x%02X", static_cast<unsigned>(reason) & 0xFFu);
  const char* name = nullptr;
  switch (reason) {
    case 0x80: name = "unspecified error"; break;
    case 0x81: name = "malformed packet"; break;
    case 0x82: name = "protocol error"; break;
    case 0x83: name = "implementation specific error"; break;
    case 0x84: name = "protocol version not supported"; break;
    case 0x85: name = "client id not valid"; break;
    case 0x86: name = "bad user name or password"; break;
    case 0x87: name = "not authorized"; break;
    case 0x88: name = "server unavailable"; break;
    case 0x89: name = "server busy"; break;
    case 0x8A: name = "banned"; break;
    case 0x8B: name = "server shutting down"; break;
    case 0x8D: name = "keep-alive timeout"; break;
    case 0x8E: name = "session taken over by another client with the same id"; break;
    case 0x8F: name = "topic filter not valid"; break;
    case 0x90: name = "topic name not valid"; break;
    case 0x93: name = "receive maximum exceeded"; break;
    case 0x95: name = "packet too large"; break;
    case 0x96: name = "message rate too high"; break;
    case 0x97: name = "quota exceeded"; break;
    case 0x98: name = "administrative action"; break;
    case 0x99: name = "payload format not valid"; break;
    case 0x9A: name = "retain not supported"; break;
    case 0x9B: name = "QoS not supported"; break;
    case 0x9F: name = "connection rate exceeded"; break;
    default: name = "refused"; break;
  }
  return std::string(name) + ", reason " + number;
}

}  // namespace twinkeeper::uplink
