#include "tessera/core/table.hpp"
#include "tessera/topology/placement.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace tessera::topology {
namespace {

std::string numa_text(int numa) { return numa < 0 ? "-" : std::to_string(numa); }

// Nodes that look the same but for their name.
struct Layout {
  std::string facts;
  std::string rows;
  std::vector<std::size_t> nodes;
  std::vector<int> first_ranks;  // of the run, on the first of the nodes
};

std::string facts_of(const NodeFacts& node) {
  std::string text = fmt::format("{} core{}, {} NUMA node{}", node.num_cores, node.num_cores == 1 ? "" : "s",
                                 node.num_numa_nodes, node.num_numa_nodes == 1 ? "" : "s");
  for (const NetworkCard& card : node.network_cards) {
    text += fmt::format(", {}{}", card.name, card.numa < 0 ? "" : fmt::format(" (NUMA {})", card.numa));
  }
  return text;
}

std::string rows_of(const std::vector<const Place*>& ranks) {
  const bool on_gpu = std::ranges::any_of(ranks, [](const Place* place) { return place->gpu.has_value(); });
  std::vector<core::Table::Column> columns{{"local rank", true}, {"cores"}, {"NUMA", true}};
  if (on_gpu) {
    columns.insert(columns.end(), {{"GPU", true}, {"PCI"}, {"GPU's NUMA", true}, {"kind"}});
  }
  core::Table table(columns);
  for (const Place* place : ranks) {
    std::vector<std::string> row{std::to_string(place->local_rank), to_ranges(place->cores), numa_text(place->numa)};
    if (place->gpu) {
      row.insert(row.end(),
                 {std::to_string(place->gpu->index), place->gpu->pci, numa_text(place->gpu->numa), place->gpu->name});
    }
    table.add(std::move(row));
  }
  return table.text(2);
}

std::vector<Layout> layouts_of(const Placement& placement) {
  std::vector<std::vector<const Place*>> places(placement.nodes.size());
  std::vector<std::vector<int>> ranks(placement.nodes.size());
  for (int rank = 0; const Place& place : placement.ranks) {
    places.at(static_cast<std::size_t>(place.node)).push_back(&place);
    ranks.at(static_cast<std::size_t>(place.node)).push_back(rank++);
  }
  std::vector<Layout> layouts;
  for (std::size_t node = 0; node < placement.nodes.size(); ++node) {
    Layout layout{facts_of(placement.nodes[node]), rows_of(places[node]), {node}, ranks[node]};
    const auto same = std::ranges::find_if(
        layouts, [&](const Layout& other) { return other.facts == layout.facts && other.rows == layout.rows; });
    if (same == layouts.end()) {
      layouts.push_back(std::move(layout));
    } else {
      same->nodes.push_back(node);
    }
  }
  return layouts;
}

}  // namespace

std::string to_table(const Placement& placement, std::size_t most_layouts) {
  const std::vector<Layout> layouts = layouts_of(placement);
  std::string text;
  for (std::size_t i = 0; i < std::min(layouts.size(), most_layouts); ++i) {
    const Layout& layout = layouts[i];
    const std::size_t others = layout.nodes.size() - 1;
    text += fmt::format("{}{} with {} {}: {}\n{}", placement.nodes[layout.nodes.front()].host,
                        others == 0 ? "" : fmt::format(" and {} other node{} like it", others, others == 1 ? "" : "s"),
                        layout.first_ranks.size() == 1 ? "rank" : "ranks", to_ranges(layout.first_ranks), layout.facts,
                        layout.rows);
  }
  if (layouts.size() > most_layouts) {
    text += fmt::format("and {} other layouts of nodes\n", layouts.size() - most_layouts);
  }
  if (text.ends_with('\n')) {
    text.pop_back();
  }
  return text;
}

}  // namespace tessera::topology
