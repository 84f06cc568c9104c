#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace tessera::io {

/// One file of a zip archive, as it lies in the archive's bytes.
struct ZipEntry {
  std::string name;
  std::span<const std::byte> bytes;
  std::uint32_t crc32 = 0;  ///< of the bytes, as the archive's directory says
};

/// The files of a zip archive whose files are stored, not compressed, as PyTorch writes them; ZIP64 is read. `file`
/// names the archive in messages. Throws UserError for every way in which the bytes are not such an archive: no
/// reference leaves them, and no name is there twice. (PKWARE's APPNOTE.TXT, version 6.3.10)
std::vector<ZipEntry> parse_zip(std::span<const std::byte> archive, const std::string& file);

/// CRC-32 as zip has it: of the bytes, continuing `previous`; 0 for none.
std::uint32_t zip_crc32(std::span<const std::byte> bytes, std::uint32_t previous = 0);

}  // namespace tessera::io
