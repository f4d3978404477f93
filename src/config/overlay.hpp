// The overlay: values laid over the configuration file from outside, by the shadow `config`. The file that keeps it is
// {"version": N, "overlay": {…}}, JSON. Within the overlay lists of named things are maps by name:
//
//   {"twins": {"tanks": {"publish": {"state_interval": "5s"}}}, "spool": {"max_age": "3d"}}
//
// Maps are merged key by key, all else is replaced; a name must be in the file. Out of reach are the gateway, the
// endpoint, its keys, proxy and names, commands, what may be written, how a device is reached, what it is asked or written
// and what its answers mean, and what names a file or a variable of the environment.
// Errors go to the reader, placed in the overlay. Thread rule: free function. Allocates.
#pragma once

#include <optional>

#include "config/reader.hpp"

namespace twinkeeper::config {

// Lays what the state directory of the opened configuration holds (or `options.replaced` in its place) over its tree,
// before anything of it is read. Nothing: there is none.
[[nodiscard]] std::optional<Overlay> lay_over(Reader& reader, const LoadOptions& options);

}  // namespace twinkeeper::config
