#pragma once

#include "tessera/config/command_line.hpp"
#include "tessera/config/run_config.hpp"
#include "tessera/core/dtype.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace tessera::config {

/// Where a setting lives: one of the types that settings have.
using Field = std::variant<bool*, int*, std::int64_t*, std::uint64_t*, double*, std::string*, std::optional<int>*,
                           std::optional<std::int64_t>*, std::optional<double>*, std::optional<core::DType>*,
                           DatasetKind*, DeviceChoice*, CollectivesChoice*, DTypeChoice*, OptimizerKind*, EraseMode*,
                           MixMode*, GradientCheckpointing*, OffloadChoice*, GradientOffload*, OffloadRatio*,
                           StateDType*, std::optional<ShareRange>*, std::optional<ByteCount>*>;

/// A setting's value as JSON and messages know it; monostate is "none".
using Scalar = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

/// Sets the field from the text of a flag. Returns what is wrong with the text ("must be a whole number, not 'x'"), or
/// nothing; then the field is as it was. Of a bool field no text, as of a switch, is true.
std::string assign_text(const Field& field, std::string_view text);

/// The same from a value of a JSON file. Whole numbers may be written as 2e8.
std::string assign_scalar(const Field& field, const Scalar& value);

Scalar value_of(const Field& field);

/// For messages and help: 0.001, true, cifar10; "none" for none.
std::string show(const Scalar& value);

}  // namespace tessera::config
