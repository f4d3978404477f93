// Prints a JSON Schema as generated from the tables: schema_tool configuration | model
#include <iostream>
#include <string>

#include "config/config.hpp"

int main(int argc, char** argv) {
  const std::string which = argc == 2 ? argv[1] : "";
  if (which == "configuration") {
    std::cout << twinkeeper::config::configuration_schema();
  } else if (which == "model") {
    std::cout << twinkeeper::config::model_schema();
  } else {
    std::cerr << "usage: schema_tool configuration|model\n";
    return 64;
  }
  return std::cout.good() ? 0 : 74;
}
