#include <CLI/CLI.hpp>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <exception>
#include <iostream>
#include <system_error>

#include "app/commands.hpp"
#include "app/exit_codes.hpp"
#include "app/tool_options.hpp"
#include "app/version.hpp"
#include "twinkeeper/base/quantity.hpp"

namespace {

using namespace twinkeeper::app;

constexpr const char* kReport = "Writes a page with plots and figures: one HTML file that needs nothing else";
constexpr const char* kFaults =
    "Fault to inject, repeatable (T, D in seconds from the start):\n"
    "disturbance:TWIN.STATE@T+D=V (V in unit/s; negative is a leak),\n"
    "stuck:TAG@T+D, bias:TAG@T+D=V, drift:TAG@T+D=V (V in unit/s),\n"
    "noise:TAG@T+D=F (F times the model's), dropout:DEVICE@T+D,\n"
    "parameter:TWIN.NAME@T=V (of a template, V in its unit)";

// The whole of `text` as a number that the type can hold.
template <class Number>
bool parse(const std::string& text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

// CLI11 takes "-1" and "1e30" for an integer and "nan" for a positive number: these say what is accepted instead.
// A validator returns what is wrong, or nothing.
std::string judge_speed(const std::string& text) {
  double value = 0.0;
  return parse(text, value) && std::isfinite(value) && value > 0.0 ? "" : text + "; accepted: a number above 0";
}

std::string judge_seed(const std::string& text) {
  std::uint64_t value = 0;
  return parse(text, value) ? "" : text + "; accepted: a whole number from 0 to 18446744073709551615";
}

std::string judge_size(const std::string& text) {
  const auto size = twinkeeper::base::parse_size(text);
  return size.ok() ? "" : size.error().message();
}

std::string judge_length(const std::string& text) {
  const auto duration = twinkeeper::base::parse_duration(text);
  if (!duration.ok()) return duration.error().message();
  return duration.value() > twinkeeper::base::Duration::zero() ? "" : text + "; accepted: a duration above 0";
}

std::string judge_shelving(const std::string& text) {
  const auto duration = twinkeeper::base::parse_duration(text);
  if (!duration.ok()) return duration.error().message();
  return duration.value() <= std::chrono::hours{7 * 24} ? "" : text + "; accepted: at most 7d";
}

std::string names_of_commands(const CLI::App& cli) {
  std::string names;
  for (const auto* command : cli.get_subcommands([](const CLI::App*) { return true; })) {
    names += (names.empty() ? "" : ", ") + command->get_name();
  }
  return names;
}

// The command that was given decides which help is named.
int usage_fault(const CLI::App& cli, std::string what) {
  const auto given = cli.get_subcommands();
  const auto unexpected = cli.remaining(true);
  std::string command = "twinkeeper";
  if (!given.empty()) {
    command += " " + given.front()->get_name();
    if (!unexpected.empty()) what += "; not expected: " + unexpected.front();
  } else {
    what = (unexpected.empty() ? "no command given" : unexpected.front() + " is no command") +
           "; accepted: " + names_of_commands(cli);
  }
  std::cerr << command << ": " << what << "\nSee " << command << " --help\n";
  return kExitUsage;
}

// Output that could not be written is a failure, whatever the command achieved: a full disk behind `check > plan.txt`.
int finish(int code) {
  errno = 0;
  std::cout.flush();
  if (std::cout.good()) return code;
  std::cerr << "twinkeeper: standard output can't be written"
            << (errno != 0 ? ": " + std::generic_category().message(errno) : "") << '\n';
  return code == kExitDone ? kExitIo : code;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App cli{"twinkeeper: a digital twin of the machines behind a factory gateway", "twinkeeper"};
  cli.set_version_flag("--version", "twinkeeper " + std::string(kVersion), "Version; more with the command version");

  std::string config_file;
  bool json = false;

  RunArguments service;
  std::string capture_limit = "1GiB";
  auto* run = cli.add_subcommand("run", "The service: reads devices, runs twins, publishes");
  run->add_option("--config", service.config_file, "Configuration file")->required();
  auto* capture = run->add_option("--capture", service.capture_file,
                                  "Keeps what devices say, frame by frame with times, for twinkeeper replay");
  run->add_option("--capture-limit", capture_limit, "Ends the capture at this size [1GiB]")
      ->check(CLI::Validator(judge_size, ""))
      ->needs(capture);
  run->footer(
      "Example: twinkeeper run --config /etc/twinkeeper/twinkeeper.yaml\n"
      "         twinkeeper run --config twinkeeper.yaml --capture line3.capture");

  auto* check = cli.add_subcommand("check", "Checks a configuration offline and prints the effective plan");
  check->add_option("--config", config_file, "Configuration file")->required();
  check->add_flag("--json", json, "Print the plan as JSON");
  check->footer("Example: twinkeeper check --config /etc/twinkeeper/twinkeeper.yaml");

  DoctorArguments patient;
  auto* doctor =
      cli.add_subcommand("doctor", "Checks configuration and installation, and says how to mend what is wrong");
  doctor->add_option("--config", patient.config_file, "Configuration file")->required();
  doctor->add_flag("--json", patient.json, "Print the findings as JSON");
  doctor->add_flag("--offline", patient.offline, "Ask neither devices nor broker");
  doctor->footer(
      "Changes nothing; as root it sees most. The service may run.\n"
      "Example: twinkeeper doctor --config /etc/twinkeeper/twinkeeper.yaml");

  SimulateArguments simulation;
  auto* simulate = cli.add_subcommand("simulate", "Serves the configuration's devices from the twins' own models");
  simulate->add_option("--config", simulation.config_file, "Configuration file")->required();
  simulate->add_option("--speed", simulation.speed, "How many times faster than the clock")
      ->check(CLI::Validator(judge_speed, "above 0"));
  simulate->add_option("--seed", simulation.seed, "Seed of noise and inputs")->check(CLI::Validator(judge_seed, ""));
  simulate->add_option("--truth", simulation.truth_file, "Writes the true states as CSV");
  simulate->add_option("--fault", simulation.faults, kFaults);
  simulate->footer(
      "Example: twinkeeper simulate --config demo.yaml --truth truth.csv --fault "
      "disturbance:tanks.level_1@20+10=-0.002");

  ReplayArguments past;
  auto* replay = cli.add_subcommand(
      "replay", "Runs a log or a capture through validation, twin and diagnosis, as the service would");
  auto* by_config = replay->add_option("--config", past.config_file, "Configuration file");
  auto* by_model = replay->add_option("--model", past.model_file, "Model file; the log's columns are its signals");
  auto* log = replay->add_option("--input", past.input_file, "Log: CSV, time first; .gz is read as it is");
  auto* kept = replay->add_option("--capture", past.capture_file, "What run --capture has kept, replayed bit by bit");
  replay->add_option("--twin", past.twin, "Twin whose steps --output gets, if there are several")->excludes(by_model);
  replay->add_option("--sample-time", past.sample_time, "Step of a continuous model")->needs(by_model);
  replay->add_option("--diagnosis", past.diagnosis_file, "File laid over the diagnosis of model and configuration")
      ->needs(log);
  replay->add_flag("--every-step", past.every_step, "Also write steps between two rows of the log")->needs(log);
  replay->add_option("--output", past.output_file, "Writes a row per row of the log, or the published steps, as CSV");
  replay->add_option("--report", past.report_file, kReport)->needs(log);
  replay->add_option("--samples", past.samples_file, "Writes every sample as CSV")->needs(kept);
  by_config->excludes(by_model);
  kept->needs(by_config)->excludes(log);
  replay->footer(
      "Example: twinkeeper replay --model two_tank.yaml --input week.csv.gz --output steps.csv\n"
      "         twinkeeper replay --config twinkeeper.yaml --capture line3.capture --output steps.csv");

  CompareArguments judged;
  auto* compare = cli.add_subcommand("compare", "How well a model predicts a log: fit in % beside persistence");
  compare->add_option("--model", judged.model_file, "Model file; the log's columns are its signals")->required();
  compare->add_option("--input", judged.input_file, "Log: CSV, time first; .gz is read as it is")->required();
  compare->add_option("--rows", judged.rows, "Rows A:B of the log, zero-based, B not included [all]");
  compare->add_option("--horizon", judged.horizon, "Rows ahead; inf simulates freely [inf]");
  compare->add_option("--x0", judged.start,
                      "zero: start at the operating point; estimate: from the first 50 rows, "
                      "which are not scored [estimate]");
  compare->add_option("--sample-time", judged.sample_time, "Step of a continuous model");
  compare->add_option("--output", judged.output_file, "Writes measured and predicted values as CSV");
  compare->footer("Example: twinkeeper compare --model dryer.yaml --input dryer.csv --rows 500:1000 --horizon 5");

  IdentifyArguments found;
  auto* identify = cli.add_subcommand("identify", "Makes a model from a log");
  identify->add_option("--input", found.input_file, "Log: CSV, time first; .gz is read as it is")->required();
  identify->add_option("--inputs", found.inputs,
                       "Columns that move the plant, a,b,…; without them the outputs' own time series is modelled");
  identify->add_option("--outputs", found.outputs, "Columns that it shows, y,z,…");
  identify->add_option("--order", found.order, "Number of states (arx, var: of lags), or auto [auto]");
  identify->add_option("--method", found.method,
                       "auto, n4sid (subspaces, refined by prediction errors), arx, var for time series, or template "
                       "[auto]");
  identify->add_option("--template", found.template_file,
                       "Model file of a template: its parameters are where the search for them starts");
  identify->add_option(
      "--fit", found.sought,
      "Parameters of it to be found, NAME or NAME=MIN:MAX, with commas [all but defaults other than 0]");
  identify->add_option("--from", found.from_file,
                       "Model file to begin with and to replace, unless it predicts better what is kept back");
  identify->add_flag("--closed-loop", found.closed_loop, "A controller moves the inputs");
  identify->add_option("--rows", found.rows, "Rows A:B of the log, zero-based, B not included [all]");
  identify->add_option("--sample-time", found.sample_time, "Step of the model [the usual step of the log]");
  auto* checks_log = identify->add_flag("--check", found.check,
                                        "Only tells what the log has: step, gaps, units, missing samples, and whether "
                                        "it could tell what --outputs and --inputs ask");
  identify->add_flag("--json", found.json, "That as one JSON object")->needs(checks_log);
  identify->add_option("--output", found.output_file, "Model file to write")->excludes(checks_log);
  identify->add_option("--report", found.report_file, kReport)->excludes(checks_log);
  identify->footer(
      "Example: twinkeeper identify --input dryer.csv --inputs heater --outputs air_temperature --rows 0:500 --output "
      "dryer.yaml");

  CalibrateArguments healthy;
  auto* calibrate =
      cli.add_subcommand("calibrate", "Size of the noise and limits of the diagnosis from healthy rows of a log");
  auto* of_model =
      calibrate->add_option("--model", healthy.model_file, "Model file; the log's columns are its signals");
  auto* of_twin =
      calibrate->add_option("--config", healthy.config_file, "Or a twin of a configuration, by its regimes");
  calibrate->add_option("--twin", healthy.twin, "Twin, if there are several")->needs(of_twin);
  calibrate->add_option("--input", healthy.input_file, "Log: CSV, time first; .gz is read as it is")->required();
  calibrate->add_option("--rows", healthy.rows, "Rows A:B of the log, zero-based, B not included [all]");
  calibrate->add_option("--false-alarms-per-day", healthy.false_alarms_per_day,
                        "Asked of all tests of the twin together [1/30]");
  calibrate->add_flag("--after-maintenance", healthy.after_maintenance,
                      "Sensors were changed: new offsets, measurement noise and limits; the dynamics stay");
  calibrate->add_option("--diagnosis", healthy.diagnosis_file, "File laid over the model's diagnosis");
  calibrate->add_option("--sample-time", healthy.sample_time, "Step of a continuous model")->needs(of_model);
  calibrate->add_option("--output", healthy.output_file, "The model file with what was found")->required();
  calibrate->add_option("--report", healthy.report_file, kReport);
  of_twin->excludes(of_model);
  calibrate->footer(
      "Example: twinkeeper calibrate --model tanks.yaml --input healthy.csv --rows 5000: --output calibrated.yaml");

  ForecastArguments future;
  auto* forecast = cli.add_subcommand("forecast", "What a twin expects from its checkpoint on, with bands");
  forecast->add_option("--config", future.config_file, "Configuration file")->required();
  forecast->add_option("--twin", future.twin, "Twin, if there are several");
  forecast->add_option("--checkpoint", future.checkpoint_file, "Checkpoint [the twin's, in the state directory]");
  forecast->add_option("--inputs", future.inputs_file,
                       "Inputs to come: CSV, time in seconds from the checkpoint or as dates; each row holds until the "
                       "next, inputs without a column or a row hold their last value");
  forecast->add_option("--horizon", future.horizon, "How far [the end of --inputs, else 100 periods]");
  forecast->add_option("--band", future.band, "Share of cases within the bands in % [90]")
      ->check(CLI::Range(1.0, 99.99));
  forecast->add_option("--output", future.output_file, "Writes every step as CSV");
  forecast->footer(
      "Example: twinkeeper forecast --config twinkeeper.yaml --inputs plan.csv --horizon 2h --output next.csv");

  RecordArguments recorded;
  auto* record = cli.add_subcommand("record", "Writes live tags to a log, from the running service or the devices");
  record->add_option("--config", recorded.config_file, "Configuration file")->required();
  record->add_option("--output", recorded.output_file, "Log: CSV, a row per poll of the fastest tag")->required();
  record->add_option("--for", recorded.length, "How long, as 10min or 8h [until Ctrl-C]")
      ->check(CLI::Validator(judge_length, ""));
  record->footer("Example: twinkeeper record --config /etc/twinkeeper/twinkeeper.yaml --output shift.csv --for 8h");

  AlarmsArguments alarm;
  auto* alarms =
      cli.add_subcommand("alarms", "Lists the alarms of the running service, and says what an operator says");
  auto* of_config =
      alarms->add_option("--config", alarm.config_file, "Configuration of the service, which names its socket");
  alarms->add_option("--socket", alarm.socket, "Control socket [/run/twinkeeper/control]")->excludes(of_config);
  alarms->add_option("--comment", alarm.comment, "Why; at most 256 bytes");
  alarms->add_flag("--json", alarm.json, "Print what the service answers");
  alarms->fallthrough();
  alarms->require_subcommand(0, 1);
  alarms->add_subcommand("list", "What stands or is shelved, the worst first [the default]");
  const auto add_order = [&](const char* verb, const char* what, const char* subject, bool timed) {
    auto* order = alarms->add_subcommand(verb, what);
    order->add_option(subject, alarm.subject, "As in the list")->required();
    if (timed) {
      order->add_option("DURATION", alarm.duration, "As 30min, 8h, 3d; at most 7d")
          ->required()
          ->check(CLI::Validator(judge_shelving, ""));
    }
    order->fallthrough();
  };
  add_order("acknowledge", "Somebody knows of it: until it clears", "ID", false);
  add_order("shelve", "Out of sight for a time; it goes on being watched", "ID", true);
  add_order("unshelve", "Back from the shelf", "ID", false);
  add_order("maintenance", "All alarms of a twin or device out of sight for a time; 0s ends it", "NAME", true);
  alarms->footer(
      "Example: twinkeeper alarms\n"
      "         twinkeeper alarms shelve tanks.level_2.stuck 8h --comment \"sensor is ordered\"");

  ReloadArguments anew;
  auto* reload = cli.add_subcommand("reload", "Makes the running service load its configuration anew");
  auto* by_file =
      reload->add_option("--config", anew.config_file, "Configuration of the service, which names its socket");
  reload->add_option("--socket", anew.socket, "Control socket [/run/twinkeeper/control]")->excludes(by_file);
  reload->add_flag("--json", anew.json, "Print what the service answers");
  reload->footer(
      "Waits for the outcome: exit 0 if the new configuration runs; else every fault is told and the old one keeps "
      "running.\n"
      "Example: twinkeeper reload");

  RollbackArguments back;
  auto* rollback = cli.add_subcommand("rollback", "Puts the configuration back that the service ran last");
  rollback->add_option("--config", back.config_file, "Configuration of the service [/etc/twinkeeper/twinkeeper.yaml]");
  rollback->add_option("--state-directory", back.state_directory,
                       "Where the service keeps its state [what the configuration says, or /var/lib/twinkeeper]");
  rollback->footer(
      "Of the configuration file and the files that it names, those that differ are replaced; they are kept as "
      "FILE.rejected. The service is not touched: it takes the files with the next reload or restart.\n"
      "Example: twinkeeper rollback && systemctl reload-or-restart twinkeeper");

  BackupArguments saved;
  auto* backup =
      cli.add_subcommand("backup", "Writes configuration, models and state to one file; the service may run");
  backup->add_option("--config", saved.config_file, "Configuration file")->required();
  backup->add_option("--output", saved.output_file, "File, a tar; mode 0600")->required();
  backup->add_flag("--with-keys", saved.with_keys, "Also the private key and the password file");
  backup->add_flag("--without-spool", saved.without_spool, "But not what waits for the broker");
  backup->footer("Example: twinkeeper backup --config /etc/twinkeeper/twinkeeper.yaml --output gateway.tar");

  RestoreArguments restored;
  auto* restore = cli.add_subcommand("restore", "Puts a backup back, whole or not at all; the service is stopped");
  restore->add_option("--config", restored.config_file, "Where the configuration file is to be")->required();
  restore->add_option("--input", restored.input_file, "The backup")->required();
  restore->add_flag("--from-other-gateway", restored.from_other_gateway,
                    "This machine takes the place of another, which never runs again");
  restore->footer(
      "Files that differ are kept as FILE.before.\n"
      "Example: twinkeeper restore --config /etc/twinkeeper/twinkeeper.yaml --input gateway.tar");

  ResetArguments emptied;
  auto* reset = cli.add_subcommand("reset", "Empties the state: as after installing; the service is stopped");
  reset->add_option("--config", emptied.config_file, "Configuration file, which stays")->required();
  auto* keeps_spool = reset->add_flag("--keep-spool", emptied.keep_spool, "What waits for the broker stays");
  reset
      ->add_flag("--everything", emptied.everything,
                 "Also the audit trail, and the certificate and key that `provision` has made; no gap is told")
      ->excludes(keeps_spool);
  reset->add_flag("--yes", emptied.yes, "Do not ask");
  reset->footer("Example: twinkeeper reset --config /etc/twinkeeper/twinkeeper.yaml --yes");

  LogLevelArguments logged;
  auto* log_level = cli.add_subcommand("log-level", "Prints or sets what the running service writes to its log");
  auto* level = log_level->add_option("LEVEL", logged.level, "trace, debug, info, warning or error [only print it]");
  log_level->add_option("--for", logged.length, "Back after so long, at most 7d [when the service restarts]")
      ->check(CLI::Validator(judge_shelving, ""))
      ->needs(level);
  auto* names_socket = log_level->add_option("--config", logged.config_file, "Configuration, which names the socket");
  log_level->add_option("--socket", logged.socket, "Control socket [/run/twinkeeper/control]")->excludes(names_socket);
  log_level->add_flag("--json", logged.json, "Print what the service answers");
  log_level->footer("For good: gateway.log_level. Example: twinkeeper log-level debug --for 10min");

  ShowModelArguments shown;
  auto* show_model = cli.add_subcommand("show-model", "Prints what a model comes to: matrices, gains, poles");
  show_model->add_option("--model", shown.model_file, "Model file")->required();
  show_model->add_option("--sample-time", shown.sample_time, "Step of a continuous model");
  show_model->add_flag("--json", shown.json, "Print as JSON");
  show_model->footer("Example: twinkeeper show-model --model two_tank.yaml --sample-time 100ms");

  ProbeArguments question;
  auto* probe = add_probe(cli, question);

  SpoolArguments spooled;
  auto* spool = cli.add_subcommand("spool", "Looks into what waits for the broker");
  const auto spool_command = [&](const char* name, const char* what) {
    auto* added = spool->add_subcommand(name, what);
    added->add_option("--config", spooled.config_file, "Configuration file")->required();
    return added;
  };
  auto* spool_status = spool_command("status", "Messages and bytes by stream, what was set aside, what was lost");
  spool_status->add_flag("--json", spooled.json, "Print as JSON");
  spool_status->footer("The service may run. Example: twinkeeper spool status --config twinkeeper.yaml");
  auto* spool_export = spool_command("export", "Writes the messages as they would be sent, one JSON object per line");
  spool_export->add_option("--stream", spooled.stream, "Only this stream, e.g. twins.tanks.state");
  spool_export->add_flag("--dead", spooled.dead, "What was set aside, with reasons, in place of what waits");
  spool_export->add_option("--since", spooled.since, "Only newer ones: a duration back from now, or a time");
  spool_export->add_option("--output", spooled.output_file, "File [standard output]");
  spool_export->footer(
      "The service may run. Example: twinkeeper spool export --config twinkeeper.yaml --stream twins.tanks.state "
      "--since 2h");
  auto* spool_purge = spool_command("purge", "Discards messages for good, told by a gap `purged`");
  auto* of_stream = spool_purge->add_option("--stream", spooled.stream, "Those of this stream");
  auto* of_dead = spool_purge->add_flag("--dead", spooled.dead, "Those set aside, with --stream of that stream only");
  auto* of_all = spool_purge->add_flag("--all", spooled.all, "All, but for gap messages");
  of_all->excludes(of_stream)->excludes(of_dead);
  spool_purge->add_flag("--yes", spooled.yes, "Really do it");
  spool_purge->footer(
      "A running service is asked to do it. Example: twinkeeper spool purge --config twinkeeper.yaml --stream "
      "devices.plc.samples "
      "--yes");
  spool->footer("Example: twinkeeper spool status --config twinkeeper.yaml");

  ProvisionArguments claim;
  auto* provision = add_provision(cli, claim);

  auto* version = cli.add_subcommand("version", "Version, build and library versions");
  version->add_flag("--json", json, "Print as JSON");
  version->footer("Example: twinkeeper version");

  // Not cli.require_subcommand: it would complain that a command is missing where one is misspelt.
  try {
    cli.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    cli.exit(asked);
    return finish(kExitDone);
  } catch (const CLI::ExtrasError&) {
    return usage_fault(cli, "wrong usage");
  } catch (const CLI::ParseError& error) {
    return usage_fault(cli, error.what());
  }
  if (cli.get_subcommands().empty()) return usage_fault(cli, "");
  try {
    if (*run) {
      service.capture_limit = twinkeeper::base::parse_size(capture_limit).value();
      return finish(run_command(service));
    }
    if (*check) return finish(check_command(config_file, json));
    if (*doctor) return finish(doctor_command(patient));
    if (*simulate) return finish(simulate_command(simulation));
    if (*probe) return finish(probe_command(question));
    if (*replay) {
      if (!past.config_file && !past.model_file) return usage_fault(cli, "--config or --model is required");
      if (!past.input_file && !past.capture_file) return usage_fault(cli, "--input or --capture is required");
      return finish(past.input_file ? replay_log_command(past) : replay_command(past));
    }
    if (*compare) return finish(compare_command(judged));
    if (*identify) {
      if (!found.check && found.outputs.empty()) return usage_fault(cli, "--outputs is required");
      if (!found.check && found.output_file.empty()) return usage_fault(cli, "--output is required");
      return finish(identify_command(found));
    }
    if (*calibrate) {
      if (!healthy.config_file && !healthy.model_file) return usage_fault(cli, "--config or --model is required");
      return finish(calibrate_command(healthy));
    }
    if (*forecast) return finish(forecast_command(future));
    if (*record) return finish(record_command(recorded));
    if (*alarms) {
      const auto orders = alarms->get_subcommands();
      if (!orders.empty() && orders.front()->get_name() != "list") alarm.verb = orders.front()->get_name();
      return finish(alarms_command(alarm));
    }
    if (*reload) return finish(reload_command(anew));
    if (*rollback) return finish(rollback_command(back));
    if (*backup) return finish(backup_command(saved));
    if (*restore) return finish(restore_command(restored));
    if (*reset) return finish(reset_command(emptied));
    if (*log_level) return finish(log_level_command(logged));
    if (*provision) return finish(provision_command(claim));
    if (*show_model) return finish(show_model_command(shown));
    if (*spool) {
      if (*spool_status) return finish(spool_status_command(spooled));
      if (*spool_export) return finish(spool_export_command(spooled));
      if (!*spool_purge) return usage_fault(cli, "no command given; accepted: " + names_of_commands(*spool));
      if (!spooled.stream && !spooled.dead && !spooled.all) {
        return usage_fault(cli, "--stream, --dead or --all is required");
      }
      return finish(spool_purge_command(spooled));
    }
    return finish(version_command(json));
  } catch (const std::system_error& error) {
    const bool threads = error.code() == std::errc::resource_unavailable_try_again;
    std::cerr << "twinkeeper: "
              << (threads ? "no further thread can be started (TasksMax=, ulimit -u): " : "internal error: ")
              << error.what() << '\n';
    return kExitInternal;
  } catch (const std::exception& error) {
    std::cerr << "twinkeeper: internal error: " << error.what() << '\n';
    return kExitInternal;
  }
}
