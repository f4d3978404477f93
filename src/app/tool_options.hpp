// Options of the commands that have the most of them, out of the way of main.cpp. Each adds one command and returns it.
#pragma once

#include <CLI/CLI.hpp>

#include "app/commands.hpp"

namespace twinkeeper::app {

CLI::App* add_probe(CLI::App& cli, ProbeArguments& question);
CLI::App* add_provision(CLI::App& cli, ProvisionArguments& claim);

}  // namespace twinkeeper::app
