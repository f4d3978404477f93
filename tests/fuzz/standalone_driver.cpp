// Runs a fuzz target without libFuzzer: seeded random mutations of a corpus for some seconds.
//
// usage: fuzz_X [-max_total_time=SECONDS] [-seed=N] [-max_len=BYTES] [-runs=N] [FILE or FOLDER]…
// Other arguments that begin with - are libFuzzer's and mean nothing here. A single FILE is run once, as it is. The
// input under way is kept in the mapped file `last_input`, so that it is there after whatever ends the process.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

// Zeros follow the input up to the longest.
class LastInput {
 public:
  explicit LastInput(std::size_t most) : most_(most) {
    const int file = ::open("last_input", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0 || ::ftruncate(file, static_cast<off_t>(most)) != 0) return;
    void* place = ::mmap(nullptr, most, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ::close(file);
    if (place != MAP_FAILED) place_ = static_cast<std::uint8_t*>(place);
  }
  void keep(const Bytes& input) {
    if (place_ == nullptr) return;
    std::memcpy(place_, input.data(), std::min(input.size(), most_));
    if (input.size() < most_) std::memset(place_ + input.size(), 0, most_ - input.size());
  }

 private:
  const std::size_t most_;
  std::uint8_t* place_ = nullptr;
};

void run(const Bytes& input, LastInput& last) {
  last.keep(input);
  // A copy of just its size: a read beyond its end is seen by AddressSanitizer.
  const Bytes exact(input.begin(), input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed, std::size_t most) : random_(seed), most_(most) {}

  Bytes mutant(const std::vector<Bytes>& corpus) {
    Bytes input = corpus[any(corpus.size())];
    for (std::size_t n = 1 + any(6); n > 0; --n) mutate(input, corpus);
    if (input.size() > most_) input.resize(most_);
    return input;
  }

 private:
  [[nodiscard]] std::size_t any(std::size_t below) { return below == 0 ? 0 : random_() % below; }
  [[nodiscard]] static auto at(Bytes& input, std::size_t place) {
    return input.begin() + static_cast<std::ptrdiff_t>(place);
  }

  void mutate(Bytes& input, const std::vector<Bytes>& corpus) {
    static constexpr std::uint8_t kInteresting[] = {0x00, 0x01, 0x7F, 0x80, 0xFF, '\r', '\n', '*', '-', '.', '0', ' '};
    const std::size_t place = any(input.size());
    switch (any(8)) {
      case 0:
        if (!input.empty()) input[place] ^= static_cast<std::uint8_t>(1U << any(8));
        break;
      case 1:
        if (!input.empty()) input[place] = static_cast<std::uint8_t>(random_());
        break;
      case 2:
        if (!input.empty()) input[place] = kInteresting[any(std::size(kInteresting))];
        break;
      case 3: input.insert(at(input, any(input.size() + 1)), kInteresting[any(std::size(kInteresting))]); break;
      case 4: input.insert(at(input, any(input.size() + 1)), static_cast<std::uint8_t>(random_())); break;
      case 5:
        if (!input.empty()) input.erase(at(input, place), at(input, place + 1 + any(input.size() - place)));
        break;
      case 6: {  // a piece of itself once more
        const Bytes piece(at(input, place),
                          at(input, place + any(std::min<std::size_t>(32, input.size() - place) + 1)));
        input.insert(at(input, any(input.size() + 1)), piece.begin(), piece.end());
        break;
      }
      default: {  // and of another one
        const Bytes& other = corpus[any(corpus.size())];
        const std::size_t from = any(other.size());
        input.insert(at(input, any(input.size() + 1)), other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
      }
    }
  }

  std::mt19937_64 random_;
  const std::size_t most_;
};

Bytes read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t seconds = 10, seed = 1, most = 1024, runs = UINT64_MAX;
  std::vector<Bytes> corpus;
  bool as_it_is = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto number = [&](const char* name, std::uint64_t& value) {
      if (argument.rfind(name, 0) == 0) value = std::strtoull(argument.c_str() + std::strlen(name), nullptr, 10);
    };
    number("-max_total_time=", seconds);
    number("-seed=", seed);
    number("-max_len=", most);
    number("-runs=", runs);
    if (argument.rfind("-", 0) == 0) continue;
    as_it_is = std::filesystem::is_regular_file(argument);
    if (as_it_is) corpus.push_back(read_file(argument));
    if (!std::filesystem::is_directory(argument)) continue;
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(argument)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());  // the same order on every disk
    for (const auto& file : files) corpus.push_back(read_file(file));
  }
  if (corpus.empty()) {
    std::fprintf(stderr, "no corpus\n");
    return 2;
  }
  LastInput last(most);
  for (const Bytes& input : corpus) run(input, last);
  if (as_it_is) return 0;
  Mutator mutator(seed, most);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  std::uint64_t done = 0;
  for (; done < runs && (done % 256 != 0 || std::chrono::steady_clock::now() < end); ++done) {
    run(mutator.mutant(corpus), last);
  }
  std::printf("%llu mutants of %zu inputs\n", static_cast<unsigned long long>(done), corpus.size());
  return 0;
}
