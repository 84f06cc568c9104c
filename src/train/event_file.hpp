#pragma once

#include <cstdint>
#include <fstream>
#include <initializer_list>
#include <string>
#include <string_view>

namespace tessera::train {

struct Scalar {
  std::string_view tag;
  double value = 0;
};

/// A file of TensorBoard events, DIRECTORY/events.out.tfevents.SECONDS.HOST.PROCESS: TFRecords of Event messages.
/// https://github.com/tensorflow/tensorboard/blob/master/tensorboard/compat/proto/event.proto
class EventFile {
 public:
  /// Writes nothing.
  EventFile() = default;
  /// Makes the directory where it is missing. TensorBoard forgets what other files in it say of `first_step` and later.
  /// Throws UserError where the file cannot be written.
  EventFile(const std::string& directory, std::int64_t first_step);

  void add(std::int64_t step, std::initializer_list<Scalar> scalars);

 private:
  void write_event(std::int64_t step, std::string_view body);

  std::ofstream out_;
};

/// One record: its length, the length's masked CRC-32C, the data, the data's masked CRC-32C.
/// https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/lib/io/record_writer.h
std::string to_record(std::string_view data);

}  // namespace tessera::train
