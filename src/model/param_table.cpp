#include "tessera/model/param_table.hpp"

#include <cmath>
#include <numeric>

namespace tessera::model {
namespace {

constexpr int kPatchUnits = 2;
constexpr int kUnitsPerBlock = 8;

class TableBuilder {
 public:
  explicit TableBuilder(double normal_std) : normal_std_(normal_std) {}

  void depth(int depth) { depth_ = depth; }

  // Matrices that share their columns, stacked by rows into one unit.
  void matrices(const std::vector<std::pair<std::string, std::int64_t>>& rows_by_name, std::int64_t columns) {
    begin_unit(columns);
    for (const auto& [name, rows] : rows_by_name) {
      add({name, {rows, columns}, 0, true, depth_, Init::kNormal, normal_std_});
    }
  }
  void norm(std::string name, std::int64_t size) {
    begin_unit(0);
    add({std::move(name), {size}, 0, false, depth_, Init::kOnes, 0});
  }
  void single(Param param, std::int64_t columns) {
    begin_unit(columns);
    param.depth = depth_;
    add(std::move(param));
  }

  // In the unit of what came before.
  void beside(Param param) {
    param.depth = depth_;
    add(std::move(param));
  }

  ParamTable take() { return std::move(table_); }

 private:
  void begin_unit(std::int64_t columns) {
    table_.units.push_back({static_cast<int>(table_.params.size()), 0, 0, columns});
  }
  void add(Param param) {
    Unit& unit = table_.units.back();
    param.unit = static_cast<int>(table_.units.size()) - 1;
    ++unit.num_params;
    unit.num_elements += param.num_elements();
    table_.params.push_back(std::move(param));
  }

  double normal_std_;
  int depth_ = 0;
  ParamTable table_;
};

// The reference's initialisation: Xavier-uniform over the matrix [hidden, 3 P P] (Glorot and Bengio 2010), and the
// bias as PyTorch's convolution leaves it, uniform within 1/sqrt(fan in).
void add_patch_embedding(TableBuilder& builder, std::int64_t hidden, const Geometry& geometry) {
  const std::int64_t fan_in = geometry.patch_elements();
  const double weight_bound = std::sqrt(6.0 / static_cast<double>(fan_in + hidden));
  const double bias_bound = 1.0 / std::sqrt(static_cast<double>(fan_in));
  builder.single({"patch_embed.proj.weight",
                  {hidden, 3, geometry.patch_size, geometry.patch_size},
                  0,
                  true,
                  0,
                  Init::kUniform,
                  weight_bound},
                 fan_in);
  builder.single({"patch_embed.proj.bias", {hidden}, 0, false, 0, Init::kUniform, bias_bound}, 0);
  if (geometry.has_class_token()) {  // as MAE begins with it; timm's lists keep it from decaying
    builder.beside({"cls_token", {1, 1, hidden}, 0, false, 0, Init::kNormal, 0.02});
  }
}

void add_block(TableBuilder& builder, const config::ModelShape& shape, std::int64_t index) {
  const std::string block = "qwen.layers." + std::to_string(index) + ".";
  const std::string attention = block + "self_attn.";
  const std::string mlp = block + "mlp.";
  builder.depth(static_cast<int>(index) + 1);
  // In the reverse of the order in which backward finishes them.
  builder.matrices({{attention + "q_proj.weight", shape.query_size()},
                    {attention + "k_proj.weight", shape.key_size()},
                    {attention + "v_proj.weight", shape.key_size()}},
                   shape.hidden_size);
  builder.norm(block + "input_layernorm.weight", shape.hidden_size);
  builder.norm(attention + "q_norm.weight", shape.head_dim);
  builder.norm(attention + "k_norm.weight", shape.head_dim);
  builder.matrices({{attention + "o_proj.weight", shape.hidden_size}}, shape.query_size());
  builder.matrices(
      {{mlp + "gate_proj.weight", shape.intermediate_size}, {mlp + "up_proj.weight", shape.intermediate_size}},
      shape.hidden_size);
  builder.norm(block + "post_attention_layernorm.weight", shape.hidden_size);
  builder.matrices({{mlp + "down_proj.weight", shape.hidden_size}}, shape.intermediate_size);
}

}  // namespace

std::int64_t Param::num_elements() const {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

std::int64_t ParamTable::num_elements() const {
  return std::accumulate(params.begin(), params.end(), std::int64_t{0},
                         [](std::int64_t sum, const Param& param) { return sum + param.num_elements(); });
}

ParamTable build_param_table(const config::ModelShape& shape, const Geometry& geometry) {
  TableBuilder builder(shape.initializer_range);
  add_patch_embedding(builder, shape.hidden_size, geometry);
  for (std::int64_t block = 0; block < shape.num_hidden_layers; ++block) {
    add_block(builder, shape, block);
  }
  builder.depth(static_cast<int>(shape.num_hidden_layers) + 1);
  builder.norm("qwen.norm.weight", shape.hidden_size);
  builder.single({"classifier.weight", {geometry.num_classes, shape.hidden_size}, 0, true, 0, Init::kNormal, 0.02},
                 shape.hidden_size);
  builder.single({"classifier.bias", {geometry.num_classes}, 0, false, 0, Init::kZeros, 0}, 0);
  return builder.take();
}

SplitTable split_table(const ParamTable& table, int unit) {
  const auto first_unit = table.units.begin() + unit;
  const int first = first_unit == table.units.end() ? static_cast<int>(table.params.size()) : first_unit->first_param;
  SplitTable split;
  split.before = {{table.params.begin(), table.params.begin() + first}, {table.units.begin(), first_unit}};
  split.rest = {{table.params.begin() + first, table.params.end()}, {first_unit, table.units.end()}};
  for (Param& param : split.rest.params) {
    param.unit -= unit;
  }
  for (Unit& moved : split.rest.units) {
    moved.first_param -= first;
  }
  return split;
}

int num_frozen_units(std::int64_t frozen_blocks) {
  return frozen_blocks == 0 ? 0 : kPatchUnits + kUnitsPerBlock * static_cast<int>(frozen_blocks);
}

BlockUnits block_units(std::int64_t block) {
  const int first = kPatchUnits + kUnitsPerBlock * static_cast<int>(block);
  return {first, first + 1, first + 2, first + 3, first + 4, first + 5, first + 6, first + 7};
}

HeadUnits head_units(std::int64_t num_blocks) {
  const int first = kPatchUnits + kUnitsPerBlock * static_cast<int>(num_blocks);
  return {first, first + 1, first + 2};
}

}  // namespace tessera::model
