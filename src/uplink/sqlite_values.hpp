// Values in and out of SQLite statements. Text and bytes are bound without a copy: they outlive the statement's run.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "twinkeeper/base/clock.hpp"

namespace twinkeeper::uplink::sqlite {

inline void bind(sqlite3_stmt* statement, int index, std::int64_t value) {
  sqlite3_bind_int64(statement, index, value);
}
inline void bind(sqlite3_stmt* statement, int index, std::uint64_t value) {
  sqlite3_bind_int64(statement, index, static_cast<std::int64_t>(value));
}
inline void bind(sqlite3_stmt* statement, int index, std::string_view text) {
  sqlite3_bind_text64(statement, index, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
}
inline void bind_blob(sqlite3_stmt* statement, int index, std::string_view bytes) {
  sqlite3_bind_blob64(statement, index, bytes.empty() ? "" : bytes.data(), bytes.size(), SQLITE_STATIC);
}
inline std::uint64_t natural(sqlite3_stmt* statement, int column) {
  return static_cast<std::uint64_t>(sqlite3_column_int64(statement, column));
}
inline std::string text(sqlite3_stmt* statement, int column) {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement, column));
  return bytes == nullptr ? std::string{}
                          : std::string(bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement, column)));
}
inline std::optional<base::WallTime> time(sqlite3_stmt* statement, int column) {
  if (sqlite3_column_type(statement, column) == SQLITE_NULL) return std::nullopt;
  return base::WallTime{base::Duration{sqlite3_column_int64(statement, column)}};
}
inline void bind_time(sqlite3_stmt* statement, int index, const std::optional<base::WallTime>& value) {
  if (value) {
    bind(statement, index, static_cast<std::int64_t>(value->time_since_epoch().count()));
  } else {
    sqlite3_bind_null(statement, index);
  }
}

}  // namespace twinkeeper::uplink::sqlite
