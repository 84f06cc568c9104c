#include "train/event_file.hpp"

#include "tessera/core/error.hpp"
#include "tessera/core/little_endian.hpp"
#include "tessera/io/crc32c.hpp"

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

#include <unistd.h>

namespace tessera::train {
namespace {

// Fields of the messages Event, Summary, Summary.Value and SessionLog, by the number that their .proto gives them.
constexpr std::uint32_t kEventWallTime = 1;
constexpr std::uint32_t kEventStep = 2;
constexpr std::uint32_t kEventFileVersion = 3;
constexpr std::uint32_t kEventSummary = 5;
constexpr std::uint32_t kEventSessionLog = 7;
constexpr std::uint32_t kSummaryValue = 1;
constexpr std::uint32_t kValueTag = 1;
constexpr std::uint32_t kValueSimple = 2;
constexpr std::uint32_t kSessionLogStatus = 1;
constexpr std::uint64_t kStatusStart = 1;

template <class Integer>
std::string little_endian(Integer value) {
  std::string bytes;
  core::append_little_endian(bytes, value);
  return bytes;
}

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80U; value >>= 7U) {
    bytes += static_cast<char>((value & 0x7FU) | 0x80U);
  }
  return bytes + static_cast<char>(value);
}

// Protocol buffers, https://protobuf.dev/programming-guides/encoding: field number and wire type, then the value.
std::string key(std::uint32_t field, std::uint32_t wire_type) { return varint(field << 3U | wire_type); }
std::string integer(std::uint32_t field, std::uint64_t value) { return key(field, 0) + varint(value); }
std::string fixed(std::uint32_t field, double value) {
  return key(field, 1) + little_endian(std::bit_cast<std::uint64_t>(value));
}
std::string fixed(std::uint32_t field, float value) {
  return key(field, 5) + little_endian(std::bit_cast<std::uint32_t>(value));
}
std::string bytes(std::uint32_t field, std::string_view value) {
  return key(field, 2) + varint(value.size()) + std::string(value);
}

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string file_name() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return fmt::format("events.out.tfevents.{:010.0f}.{}.{}", seconds_since_1970(), host.data(), ::getpid());
}

}  // namespace

std::string to_record(std::string_view data) {
  const auto checksum = [](std::string_view text) {
    const std::uint32_t crc = io::crc32c(text.data(), text.size());
    return little_endian(std::rotr(crc, 15) + 0xA282EAD8U);
  };
  const std::string length = little_endian(std::uint64_t{data.size()});
  return length + checksum(length) + std::string(data) + checksum(data);
}

EventFile::EventFile(const std::string& directory, std::int64_t first_step) {
  const std::filesystem::path path = std::filesystem::path(directory) / file_name();
  std::error_code ignored;  // what is wrong shows when the file is opened
  std::filesystem::create_directories(directory, ignored);
  out_.open(path, std::ios::binary | std::ios::trunc);
  core::require<core::UserError>(out_.good(), "train", "{} cannot be written: {}", path.string(), std::strerror(errno));
  write_event(0, bytes(kEventFileVersion, "brain.Event:2"));
  write_event(first_step, bytes(kEventSessionLog, integer(kSessionLogStatus, kStatusStart)));
}

void EventFile::add(std::int64_t step, std::initializer_list<Scalar> scalars) {
  if (!out_.is_open()) {
    return;
  }
  std::string summary;
  for (const Scalar& scalar : scalars) {
    summary +=
        bytes(kSummaryValue, bytes(kValueTag, scalar.tag) + fixed(kValueSimple, static_cast<float>(scalar.value)));
  }
  write_event(step, bytes(kEventSummary, summary));
}

void EventFile::write_event(std::int64_t step, std::string_view body) {
  out_ << to_record(fixed(kEventWallTime, seconds_since_1970()) +
                    integer(kEventStep, static_cast<std::uint64_t>(step)) + std::string(body));
  out_.flush();
}

}  // namespace tessera::train
