#include "identification/calibrate_limits.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/random.hpp"
#include "twinkeeper/base/elementary.hpp"
#include "twinkeeper/diagnosis/cusum.hpp"
#include "twinkeeper/diagnosis/variance_ratio.hpp"
#include "twinkeeper/diagnosis/windowed_nis.hpp"
#include "twinkeeper/estimation/consistency_monitor.hpp"

namespace twinkeeper::identification {
namespace {

constexpr double kMadToStd = 1.4826;
constexpr double kBend = 2.0;               // standard deviations: beyond, a value counts as one that lies there
constexpr double kBentVariance = 0.9206;    // of a normal one
constexpr double kSimulatedBlocks = 300.0;  // run length
constexpr int kSimulatedAlarms = 4000;
constexpr double kMostSimulatedBlocks = 1.5e6;
constexpr std::size_t kStretchRows = 1000;  // whose extreme is looked at
constexpr std::size_t kMostExtremes = 2500;
constexpr std::size_t kFewestExtremes = 300;

// Few rows have no more to tell, however often they are put together.
std::size_t extremes_from(std::size_t rows) { return std::clamp(rows / 4, kFewestExtremes, kMostExtremes); }

double two_sided_blocks(double drift, double limit) { return 0.5 * diagnosis::cusum_run_length(drift, limit); }

double limit_of_white(double drift, double blocks) {
  double low = 0.0;
  double high = 1.0;
  while (two_sided_blocks(drift, high) < blocks && high < 1e5) high *= 2.0;
  for (int i = 0; i < 80; ++i) {
    const double middle = 0.5 * (low + high);
    (two_sided_blocks(drift, middle) < blocks ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

// The sum of a block of AR(1) residuals z and its last one, from the last one before: jointly normal.
struct BlockOfResiduals {
  double sum = 0.0, last = 1.0;                     // by the residual before
  double of_sum = 0.0, of_last = 0.0, alone = 0.0;  // by chance: both by one normal number, the last one by one more

  explicit BlockOfResiduals(const Memory& memory) {
    const double fresh = 1.0 - memory.phi * memory.phi;  // variance
    double power = 1.0, powers = 0.0, both = 0.0, last_alone = 0.0;
    for (int row = 0; row < memory.block; ++row) {
      powers += power;
      of_sum += fresh * powers * powers;
      both += fresh * powers * power;
      last_alone += fresh * power * power;
      power *= memory.phi;
      sum += power;
    }
    last = power;
    of_sum = std::sqrt(of_sum);
    of_last = both / of_sum;
    alone = std::sqrt(std::max(last_alone - of_last * of_last, 0.0));
  }
};

// Mean number of blocks until a CUSUM of AR(1) residuals goes beyond `limit`.
double simulated_blocks(double drift, double limit, const Memory& memory) {
  base::Random random(20);
  const BlockOfResiduals block(memory);
  const double factor = 1.0 / (std::sqrt(static_cast<double>(memory.block)) * memory.block_scale);
  double z = random.normal();
  double blocks = 0.0;
  int alarms = 0;
  for (; alarms < kSimulatedAlarms && blocks < kMostSimulatedBlocks; ++alarms) {
    double up = 0.0, down = 0.0;
    do {
      const double chance = random.normal();
      const double sum = block.sum * z + block.of_sum * chance;
      z = block.last * z + block.of_last * chance + block.alone * random.normal();
      up = std::max(0.0, up + sum * factor - drift);
      down = std::max(0.0, down - sum * factor - drift);
      blocks += 1.0;
    } while (std::max(up, down) <= limit);
  }
  return blocks / std::max(alarms, 1);
}

double exponent(double value) { return value - 1.0 - base::log(value); }

// From extremes of kStretchRows rows each; `sign` +1: largest, −1: smallest.
CrossingRate rate_of(std::vector<double> extremes, double sign) {
  std::sort(extremes.begin(), extremes.end(), [&](double a, double b) { return sign * a < sign * b; });
  const auto count = static_cast<double>(extremes.size());
  double n = 0.0, sx = 0.0, sy = 0.0, sxx = 0.0, sxy = 0.0;
  for (std::size_t i = extremes.size() / 5; i + 10 < extremes.size(); ++i) {
    const double value = extremes[i];
    if (!(sign * (value - 1.0) > 0.0) || !(value > 0.0)) continue;
    const double within = (static_cast<double>(i) + 0.5) / count;
    const double expected = -base::log(within);
    const double y = base::log(expected / static_cast<double>(kStretchRows));
    const double x = exponent(value);
    n += 1.0;
    sx += x;
    sy += y;
    sxx += x * x;
    sxy += x * y;
  }
  const double spread = sxx - sx * sx / std::max(n, 1.0);
  CrossingRate rate;
  if (n < 20.0 || !(spread > 0.0)) return rate;
  rate.b = std::max(-(sxy - sx * sy / n) / spread, 1e-3);
  rate.a = sy / n + rate.b * sx / n;
  return rate;
}

// Extremes of what `statistic` makes of rows put together from stretches at random.
template <class Row, class Statistic>
void walk(const std::vector<Row>& rows, std::size_t stretch, int window, Statistic statistic) {
  base::Random random(21);
  // Of longer stretches too few would be different for their extremes to differ.
  constexpr std::size_t kFewestStretches = 8;
  stretch = std::clamp<std::size_t>(stretch, 1, std::max<std::size_t>(rows.size() / kFewestStretches, 1));
  const std::size_t total = static_cast<std::size_t>(window) + extremes_from(rows.size()) * kStretchRows;
  for (std::size_t done = 0; done < total;) {
    const std::size_t from = static_cast<std::size_t>(random.bits() % (rows.size() - stretch + 1));
    for (std::size_t i = 0; i < stretch && done < total; ++i, ++done) statistic(rows[from + i], done);
  }
}

double value_at(double wanted, bool above) {  // where the exponent is `wanted`
  double low = above ? 1.0 : 1e-9;
  double high = above ? 2.0 : 1.0;
  while (above && exponent(high) < wanted && high < 1e6) high *= 2.0;
  for (int i = 0; i < 100; ++i) {
    const double middle = 0.5 * (low + high);
    const bool too_small = exponent(middle) < wanted;
    (too_small == above ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

}  // namespace

double median(std::vector<double> values) {
  std::erase_if(values, [](double value) { return std::isnan(value); });
  if (values.empty()) return 0.0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double robust_scale(std::vector<double> values) {
  std::erase_if(values, [](double value) { return std::isnan(value); });
  if (values.empty()) return 0.0;
  const double centre = median(values);
  double squares = 0.0;
  for (double& value : values) {
    value = std::abs(value - centre);
    squares += value * value;
  }
  const auto count = static_cast<double>(values.size());
  // Where more than half the values are one and the same, the median deviation is 0, and all of them are the start.
  double scale = kMadToStd * median(values);
  if (!(scale > 0.0)) scale = std::sqrt(squares / count);
  for (int i = 0; i < 200 && scale > 0.0; ++i) {
    double bent = 0.0;
    for (const double value : values) bent += std::min(value * value, kBend * kBend * scale * scale);
    const double next = std::sqrt(bent / (kBentVariance * count));
    const bool there = std::abs(next - scale) <= 1e-9 * scale;
    scale = next;
    if (there) break;
  }
  return scale;
}

namespace {

// λ by the sums of neighbouring rows: where a small part of the rows' variance lasts long, no single lag shows it. The
// largest that chance does not make of `variance`; 0: none. A single episode is no memory, so it is the sums' robust scale.
double variance_of_batches(const std::vector<double>& z, double square, double variance) {
  constexpr std::size_t kFewestBatches = 12;
  constexpr double kChance = 4.0;  // standard deviations
  double most = 0.0;
  for (std::size_t length = 8; length * kFewestBatches <= z.size(); length *= 2) {
    std::vector<double> sums;
    double sum = 0.0;
    std::size_t in_batch = 0;
    for (const double value : z) {
      const bool parted = std::isnan(value);
      if (!parted) sum += value;
      if (!parted && ++in_batch < length) continue;
      if (!parted) sums.push_back(sum);
      sum = 0.0;
      in_batch = 0;
    }
    if (sums.size() < kFewestBatches) break;
    const auto batches = static_cast<int>(sums.size());
    const double scale = robust_scale(std::move(sums));
    const double found = scale * scale / (static_cast<double>(length) * square);
    const double by_chance = estimation::chi_square_quantile(batches, kChance) / batches;
    if (found > variance * by_chance) most = std::max(most, found);
  }
  return most;
}

}  // namespace

Memory memory_of(std::vector<double> z, bool about_own_means) {
  constexpr std::size_t kMostLags = 500;
  constexpr std::size_t kLeastStretch = 50;
  Memory memory;
  for (std::size_t from = 0; about_own_means && from < z.size();) {
    std::size_t end = from;
    double sum = 0.0;
    while (end < z.size() && !std::isnan(z[end])) sum += z[end++];
    if (end - from >= kLeastStretch) {
      for (std::size_t i = from; i < end; ++i) z[i] -= sum / static_cast<double>(end - from);
    }
    from = end + 1;
  }
  double square = 0.0, count = 0.0;
  for (const double value : z) {
    if (std::isnan(value)) continue;
    square += value * value;
    count += 1.0;
  }
  if (count < 50.0 || !(square > 0.0)) return memory;
  const double chance = 3.0 / std::sqrt(count);
  const std::size_t lags = std::min(kMostLags, static_cast<std::size_t>(count / 10.0));
  double sum = 0.0;
  for (std::size_t lag = 1; lag <= lags; ++lag) {
    double product = 0.0, pairs = 0.0;
    for (std::size_t i = lag; i < z.size(); ++i) {
      const double both = z[i] * z[i - lag];
      if (std::isnan(both)) continue;
      product += both;
      pairs += 1.0;
    }
    const double r = pairs > 0.0 ? product / pairs / (square / count) : 0.0;
    if (lag == 1) memory.first = r;
    if (r < chance) break;
    sum += r;
  }
  double variance = 1.0;
  if (sum > 0.0) {
    const double of_first = (1.0 + memory.first) / (1.0 - std::min(memory.first, 0.9999));
    const double in_all = 1.0 + 2.0 * sum;
    variance = in_all > 1.2 * of_first ? in_all : of_first;
  }
  variance = std::max(variance, variance_of_batches(z, square / count, variance));
  if (variance <= 1.0) return memory;
  memory.phi = std::min((variance - 1.0) / (variance + 1.0), 0.9999);
  memory.decorrelation = -1.0 / base::log(memory.phi);
  memory.block = std::max(1, static_cast<int>(std::ceil(3.0 * memory.decorrelation)));
  memory.block_scale = std::sqrt(variance);
  return memory;
}

CusumRunLength::CusumRunLength(double drift, const Memory& memory) : drift_(drift), block_(memory.block) {
  if (memory.phi <= 0.0) return;
  const double limit = limit_of_white(drift, kSimulatedBlocks);
  shift_ = limit - limit_of_white(drift, simulated_blocks(drift, limit, memory));
}

double CusumRunLength::rows(double limit) const {
  return two_sided_blocks(drift_, std::max(limit - shift_, 0.0)) * block_;
}

double CusumRunLength::limit(double run_length) const {
  return std::max(0.1, limit_of_white(drift_, run_length / block_) + shift_);
}

double CrossingRate::per_row(double value) const { return base::exp(a - b * exponent(value)); }
double CrossingRate::above(double rate) const { return value_at(std::max(0.0, (a - base::log(rate)) / b), true); }
double CrossingRate::below(double rate) const { return value_at(std::max(0.0, (a - base::log(rate)) / b), false); }

CrossingRate nis_rate(const std::vector<NisRow>& rows, diagnosis::WindowedNis statistic, int window,
                      std::size_t stretch) {
  if (rows.empty()) return {};
  statistic.reset();
  std::vector<double> extremes;
  double extreme = 0.0;
  walk(rows, stretch, window, [&](const NisRow& row, std::size_t done) {
    statistic.add(row.nis, row.dof, {});
    if (done < static_cast<std::size_t>(window)) return;
    extreme = std::max(extreme, statistic.value());
    if ((done - static_cast<std::size_t>(window) + 1) % kStretchRows != 0) return;
    extremes.push_back(extreme);
    extreme = 0.0;
  });
  return rate_of(std::move(extremes), 1.0);
}

NoiseRates noise_rates(const std::vector<double>& z, int window, std::size_t stretch) {
  if (z.empty()) return {};
  diagnosis::VarianceRatio statistic(window);
  std::vector<double> largest, smallest;
  double most = 0.0, least = std::numeric_limits<double>::infinity();
  walk(z, stretch, window, [&](double value, std::size_t done) {
    statistic.add(value, {});
    if (done < static_cast<std::size_t>(window)) return;
    most = std::max(most, statistic.value());
    least = std::min(least, statistic.value());
    if ((done - static_cast<std::size_t>(window) + 1) % kStretchRows != 0) return;
    largest.push_back(most);
    smallest.push_back(least);
    most = 0.0;
    least = std::numeric_limits<double>::infinity();
  });
  return {rate_of(std::move(largest), 1.0), rate_of(std::move(smallest), -1.0)};
}

}  // namespace twinkeeper::identification
