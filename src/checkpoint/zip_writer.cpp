#include "checkpoint/zip_writer.hpp"

#include "tessera/core/error.hpp"
#include "tessera/core/little_endian.hpp"
#include "tessera/io/zip_reader.hpp"

#include <algorithm>
#include <utility>

namespace tessera::checkpoint {
namespace {

constexpr std::int64_t kAlignment = 64;
constexpr std::uint32_t kIn64 = 0xFFFFFFFFU;  // in a field of 32 bits: the value stands in the ZIP64 extra
constexpr std::uint16_t kVersionNeeded = 45;  // ZIP64
constexpr std::uint16_t kFirstOfJanuary1980 = 0x21;
constexpr std::int64_t kCrcInLocalHeader = 14;
constexpr std::size_t kLocalHeaderBytes = 30;

// Little-endian fields, one after the other.
class Record {
 public:
  template <class T>
  Record& put(T value) {
    core::append_little_endian(bytes_, value);
    return *this;
  }
  Record& put_text(std::string_view text) {
    bytes_ += text;
    return *this;
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

std::uint32_t in_32_bits(std::int64_t value) {
  return std::cmp_less(value, kIn64) ? static_cast<std::uint32_t>(value) : kIn64;
}

bool needs_64_bits(std::int64_t value) { return in_32_bits(value) == kIn64; }

std::string zip64_extra(const std::vector<std::int64_t>& values) {
  if (values.empty()) {
    return "";
  }
  Record extra;
  extra.put<std::uint16_t>(1).put(static_cast<std::uint16_t>(8 * values.size()));
  for (const std::int64_t value : values) {
    extra.put(value);
  }
  return extra.bytes();
}

// An extra field without meaning, so long that what follows it begins at a multiple of the alignment. PyTorch's id.
std::string padding_extra(std::int64_t position) {
  constexpr std::int64_t kHeader = 4;
  const std::int64_t length = (kAlignment - (position + kHeader) % kAlignment) % kAlignment;
  return Record()
      .put_text("FB")
      .put(static_cast<std::uint16_t>(length))
      .put_text(std::string(static_cast<std::size_t>(length), 'Z'))
      .bytes();
}

}  // namespace

void ZipWriter::begin_entry(const std::string& name, std::int64_t size) {
  Entry entry{name, size, file_.size(), 0};
  std::string extra = needs_64_bits(size) ? zip64_extra({size, size}) : "";
  extra += padding_extra(entry.header + static_cast<std::int64_t>(kLocalHeaderBytes + name.size() + extra.size()));
  Record header;
  header.put_text("PK\x03\x04").put(kVersionNeeded).put<std::uint16_t>(0).put<std::uint16_t>(0);
  header.put<std::uint16_t>(0).put(kFirstOfJanuary1980).put<std::uint32_t>(0);
  header.put(in_32_bits(size)).put(in_32_bits(size));
  header.put(static_cast<std::uint16_t>(name.size())).put(static_cast<std::uint16_t>(extra.size()));
  header.put_text(name).put_text(extra);
  file_.append(header.bytes().data(), header.bytes().size());
  entries_.push_back(std::move(entry));
  remaining_ = size;
}

void ZipWriter::write(std::span<const std::byte> bytes) {
  remaining_ -= static_cast<std::int64_t>(bytes.size());
  core::require(remaining_ >= 0, "checkpoint", "more bytes than announced for {} in {}", entries_.back().name,
                file_.path());
  Entry& entry = entries_.back();
  entry.crc32 = io::zip_crc32(bytes, entry.crc32);
  file_.append(bytes.data(), bytes.size());
}

void ZipWriter::end_entry() {
  core::require(remaining_ == 0, "checkpoint", "{} bytes of {} are missing in {}", remaining_, entries_.back().name,
                file_.path());
  const std::string crc = Record().put(entries_.back().crc32).bytes();
  file_.overwrite(entries_.back().header + kCrcInLocalHeader, crc.data(), crc.size());
}

void ZipWriter::add(const std::string& name, std::string_view text) {
  begin_entry(name, static_cast<std::int64_t>(text.size()));
  write(std::as_bytes(std::span(text)));
  end_entry();
}

void ZipWriter::write_directory() {
  const std::int64_t begin = file_.size();
  for (const Entry& entry : entries_) {
    std::vector<std::int64_t> wide;
    if (needs_64_bits(entry.size)) {
      wide = {entry.size, entry.size};
    }
    if (needs_64_bits(entry.header)) {
      wide.push_back(entry.header);
    }
    const std::string extra = zip64_extra(wide);
    Record record;
    record.put_text("PK\x01\x02").put(kVersionNeeded).put(kVersionNeeded).put<std::uint16_t>(0).put<std::uint16_t>(0);
    record.put<std::uint16_t>(0).put(kFirstOfJanuary1980).put(entry.crc32);
    record.put(in_32_bits(entry.size)).put(in_32_bits(entry.size));
    record.put(static_cast<std::uint16_t>(entry.name.size())).put(static_cast<std::uint16_t>(extra.size()));
    record.put<std::uint16_t>(0).put<std::uint16_t>(0).put<std::uint16_t>(0).put<std::uint32_t>(0);
    record.put(in_32_bits(entry.header)).put_text(entry.name).put_text(extra);
    file_.append(record.bytes().data(), record.bytes().size());
  }
  const std::int64_t end = file_.size();
  const auto count = static_cast<std::uint64_t>(entries_.size());
  constexpr std::uint64_t kMostEntries = 0xFFFF;
  Record tail;
  if (needs_64_bits(end) || count >= kMostEntries) {
    tail.put_text("PK\x06\x06").put<std::uint64_t>(44).put(kVersionNeeded).put(kVersionNeeded);
    tail.put<std::uint32_t>(0).put<std::uint32_t>(0).put(count).put(count).put(end - begin).put(begin);
    tail.put_text("PK\x06\x07").put<std::uint32_t>(0).put(end).put<std::uint32_t>(1);
  }
  const auto short_count = static_cast<std::uint16_t>(std::min(count, kMostEntries));
  tail.put_text("PK\x05\x06").put<std::uint16_t>(0).put<std::uint16_t>(0).put(short_count).put(short_count);
  tail.put(in_32_bits(end - begin)).put(in_32_bits(begin)).put<std::uint16_t>(0);
  file_.append(tail.bytes().data(), tail.bytes().size());
}

std::int64_t ZipWriter::finish() {
  write_directory();
  file_.commit();
  return file_.size();
}

}  // namespace tessera::checkpoint
