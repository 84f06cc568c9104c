#pragma once

#include "support/scratch.hpp"

#include <string>
#include <vector>

namespace tessera::test {

/// Writes a Fashion-MNIST look-alike into `directory`: 28 x 28 images whose brightness pattern tells their class.
void write_small_dataset(const std::string& directory, int num_train, int num_test);

/// `mpirun -np ranks tessera finetune` on the data set above with a two-layer model, ended by force after a minute.
/// Sizes, warm-up and learning rate are as here unless `flags` say them.
CommandResult finetune(int ranks, const std::string& data, const std::string& output, const std::string& flags);

/// `tessera ARGUMENTS` on so many ranks, ended by force after a minute.
CommandResult run_ranks(int ranks, const std::string& arguments);

/// `tessera VERB ...` on one rank without a launcher.
CommandResult tessera(const std::string& arguments);
CommandResult tessera_ckpt(const std::string& arguments);

/// A numeric field of every line of a file of JSON objects, as the text that stands there.
std::vector<std::string> column(const std::string& path, const std::string& key);

}  // namespace tessera::test
