#include "config/values.hpp"

#include "tessera/config/pooling.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/parse_number.hpp"
#include "tessera/core/suggest.hpp"
#include "tessera/core/units.hpp"

#include <array>
#include <cmath>
#include <concepts>
#include <limits>
#include <type_traits>
#include <vector>

namespace tessera::config {
namespace {

template <class E>
struct Name {
  std::string_view name;
  E value;
};
constexpr std::array<Name<DatasetKind>, 4> kDatasets{{{"cifar10", DatasetKind::kCifar10},
                                                      {"cifar100", DatasetKind::kCifar100},
                                                      {"fashion-mnist", DatasetKind::kFashionMnist},
                                                      {"imagefolder", DatasetKind::kImageFolder}}};
constexpr std::array<Name<DeviceChoice>, 3> kDevices{
    {{"auto", DeviceChoice::kAuto}, {"cuda", DeviceChoice::kCuda}, {"cpu", DeviceChoice::kCpu}}};
constexpr std::array<Name<CollectivesChoice>, 3> kCollectives{
    {{"auto", CollectivesChoice::kAuto}, {"nccl", CollectivesChoice::kNccl}, {"mpi", CollectivesChoice::kMpi}}};
constexpr std::array<Name<DTypeChoice>, 3> kDTypes{
    {{"auto", DTypeChoice::kAuto}, {"bf16", DTypeChoice::kBFloat16}, {"fp32", DTypeChoice::kFloat32}}};
constexpr std::array<Name<EraseMode>, 3> kEraseModes{
    {{"const", EraseMode::kConst}, {"rand", EraseMode::kRand}, {"pixel", EraseMode::kPixel}}};
constexpr std::array<Name<GradientCheckpointing>, 4> kCheckpointing{
    {{"none", GradientCheckpointing::kNone},
     {"feed_forward", GradientCheckpointing::kFeedForward},
     {"block", GradientCheckpointing::kBlock},
     {"auto", GradientCheckpointing::kAuto}}};
constexpr std::array<Name<GradientOffload>, 3> kGradientOffloads{
    {{"auto", GradientOffload::kAuto}, {"none", GradientOffload::kNone}, {"cpu", GradientOffload::kCpu}}};
constexpr std::array<Name<MixMode>, 3> kMixModes{
    {{"batch", MixMode::kBatch}, {"pair", MixMode::kPair}, {"elem", MixMode::kElem}}};
constexpr std::array<Name<OffloadChoice>, 2> kOffloads{{{"none", OffloadChoice::kNone}, {"cpu", OffloadChoice::kCpu}}};
constexpr std::array<Name<StateDType>, 3> kStateDTypes{
    {{"fp32", StateDType::kFloat32}, {"bf16", StateDType::kBFloat16}, {"8bit", StateDType::k8Bit}}};
constexpr std::array<Name<OptimizerKind>, 3> kOptimizers{
    {{"adamw", OptimizerKind::kAdamW}, {"sgd", OptimizerKind::kSgd}, {"lars", OptimizerKind::kLars}}};
constexpr std::array<Name<Pooling>, 3> kPoolings{
    {{"last", Pooling::kLastToken}, {"mean", Pooling::kMean}, {"cls_token", Pooling::kClassToken}}};
constexpr std::array<Name<core::DType>, 2> kWireTypes{
    {{"fp32", core::DType::kFloat32}, {"bf16", core::DType::kBFloat16}}};

const auto& names_of(DatasetKind /*tag*/) { return kDatasets; }
const auto& names_of(DeviceChoice /*tag*/) { return kDevices; }
const auto& names_of(CollectivesChoice /*tag*/) { return kCollectives; }
const auto& names_of(DTypeChoice /*tag*/) { return kDTypes; }
const auto& names_of(EraseMode /*tag*/) { return kEraseModes; }
const auto& names_of(GradientCheckpointing /*tag*/) { return kCheckpointing; }
const auto& names_of(MixMode /*tag*/) { return kMixModes; }
const auto& names_of(GradientOffload /*tag*/) { return kGradientOffloads; }
const auto& names_of(OffloadChoice /*tag*/) { return kOffloads; }
const auto& names_of(StateDType /*tag*/) { return kStateDTypes; }
const auto& names_of(OptimizerKind /*tag*/) { return kOptimizers; }
const auto& names_of(Pooling /*tag*/) { return kPoolings; }
const auto& names_of(core::DType /*tag*/) { return kWireTypes; }

template <class E>
std::string_view name_in_table(E value) {
  for (const auto& known : names_of(value)) {
    if (known.value == value) {
      return known.name;
    }
  }
  core::fail("config", "value {} has no name; this is a defect of the program", static_cast<int>(value));
}

std::string must_be(std::string_view what, std::string_view text) {
  return fmt::format("must be {}, not '{}'", what, text);
}

std::string set(std::string& into, std::string_view text) {
  into = text;
  return {};
}
std::string set(bool& into, std::string_view text) {
  if (!text.empty() && text != "true" && text != "false") {
    return must_be("true or false", text);
  }
  into = text != "false";
  return {};
}
std::string set(double& into, std::string_view text) {
  const auto value = core::parse_number<double>(text);
  if (!value || !std::isfinite(*value)) {
    return must_be("a number", text);
  }
  into = *value;
  return {};
}
template <class T>
requires std::same_as<T, int> || std::same_as<T, std::int64_t> || std::same_as<T, std::uint64_t> std::string set(
    T& into, std::string_view text) {
  const auto value = core::parse_number<T>(text);
  // Seeds stay below 2^63, so that every JSON reader can hold them.
  if (!value || !std::in_range<std::int64_t>(*value)) {
    return must_be(std::is_unsigned_v<T> ? "a whole number from 0" : "a whole number", text);
  }
  into = *value;
  return {};
}
std::string set(ShareRange& into, std::string_view text) {
  const std::size_t space = text.find(' ');
  const auto min = core::parse_number<double>(text.substr(0, space));
  const auto max = space == std::string_view::npos ? std::nullopt : core::parse_number<double>(text.substr(space + 1));
  const bool is_range = min && max && 0 <= *min && *min <= *max && *max <= 1;
  if (!is_range) {
    return must_be("two numbers from 0 to 1, the smaller one first", text);
  }
  into = {*min, *max};
  return {};
}
std::string set(OffloadRatio& into, std::string_view text) {
  const auto share = core::parse_number<double>(text);
  if (text != "auto" && !(share && std::isfinite(*share))) {
    return must_be("a number from 0 to 1, or auto", text);
  }
  into.share = share;
  return {};
}
std::string set(ByteCount& into, std::string_view text) {
  try {
    into.bytes = core::parse_bytes(text);
    return {};
  } catch (const core::UserError&) {
    return must_be("an amount of memory such as 80GiB", text);
  }
}
template <class E>
requires std::is_enum_v<E> std::string set(E& into, std::string_view text) {
  std::vector<std::string> names;
  for (const auto& known : names_of(into)) {
    if (known.name == text) {
      into = known.value;
      return {};
    }
    names.emplace_back(known.name);
  }
  const std::string meant = core::nearest(text, names);
  return must_be(core::list_of(names), text) + (meant.empty() ? "" : "; did you mean " + meant + "?");
}
template <class T>
std::string set(std::optional<T>& into, std::string_view text) {
  T value{};
  std::string problem = set(value, text);
  if (problem.empty()) {
    into = value;
  }
  return problem;
}

Scalar get(bool value) { return value; }
Scalar get(double value) { return value; }
Scalar get(const std::string& value) { return value; }
Scalar get(const ByteCount& value) { return value.bytes; }
Scalar get(const OffloadRatio& value) { return value.share ? Scalar(*value.share) : Scalar(std::string("auto")); }
Scalar get(const ShareRange& value) { return fmt::format("{} {}", value.min, value.max); }
template <std::integral T>
requires(!std::same_as<T, bool>) Scalar get(T value) { return static_cast<std::int64_t>(value); }
template <class E>
requires std::is_enum_v<E> Scalar get(E value) { return std::string(name_in_table(value)); }
template <class T>
Scalar get(const std::optional<T>& value) {
  return value ? get(*value) : Scalar();
}

// The kinds of JSON value that a field may be given.
enum class Kind { kSwitch, kWhole, kReal, kText };
template <class T>
constexpr Kind kKindOf = std::is_enum_v<T> || std::same_as<T, std::string> || std::same_as<T, ShareRange> ? Kind::kText
                         : std::same_as<T, bool>   ? Kind::kSwitch
                         : std::same_as<T, double> ? Kind::kReal
                                                   : Kind::kWhole;
template <class T>
constexpr Kind kKindOf<std::optional<T>> = kKindOf<T>;

// 2e8 is how people write 200000000; doubles hold whole numbers exactly up to 2^53.
bool is_whole(const Scalar& value) {
  constexpr double kLargest = 9007199254740992.0;
  const double* real = std::get_if<double>(&value);
  return std::holds_alternative<std::int64_t>(value) ||
         (real != nullptr && std::abs(*real) <= kLargest && std::trunc(*real) == *real);
}

template <class T>
std::string set_scalar(T& into, const Scalar& value) {
  const auto wrong = [&](std::string_view what) { return fmt::format("must be {}, not {}", what, show(value)); };
  if constexpr (std::same_as<T, OffloadRatio>) {
    return set(into, show(value));
  } else if constexpr (kKindOf<T> == Kind::kSwitch) {
    const bool* flag = std::get_if<bool>(&value);
    if (flag == nullptr) {
      return wrong("true or false");
    }
    into = *flag;
    return {};
  } else if constexpr (kKindOf<T> == Kind::kWhole) {
    const double* real = std::get_if<double>(&value);
    if (!is_whole(value)) {
      return wrong("a whole number");
    }
    return set(into, real != nullptr ? std::to_string(static_cast<std::int64_t>(*real)) : show(value));
  } else if constexpr (kKindOf<T> == Kind::kReal) {
    const bool number = std::holds_alternative<double>(value) || std::holds_alternative<std::int64_t>(value);
    return number ? set(into, show(value)) : wrong("a number");
  } else {
    const std::string* text = std::get_if<std::string>(&value);
    return text != nullptr ? set(into, *text) : wrong("a text");
  }
}

}  // namespace

std::string_view name_of(DatasetKind kind) { return name_in_table(kind); }
std::string_view name_of(DeviceChoice choice) { return name_in_table(choice); }
std::string_view name_of(CollectivesChoice choice) { return name_in_table(choice); }
std::string_view name_of(DTypeChoice choice) { return name_in_table(choice); }
std::string_view name_of(EraseMode mode) { return name_in_table(mode); }
std::string_view name_of(MixMode mode) { return name_in_table(mode); }
std::string_view name_of(StateDType dtype) { return name_in_table(dtype); }
std::string_view name_of(OptimizerKind kind) { return name_in_table(kind); }
std::string_view name_of(Pooling pooling) { return name_in_table(pooling); }

DatasetKind dataset_from_name(std::string_view name) {
  DatasetKind kind{};
  const std::string problem = set(kind, name);
  core::require<core::UserError>(problem.empty(), "config", "a data set's name {}", problem);
  return kind;
}

Pooling pooling_from_name(std::string_view name) {
  Pooling pooling{};
  const std::string problem = set(pooling, name);
  core::require<core::UserError>(problem.empty(), "config", "what the head reads {}", problem);
  return pooling;
}

std::string assign_text(const Field& field, std::string_view text) {
  return std::visit([&](auto* into) { return set(*into, text); }, field);
}

std::string assign_scalar(const Field& field, const Scalar& value) {
  return std::visit([&](auto* into) { return set_scalar(*into, value); }, field);
}

Scalar value_of(const Field& field) {
  return std::visit([](const auto* from) { return get(*from); }, field);
}

std::string show(const Scalar& value) {
  struct Shower {
    std::string operator()(std::monostate /*none*/) const { return "none"; }
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(std::int64_t number) const { return std::to_string(number); }
    std::string operator()(double number) const { return fmt::format("{}", number); }
    std::string operator()(const std::string& text) const { return text; }
  };
  return std::visit(Shower{}, value);
}

}  // namespace tessera::config
