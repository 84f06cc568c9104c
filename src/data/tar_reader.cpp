#include "data/tar_reader.hpp"

#include "tessera/core/error.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace tessera::data {

namespace {

// POSIX.1-1988 ustar: fields of a 512-byte header.
constexpr std::size_t kBlock = 512;
using Header = std::array<std::uint8_t, kBlock>;
struct Field {
  std::size_t offset;
  std::size_t size;
};
constexpr Field kName{0, 100};
constexpr Field kSize{124, 12};
constexpr Field kChecksum{148, 8};
constexpr Field kType{156, 1};
constexpr Field kMagic{257, 5};
constexpr Field kPrefix{345, 155};

std::string_view text(const Header& header, Field field) {
  const auto* begin = reinterpret_cast<const char*>(header.data()) + field.offset;
  return {begin, static_cast<std::size_t>(std::find(begin, begin + field.size, '\0') - begin)};
}

/// An octal field, or nothing where it holds anything else (GNU tar's binary sizes, above 8 GiB, among it).
std::optional<std::int64_t> octal(const Header& header, Field field) {
  std::int64_t value = 0;
  bool any = false;
  for (const char digit : text(header, field)) {
    if (digit >= '0' && digit <= '7') {
      value = value * 8 + (digit - '0');
      any = true;
    } else if (digit != ' ') {
      return std::nullopt;
    }
  }
  return any ? std::optional(value) : std::nullopt;
}

bool checksum_fits(const Header& header) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < kBlock; ++i) {
    const bool in_checksum = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    sum += in_checksum ? ' ' : header[i];
  }
  return octal(header, kChecksum) == sum;
}

bool is_blank(const Header& header) {
  return std::ranges::all_of(header, [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

std::optional<TarReader::Entry> TarReader::next() {
  file_.skip(unread_, "a file in the archive");
  unread_ = 0;
  Header header{};
  const std::size_t found = file_.read_some(header);
  if (found == 0 || (found == kBlock && is_blank(header))) {
    file_.drain();
    return std::nullopt;
  }
  const std::optional<std::int64_t> size = octal(header, kSize);
  core::require<core::UserError>(
      found == kBlock && checksum_fits(header) && size.has_value(), "data",
      "{} is corrupt, or no tar archive: a header's checksum does not fit; download it again", file_.path().string());
  const std::string_view prefix = text(header, kMagic) == "ustar" ? text(header, kPrefix) : std::string_view();
  const char type = static_cast<char>(header[kType.offset]);
  entry_.name = prefix.empty() ? std::string() : std::string(prefix) + "/";
  entry_.name += text(header, kName);
  entry_.size = *size;
  entry_.is_file = type == '0' || type == '\0';
  constexpr std::int64_t kPadding = kBlock;
  unread_ = (entry_.size + kPadding - 1) / kPadding * kPadding;
  return entry_;
}

std::vector<std::uint8_t> TarReader::read() {
  std::vector<std::uint8_t> bytes = file_.read(entry_.size, entry_.name.c_str());
  unread_ -= entry_.size;
  return bytes;
}

}  // namespace tessera::data
