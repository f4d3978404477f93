// Heat capacities joined by thermal resistances. Equations and source: docs/models/rc_network.md.
//
// What there is follows from the names of the parameters: C_a is a node a, R_a_b joins a and b, eta_a heats node a. A
// name in an R without a C is a boundary whose temperature is an input.
#include <algorithm>

#include "model/templates/list.hpp"
#include "twinkeeper/model/dynamics.hpp"

namespace twinkeeper::model {
namespace {

// Letters and digits only, so that R_a_b can be taken apart.
bool is_node_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  });
}

struct Edge {
  std::string from, to;
};

std::optional<std::string> node_of(std::string_view name, std::string_view prefix) {
  if (name.substr(0, prefix.size()) != prefix) return std::nullopt;
  const std::string_view node = name.substr(prefix.size());
  return is_node_name(node) ? std::optional(std::string(node)) : std::nullopt;
}

std::optional<Edge> edge_of(std::string_view name) {
  if (name.substr(0, 2) != "R_") return std::nullopt;
  const std::size_t middle = name.find('_', 2);
  if (middle == std::string_view::npos) return std::nullopt;
  const Edge edge{std::string(name.substr(2, middle - 2)), std::string(name.substr(middle + 1))};
  return is_node_name(edge.from) && is_node_name(edge.to) ? std::optional(edge) : std::nullopt;
}

std::vector<ParameterInfo> parameters(const std::vector<std::string>& given) {
  std::vector<ParameterInfo> infos;
  for (const auto& name : given) {
    if (node_of(name, "C_")) infos.push_back({name, "J/K", "heat capacity of a node"});
  }
  if (infos.empty()) infos.push_back({"C_NODE", "J/K", "heat capacity of a node, NODE being letters and digits"});
  bool any = false;
  for (const auto& name : given) {
    if (!edge_of(name)) continue;
    infos.push_back({name, "K/W", "thermal resistance between two nodes, or a node and a boundary"});
    any = true;
  }
  if (!any) {
    infos.push_back({"R_NODE_OTHER", "K/W", "thermal resistance between two nodes, or a node and a boundary"});
  }
  for (const auto& name : given) {
    if (node_of(name, "eta_")) infos.push_back({name, "", "heat in W per unit of the node's heater"});
  }
  return infos;
}

struct Network {
  struct Branch {
    std::size_t resistance;  // index of its parameter
    Eigen::Index a;          // state
    Eigen::Index b;          // state, or input if `boundary`
    bool boundary;
  };
  struct Heater {
    std::size_t eta;
    Eigen::Index node;
  };
  std::vector<std::string> nodes, boundaries;
  std::vector<Heater> heaters;  // in the order of the inputs; boundaries follow
  std::vector<Branch> branches;
};

std::optional<std::size_t> index_of(const std::vector<std::string>& list, const std::string& name) {
  const auto found = std::find(list.begin(), list.end(), name);
  if (found == list.end()) return std::nullopt;
  return static_cast<std::size_t>(found - list.begin());
}

// Issues only where `issues` is given.
Network network_of(const Parameters& parameters, base::Issues* issues = nullptr) {
  const auto fault = [&](const std::string& name, const std::string& what, const std::string& accepted) {
    if (issues != nullptr) issues->push_back({"parameters." + name, what, accepted});
  };
  Network network;
  for (const auto& parameter : parameters) {
    if (const auto node = node_of(parameter.name, "C_")) network.nodes.push_back(*node);
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const std::string& name = parameters[i].name;
    if (const auto node = node_of(name, "eta_")) {
      if (const auto at = index_of(network.nodes, *node)) {
        network.heaters.push_back({i, static_cast<Eigen::Index>(*at)});
      } else {
        fault(name, "heats " + *node + ", which has no heat capacity", "eta of a node that has a C");
      }
    }
  }
  const auto first_boundary = static_cast<Eigen::Index>(network.heaters.size());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    auto edge = edge_of(parameters[i].name);
    if (!edge) continue;
    if (!index_of(network.nodes, edge->from)) std::swap(edge->from, edge->to);
    const auto from = index_of(network.nodes, edge->from);
    if (!from || edge->from == edge->to) {
      fault(parameters[i].name, "joins no node to another",
            "R_a_b where a has a C and b is another node or a boundary");
      continue;
    }
    const auto to = index_of(network.nodes, edge->to);
    auto at = index_of(network.boundaries, edge->to);
    if (!to && !at) {
      at = network.boundaries.size();
      network.boundaries.push_back(edge->to);
    }
    network.branches.push_back({i, static_cast<Eigen::Index>(*from),
                                to ? static_cast<Eigen::Index>(*to) : first_boundary + static_cast<Eigen::Index>(*at),
                                !to});
  }
  return network;
}

void check(const Parameters& parameters, base::Issues& issues) { network_of(parameters, &issues); }

TemplateSignals signals(const Parameters& parameters) {
  const Network network = network_of(parameters);
  TemplateSignals out;
  for (const auto& node : network.nodes) {
    out.states.push_back({"T_" + node, "degC", "temperature of the node"});
    out.outputs.push_back({"T_" + node, "degC", "temperature of the node"});
  }
  for (const auto& heater : network.heaters) {
    out.inputs.push_back(
        {"heater_" + network.nodes[static_cast<std::size_t>(heater.node)], "", "what heats the node", {}, {}, 0.0});
  }
  for (const auto& boundary : network.boundaries) {
    out.inputs.push_back({"T_" + boundary, "degC", "temperature of the boundary", {}, {}, 20.0});
  }
  return out;
}

class RcNetwork final : public Dynamics {
 public:
  RcNetwork(const Parameters& parameters, std::vector<std::size_t> outputs)
      : Dynamics(kRcNetwork, parameters, std::move(outputs)), network_(network_of(parameters)) {}
  [[nodiscard]] std::unique_ptr<Dynamics> clone() const override { return std::make_unique<RcNetwork>(*this); }

 private:
  // The parameters stand as parameters() lists them: capacities first, in the order of the nodes.
  [[nodiscard]] double capacity(Index node) const { return theta(static_cast<std::size_t>(node)); }

  void derivative(const Vector& x, const Vector& u, Vector& f, Matrix& F, Matrix& G) const override {
    for (const auto& branch : network_.branches) {
      const double conductance = 1.0 / theta(branch.resistance);
      F(branch.a, branch.a) -= conductance / capacity(branch.a);
      if (branch.boundary) {
        G(branch.a, branch.b) += conductance / capacity(branch.a);
        continue;
      }
      F(branch.a, branch.b) += conductance / capacity(branch.a);
      F(branch.b, branch.a) += conductance / capacity(branch.b);
      F(branch.b, branch.b) -= conductance / capacity(branch.b);
    }
    for (std::size_t j = 0; j < network_.heaters.size(); ++j) {
      const auto& heater = network_.heaters[j];
      G(heater.node, static_cast<Index>(j)) += theta(heater.eta) / capacity(heater.node);
    }
    apply_linear(x, u, f, F, G);
  }

  Network network_;
};

}  // namespace

const Template kRcNetwork{"rc_network",
                          "Heat capacities joined by thermal resistances",
                          true,
                          parameters,
                          check,
                          signals,
                          make_dynamics<RcNetwork>};

}  // namespace twinkeeper::model
