// Any pickle as what a file of a DeepSpeed checkpoint says: refused with a UserError, or imported without touching a
// byte outside its files. The first byte of the input tells whose pickle it is: the model's, or the first rank's
// optimizer's. The rest of the checkpoint (FUZZ_DEEPSPEED, a fixture) is as DeepSpeed wrote it.
#include "fuzz/scratch_file.hpp"
#include "support/stored_zip.hpp"
#include "tessera/checkpoint/import.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/mapped_file.hpp"
#include "tessera/io/zip_reader.hpp"

#include <array>

namespace {

using namespace tessera;

struct SavedFile {
  std::string name;
  std::vector<std::pair<std::string, std::string>> entries;
};

SavedFile read_saved(const std::string& name) {
  const io::MappedFile file(std::string(FUZZ_DEEPSPEED) + "/" + name);
  SavedFile saved{name, {}};
  for (const io::ZipEntry& entry : io::parse_zip(file.bytes(), name)) {
    saved.entries.emplace_back(entry.name,
                               std::string(reinterpret_cast<const char*>(entry.bytes.data()), entry.bytes.size()));
  }
  return saved;
}

std::string with_pickle(SavedFile saved, const std::string& pickle) {
  for (auto& [name, bytes] : saved.entries) {
    if (name.ends_with("/data.pkl")) {
      bytes = pickle;
    }
  }
  return test::stored_zip(saved.entries);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::ScratchDirectory scratch;
  static const std::array<SavedFile, 3> saved{read_saved("mp_rank_00_model_states.pt"),
                                              read_saved("bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt"),
                                              read_saved("bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt")};
  if (size == 0) {
    return 0;
  }
  const std::string pickle(reinterpret_cast<const char*>(data) + 1, size - 1);
  for (std::size_t i = 0; i < saved.size(); ++i) {
    scratch.write(saved.at(i).name,
                  i == data[0] % 2U ? with_pickle(saved.at(i), pickle) : test::stored_zip(saved.at(i).entries));
  }
  try {
    const checkpoint::ImportSource source(scratch.path(), {});
    fuzz::read_everything(source);
    checkpoint::ImportRequest request;
    request.run_dir = scratch.path() + "/run";
    request.parameters = source.parameters();
    checkpoint::import_checkpoint(source, request);
  } catch (const core::UserError&) {
    return 0;
  }
  return 0;
}
