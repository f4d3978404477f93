// What `probe` prints, for a person and as JSON.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "drivers/probe.hpp"
#include "drivers/probe_link.hpp"

namespace twinkeeper::app {

// "exception 0x02 (illegal data address)"; `connection_error`: with DeviceError::unavailable.
[[nodiscard]] std::string failure_text(const drivers::ExchangeResult& result, const std::string& connection_error);
[[nodiscard]] std::string milliseconds(base::Duration duration);

// Words: each as hex, numbers and bits.
void print_words(std::uint16_t address, std::span<const std::uint16_t> words, std::ostream& out);
// With an expected value: a list, the nearest first, at most `most`.
void print_nearest(const std::vector<drivers::Decoding>& decodings, double expected, std::size_t most,
                   std::ostream& out);
// Without: by address and type, one column per byte order; implausible numbers in brackets, and last those types of
// which nothing is plausible.
void print_table(const std::vector<drivers::Decoding>& decodings, std::ostream& out);
[[nodiscard]] nlohmann::ordered_json json_of(const drivers::Decoding& decoding);

void print(const drivers::LatencyStatistics& statistics, std::ostream& out);
[[nodiscard]] nlohmann::ordered_json json_of(const drivers::LatencyStatistics& statistics);
[[nodiscard]] std::string ranges_text(const std::vector<drivers::AddressRange>& ranges);  // "0-9, 12"
[[nodiscard]] nlohmann::ordered_json json_of(const std::vector<drivers::AddressRange>& ranges);

}  // namespace twinkeeper::app
