#include "command_line.hpp"
#include "json_output.hpp"
#include "progress.hpp"
#include "statistics.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/checkpoint/run_state_json.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/suggest.hpp"
#include "tessera/core/table.hpp"
#include "tessera/core/units.hpp"

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>

namespace tessera::tools {
namespace {

constexpr const char* kWho = "tessera-ckpt inspect";

using checkpoint::Reader;
using checkpoint::StoredTensor;
using nlohmann::ordered_json;

std::string shape_text(const StoredTensor& tensor) { return fmt::format("{}", fmt::join(tensor.info.shape, " x ")); }

ordered_json describe(const StoredTensor& tensor) {
  return {{"parameter", tensor.info.parameter}, {"component", state::name_of(tensor.info.component)},
          {"shape", tensor.info.shape},         {"dtype", std::string(core::name_of(tensor.info.dtype))},
          {"bytes", tensor.num_bytes()},        {"offset", tensor.offset}};
}

ordered_json describe(const Statistics& statistics) {
  return {{"min", statistics.min},
          {"max", statistics.max},
          {"mean", statistics.mean},
          {"std", statistics.std},
          {"norm", statistics.norm},
          {"zeros", statistics.num_zeros},
          {"not_finite", statistics.num_not_finite}};
}

std::vector<float> first_values(const Reader& reader, const StoredTensor& tensor, std::int64_t count) {
  const std::int64_t num_values = std::min(count, tensor.num_elements());
  std::vector<float> values(static_cast<std::size_t>(num_values));
  reader.read_floats(tensor, 0, values);
  return values;
}

// "NAME" is all components of a parameter, "NAME/master" one of them; none: everything.
std::vector<const StoredTensor*> select(const Reader& reader, const std::optional<std::string>& name) {
  std::vector<const StoredTensor*> selected;
  std::vector<std::string> names;
  for (const StoredTensor& tensor : reader.tensors()) {
    if (!name || tensor.info.parameter == *name || tensor.name() == *name) {
      selected.push_back(&tensor);
    }
    names.push_back(tensor.info.parameter);
  }
  if (selected.empty()) {
    const std::string meant = core::nearest(name.value_or(""), names);
    core::fail<core::UserError>(kWho, "{} has no tensor '{}'{}", reader.path(), name.value_or(""),
                                meant.empty() ? "" : "; did you mean " + meant + "?");
  }
  return selected;
}

void print_run(const Reader& reader) {
  const state::RunState& run = reader.run_state();
  std::printf("%s, %s, created %s\n", reader.path().c_str(),
              core::format_bytes(static_cast<double>(reader.num_bytes())).c_str(), reader.created().c_str());
  std::printf("step %s of %s, epoch %s (%s steps into it), learning rate peak %g, minimum %g\n",
              core::format_count(run.global_step).c_str(), core::format_count(run.total_steps).c_str(),
              core::format_count(run.epoch).c_str(), core::format_count(run.step_in_epoch).c_str(), run.peak_lr,
              run.min_lr);
  std::printf("%s, %s classes, %s images of %s x %s, patches of %s, head on %s; best accuracy %.2f%%\n",
              run.dataset.c_str(), core::format_count(run.num_classes).c_str(),
              core::format_count(run.dataset_size).c_str(), std::to_string(run.input_size).c_str(),
              std::to_string(run.input_size).c_str(), std::to_string(run.patch_size).c_str(), run.pooling.c_str(),
              run.best_accuracy);
  std::printf("written by %d ranks at ZeRO stage %d, seed %llu\n\n", run.world_size, run.zero_stage,
              static_cast<unsigned long long>(run.seed));
}

void print_totals(const Reader& reader) {
  std::int64_t num_parameters = 0;
  std::int64_t num_weights = 0;
  for (const StoredTensor& tensor : reader.tensors()) {
    if (tensor.info.component == state::Component::kWeight) {
      num_parameters += tensor.num_elements();
      ++num_weights;
    }
  }
  std::printf("\n%s parameters in %s tensors\n", core::format_count(num_parameters).c_str(),
              core::format_count(num_weights).c_str());
}

// One line per parameter: "weight bf16, master exp_avg exp_avg_sq fp32".
core::Table list_parameters(const std::vector<const StoredTensor*>& tensors) {
  std::vector<const StoredTensor*> first;
  std::map<std::string, std::map<core::DType, std::string>> components;
  std::map<std::string, std::int64_t> bytes;
  for (const StoredTensor* tensor : tensors) {
    const std::string& name = tensor->info.parameter;
    if (!components.contains(name)) {
      first.push_back(tensor);
    }
    components[name][tensor->info.dtype] += std::string(state::name_of(tensor->info.component)) + " ";
    bytes[name] += tensor->num_bytes();
  }
  core::Table table({{"parameter"}, {"shape", true}, {"elements", true}, {"size", true}, {"stored"}});
  for (const StoredTensor* tensor : first) {
    std::string stored;
    for (const auto& [dtype, names] : components[tensor->info.parameter]) {
      stored = fmt::format("{}{}{}{}", names, core::name_of(dtype), stored.empty() ? "" : ", ", stored);
    }
    table.add({tensor->info.parameter, shape_text(*tensor), core::format_count(tensor->num_elements()),
               core::format_bytes(static_cast<double>(bytes[tensor->info.parameter])), stored});
  }
  return table;
}

class Inspection {
 public:
  Inspection(const po::variables_map& values, const core::Log& log)
      : reader_(values["CKPT"].as<std::string>()),
        selected_(select(
            reader_, values.count("tensor") > 0 ? std::optional(values["tensor"].as<std::string>()) : std::nullopt)),
        log_(log),
        is_one_(values.count("tensor") > 0),
        with_statistics_(is_one_ || values.count("stats") > 0),
        num_values_(is_one_ ? values["values"].as<std::int64_t>() : 0) {}

  void print_json() {
    ordered_json tensors = ordered_json::array();
    for_each([&](const StoredTensor& tensor, const Statistics& statistics) {
      ordered_json entry = describe(tensor);
      if (with_statistics_) {
        entry.update(describe(statistics));
      }
      if (num_values_ > 0) {
        entry["values"] = first_values(reader_, tensor, num_values_);
      }
      tensors.push_back(std::move(entry));
    });
    const ordered_json all{{"path", reader_.path()},
                           {"created", reader_.created()},
                           {"bytes", reader_.num_bytes()},
                           {"run", ordered_json::parse(checkpoint::to_json(reader_.run_state()))},
                           {"tensors", std::move(tensors)}};
    put_json(all);
  }

  void print() {
    if (!is_one_) {
      print_run(reader_);
    }
    if (!with_statistics_) {
      std::fputs(list_parameters(selected_).text().c_str(), stdout);
      print_totals(reader_);
      return;
    }
    std::vector<core::Table::Column> columns{{"tensor"}, {"type"}, {"shape", true}, {"elements", true}};
    for (const char* title : {"norm", "mean", "std", "min", "max", "zeros", "not finite"}) {
      columns.push_back({title, true});
    }
    core::Table table(std::move(columns));
    std::string values;
    for_each([&](const StoredTensor& tensor, const Statistics& statistics) {
      table.add(row_of(tensor, statistics));
      if (num_values_ > 0) {
        values +=
            fmt::format("{}: {:.9g} ...\n", tensor.name(), fmt::join(first_values(reader_, tensor, num_values_), " "));
      }
    });
    std::fputs(table.text().c_str(), stdout);
    if (!is_one_) {
      print_totals(reader_);
    } else {
      std::printf("\n%s", values.c_str());
    }
  }

 private:
  template <class Work>
  void for_each(Work work) {
    Progress progress(log_, "reading");
    std::int64_t total = 0;
    std::int64_t done = 0;
    for (const StoredTensor* tensor : selected_) {
      total += tensor->num_bytes();
    }
    for (const StoredTensor* tensor : selected_) {
      work(*tensor, with_statistics_ ? measure(reader_, *tensor) : Statistics{});
      done += tensor->num_bytes();
      progress.update(done, total);
    }
    log_.status("");
  }

  static std::vector<std::string> row_of(const StoredTensor& tensor, const Statistics& statistics) {
    std::vector<std::string> row{tensor.name(), std::string(core::name_of(tensor.info.dtype)), shape_text(tensor),
                                 core::format_count(tensor.num_elements())};
    for (const double value : {statistics.norm, statistics.mean, statistics.std, statistics.min, statistics.max}) {
      row.push_back(fmt::format("{:.6g}", value));
    }
    row.push_back(core::format_count(statistics.num_zeros));
    row.push_back(core::format_count(statistics.num_not_finite));
    return row;
  }

  Reader reader_;
  std::vector<const StoredTensor*> selected_;
  const core::Log& log_;
  bool is_one_;
  bool with_statistics_;
  std::int64_t num_values_;
};

int run(const po::variables_map& values, const core::Log& log) {
  core::require<core::UserError>(values.count("tensor") > 0 || values["values"].defaulted(), kWho,
                                 "--values is of the tensor that --tensor names; give one");
  core::require<core::UserError>(values["values"].as<std::int64_t>() >= 0, kWho, "--values must be at least 0");
  Inspection inspection(values, log);
  if (values.count("json") > 0) {
    inspection.print_json();
  } else {
    inspection.print();
  }
  return 0;
}

}  // namespace

Verb inspect_verb() {
  Verb verb;
  verb.name = "inspect";
  verb.summary = "what a checkpoint holds: the run's state, tensors, shapes, types and statistics";
  verb.usage = "CKPT [--tensor NAME] [--stats] [--json]";
  verb.examples =
      "    tessera-ckpt inspect results/quickstart/checkpoint-final\n"
      "    tessera-ckpt inspect results/quickstart/checkpoint-final --stats\n"
      "    tessera-ckpt inspect results/quickstart/checkpoint-final --tensor classifier.weight/master --values 20\n";
  verb.flags.add_options()("CKPT", po::value<std::string>())(
      "tensor", po::value<std::string>(), "a parameter's name, or NAME/COMPONENT: its statistics and first values")(
      "values", po::value<std::int64_t>()->default_value(8), "how many values --tensor shows")(
      "stats",
      "norm, mean, deviation, extremes, zeros and values that are not finite, of every tensor: reads them all")(
      "json", "as JSON, for programs")("quiet", "no progress on stderr");
  verb.positional = {"CKPT"};
  verb.run = run;
  return verb;
}

}  // namespace tessera::tools
