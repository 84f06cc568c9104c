#include "train/topology_report.hpp"

#include "tessera/core/table.hpp"
#include "tessera/core/units.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace tessera::train {
namespace {

using nlohmann::ordered_json;

std::string rate_text(double rate) { return core::format_bytes(rate) + "/s"; }
std::string micros(double seconds) { return fmt::format("{:.1f}", seconds * 1e6); }

std::string links_text(const MeasuredLinks& measured, std::int64_t bytes) {
  core::Table table({{"links over " + measured.over},
                     {"number", true},
                     {"latency (us)", true},
                     {"rate at " + core::format_bytes(static_cast<double>(bytes)), true},
                     {"slowest", true},
                     {"between ranks"}});
  for (const topology::LinkSummary& summary : topology::summarise(measured.links)) {
    table.add({std::string(topology::name_of(summary.kind)), std::to_string(summary.count),
               micros(summary.median.latency), rate_text(summary.median.rate), rate_text(summary.slowest.figures.rate),
               fmt::format("{} and {}", summary.slowest.ranks.first, summary.slowest.ranks.second)});
  }
  return fmt::format("\n{}medians; each rank with the next, and first ranks of nodes half the cluster apart\n",
                     table.text());
}

std::string collectives_text(const TopologyReport& report) {
  core::Table table({{"collectives: " + report.collectives_name},
                     {"ms", true},
                     {"buffer per second", true},
                     {"expected (ms)", true},
                     {"of expected", true}});
  for (const MeasuredCollective& each : report.collectives) {
    table.add({std::string(topology::name_of(each.kind)), fmt::format("{:.3f}", each.seconds * 1e3),
               rate_text(static_cast<double>(report.message_bytes) / each.seconds),
               fmt::format("{:.3f}", each.expected_seconds * 1e3),
               fmt::format("{:.0f} %", 100 * each.expected_seconds / each.seconds)});
  }
  return fmt::format("\n{}buffers of {}; expected: a ring over the slowest of the links above\n", table.text(),
                     core::format_bytes(static_cast<double>(report.message_bytes)));
}

ordered_json json_of(const topology::GpuPlace& gpu) {
  return {{"index", gpu.index}, {"name", gpu.name},     {"uuid", gpu.uuid},
          {"pci", gpu.pci},     {"memory", gpu.memory}, {"cores", topology::to_ranges(gpu.cores)},
          {"numa", gpu.numa}};
}

ordered_json json_of(const topology::NodeFacts& node) {
  ordered_json cards = ordered_json::array();
  for (const topology::NetworkCard& card : node.network_cards) {
    cards.push_back({{"name", card.name}, {"numa", card.numa}});
  }
  ordered_json gpus = ordered_json::array();
  for (const topology::GpuPlace& gpu : node.gpus) {
    gpus.push_back(json_of(gpu));
  }
  return {{"host", node.host},
          {"cores", node.num_cores},
          {"numa_nodes", node.num_numa_nodes},
          {"network_cards", cards},
          {"gpus", gpus}};
}

ordered_json json_of(const topology::Place& place, std::size_t rank) {
  return {{"rank", rank},
          {"host", place.host},
          {"node", place.node},
          {"local_rank", place.local_rank},
          {"cores", topology::to_ranges(place.cores)},
          {"numa", place.numa},
          {"gpu", place.gpu ? json_of(*place.gpu) : ordered_json(nullptr)}};
}

ordered_json json_of(const MeasuredLinks& measured) {
  ordered_json links = ordered_json::array();
  for (const topology::Link& link : measured.links) {
    links.push_back({{"over", measured.over},
                     {"ranks", {link.ranks.first, link.ranks.second}},
                     {"kind", topology::name_of(link.kind)},
                     {"latency_seconds", link.figures.latency},
                     {"bytes_per_second", link.figures.rate}});
  }
  return links;
}

}  // namespace

std::vector<std::string> warnings_of(const TopologyReport& report) {
  std::vector<std::string> warnings = topology::placement_warnings(report.placement);
  for (const MeasuredLinks& measured : report.links) {
    for (std::string& words : topology::slow_links(measured.links, report.placement, measured.over)) {
      warnings.push_back(std::move(words));
    }
  }
  for (const MeasuredCollective& each : report.collectives) {
    if (report.collectives_name == "nccl" && each.seconds > 2 * each.expected_seconds) {
      warnings.push_back(fmt::format(
          "NCCL's {} takes {:.2f} ms where a ring over the slowest link would take {:.2f}: look for what the "
          "links have in common (NCCL_DEBUG=INFO says which transports it chose)",
          topology::name_of(each.kind), each.seconds * 1e3, each.expected_seconds * 1e3));
    }
  }
  return warnings;
}

std::string to_text(const TopologyReport& report) {
  std::string text = topology::to_table(report.placement) + "\n\n";
  for (const auto& [name, version] : report.versions) {
    text += fmt::format("{} {}\n", name, version);
  }
  for (const MeasuredLinks& measured : report.links) {
    text += links_text(measured, report.message_bytes);
  }
  if (!report.collectives.empty()) {
    text += collectives_text(report);
  }
  for (const std::string& warning : warnings_of(report)) {
    text += "\nwarning: " + warning;
  }
  return text.ends_with('\n') ? text : text + "\n";
}

std::string to_json(const TopologyReport& report) {
  ordered_json json = {{"world_size", report.placement.ranks.size()}, {"versions", ordered_json::object()}};
  for (const auto& [name, version] : report.versions) {
    json["versions"][name] = version;
  }
  for (const topology::NodeFacts& node : report.placement.nodes) {
    json["nodes"].push_back(json_of(node));
  }
  for (std::size_t rank = 0; rank < report.placement.ranks.size(); ++rank) {
    json["ranks"].push_back(json_of(report.placement.ranks[rank], rank));
  }
  json["warnings"] = warnings_of(report);
  if (report.collectives_name.empty()) {
    return json.dump(2);
  }
  json["message_bytes"] = report.message_bytes;
  json["links"] = ordered_json::array();
  for (const MeasuredLinks& measured : report.links) {
    for (ordered_json& link : json_of(measured)) {
      json["links"].push_back(std::move(link));
    }
  }
  json["collectives"] = ordered_json::array();
  for (const MeasuredCollective& each : report.collectives) {
    json["collectives"].push_back({{"over", report.collectives_name},
                                   {"name", topology::name_of(each.kind)},
                                   {"seconds", each.seconds},
                                   {"expected_seconds", each.expected_seconds}});
  }
  return json.dump(2);
}

}  // namespace tessera::train
