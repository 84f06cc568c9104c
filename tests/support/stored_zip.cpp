#include "support/stored_zip.hpp"

#include <zlib.h>

#include <cstdint>

namespace tessera::test {
namespace {

std::string field(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) {
    text += static_cast<char>(value & 0xFFU);
    value >>= 8U;
  }
  return text;
}

}  // namespace

std::string stored_zip(const std::vector<std::pair<std::string, std::string>>& files, bool zip64) {
  std::string archive;
  std::string directory;
  const std::uint64_t all_ones = 0xFFFFFFFF;
  for (const auto& [name, bytes] : files) {
    const std::uint64_t header = archive.size();
    const auto crc = static_cast<std::uint64_t>(
        ::crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
    const std::uint64_t short_size = zip64 ? all_ones : bytes.size();
    const std::string sizes = field(crc, 4) + field(short_size, 4) + field(short_size, 4) + field(name.size(), 2);
    const std::string wide = field(bytes.size(), 8) + field(bytes.size(), 8);
    const std::string local_extra = zip64 ? field(1, 2) + field(16, 2) + wide : "";
    const std::string extra = zip64 ? field(1, 2) + field(24, 2) + wide + field(header, 8) : "";
    archive +=
        "PK\x03\x04" + field(45, 2) + field(0, 8) + sizes + field(local_extra.size(), 2) + name + local_extra + bytes;
    directory += "PK\x01\x02" + field(45, 2) + field(45, 2) + field(0, 8) + sizes + field(extra.size(), 2) +
                 field(0, 10) + field(zip64 ? all_ones : header, 4) + name + extra;
  }
  const std::uint64_t begin = archive.size();
  archive += directory;
  const std::uint64_t end = archive.size();
  if (zip64) {
    archive += "PK\x06\x06" + field(44, 8) + field(45, 2) + field(45, 2) + field(0, 8) + field(files.size(), 8) +
               field(files.size(), 8) + field(directory.size(), 8) + field(begin, 8);
    archive += "PK\x06\x07" + field(0, 4) + field(end, 8) + field(1, 4);
  }
  return archive + "PK\x05\x06" + field(0, 4) + field(files.size(), 2) + field(files.size(), 2) +
         field(zip64 ? all_ones : directory.size(), 4) + field(zip64 ? all_ones : begin, 4) + field(0, 2);
}

}  // namespace tessera::test
