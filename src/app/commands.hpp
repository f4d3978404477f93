// The commands of the executable. Each returns its exit code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace twinkeeper::app {

struct RunArguments {
  std::string config_file;
  std::optional<std::string> capture_file;
  std::uint64_t capture_limit = 1ULL << 30;  // bytes
};
int run_command(const RunArguments& arguments);

int check_command(const std::string& config_file, bool json);

struct DoctorArguments {
  std::string config_file;
  bool json = false;
  bool offline = false;
};
int doctor_command(const DoctorArguments& arguments);

struct SimulateArguments {
  std::string config_file;
  double speed = 1.0;
  std::uint64_t seed = 1;
  std::optional<std::string> truth_file;
  std::vector<std::string> faults;
};
int simulate_command(const SimulateArguments& arguments);

struct ReplayArguments {
  std::optional<std::string> config_file, model_file;   // one of them
  std::optional<std::string> capture_file, input_file;  // one of them
  std::optional<std::string> twin;
  std::optional<std::string> sample_time;  // as written
  std::optional<std::string> diagnosis_file;
  bool every_step = false;
  std::optional<std::string> output_file;
  std::optional<std::string> samples_file;
  std::optional<std::string> report_file;
};
int replay_command(const ReplayArguments& arguments);
int replay_log_command(const ReplayArguments& arguments);

struct CompareArguments {  // as written, but for the files
  std::string model_file;
  std::string input_file;
  std::optional<std::string> rows;
  std::string horizon = "inf";
  std::string start = "estimate";
  std::optional<std::string> sample_time;
  std::optional<std::string> output_file;
};
int compare_command(const CompareArguments& arguments);

struct IdentifyArguments {  // as written, but for the files
  std::string input_file;
  std::optional<std::string> inputs;
  std::string outputs;
  std::string order = "auto";
  std::string method = "auto";
  std::optional<std::string> template_file, from_file;
  std::optional<std::string> sought;  // parameters of a template
  bool closed_loop = false;
  bool check = false;  // the log alone: nothing is made of it
  bool json = false;   // of that
  std::optional<std::string> rows;
  std::optional<std::string> sample_time;
  std::string output_file;
  std::optional<std::string> report_file;
};
int identify_command(const IdentifyArguments& arguments);

struct CalibrateArguments {                            // as written, but for the files
  std::optional<std::string> model_file, config_file;  // one of them
  std::optional<std::string> twin;
  std::string input_file;
  std::optional<std::string> rows;
  double false_alarms_per_day = 1.0 / 30.0;
  bool after_maintenance = false;
  std::optional<std::string> diagnosis_file;
  std::optional<std::string> sample_time;
  std::string output_file;
  std::optional<std::string> report_file;
};
int calibrate_command(const CalibrateArguments& arguments);

struct ForecastArguments {  // as written, but for the files
  std::string config_file;
  std::optional<std::string> twin;
  std::optional<std::string> checkpoint_file;  // absent: the twin's own in the state directory
  std::optional<std::string> inputs_file;
  std::optional<std::string> horizon;
  double band = 90.0;  // %
  std::optional<std::string> output_file;
};
int forecast_command(const ForecastArguments& arguments);

struct RecordArguments {
  std::string config_file;
  std::string output_file;
  std::optional<std::string> length;  // a duration
};
int record_command(const RecordArguments& arguments);

struct AlarmsArguments {
  std::string verb = "alarms";                     // that, or one of acknowledge, shelve, unshelve, maintenance
  std::string subject;                             // id of an alarm, name of a twin or device
  std::optional<std::string> duration, comment;    // as written
  std::optional<std::string> config_file, socket;  // one of them, or neither
  bool json = false;
};
int alarms_command(const AlarmsArguments& arguments);

struct ReloadArguments {
  std::optional<std::string> config_file, socket;  // one of them, or neither
  bool json = false;
};
int reload_command(const ReloadArguments& arguments);

struct RollbackArguments {
  std::string config_file = "/etc/twinkeeper/twinkeeper.yaml";
  std::optional<std::string> state_directory;
};
int rollback_command(const RollbackArguments& arguments);

struct BackupArguments {
  std::string config_file;
  std::string output_file;
  bool with_keys = false;
  bool without_spool = false;
};
int backup_command(const BackupArguments& arguments);

struct RestoreArguments {
  std::string config_file;
  std::string input_file;
  bool from_other_gateway = false;
};
int restore_command(const RestoreArguments& arguments);

struct ResetArguments {
  std::string config_file;
  bool keep_spool = false;
  bool everything = false;
  bool yes = false;
};
int reset_command(const ResetArguments& arguments);

struct LogLevelArguments {
  std::optional<std::string> level, length;        // as written; absent: only looks
  std::optional<std::string> config_file, socket;  // one of them, or neither
  bool json = false;
};
int log_level_command(const LogLevelArguments& arguments);

struct ShowModelArguments {
  std::string model_file;
  std::optional<std::string> sample_time;  // as written
  bool json = false;
};
int show_model_command(const ShowModelArguments& arguments);

struct ProbeArguments {  // as written: the command says what is wrong and what is accepted
  std::string controller;
  std::string slave_id = "1";
  std::string register_kind = "holding";
  std::string address = "0";
  std::optional<std::string> count;
  std::optional<std::string> expect;
  std::optional<std::string> transmission_mode;
  std::optional<std::string> baud_rate, data_bits, parity, stop_bits;
  std::string timeout = "1s";
  std::optional<std::string> scan_slaves, scan_addresses, repeat;
  std::string pause = "20ms";
  std::string max_requests = "1000";
  bool all = false;
  bool json = false;
};
int probe_command(const ProbeArguments& arguments);

struct SpoolArguments {
  std::string config_file;
  bool json = false;
  std::optional<std::string> stream;
  bool dead = false;
  bool all = false;
  bool yes = false;
  std::optional<std::string> since;  // as written
  std::optional<std::string> output_file;
};
int spool_status_command(const SpoolArguments& arguments);
int spool_export_command(const SpoolArguments& arguments);
int spool_purge_command(const SpoolArguments& arguments);

struct ProvisionArguments {
  std::string config_file;
  std::string claim_cert, claim_key;
  std::string template_name;
  std::vector<std::string> parameters;  // KEY=VALUE
  std::string timeout = "2min";         // as written
};
int provision_command(const ProvisionArguments& arguments);

int version_command(bool json);

}  // namespace twinkeeper::app
