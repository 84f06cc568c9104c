#include "command_line.hpp"
#include "json_output.hpp"
#include "progress.hpp"
#include "tensor_source.hpp"
#include "tessera/checkpoint/run_directory.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/table.hpp"
#include "tessera/core/units.hpp"

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <map>

namespace tessera::tools {
namespace {

using nlohmann::ordered_json;

// How far two tensors of one shape are apart.
struct Difference {
  std::string name;
  std::int64_t num_elements = 0;
  std::int64_t num_different = 0;  // elements whose bits differ in fp32
  double largest = 0;              // |a - b|; not a number where one is and the other is not
  double relative = 0;             // ||a - b|| / ||b||
};

struct Comparison {
  std::vector<Difference> different;
  std::vector<std::string> only_in_first;
  std::vector<std::string> only_in_second;
  std::vector<std::string> other_shape;
  std::int64_t num_same = 0;

  [[nodiscard]] bool same() const {
    return different.empty() && only_in_first.empty() && only_in_second.empty() && other_shape.empty();
  }
};

struct Sides {
  std::unique_ptr<TensorSource> first;
  std::unique_ptr<TensorSource> second;
};

// Two checkpoints are compared with all they hold; a checkpoint and weights by the weights, in the type of the latter.
Sides open_sides(const std::string& first, const std::string& second) {
  if (checkpoint::is_checkpoint(first) && checkpoint::is_checkpoint(second)) {
    return {open_checkpoint(first), open_checkpoint(second)};
  }
  const auto type_of = [](const TensorSource& source) {
    const auto entries = source.entries();
    return entries.empty() ? core::DType::kFloat32 : entries.front().dtype;
  };
  Sides sides;
  if (checkpoint::is_checkpoint(first)) {
    sides.second = open_safetensors(second);
    sides.first = open_checkpoint_weights(first, type_of(*sides.second));
  } else {
    sides.first = open_safetensors(first);
    sides.second = checkpoint::is_checkpoint(second) ? open_checkpoint_weights(second, type_of(*sides.first))
                                                     : open_safetensors(second);
  }
  return sides;
}

class Comparer {
 public:
  Comparer(const Sides& sides, const core::Log& log) : sides_(sides), progress_(log, "comparing") {}

  Comparison compare() {
    std::map<std::string, TensorEntry> second;
    for (TensorEntry& entry : sides_.second->entries()) {
      second.emplace(entry.name, entry);
    }
    const auto first = sides_.first->entries();
    for (const TensorEntry& entry : first) {
      total_ += entry.num_elements;
    }
    Comparison comparison;
    for (const TensorEntry& entry : first) {
      const auto other = second.find(entry.name);
      if (other == second.end()) {
        comparison.only_in_first.push_back(entry.name);
      } else if (other->second.shape != entry.shape) {
        comparison.other_shape.push_back(fmt::format("{}: [{}] and [{}]", entry.name, fmt::join(entry.shape, ", "),
                                                     fmt::join(other->second.shape, ", ")));
      } else {
        add(comparison, compare(entry));
      }
      second.erase(entry.name);
    }
    for (const auto& [name, entry] : second) {
      comparison.only_in_second.push_back(name);
    }
    return comparison;
  }

 private:
  static void add(Comparison& comparison, Difference difference) {
    if (difference.num_different == 0) {
      ++comparison.num_same;
    } else {
      comparison.different.push_back(std::move(difference));
    }
  }

  Difference compare(const TensorEntry& entry) {
    constexpr std::int64_t kPiece = std::int64_t{4} << 20U;
    Difference result{entry.name, entry.num_elements, 0, 0, 0};
    double squares = 0;
    double reference = 0;
    for (std::int64_t begin = 0; begin < result.num_elements; begin += kPiece) {
      const std::int64_t end = std::min(result.num_elements, begin + kPiece);
      first_.resize(static_cast<std::size_t>(end - begin));
      second_.resize(first_.size());
      sides_.first->read(entry.name, begin, end, first_.data());
      sides_.second->read(entry.name, begin, end, second_.data());
      for (std::size_t i = 0; i < first_.size(); ++i) {
        const double b = second_[i];
        reference += b * b;
        if (std::bit_cast<std::uint32_t>(first_[i]) != std::bit_cast<std::uint32_t>(second_[i])) {
          const double distance = std::abs(static_cast<double>(first_[i]) - b);
          ++result.num_different;
          squares += distance * distance;
          result.largest = distance > result.largest || std::isnan(distance) ? distance : result.largest;
        }
      }
      done_ += end - begin;
      progress_.update(done_, total_);
    }
    result.relative = squares == 0 ? 0 : std::sqrt(squares / reference);
    return result;
  }

  const Sides& sides_;
  Progress progress_;
  std::vector<float> first_;
  std::vector<float> second_;
  std::int64_t done_ = 0;
  std::int64_t total_ = 0;
};

void print_json(const Comparison& comparison) {
  ordered_json different = ordered_json::array();
  for (const Difference& difference : comparison.different) {
    different.push_back({{"tensor", difference.name},
                         {"elements", difference.num_elements},
                         {"different", difference.num_different},
                         {"largest", difference.largest},
                         {"relative", difference.relative}});
  }
  const ordered_json all{{"same", comparison.same()},
                         {"same_tensors", comparison.num_same},
                         {"different", std::move(different)},
                         {"only_in_first", comparison.only_in_first},
                         {"only_in_second", comparison.only_in_second},
                         {"other_shape", comparison.other_shape}};
  put_json(all);
}

void print_list(const char* title, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    std::printf("%s: %s\n", title, name.c_str());
  }
}

void print(const Comparison& comparison) {
  if (!comparison.different.empty()) {
    core::Table table({{"tensor"}, {"elements", true}, {"different", true}, {"largest", true}, {"relative", true}});
    for (const Difference& difference : comparison.different) {
      table.add({difference.name, core::format_count(difference.num_elements),
                 core::format_count(difference.num_different), fmt::format("{:.3g}", difference.largest),
                 fmt::format("{:.3g}", difference.relative)});
    }
    std::fputs(table.text().c_str(), stdout);
  }
  print_list("only in the first", comparison.only_in_first);
  print_list("only in the second", comparison.only_in_second);
  print_list("of another shape", comparison.other_shape);
  std::printf("%s tensors are the same, %s differ\n", core::format_count(comparison.num_same).c_str(),
              core::format_count(static_cast<std::int64_t>(comparison.different.size())).c_str());
}

int run(const po::variables_map& values, const core::Log& log) {
  const Sides sides = open_sides(values["A"].as<std::string>(), values["B"].as<std::string>());
  const Comparison comparison = Comparer(sides, log).compare();
  log.status("");
  if (values.count("json") > 0) {
    print_json(comparison);
  } else {
    print(comparison);
  }
  return comparison.same() ? 0 : 1;
}

}  // namespace

Verb diff_verb() {
  Verb verb;
  verb.name = "diff";
  verb.summary = "which tensors of two checkpoints differ, and by how much";
  verb.usage = "A B [--json]";
  verb.details =
      "A and B are checkpoints, .safetensors files or Hugging Face directories. Two checkpoints are compared with "
      "their\n"
      "optimizer state; otherwise the weights are, in the type of the safetensors. 'largest' is the largest |a - b|,\n"
      "'relative' the L2 norm of a - b by that of b. Exit status: 0 all is the same; 1 something differs; 2 as ever.\n";
  verb.examples =
      "    tessera-ckpt diff results/a/checkpoint-final results/b/checkpoint-final\n"
      "    tessera-ckpt diff results/a/checkpoint-final model.safetensors\n";
  verb.flags.add_options()("A", po::value<std::string>())("B", po::value<std::string>())(
      "json", "as JSON, for programs")("quiet", "no progress on stderr");
  verb.positional = {"A", "B"};
  verb.run = run;
  return verb;
}

}  // namespace tessera::tools
