#include "train/shared_inputs.hpp"

#include "tessera/topology/shared_files.hpp"

#include <optional>
#include <sstream>
#include <utility>
#include <vector>

namespace tessera::train {
namespace {

std::vector<io::RandomAccessFile> adopt(const std::string& paths, const std::vector<int>& descriptors) {
  std::vector<io::RandomAccessFile> files;
  std::istringstream lines(paths);
  for (const int descriptor : descriptors) {
    std::string path;
    std::getline(lines, path, '\0');
    files.emplace_back(std::move(path), descriptor);
  }
  return files;
}

}  // namespace

io::SafetensorsReader open_safetensors(const std::string& path, const topology::Mesh& mesh) {
  const bool is_first = mesh.node.rank() == 0;
  std::optional<io::SafetensorsReader> reader;
  const topology::OpenFiles files = topology::open_once_a_node(mesh.world, mesh.node, [&] {
    topology::OpenFiles opened;
    for (const io::MappedFile& file : reader.emplace(path).files()) {
      opened.text += file.path() + '\0';
      opened.descriptors.push_back(file.descriptor());
    }
    return opened;
  });
  mesh.world.agree([&] {
    if (!is_first && files.descriptors.empty()) {  // which this system cannot pass
      reader.emplace(path);
    } else if (!is_first) {
      reader.emplace(adopt(files.text, files.descriptors));
    }
  });
  return std::move(*reader);
}

std::unique_ptr<data::Dataset> open_shared_dataset(data::DatasetSpec spec, const topology::Group& world) {
  world.agree([&] {
    if (world.rank() == 0) {
      spec.listing = data::list_dataset(spec);
    }
  });
  spec.listing = world.broadcast(std::move(spec.listing), 0);
  std::unique_ptr<data::Dataset> dataset;
  world.agree([&] { dataset = data::open_dataset(spec); });
  return dataset;
}

}  // namespace tessera::train
