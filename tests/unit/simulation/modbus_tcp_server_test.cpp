#include "simulation/modbus_tcp_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>

#include "drivers/decoder.hpp"
#include "drivers/mbap.hpp"
#include "support/catch.hpp"
#include "unit/simulation/fixtures.hpp"

namespace twinkeeper::simulation {
namespace {

using namespace std::chrono_literals;
using drivers::ReadRequest;

// A client on a plain socket. The server has no thread: every wait lets it run.
class Client {
 public:
  explicit Client(ModbusTcpServer& server) : server_(server), socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  [[nodiscard]] bool connected() const { return connected_; }
  void send(std::span<const std::uint8_t> bytes) {
    REQUIRE(::send(socket_.number(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  }
  // The next frame, or nothing if the server has none within some rounds; `closed` tells of an end.
  std::optional<std::vector<std::uint8_t>> frame() {
    for (int round = 0; round < 20; ++round) {
      REQUIRE(server_.run_once(1ms).ok());
      std::array<std::uint8_t, 4096> buffer{};
      const ssize_t count = recv(socket_.number(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (count == 0 || (count < 0 && errno == ECONNRESET)) closed = true;
      if (count > 0) received_.insert(received_.end(), buffer.begin(), buffer.begin() + count);
      const std::size_t need = received_.size() < 6 ? 6 : 6U + received_[4] * 256U + received_[5];
      if (received_.size() >= need && need > 6) {
        std::vector<std::uint8_t> one(received_.begin(), received_.begin() + static_cast<std::ptrdiff_t>(need));
        received_.erase(received_.begin(), received_.begin() + static_cast<std::ptrdiff_t>(need));
        return one;
      }
      if (closed) break;
    }
    return std::nullopt;
  }
  std::optional<std::vector<std::uint8_t>> ask(const ReadRequest& request) {
    send(drivers::mbap::encode_request(request));
    return frame();
  }
  int exception(const ReadRequest& request) {
    const auto reply = ask(request);
    return reply ? drivers::mbap::check_reply(request, *reply).exception_code : -1;
  }
  bool closed = false;

 private:
  ModbusTcpServer& server_;
  Descriptor socket_;
  bool connected_ = false;
  std::vector<std::uint8_t> received_;
};

struct Rig {
  Rig() : map(devices(), {{}, {}, {}, 1.0, 21.5}), server(make()) {
    map.set(0, 0.125);
    map.set(1, 0.25);
    map.set(2, 3.21);
    map.set(5, 9.0);
  }
  static std::vector<drivers::DeviceSettings> devices() {
    auto second = fixtures::tank_device(9);
    second.name = "second";
    second.registers = {fixtures::reg("speed", drivers::RegisterKind::holding, 0, drivers::ValueType::UINT16),
                        fixtures::reg("door", drivers::RegisterKind::discrete, 7, drivers::ValueType::BIT)};
    return {fixtures::tank_device(1), second};
  }
  ModbusTcpServer make() {
    auto made = ModbusTcpServer::listen({"127.0.0.1", 0}, {{1, &map.bank(0), false}, {9, &map.bank(1), false}});
    REQUIRE(made.ok());
    return std::move(made).value();
  }
  RegisterMap map;
  ModbusTcpServer server;
};

}  // namespace

TEST_CASE("The server answers all four functions for several slave ids") {
  Rig rig;
  REQUIRE(rig.server.port() != 0);
  CHECK(rig.server.address() == "127.0.0.1:" + std::to_string(rig.server.port()));
  Client client(rig.server);

  const ReadRequest levels{1, 1, 3, 0, 6};
  auto frame = client.ask(levels);
  REQUIRE(frame);
  auto reply = drivers::mbap::check_reply(levels, *frame);
  REQUIRE(reply.ok());
  std::array<std::uint16_t, 2> words{drivers::reply_word(reply.data, 0), drivers::reply_word(reply.data, 1)};
  CHECK(drivers::decode_words(fixtures::tank_device().registers[0], words).value == 0.125);
  words = {drivers::reply_word(reply.data, 4), drivers::reply_word(reply.data, 5)};
  CHECK(drivers::decode_words(fixtures::tank_device().registers[1], words).value == 0.25);
  CHECK(drivers::reply_word(reply.data, 2) == 0);  // a gap

  const ReadRequest pump{2, 1, 4, 10, 2};
  frame = client.ask(pump);
  REQUIRE(frame);
  reply = drivers::mbap::check_reply(pump, *frame);
  REQUIRE(reply.ok());
  CHECK(drivers::reply_word(reply.data, 0) == 321);
  CHECK(drivers::reply_word(reply.data, 1) == 215);

  const ReadRequest running{3, 1, 1, 3, 1};
  frame = client.ask(running);
  REQUIRE(frame);
  reply = drivers::mbap::check_reply(running, *frame);
  REQUIRE(reply.ok());
  CHECK(drivers::reply_bit(reply.data, 0));

  const ReadRequest door{4, 9, 2, 7, 1};
  frame = client.ask(door);
  REQUIRE(frame);
  reply = drivers::mbap::check_reply(door, *frame);
  REQUIRE(reply.ok());
  CHECK_FALSE(drivers::reply_bit(reply.data, 0));

  const ReadRequest speed{5, 9, 3, 0, 1};
  frame = client.ask(speed);
  REQUIRE(frame);
  CHECK(drivers::reply_word(drivers::mbap::check_reply(speed, *frame).data, 0) == 9);
  CHECK(rig.server.requests() == 5);
  CHECK(rig.server.exceptions() == 0);
}

TEST_CASE("The server refuses functions and addresses and counts and slave ids that it does not have") {
  Rig rig;
  Client client(rig.server);
  CHECK(client.exception({1, 1, 6, 0, 1}) == 1);    // write
  CHECK(client.exception({2, 1, 3, 5, 2}) == 2);    // leaves the span at its end
  CHECK(client.exception({3, 9, 4, 0, 1}) == 2);    // a kind that the slave id does not have
  CHECK(client.exception({4, 1, 3, 0, 126}) == 3);  // more than a reply can hold
  CHECK(client.exception({5, 1, 3, 0, 0}) == 3);
  CHECK(client.exception({6, 77, 3, 0, 1}) == 0x0B);
  CHECK(client.exception({7, 1, 3, 0, 2}) == 0);
  CHECK(rig.server.requests() == 7);
  CHECK(rig.server.exceptions() == 6);
}

TEST_CASE("The server closes a connection that does not speak Modbus and keeps the others") {
  Rig rig;
  Client good(rig.server), bad(rig.server);
  const std::string text = "GET / HTTP/1.1\r\n\r\n";
  bad.send({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  CHECK_FALSE(bad.frame());
  CHECK(bad.closed);
  CHECK(good.exception({1, 1, 3, 0, 2}) == 0);
  CHECK(rig.server.clients() == 1);
}

TEST_CASE("Requests that arrive byte by byte or many at once are all answered in order") {
  Rig rig;
  Client client(rig.server);
  const auto bytes = drivers::mbap::encode_request({0x1234, 1, 3, 0, 2});
  for (const std::uint8_t byte : bytes) {
    client.send({&byte, 1});
    REQUIRE(rig.server.run_once(1ms).ok());
  }
  const auto first = client.frame();
  REQUIRE(first);
  CHECK(drivers::mbap::check_reply({0x1234, 1, 3, 0, 2}, *first).ok());

  std::vector<std::uint8_t> burst;
  constexpr std::uint16_t kMany = 500;
  for (std::uint16_t i = 0; i < kMany; ++i) {
    const auto one = drivers::mbap::encode_request({i, 1, 3, 0, 6});
    burst.insert(burst.end(), one.begin(), one.end());
  }
  client.send(burst);
  for (std::uint16_t i = 0; i < kMany; ++i) {
    const auto frame = client.frame();
    REQUIRE(frame);
    REQUIRE(drivers::mbap::check_reply({i, 1, 3, 0, 6}, *frame).ok());
  }
}

TEST_CASE("One slave id that is out stays silent while the others of its endpoint answer") {
  Rig rig;
  Client client(rig.server);
  rig.server.set_out(9, true);
  REQUIRE(rig.server.settle().ok());
  CHECK(client.exception({1, 9, 3, 0, 1}) == -1);
  CHECK_FALSE(client.closed);
  CHECK(client.exception({2, 1, 3, 0, 2}) == 0);
  rig.server.set_out(9, false);
  REQUIRE(rig.server.settle().ok());
  CHECK(client.exception({3, 9, 3, 0, 1}) == 0);
}

TEST_CASE("An endpoint whose slave ids are all out closes and refuses and comes back on its port") {
  Rig rig;
  const auto port = rig.server.port();
  Client before(rig.server);
  CHECK(before.exception({1, 1, 3, 0, 2}) == 0);
  rig.server.set_out(1, true);
  rig.server.set_out(9, true);
  REQUIRE(rig.server.settle().ok());
  CHECK_FALSE(rig.server.listening());
  CHECK_FALSE(before.frame());
  CHECK(before.closed);
  CHECK_FALSE(Client(rig.server).connected());
  rig.server.set_out(1, false);
  REQUIRE(rig.server.settle().ok());
  CHECK(rig.server.port() == port);
  Client after(rig.server);
  CHECK(after.exception({1, 1, 3, 0, 2}) == 0);
  CHECK(after.exception({1, 9, 3, 0, 1}) == -1);
}

TEST_CASE("Endpoints that cannot be bound are errors that name them") {
  Rig rig;
  auto taken = ModbusTcpServer::listen({"127.0.0.1", rig.server.port()}, {{1, &rig.map.bank(0), false}});
  REQUIRE_FALSE(taken.ok());
  CHECK(taken.error().code() == base::ErrorCode::unavailable);
  CHECK(taken.error().message().find("127.0.0.1:" + std::to_string(rig.server.port())) != std::string::npos);
  auto foreign = ModbusTcpServer::listen({"192.0.2.1", 0}, {{1, &rig.map.bank(0), false}});
  REQUIRE_FALSE(foreign.ok());
  CHECK(foreign.error().code() == base::ErrorCode::unavailable);
}

TEST_CASE("A client beyond the bound is turned away and the others are served on") {
  Rig rig;
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 128; ++i) {
    clients.push_back(std::make_unique<Client>(rig.server));
    REQUIRE(rig.server.run_once(5ms).ok());
  }
  REQUIRE(rig.server.clients() == 128);
  Client late(rig.server);
  CHECK_FALSE(late.frame());
  CHECK(late.closed);
  CHECK(clients.front()->exception({1, 1, 3, 0, 2}) == 0);
  CHECK(clients.back()->exception({1, 1, 3, 0, 2}) == 0);
}

}  // namespace twinkeeper::simulation
