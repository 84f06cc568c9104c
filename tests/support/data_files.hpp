#pragma once

#include <zlib.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

// The bytes of small data files, made by the tests that read them.

namespace tessera::test {

inline std::string gzip(const std::string& bytes) {
  z_stream stream{};
  constexpr int kGzipWindow = 15 + 16;
  deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

/// A ustar archive of files with these names and contents; a name that ends in '/' is a folder.
inline std::string tar(const std::vector<std::pair<std::string, std::string>>& files) {
  constexpr std::size_t kBlock = 512;
  std::string archive;
  for (const auto& [name, bytes] : files) {
    std::string header(kBlock, '\0');
    const bool is_folder = name.back() == '/';
    name.copy(header.data(), 100);
    std::snprintf(&header[100], 8, "%07o", 0644);
    std::snprintf(&header[124], 12, "%011o", static_cast<unsigned>(bytes.size()));
    header[156] = is_folder ? '5' : '0';
    std::string("ustar\00000", 8).copy(&header[257], 8);
    header.replace(148, 8, 8, ' ');
    unsigned sum = 0;
    for (const char byte : header) {
      sum += static_cast<unsigned char>(byte);
    }
    std::snprintf(&header[148], 8, "%06o", sum);
    archive += header + bytes;
    archive.resize((archive.size() + kBlock - 1) / kBlock * kBlock);
  }
  return archive + std::string(2 * kBlock, '\0');
}

/// An IDX file of bytes with this shape.
inline std::string idx(const std::vector<std::uint32_t>& shape, const std::string& bytes) {
  std::string file{'\0', '\0', '\x08', static_cast<char>(shape.size())};
  for (const std::uint32_t extent : shape) {
    for (const unsigned shift : {24U, 16U, 8U, 0U}) {
      file += static_cast<char>(extent >> shift);
    }
  }
  return file + bytes;
}

/// Records of a CIFAR file: labels, then 3072 bytes that differ from record to record.
inline std::string cifar_records(const std::vector<std::string>& labels) {
  std::string records;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    records += labels[i];
    for (std::size_t byte = 0; byte < 3072; ++byte) {
      records += static_cast<char>(i * 37 + byte);
    }
  }
  return records;
}

}  // namespace tessera::test
