#pragma once

#include "tessera/data/dataset.hpp"
#include "tessera/io/safetensors.hpp"
#include "tessera/topology/mesh.hpp"

#include <memory>
#include <string>

namespace tessera::train {

/// The safetensors at `path`, a file or a directory, as SafetensorsReader has them, found and opened by the first rank
/// of each node, whose open files the others take over. Throws AgreedUserError. Collective over the mesh.
io::SafetensorsReader open_safetensors(const std::string& path, const topology::Mesh& mesh);

/// open_dataset() on every rank, for which one rank alone lists directories. Throws AgreedUserError. Collective over
/// `world`.
std::unique_ptr<data::Dataset> open_shared_dataset(data::DatasetSpec spec, const topology::Group& world);

}  // namespace tessera::train
