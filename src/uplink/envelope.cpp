#include "uplink/envelope.hpp"

#include <algorithm>
#include <charconv>

#include "twinkeeper/base/timestamp.hpp"

namespace twinkeeper::uplink {
namespace {

template <class Integer>
void append_integer(std::string& out, Integer value) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  out.append(digits, end);
}

// Length of the UTF-8 sequence at `at`, 0 if it is none (overlong, surrogate, above U+10FFFF, cut off).
std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  const std::size_t length = lead < 0x80   ? 1
                             : lead < 0xC2 ? 0
                             : lead < 0xE0 ? 2
                             : lead < 0xF0 ? 3
                             : lead < 0xF5 ? 4
                                           : 0;
  if (length == 0 || at + length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0u) != 0x80u) return 0;
  }
  if (length > 2) {
    const unsigned char second = byte(at + 1);
    if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) || (lead == 0xF0 && second < 0x90) ||
        (lead == 0xF4 && second > 0x8F)) {
      return 0;
    }
  }
  return length;
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const std::size_t length = utf8_length(text, i);
    if (length == 0) {
      out += "\\ufffd";
      ++i;
      continue;
    }
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += text[i];
    } else if (byte < 0x20) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 0xFu];
    } else {
      out += text.substr(i, length);
    }
    i += length;
  }
  out += '"';
}

std::string to_json(const Envelope& envelope, std::string_view members) {
  std::string out;
  out.reserve(members.size() + 320);
  out += "{\"schema\":";
  append_json_string(out, envelope.schema);
  out += ",\"gateway\":";
  append_json_string(out, envelope.gateway);
  if (!envelope.identity_in_id_only) {
    out += ",\"stream\":";
    append_json_string(out, envelope.stream);
    out += ",\"epoch\":";
    append_integer(out, envelope.epoch);
  }
  out += ",\"seq\":";
  append_integer(out, envelope.seq);
  out += ",\"id\":\"";
  out += envelope.gateway;
  out += '/';
  out += envelope.stream;
  out += '/';
  append_integer(out, envelope.epoch);
  out += '/';
  append_integer(out, envelope.seq);
  out += "\",\"time\":\"";
  base::append_rfc3339(out, envelope.time);
  out += "\",\"time_ms\":";
  append_integer(out, base::unix_milliseconds(envelope.time));
  out += envelope.clock_synced ? ",\"clock_synced\":true,\"boot_id\":" : ",\"clock_synced\":false,\"boot_id\":";
  append_json_string(out, envelope.boot_id);
  out += envelope.replay ? ",\"replay\":true" : ",\"replay\":false";
  if (!members.empty()) {
    out += ',';
    out += members;
  }
  out += '}';
  return out;
}

std::string topic_of_stream(std::string_view prefix, std::string_view stream) {
  std::string topic;
  topic.reserve(prefix.size() + 1 + stream.size());
  topic += prefix;
  topic += '/';
  topic += stream;
  std::replace(topic.begin() + static_cast<std::ptrdiff_t>(prefix.size()), topic.end(), '.', '/');
  return topic;
}

}  // namespace twinkeeper::uplink
