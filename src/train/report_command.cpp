#include "tessera/core/error.hpp"
#include "tessera/io/file_system.hpp"
#include "tessera/report/page.hpp"
#include "tessera/train/commands.hpp"
#include "train/report_examples.hpp"

#include <cstdio>
#include <filesystem>

namespace tessera::train {

void write_report(const config::RunsConfig& request, const core::Log& log) {
  std::vector<report::PageRun> runs;
  for (const std::string& directory : request.directories) {
    report::PageRun& run = runs.emplace_back();
    run.record = report::read_run(directory);
    run.saved = report::read_saved_evaluation(directory);
    add_worst_classes(run);
    if (!run.note_on_examples.empty()) {
      log.warn("{}: no example images: {}", directory, run.note_on_examples);
    }
  }
  const std::string path = request.output.empty()
                               ? (std::filesystem::path(request.directories.front()) / "report.html").string()
                               : request.output;
  const std::string page = report::to_page(report::page_data(runs));
  try {
    io::FileSystem().atomic_write(path, page);
  } catch (const core::Error& error) {
    core::fail<core::UserError>("train", "--output {} cannot be written: {}", path, error.what());
  }
  std::puts(path.c_str());
}

}  // namespace tessera::train
