#include "support/mosquitto.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace twinkeeper::test {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool accepts(std::uint16_t port) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(port);
  const bool connected = ::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(descriptor);
  return connected;
}

std::string program(const std::string& name) {
  for (const char* folder : {"/usr/sbin/", "/usr/bin/", "/usr/local/sbin/", "/usr/local/bin/"}) {
    if (std::filesystem::exists(folder + name)) return folder + name;
  }
  throw std::runtime_error(name + " is not installed");
}

}  // namespace

std::uint16_t free_port() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  const bool bound = ::bind(descriptor, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  ::close(descriptor);
  if (!bound) throw std::runtime_error("no free port");
  return ntohs(address.sin_port);
}

ChildProcess::ChildProcess(std::vector<std::string> arguments, const std::string& output) {
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ > 0) return;
  const int file = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  ::dup2(file, STDOUT_FILENO);
  ::dup2(file, STDERR_FILENO);
  ::signal(SIGPIPE, SIG_DFL);
  ::execv(pointers[0], pointers.data());
  ::_exit(127);
}

ChildProcess::~ChildProcess() { end(SIGKILL); }

void ChildProcess::send(int signal) const {
  if (pid_ > 0) ::kill(pid_, signal);
}

void ChildProcess::end(int signal) {
  if (pid_ <= 0) return;
  ::kill(pid_, signal);
  ::kill(pid_, SIGCONT);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
}

Mosquitto::Mosquitto(std::string folder, std::string pki, MosquittoOptions options)
    : folder_(std::move(folder)), port_(free_port()) {
  std::filesystem::create_directories(folder_ + "/broker");
  std::ofstream conf(folder_ + "/mosquitto.conf");
  if (::geteuid() == 0) conf << "user root\n";
  conf << "listener " << port_ << " 127.0.0.1\ncafile " << pki << "/ca.crt\ncertfile " << pki << "/" << options.server
       << ".crt\nkeyfile " << pki << "/" << options.server << ".key\n"
       << "persistence true\npersistence_location " << folder_ << "/broker/\nautosave_interval 1\n"
       << "autosave_on_changes true\nmax_inflight_messages 0\n"
       << "max_queued_messages " << options.max_queued_messages << "\nlog_dest stderr\n";
  if (options.client_certificates) conf << "require_certificate true\nuse_identity_as_username true\n";
  conf << options.lines;
  if (!options.access_rules.empty()) {
    std::ofstream(folder_ + "/rules") << options.access_rules;
    std::filesystem::permissions(folder_ + "/rules", std::filesystem::perms{0600});
    conf << "acl_file " << folder_ << "/rules\n";
  }
}

std::string Mosquitto::log() const {
  std::ifstream file(folder_ + "/broker.log");
  return {std::istreambuf_iterator<char>(file), {}};
}

Mosquitto::~Mosquitto() { delete process_; }

void Mosquitto::start() {
  delete std::exchange(process_, nullptr);
  process_ = new ChildProcess({program("mosquitto"), "-c", folder_ + "/mosquitto.conf"}, folder_ + "/broker.log");
  if (!eventually(std::chrono::seconds{20}, [this] { return accepts(port_); })) {
    throw std::runtime_error("mosquitto does not accept connections; see " + folder_ + "/broker.log");
  }
}

void Mosquitto::stop() {
  if (process_ != nullptr) process_->end(SIGTERM);
}
void Mosquitto::kill() {
  if (process_ != nullptr) process_->end(SIGKILL);
}
void Mosquitto::freeze(bool frozen) {
  if (process_ != nullptr) process_->send(frozen ? SIGSTOP : SIGCONT);
}

Subscriber::Subscriber(const std::string& folder, const std::string& pki, std::uint16_t port, const std::string& topic)
    : command_({program("mosquitto_sub"),
                "-h",
                "localhost",
                "-p",
                std::to_string(port),
                "--cafile",
                pki + "/ca.crt",
                "--cert",
                pki + "/subscriber.crt",
                "--key",
                pki + "/subscriber.key",
                "-q",
                "1",
                "-c",
                "-i",
                "collector",
                "-t",
                topic,
                "-F",
                "%r %t %p"}),
      output_(folder + "/subscriber.txt") {
  restart();
}

void Subscriber::restart() {
  process_.reset();
  process_.emplace(command_, output_);
}

std::vector<Subscriber::Arrival> Subscriber::arrivals() const {
  std::vector<Arrival> found;
  std::ifstream file(output_);
  for (std::string line; std::getline(file, line) && !file.eof();) {
    const auto space = line.find(' ', 2);
    if (line.size() < 4 || (line[0] != '0' && line[0] != '1') || line[1] != ' ' || space == std::string::npos) continue;
    found.push_back({line[0] == '1', line.substr(2, space - 2), line.substr(space + 1)});
  }
  return found;
}

}  // namespace twinkeeper::test
