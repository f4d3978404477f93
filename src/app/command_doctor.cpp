#include <cstdlib>
#include <future>
#include <iostream>

#include "app/commands.hpp"
#include "app/doctor.hpp"
#include "uplink/spool_files.hpp"

namespace twinkeeper::app {
namespace {

using doctor::Circumstances;
using doctor::Examination;
using doctor::Group;

constexpr base::Duration kDevicesWithin = std::chrono::seconds{10};
constexpr base::Duration kBrokerTimeout = std::chrono::seconds{8};

Circumstances circumstances_of(const std::string& config_file) {
  Circumstances circumstances;
  circumstances.config_file = config_file;
  circumstances.account = doctor::own_account();
  circumstances.unit = doctor::ask_systemd();
  circumstances.unit_configuration = circumstances.unit.runs_with(config_file);
  if (circumstances.unit_configuration) {
    const auto account = doctor::account_of(circumstances.unit.get("User"), circumstances.unit.groups());
    if (account) circumstances.account = *account;
  }
  return circumstances;
}

void examine_plan(const Plan& plan, Circumstances& circumstances, Examination& examination) {
  circumstances.service_runs = uplink::spool_is_in_use(plan.config.spool.directory);
  const base::SystemClock clock;
  auto& groups = examination.groups;
  groups.push_back(doctor::examine_configuration(plan, circumstances));
  groups.push_back(doctor::examine_certificates(plan, circumstances, clock.wall_now()));
  groups.push_back(doctor::examine_state(plan, circumstances));
  groups.push_back(doctor::examine_serial_lines(plan, circumstances, ""));
  if (examination.offline) return;
  auto broker = std::async(std::launch::async, [&] { return doctor::examine_broker(plan, kBrokerTimeout); });
  groups.push_back(doctor::examine_devices(plan, circumstances, groups.back(), kDevicesWithin));
  groups.push_back(broker.get());
}

}  // namespace

int doctor_command(const DoctorArguments& arguments) {
  // As in the unit: a name server that is away costs seconds, not minutes.
  ::setenv("RES_OPTIONS", "timeout:2 attempts:1", 0);
  Examination examination;
  examination.config_file = arguments.config_file;
  examination.offline = arguments.offline;
  Circumstances circumstances = circumstances_of(arguments.config_file);
  config::LoadOptions options;
  options.check_files = false;
  const auto made = make_plan(arguments.config_file, options);
  const auto* const plan = std::get_if<Plan>(&made);
  if (plan != nullptr) {
    examine_plan(*plan, circumstances, examination);
  } else {
    examination.groups.push_back(doctor::faults_of_configuration(arguments.config_file, std::get<Faults>(made)));
  }
  examination.groups.push_back(doctor::examine_clock(base::SystemClock{}));
  examination.groups.push_back(doctor::examine_service(plan, circumstances));
  examination.account = circumstances.account.name;
  if (arguments.json) {
    std::cout << json_of(examination).dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
  } else {
    print(examination, std::cout);
  }
  return examination.exit_code();
}

}  // namespace twinkeeper::app
