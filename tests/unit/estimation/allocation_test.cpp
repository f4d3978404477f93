// No step of a twin may reach the heap. Counted are operator new and, through the linker's --wrap, malloc and its kin
// from every object of this executable (Eigen allocates that way).
#include <atomic>
#include <cstdlib>
#include <new>

#include "plants_for_tests.hpp"
#include "support/catch.hpp"

namespace {
std::atomic<long> allocations{0};
}

extern "C" {
void* __real_malloc(std::size_t size);
void* __real_calloc(std::size_t count, std::size_t size);
void* __real_realloc(void* block, std::size_t size);
void* __real_aligned_alloc(std::size_t alignment, std::size_t size);
int __real_posix_memalign(void** block, std::size_t alignment, std::size_t size);

void* __wrap_malloc(std::size_t size) {
  ++allocations;
  return __real_malloc(size);
}
void* __wrap_calloc(std::size_t count, std::size_t size) {
  ++allocations;
  return __real_calloc(count, size);
}
void* __wrap_realloc(void* block, std::size_t size) {
  ++allocations;
  return __real_realloc(block, size);
}
void* __wrap_aligned_alloc(std::size_t alignment, std::size_t size) {
  ++allocations;
  return __real_aligned_alloc(alignment, size);
}
int __wrap_posix_memalign(void** block, std::size_t alignment, std::size_t size) {
  ++allocations;
  return __real_posix_memalign(block, alignment, size);
}
}

// Kept out of line: GCC 12 takes an inlined half of the pair for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (void* block = std::malloc(size == 0 ? 1 : size)) return block;
  std::abort();
}
// Catch2 allocates this way; all forms must lead to the same heap.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* block) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete(void* block, std::size_t) noexcept { std::free(block); }

using namespace twinkeeper;
using namespace twinkeeper::estimation;
using Eigen::Index;
using Eigen::VectorXd;

namespace {

struct Scenario {
  Noise noise;
  bool known_start;
  Index n, m, p;
};

// `frame` makes the frame of step k; now and then its first input is such that the step overflows, is rolled back and
// the twin starts anew.
template <class MakeFrame>
long allocations_of(Twin twin, int steps, MakeFrame frame_of_step) {
  TwinStep out = twin.make_record();
  long sum = 0;
  for (int k = 0; k < steps; ++k) {
    signals::Frame frame = frame_of_step(k);
    if (k % 1000 == 500) frame.inputs[0].value = 1e308;
    const long before = allocations;
    twin.step(frame, out);
    sum += allocations - before;
  }
  REQUIRE(twin.counters().gated_rows > 0);
  REQUIRE(twin.counters().rolled_back_steps > 0);
  return sum;
}

long allocations_of(const Scenario& scenario, std::uint64_t seed, int steps) {
  std::mt19937_64 engine(seed);
  model::StateSpace model = random_model(engine, scenario.n, scenario.m, scenario.p, scenario.noise);
  if (!scenario.known_start) model.initial.reset();
  Plant plant(model, seed, VectorXd::Zero(scenario.n));
  return allocations_of(make_twin(model), steps, [&](int k) {
    const VectorXd u = random_matrix(engine, scenario.m, 1);
    signals::Frame frame = frame_of(u, plant.step(u), k);
    for (auto& output : frame.outputs) {
      const auto dice = engine() % 100;
      output.fresh = dice >= 30;
      if (dice % 10 == 0) output.quality = signals::Quality::bad;
      if (dice == 50) output.value *= 1e3;  // gated
      if (dice == 60) output.value = std::nan("");
    }
    return frame;
  });
}

long allocations_of(const model::StateSpace& model, std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  return allocations_of(make_twin(model), 10'000, [&](int k) {
    signals::Frame frame = frame_of(model.u_op, model.y_op + 0.002 * random_matrix(engine, model.n_y(), 1), k);
    mask_outputs(frame, engine);
    if (k % 50 == 0) frame.outputs[0].value *= 1e3;  // gated
    return frame;
  });
}

}  // namespace

TEST_CASE("Ten thousand steps with random masks and faults and restarts allocate nothing") {
  CHECK(allocations_of({Noise::independent, true, 4, 2, 2}, 41, 10'000) == 0);
  CHECK(allocations_of({Noise::independent, false, 18, 3, 9}, 42, 10'000) == 0);
  CHECK(allocations_of({Noise::correlated, false, 8, 3, 4}, 43, 10'000) == 0);
  CHECK(allocations_of({Noise::innovations, true, 6, 1, 3}, 44, 10'000) == 0);
  CHECK(allocations_of({Noise::rank_deficient, true, 5, 1, 2}, 45, 10'000) == 0);
}

TEST_CASE("Ten thousand steps of a nonlinear template with masks, faults and restarts allocate nothing") {
  CHECK(allocations_of(two_tanks(true, 1e-6), 46) == 0);
  CHECK(allocations_of(two_tanks(false, 1e-6), 47) == 0);
}

TEST_CASE("The steady path allocates nothing nor does entering and leaving it") {
  std::mt19937_64 engine(48);
  KalmanFilter filter(lags(3));
  filter.reset(VectorXd::Zero(3), VectorXd::Ones(3));
  std::vector<double> std(3);
  const VectorXd u = VectorXd::Zero(1);
  int steady = 0;
  long sum = 0;
  for (int k = 0; k < 10'000; ++k) {
    const VectorXd y = random_matrix(engine, 3, 1);
    const std::vector<std::uint8_t> used =
        engine() % 500 == 0 ? random_mask(engine, 3) : std::vector<std::uint8_t>(3, 1);
    steady += filter.steady();
    const long before = allocations;
    filter.expect(span(u));
    filter.fuse(span(y), used, used);
    filter.standard_deviations(std);
    const bool finite = filter.predict(span(u));
    sum += allocations - before;
    REQUIRE(finite);
  }
  CHECK(sum == 0);
  CHECK(steady > 5000);
  CHECK(steady < 9990);
}

TEST_CASE("Ten thousand steps with inputs that run linearly and ranges of validity allocate nothing") {
  model::StateSpace model = lags(2);
  model.hold_offset = Eigen::MatrixXd::Constant(2, 1, 0.05);
  model.D_instant = model.D;
  for (auto& state : model.states) state.limits = {-100.0, 100.0};
  model.inputs[0].valid = {-1.0, 1.0};
  model.outputs[1].valid = {-0.001, 0.001};
  CHECK(allocations_of(model, 48) == 0);
  model.initial.reset();
  CHECK(allocations_of(model, 49) == 0);
}

TEST_CASE("Ten thousand steps with a bias and a disturbance and a parameter as states allocate nothing") {
  std::vector<model::AugmentSettings> augment(3);
  augment[0].output = "level_1";
  augment[0].noise_density = 1e-5;
  augment[0].initial_std = 0.01;
  augment[1].kind = model::AugmentKind::parameter;
  augment[1].name = "a2";
  augment[1].noise_density = 1e-9;
  augment[1].initial_std = 1e-6;
  augment[2].kind = model::AugmentKind::input_disturbance;
  augment[2].input = "pump";
  augment[2].std = 1e-7;
  augment[2].time_constant = std::chrono::minutes{1};
  CHECK(allocations_of(two_tanks(true, 1e-6, augment), 48) == 0);
  CHECK(allocations_of(two_tanks(false, 1e-6, augment), 49) == 0);
}

TEST_CASE("Copying one record of a twin over another allocates nothing") {
  Twin twin = make_twin(lags(3));
  TwinStep left = twin.make_record();
  const TwinStep right = twin.make_record();
  const long before = allocations;
  left = right;
  CHECK(allocations == before);
}

TEST_CASE("The count of allocations does see operator new and malloc and what Eigen allocates") {
  long before = allocations;
  int* volatile number = new int(1);  // volatile: else the compiler may do without
  delete number;
  CHECK(allocations - before >= 1);
  before = allocations;
  void* volatile block = std::malloc(10);
  std::free(block);
  CHECK(allocations - before >= 1);
  before = allocations;
  const volatile double value = VectorXd::Ones(100)(3) + (VectorXd(VectorXd::Ones(50))).sum();
  CHECK(value > 0.0);
  CHECK(allocations - before >= 1);
}
