#include "simulation/pattern_reader.hpp"

#include <algorithm>
#include <bitset>
#include <charconv>
#include <optional>
#include <utility>

namespace twinkeeper::simulation {
namespace {

using Pieces = std::vector<PatternPiece>;
using Characters = std::bitset<256>;

constexpr std::size_t kMostRepetitions = 1000;  // RE2's own bound, for nested ones together
constexpr std::size_t kMostPieces = 10'000;

Characters range(unsigned char first, unsigned char last) {
  Characters out;
  for (unsigned c = first; c <= last; ++c) out.set(c);
  return out;
}

// \d, \s, \w and their opposites; nothing for any other letter.
std::optional<Characters> class_of(char letter) {
  Characters out;
  switch (letter) {
    case 'd':
    case 'D': out = range('0', '9'); break;
    case 's':
    case 'S':
      for (const char c : {' ', '\t', '\n', '\f', '\r'}) out.set(static_cast<unsigned char>(c));
      break;
    case 'w':
    case 'W': out = range('0', '9') | range('A', 'Z') | range('a', 'z') | range('_', '_'); break;
    default: return std::nullopt;
  }
  return letter < 'a' ? ~out : out;
}

// One that people can read, if there is one.
char character_of(const Characters& set) {
  for (const char c : std::string_view(" 0aAx.,-+")) {
    if (set.test(static_cast<unsigned char>(c))) return c;
  }
  for (unsigned c = '!'; c <= '~'; ++c) {
    if (set.test(c)) return static_cast<char>(c);
  }
  for (unsigned c = 1; c < 256; ++c) {
    if (set.test(c)) return static_cast<char>(c);
  }
  return ' ';
}

class PatternWalk {
 public:
  PatternWalk(std::string_view expression, const std::vector<std::string>& kept) : rest_(expression), kept_(kept) {}

  // Up to the bracket that closes, or the end: the first alternative.
  Pieces alternatives() {
    Pieces first = sequence();
    while (takes('|')) {
      const Pieces other = sequence();
      if (!keeps(first) && keeps(other)) first = other;
    }
    return first;
  }

 private:
  [[nodiscard]] bool takes(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  char next() {
    if (rest_.empty()) return ' ';
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }
  [[nodiscard]] static bool keeps(const Pieces& pieces) {
    return std::any_of(pieces.begin(), pieces.end(), [](const PatternPiece& piece) { return !piece.group.empty(); });
  }
  static Pieces text(std::string characters) { return {{std::move(characters), {}, {}}}; }

  Pieces sequence() {
    Pieces all;
    while (!rest_.empty() && rest_.front() != '|' && rest_.front() != ')') {
      const Pieces one = atom();
      const std::size_t times = std::max<std::size_t>(repetitions(), keeps(one) ? 1 : 0);
      for (std::size_t k = 0; k < times && all.size() < kMostPieces; ++k) all.insert(all.end(), one.begin(), one.end());
    }
    return all;
  }

  // The least number of times that the atom before may stand.
  std::size_t repetitions() {
    std::size_t times = 1;
    if (takes('*') || takes('?')) {
      times = 0;
    } else if (takes('+')) {
      times = 1;
    } else if (const auto [least, size] = braces(); size > 0) {
      times = least;
      rest_.remove_prefix(size);
    }
    static_cast<void>(takes('?'));  // as few as possible, or not
    return times;
  }

  // {n}, {n,} or {n,m}, as the least number and its size; 0: a bracket that stands for itself.
  [[nodiscard]] std::pair<std::size_t, std::size_t> braces() const {
    const std::size_t end = rest_.find('}');
    if (!rest_.starts_with('{') || end == std::string_view::npos) return {0, 0};
    const std::string_view inside = rest_.substr(1, end - 1);
    std::size_t least = 0;
    const auto [stop, error] = std::from_chars(inside.data(), inside.data() + inside.size(), least);
    const std::string_view behind = inside.substr(static_cast<std::size_t>(stop - inside.data()));
    const bool numbers =
        std::all_of(behind.begin(), behind.end(), [](char c) { return c == ',' || (c >= '0' && c <= '9'); });
    if (error != std::errc{} || (!behind.empty() && behind.front() != ',') || !numbers) return {0, 0};
    return {std::min(least, kMostRepetitions), end + 1};
  }

  Pieces atom() {
    const char c = next();
    switch (c) {
      case '(': return group();
      case '[': return text({character_of(set())});
      case '\\': return escape();
      case '.': return text(" ");
      case '^':
      case '$': return {};
      default: return text({c});
    }
  }

  Pieces group() {
    std::string name;
    if (rest_.starts_with("?P<")) {
      const std::size_t end = std::min(rest_.find('>'), rest_.size() - 1);
      name = rest_.substr(3, end - 3);
      rest_.remove_prefix(end + 1);
    } else if (takes('?') && !rest_.empty()) {
      const std::size_t end = std::min(rest_.find_first_of(":)"), rest_.size() - 1);
      const bool flags_only = rest_[end] == ')';
      rest_.remove_prefix(end + 1);
      if (flags_only) return {};
    }
    const std::string_view begin = rest_;
    Pieces inside = alternatives();
    const std::string_view expression = begin.substr(0, begin.size() - rest_.size());
    static_cast<void>(takes(')'));
    if (std::find(kept_.begin(), kept_.end(), name) == kept_.end()) return inside;
    return {{{}, name, std::string(expression)}};
  }

  Pieces escape() {
    if (rest_.empty()) return {};
    const char letter = rest_.front();
    if (const auto set = class_of(letter)) {
      next();
      return text({character_of(*set)});
    }
    if (letter == 'Q') return quoted();
    if (letter == 'A' || letter == 'z' || letter == 'b' || letter == 'B') {
      next();
      return {};
    }
    return text({escaped_character()});
  }

  // \Q…\E: as it stands, to the end if nothing ends it.
  Pieces quoted() {
    next();
    const std::size_t end = std::min(rest_.find("\\E"), rest_.size());
    Pieces literal = text(std::string(rest_.substr(0, end)));
    rest_.remove_prefix(std::min(end + 2, rest_.size()));
    return literal;
  }

  // Behind the backslash: a control character, a code, or the character itself.
  char escaped_character() {
    const char letter = next();
    switch (letter) {
      case 't': return '\t';
      case 'n': return '\n';
      case 'r': return '\r';
      case 'f': return '\f';
      case 'v': return '\v';
      case 'a': return '\a';
      case 'x': return hexadecimal();
      default: return letter;
    }
  }

  char hexadecimal() {
    const bool braces = takes('{');
    unsigned code = 0;
    const std::size_t most = braces ? rest_.size() : std::min<std::size_t>(2, rest_.size());
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + most, code, 16);
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    if (braces) static_cast<void>(takes('}'));
    return error == std::errc{} ? static_cast<char>(code) : ' ';
  }

  // Behind the opening bracket.
  Characters set() {
    const bool negated = takes('^');
    Characters all;
    for (bool first = true; !rest_.empty() && (first || rest_.front() != ']'); first = false) {
      if (rest_.starts_with("[:")) {
        const std::size_t end = std::min(rest_.find(":]"), rest_.size() - 2);
        all |= named_class(rest_.substr(2, end - 2));
        rest_.remove_prefix(end + 2);
        continue;
      }
      char low = next();
      if (low == '\\' && !rest_.empty()) {
        if (const auto inner = class_of(rest_.front())) {
          next();
          all |= *inner;
          continue;
        }
        low = escaped_character();
      }
      char high = low;
      if (rest_.size() > 1 && rest_.front() == '-' && rest_[1] != ']') {
        next();
        high = next();
        if (high == '\\') high = escaped_character();
      }
      all |= range(static_cast<unsigned char>(low), static_cast<unsigned char>(high));
    }
    static_cast<void>(takes(']'));
    return negated ? ~all : all;
  }

  static Characters named_class(std::string_view name) {
    if (name == "digit" || name == "xdigit") return range('0', '9');
    if (name == "space" || name == "blank") return range(' ', ' ');
    if (name == "upper") return range('A', 'Z');
    if (name == "punct") return range('!', '/');
    return range('a', 'z');
  }

  std::string_view rest_;
  const std::vector<std::string>& kept_;
};

}  // namespace

std::vector<PatternPiece> shortest_line(std::string_view expression, const std::vector<std::string>& kept) {
  return PatternWalk(expression, kept).alternatives();
}

}  // namespace twinkeeper::simulation
