// A world of one, for programs that are one process and know no MPI: every operation has nothing to do.
#include "tessera/topology/group.hpp"

#include <utility>

namespace tessera::topology {

class Group::Impl {};

Group::Group(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Group Group::self() { return Group(nullptr); }

int Group::rank() const { return 0; }
int Group::size() const { return 1; }
void Group::barrier() const {}
void Group::broadcast(std::span<std::byte> /*bytes*/, int /*root*/) const {}
std::string Group::broadcast(std::string text, int /*root*/) const { return text; }
void Group::sum(std::span<double> /*values*/) const {}
void Group::sum(std::span<std::int64_t> /*values*/) const {}
void Group::max(std::span<double> /*values*/) const {}
void Group::min(std::span<double> /*values*/) const {}
std::vector<std::string> Group::gather(const std::string& text) const { return {text}; }
Group Group::split(int /*color*/) const { return self(); }
Group Group::split_by_node() const { return self(); }
Group Group::duplicate() const { return self(); }
const void* Group::mpi_communicator() const { return nullptr; }
core::ProgressBoard* Group::board() const { return nullptr; }

}  // namespace tessera::topology
