#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace tessera::core {
class ProgressBoard;
}

namespace tessera::topology {

/// Ranks that talk to each other over MPI, for control and host bytes (the gradients go through comm::Collectives).
///
/// A value with shared ownership of its communicator, which must be gone before Session ends. self() needs no MPI.
class Group {
 public:
  /// A world of one: every operation returns at once. Needs no Session.
  static Group self();

  [[nodiscard]] int rank() const;
  [[nodiscard]] int size() const;

  /// Collective over the group.
  void barrier() const;
  /// `bytes` of `root` arrive everywhere. Collective over the group; sizes agree.
  void broadcast(std::span<std::byte> bytes, int root) const;
  /// Text of `root`, of any length. Collective over the group.
  [[nodiscard]] std::string broadcast(std::string text, int root) const;
  /// Element-wise over the ranks, in place. Collective over the group; sizes agree.
  void sum(std::span<double> values) const;
  void sum(std::span<std::int64_t> values) const;
  void max(std::span<double> values) const;
  void min(std::span<double> values) const;
  /// Every rank's text, by rank. Collective over the group.
  [[nodiscard]] std::vector<std::string> gather(const std::string& text) const;
  /// Ranks with the same `color`, ordered by rank. Collective over the group.
  [[nodiscard]] Group split(int color) const;
  /// Ranks that share memory with this one (a node). Collective over the group.
  [[nodiscard]] Group split_by_node() const;

  /// The same ranks with a communicator of their own, for another thread: what it does there meets nothing of what is
  /// done here. Its operations sleep while they wait, so that they take no core from the thread that computes.
  /// Collective over the group.
  [[nodiscard]] Group duplicate() const;

  /// Runs `work` on every rank. Where it throws on any, throws the first failing rank's message on all of them alike:
  /// as AgreedUserError where that one was a UserError, as AgreedError otherwise. Collective over the group.
  void agree(const std::function<void()>& work) const;

  /// The MPI_Comm, for MPI-IO: a pointer to it, so that this header needs no MPI. Null for self().
  [[nodiscard]] const void* mpi_communicator() const;

  /// Where this process's main thread writes that it waits for the other ranks here; null where nobody reads it, as
  /// of self() and of a group of duplicate().
  [[nodiscard]] core::ProgressBoard* board() const;

  class Impl;
  explicit Group(std::shared_ptr<const Impl> impl);

 private:
  std::shared_ptr<const Impl> impl_;
};

}  // namespace tessera::topology
