#include "app/control_server.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "telemetry/json_writer.hpp"

namespace twinkeeper::app {
namespace {

using namespace std::chrono_literals;
using telemetry::CommandAnswer;
using telemetry::CommandResult;
using telemetry::JsonWriter;

constexpr std::size_t kMostClients = 8;
constexpr std::size_t kLongestLine = 64 * 1024;
constexpr std::size_t kMostUnsent = 1 << 20;  // from here on samples are dropped
constexpr base::Duration kSendPatience = 10s;
constexpr base::Duration kIdlePatience = 60s;
constexpr int kTurnMs = 500;
constexpr int kRecordingTurnMs = 100;

std::string refusal(const std::string& reason) {
  CommandAnswer answer;
  answer.reason = reason;
  return telemetry::control_line(answer);
}

}  // namespace

ControlServer::ControlServer(const Plan& plan, OrderDesk& orders, SampleTap& tap, base::Instant grid_origin,
                             const base::Clock& clock, signals::EventSink& events)
    : plan_(plan),
      orders_(orders),
      tap_(tap),
      grid_origin_(grid_origin),
      clock_(clock),
      events_(events),
      path_(control_socket_path(plan.config.gateway.control_socket)) {
  auto opened = listen_at(path_);
  if (opened.ok()) {
    listener_ = std::move(opened).value();
    return;
  }
  // On a machine without systemd nobody has made the folder: no fault, but nobody can ask either.
  const bool absent = opened.error().code() == base::ErrorCode::not_found;
  events_.raise({absent ? signals::EventLevel::info : signals::EventLevel::warning, "control", "control_closed",
                 "no control socket: " + opened.error().message() + "; `twinkeeper alarms` has nobody to ask"});
}

ControlServer::~ControlServer() {
  tap_.set_open(false);
  if (listens()) ::unlink(path_.c_str());
}

void ControlServer::run(const std::stop_token& stop, Heartbeat& heartbeat) {
  const std::stop_callback wake(stop, [this] { bell_.ring(); });
  std::vector<pollfd> set;
  while (!stop.stop_requested()) {
    heartbeat.beat(clock_.now());
    set.assign({{bell_.descriptor(), POLLIN, 0}, {listener_.get(), POLLIN, 0}});
    bool recording = false;
    for (const auto& client : clients_) {
      const bool listening = !client->asking && !client->ends;
      const int events = (listening ? POLLIN : 0) | (client->out.empty() ? 0 : POLLOUT);
      set.push_back({client->socket.get(), static_cast<short>(events), 0});
      recording = recording || client->recording;
    }
    tap_.set_open(recording);
    ::poll(set.data(), set.size(), recording ? kRecordingTurnMs : kTurnMs);
    bell_.wait_for(base::Duration::zero());
    deliver_answers();
    deliver_samples();
    const base::Instant now = clock_.now();
    std::vector<bool> over;
    for (std::size_t c = 0; c < clients_.size(); ++c) {
      Client& client = *clients_[c];
      const short happened = set[c + 2].revents;
      bool good = (happened & (POLLERR | POLLHUP | POLLNVAL)) == 0 || (happened & POLLIN) != 0;
      if (good && (happened & POLLIN) != 0) good = read_from(client);
      if (good) good = write_to(client);
      over.push_back(!good || too_slow(client, now) || (client.ends && client.out.empty()));
    }
    std::size_t c = 0;
    std::erase_if(clients_, [&](const auto&) { return over[c++]; });
    if ((set[1].revents & POLLIN) != 0) accept_clients();
  }
}

void ControlServer::accept_clients() {
  for (;;) {
    SocketDescriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket.get() < 0) return;
    if (clients_.size() >= kMostClients) {
      const std::string line = refusal("too many clients") + "\n";
      static_cast<void>(::send(socket.get(), line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
      continue;
    }
    auto client = std::make_unique<Client>();
    client->number = ++clients_so_far_;
    client->by = peer_name(socket.get());
    client->socket = std::move(socket);
    client->moved = clock_.now();
    clients_.push_back(std::move(client));
  }
}

bool ControlServer::too_slow(const Client& client, base::Instant now) const {
  if (!client.out.empty()) return now - client.moved > kSendPatience;
  return !client.asking && !client.recording && now - client.moved > kIdlePatience;
}

bool ControlServer::read_from(Client& client) {
  char piece[4096];
  const ssize_t read = ::recv(client.socket.get(), piece, sizeof piece, 0);
  if (read < 0) return errno == EAGAIN || errno == EINTR;
  if (read == 0) return false;
  client.moved = clock_.now();
  if (client.recording) return true;  // nothing is asked of it any more
  client.in.append(piece, static_cast<std::size_t>(read));
  take_line(client);
  return true;
}

void ControlServer::take_line(Client& client) {
  const std::size_t end = client.in.find('\n');
  if (end == std::string::npos) {
    if (client.in.size() <= kLongestLine) return;
    client.out += refusal("larger than 64 KiB") + "\n";
    client.ends = true;
    return;
  }
  const std::string line = client.in.substr(0, end);
  client.in.erase(0, end + 1);
  auto parsed = telemetry::parse_control_request(line);
  if (const auto* fault = std::get_if<telemetry::CommandFault>(&parsed)) {
    client.out += refusal("malformed: " + fault->what) + "\n";
    client.ends = true;
    return;
  }
  auto& request = std::get<telemetry::ControlRequest>(parsed);
  if (request.verb == "record") return begin_record(client);
  CommandAnswer asked = telemetry::answer_to(request.verb, request.arguments);
  asked.by = client.by;
  if (request.verb == "reload") return hand_over(client, std::move(asked));
  client.asking = orders_.post(std::move(asked), std::move(request.arguments),
                               [this, number = client.number](const CommandAnswer& settled) {
                                 answer(number, telemetry::control_line(settled));
                               });
  if (!client.asking) {
    client.out += refusal("too many requests wait") + "\n";
    client.ends = true;
  }
}

void ControlServer::hand_over(Client& client, CommandAnswer asked) {
  client.ends = true;
  static_cast<void>(write_to(client));  // nothing can be written behind it
  if (orders_.post_reload(std::move(asked), client.socket)) {
    client.out.clear();
  } else {
    client.out += refusal("too many requests wait") + "\n";
  }
}

void ControlServer::begin_record(Client& client) {
  CommandAnswer begun;
  begun.verb = "record";
  begun.by = client.by;
  begun.result = CommandResult::accepted;
  JsonWriter writer(begun.content);
  const base::Instant now = clock_.now();
  writer.integer("monotonic_ns", now.time_since_epoch().count());
  writer.integer("unix_ns", clock_.to_wall(now).time_since_epoch().count());
  writer.integer("origin_ns", grid_origin_.time_since_epoch().count());
  writer.open_array("tags");
  for (const auto& device : plan_.config.devices) {
    for (const auto& reg : device.driver.registers) {
      writer.open_element();
      writer.text("name", device.driver.name + "." + reg.name);
      writer.text("unit", reg.unit);
      writer.boolean("number", reg.type != drivers::ValueType::STRING);
      writer.integer("interval_ns", reg.poll_interval.count());
      writer.integer("timeout_ns", device.driver.timeout.count());
      writer.close_object();
    }
  }
  writer.close_array();
  client.out += telemetry::control_line(begun) + "\n";
  client.recording = true;
}

// From the spool thread.
void ControlServer::answer(std::uint64_t client, std::string line) {
  {
    const std::lock_guard lock(answers_mutex_);
    answers_.push_back({client, std::move(line)});
  }
  bell_.ring();
}

void ControlServer::deliver_answers() {
  std::vector<Answer> answers;
  {
    const std::lock_guard lock(answers_mutex_);
    answers.swap(answers_);
  }
  for (Answer& answer : answers) {
    const auto found = std::find_if(clients_.begin(), clients_.end(),
                                    [&](const auto& client) { return client->number == answer.client; });
    if (found == clients_.end()) continue;  // has hung up
    Client& client = **found;
    client.out += answer.line + "\n";
    client.asking = false;
    client.moved = clock_.now();
    take_line(client);  // may have sent the next one already
  }
}

void ControlServer::deliver_samples() {
  TappedSample sample;
  std::string samples;
  std::uint64_t count = 0;
  while (tap_.try_take(sample)) {
    samples += count++ == 0 ? "[" : ",[";
    telemetry::append_natural(samples, sample.tag);
    samples += ',';
    telemetry::append_integer(samples, sample.time.time_since_epoch().count());
    samples += ',';
    telemetry::append_number(samples, sample.value, 17);
    samples += ']';
  }
  const std::uint64_t dropped = tap_.dropped() - dropped_before_;
  dropped_before_ += dropped;
  if (count == 0 && dropped == 0) return;
  for (const auto& client : clients_) {
    if (!client->recording) continue;
    client->lost += dropped;
    if (client->out.size() > kMostUnsent) {
      client->lost += count;
      continue;
    }
    if (client->out.empty()) client->moved = clock_.now();
    client->out += "{\"samples\":[" + samples + "],\"lost\":";
    telemetry::append_natural(client->out, std::exchange(client->lost, 0));
    client->out += "}\n";
  }
}

bool ControlServer::write_to(Client& client) {
  while (!client.out.empty()) {
    const ssize_t sent = ::send(client.socket.get(), client.out.data(), client.out.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    client.out.erase(0, static_cast<std::size_t>(sent));
    client.moved = clock_.now();
  }
  return true;
}

}  // namespace twinkeeper::app
