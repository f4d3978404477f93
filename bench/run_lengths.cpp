// Run lengths of the CUSUMs and of the windowed NIS at limits set for 10³, 10⁴ and 10⁵ rows, on matched data, white and AR(1)
// φ = 0.3: the table of docs/benchmarks.md. The limits are those that `calibrate` takes from 400 000 healthy rows.
//
//   bench_run_lengths [alarms of each, 2000]
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "identification/calibrate.hpp"
#include "twinkeeper/diagnosis/cusum.hpp"
#include "twinkeeper/diagnosis/windowed_nis.hpp"

using namespace twinkeeper;

namespace {

constexpr std::size_t kHealthyRows = 400'000;
constexpr double kLengths[] = {1e3, 1e4, 1e5};
constexpr int kWindow = 60;
constexpr double kGate = 5.0;

class Series {
 public:
  Series(double phi, std::uint64_t seed) : phi_(phi), spread_(std::sqrt(1.0 - phi * phi)), random_(seed) {}
  double next() { return z_ = phi_ * z_ + spread_ * noise_(random_); }

 private:
  double phi_, spread_, z_ = 0.0;
  std::mt19937_64 random_;
  std::normal_distribution<double> noise_;
};

void tell(const char* test, double phi, double asked, double limit, double rows, int alarms) {
  const double found = rows / alarms;
  std::printf("| %s | %.1f | %.0f | %.2f | %.0f | %+.1f %% |\n", test, phi, asked, limit, found,
              100.0 * (found / asked - 1.0));
  std::fflush(stdout);
}

void cusums(double phi, int alarms) {
  Series healthy(phi, 7);
  std::vector<double> z(kHealthyRows);
  for (double& value : z) value = healthy.next();
  const double scale = identification::robust_scale(z);
  for (double& value : z) value /= scale;
  const identification::Memory memory = identification::memory_of(z);
  const double factor = 1.0 / (std::sqrt(static_cast<double>(memory.block)) * memory.block_scale);
  for (const double drift : {0.5, 0.25}) {
    const identification::CusumRunLength length(drift, memory);
    for (const double asked : kLengths) {
      const double limit = length.limit(asked);
      Series fresh(phi, 8);
      double rows = 0.0;
      for (int alarm = 0; alarm < alarms; ++alarm) {
        diagnosis::TwoSidedCusum cusum(drift, 1e9);
        diagnosis::BlockMean block;
        while (cusum.value() <= limit) {
          rows += 1.0;
          if (block.add(fresh.next() / scale, memory.block, {})) cusum.add(block.sum() * factor, {});
        }
      }
      tell(drift == 0.5 ? "cusum" : "slow_drift", phi, asked, limit, rows, alarms);
    }
  }
}

// Of two outputs.
void windowed_nis(double phi, int alarms) {
  Series a(phi, 40), b(phi, 41);
  std::vector<identification::NisRow> healthy(kHealthyRows);
  for (auto& row : healthy) {
    const double z[] = {a.next(), b.next()};
    row = {z[0] * z[0] + z[1] * z[1], 2};
  }
  const identification::CrossingRate rate =
      identification::nis_rate(healthy, diagnosis::WindowedNis(kWindow, 2, kGate), kWindow, kWindow);
  for (const double asked : kLengths) {
    const double limit = rate.above(1.0 / asked);
    Series c(phi, 90), d(phi, 91);
    double rows = 0.0;
    for (int alarm = 0; alarm < alarms; ++alarm) {
      diagnosis::WindowedNis nis(kWindow, 2, kGate);
      while (!nis.full() || nis.value() <= limit) {
        const double z[] = {c.next(), d.next()};
        if (nis.full()) rows += 1.0;
        nis.add(z[0] * z[0] + z[1] * z[1], 2, {});
      }
    }
    tell("nis", phi, asked, limit, rows, alarms);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int alarms = argc > 1 ? std::atoi(argv[1]) : 2000;
  if (alarms < 1) return 64;
  std::printf("%d alarms each\n\n| test | φ | rows asked for | limit | rows found | |\n|---|---|---|---|---|---|\n",
              alarms);
  for (const double phi : {0.0, 0.3}) {
    cusums(phi, alarms);
    windowed_nis(phi, alarms);
  }
}
