// Fills a spool with the states of an outage, as a gateway without its broker would have: bench/long_outage.py drains it.
//
// usage: fill_spool DIRECTORY GATEWAY TEMPLATE TWINS SECONDS
// TEMPLATE is a file with the members of a state message (its `twin` and `step` are those of the template in every row);
// each twin t0, t1, … gets one row a second, the newest of them a few seconds old.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "uplink/spool.hpp"

namespace {

using namespace twinkeeper;
using namespace std::chrono_literals;

// Runs through the outage as fast as it is told to.
class OutageClock final : public base::Clock {
 public:
  explicit OutageClock(base::Duration behind) : behind_(behind) {}
  [[nodiscard]] base::Instant now() const override { return now_; }
  [[nodiscard]] base::WallTime wall_now() const override { return start_ + now_.time_since_epoch(); }
  [[nodiscard]] bool synchronised() const override { return true; }
  void sleep_until(base::Instant deadline) const override { now_ = deadline; }
  void advance(base::Duration by) { now_ += by; }

 private:
  base::Duration behind_;
  base::WallTime start_ = base::SystemClock{}.wall_now() - behind_;
  mutable base::Instant now_{};
};

class Silent final : public signals::EventSink {
 public:
  void raise(signals::Event event) override { std::fprintf(stderr, "%s\n", event.message.c_str()); }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: fill_spool DIRECTORY GATEWAY TEMPLATE TWINS SECONDS\n");
    return 64;
  }
  const int twins = std::atoi(argv[4]);
  const int seconds = std::atoi(argv[5]);
  std::ifstream file(argv[3]);
  const std::string members(std::istreambuf_iterator<char>(file), {});
  const std::string schema =
      members.find("\"v\":") == std::string::npos ? "twinkeeper.state/1" : "twinkeeper.state_flat/1";

  OutageClock clock(std::chrono::seconds{seconds + 5});
  Silent events;
  uplink::SpoolSettings settings;
  settings.directory = argv[1];
  settings.max_bytes = 1ull << 30;
  auto spool = uplink::Spool::open(settings, argv[2], clock, "the boot of the outage", events);
  if (!spool.ok()) {
    std::fprintf(stderr, "%s\n", spool.error().message().c_str());
    return 74;
  }
  std::uint64_t bytes = 0;
  for (int second = 0; second < seconds; ++second) {
    for (int twin = 0; twin < twins; ++twin) {
      const auto stored = spool.value().append({"twins.t" + std::to_string(twin) + ".state", schema,
                                                signals::MessageClass::state, clock.now(), false, members});
      bytes += stored.kept ? members.size() : 0;
    }
    clock.advance(1s);
    spool.value().commit_if_due();
  }
  spool.value().commit();
  const uplink::SpoolFigures& figures = spool.value().figures();
  std::printf("%llu %llu %llu\n", static_cast<unsigned long long>(figures.messages),
              static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(figures.dropped_total));
  return 0;
}
