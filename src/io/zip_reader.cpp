#include "tessera/io/zip_reader.hpp"

#include "io/byte_reader.hpp"
#include "tessera/core/error.hpp"

#include <isa-l/crc.h>

#include <algorithm>
#include <optional>
#include <unordered_set>

namespace tessera::io {
namespace {

using core::UserError;
using Bytes = std::span<const std::byte>;

constexpr std::uint32_t kLocalHeader = 0x04034b50;
constexpr std::uint32_t kDirectoryEntry = 0x02014b50;
constexpr std::uint32_t kDirectoryEnd = 0x06054b50;
constexpr std::uint32_t kDirectoryEnd64 = 0x06064b50;
constexpr std::uint32_t kLocator64 = 0x07064b50;
constexpr std::size_t kDirectoryEntryBytes = 46;
constexpr std::size_t kDirectoryEndBytes = 22;
constexpr std::size_t kLocator64Bytes = 20;
constexpr std::size_t kLongestComment = 0xFFFF;
constexpr std::uint16_t kZip64Extra = 1;
constexpr std::uint16_t kEncrypted = 1;
constexpr std::uint32_t kIn64 = 0xFFFFFFFF;   // in a field of 32 bits: the value stands in the ZIP64 extra
constexpr std::uint16_t kIn64Short = 0xFFFF;  // the same of a count

struct Directory {
  std::uint64_t num_entries = 0;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

// What a directory entry says of a file.
struct Record {
  std::string name;
  std::uint32_t crc32 = 0;
  std::uint64_t stored_size = 0;
  std::uint64_t size = 0;
  std::uint64_t header = 0;  // offset of its local header
};

class Archive {
 public:
  Archive(Bytes bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  std::vector<ZipEntry> entries() const {
    const Directory directory = find_directory();
    ByteReader reader(part(directory.offset, directory.size, "the directory"), file_);
    core::require<UserError>(directory.num_entries <= directory.size / kDirectoryEntryBytes, "io",
                             "{}: the directory claims {} files in {} bytes; the archive is damaged", file_,
                             directory.num_entries, directory.size);
    std::vector<ZipEntry> entries;
    std::unordered_set<std::string> names;
    for (std::uint64_t i = 0; i < directory.num_entries; ++i) {
      const Record record = read_record(reader);
      core::require<UserError>(names.insert(record.name).second, "io", "{}: '{}' is in the archive twice", file_,
                               record.name);
      entries.push_back({record.name, find_bytes(record), record.crc32});
    }
    return entries;
  }

 private:
  Bytes part(std::uint64_t offset, std::uint64_t size, std::string_view what) const {
    core::require<UserError>(offset <= bytes_.size() && size <= bytes_.size() - offset, "io",
                             "{}: {} would be at bytes {} to {} of {}; the file is truncated or damaged, copy it again",
                             file_, what, offset, offset + size, bytes_.size());
    return bytes_.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
  }

  // The end record is the last thing in the file, but for a comment.
  std::size_t find_end() const {
    const std::size_t size = bytes_.size();
    const std::size_t first = size - std::min(size, kDirectoryEndBytes + kLongestComment);
    for (std::size_t at = size - std::min(size, kDirectoryEndBytes) + 1; at-- > first;) {
      if (size - at >= kDirectoryEndBytes &&
          ByteReader(bytes_.subspan(at), file_).number<std::uint32_t>() == kDirectoryEnd) {
        return at;
      }
    }
    core::fail<UserError>("io",
                          "{} is no zip archive, or its end is missing: copy it again. (Files of torch.save before "
                          "PyTorch 1.6 are none; load and save them with a newer one.)",
                          file_);
  }

  Directory find_directory() const {
    const std::size_t end = find_end();
    ByteReader reader(bytes_.subspan(end), file_);
    reader.skip(8);  // signature, disks
    reader.skip(2);  // entries on this disk
    const auto count = reader.number<std::uint16_t>();
    const auto size = reader.number<std::uint32_t>();
    const auto offset = reader.number<std::uint32_t>();
    if (count != kIn64Short && size != kIn64 && offset != kIn64) {
      return {count, offset, size};
    }
    return find_directory64(end);
  }

  Directory find_directory64(std::size_t end) const {
    core::require<UserError>(end >= kLocator64Bytes, "io", "{}: the ZIP64 record is missing; the file is damaged",
                             file_);
    ByteReader locator(bytes_.subspan(end - kLocator64Bytes), file_);
    core::require<UserError>(locator.number<std::uint32_t>() == kLocator64, "io",
                             "{}: the ZIP64 record is missing; the file is damaged", file_);
    locator.skip(4);  // disk
    const auto at = locator.number<std::uint64_t>();
    ByteReader reader(part(at, 56, "the ZIP64 record"), file_);
    core::require<UserError>(reader.number<std::uint32_t>() == kDirectoryEnd64, "io",
                             "{}: there is no ZIP64 record at byte {}; the file is damaged", file_, at);
    reader.skip(8 + 2 + 2 + 4 + 4 + 8);  // size of the record, versions, disks, entries on this disk
    Directory directory;
    directory.num_entries = reader.number<std::uint64_t>();
    directory.size = reader.number<std::uint64_t>();
    directory.offset = reader.number<std::uint64_t>();
    return directory;
  }

  Record read_record(ByteReader& reader) const {
    core::require<UserError>(reader.number<std::uint32_t>() == kDirectoryEntry, "io",
                             "{}: the archive's directory is damaged; copy the file again", file_);
    reader.skip(4);  // versions
    const auto flags = reader.number<std::uint16_t>();
    const auto method = reader.number<std::uint16_t>();
    reader.skip(4);  // time, date
    Record record;
    record.crc32 = reader.number<std::uint32_t>();
    record.stored_size = reader.number<std::uint32_t>();
    record.size = reader.number<std::uint32_t>();
    const auto name_bytes = reader.number<std::uint16_t>();
    const auto extra_bytes = reader.number<std::uint16_t>();
    const auto comment_bytes = reader.number<std::uint16_t>();
    reader.skip(2 + 2 + 4);  // disk, attributes
    record.header = reader.number<std::uint32_t>();
    record.name = reader.text(name_bytes);
    read_zip64(reader.take(extra_bytes), record);
    reader.skip(comment_bytes);
    core::require<UserError>((flags & kEncrypted) == 0 && method == 0 && record.stored_size == record.size, "io",
                             "{}: '{}' is compressed or encrypted; torch.save stores its files as they are", file_,
                             record.name);
    return record;
  }

  // The fields that say so have their value here, in this order.
  void read_zip64(Bytes extra, Record& record) const {
    ByteReader fields(extra, file_);
    while (fields.remaining() >= 4) {
      const auto id = fields.number<std::uint16_t>();
      ByteReader values(fields.take(fields.number<std::uint16_t>()), file_);
      if (id == kZip64Extra) {
        for (std::uint64_t* const field : {&record.size, &record.stored_size, &record.header}) {
          if (*field == kIn64) {
            *field = values.number<std::uint64_t>();
          }
        }
      }
    }
  }

  // The local header repeats the name, and has extra fields of its own, which pad the bytes to their alignment.
  Bytes find_bytes(const Record& record) const {
    constexpr std::uint64_t kHeaderBytes = 30;
    ByteReader reader(part(record.header, kHeaderBytes, record.name), file_);
    core::require<UserError>(reader.number<std::uint32_t>() == kLocalHeader, "io",
                             "{}: '{}' has no header at byte {}; the file is damaged, copy it again", file_,
                             record.name, record.header);
    reader.skip(22);  // all that the directory says too
    const std::uint64_t name_bytes = reader.number<std::uint16_t>();
    const std::uint64_t extra_bytes = reader.number<std::uint16_t>();
    return part(record.header + kHeaderBytes + name_bytes + extra_bytes, record.size, record.name);
  }

  Bytes bytes_;
  const std::string& file_;
};

}  // namespace

std::vector<ZipEntry> parse_zip(std::span<const std::byte> archive, const std::string& file) {
  return Archive(archive, file).entries();
}

std::uint32_t zip_crc32(std::span<const std::byte> bytes, std::uint32_t previous) {
  return ::crc32_gzip_refl(previous, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

}  // namespace tessera::io
