#include "data/image_file.hpp"
#include "tessera/core/error.hpp"

#include <array>
#include <csetjmp>
#include <cstdio>

// jpeglib.h wants size_t and FILE declared before it.
#include <jerror.h>
#include <jpeglib.h>

namespace tessera::data {

namespace {

/// libjpeg's decompressor. libjpeg reports errors by a call that must not return: it jumps back here, past C frames and
/// functions without destructors alone.
class JpegDecoder {
 public:
  JpegDecoder() {
    info_.err = jpeg_std_error(&errors_.base);
    errors_.base.error_exit = on_error;
    errors_.base.emit_message = on_message;
    info_.client_data = &errors_;
  }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;
  ~JpegDecoder() { jpeg_destroy_decompress(&info_); }

  /// Reads the header. False: see message().
  bool start(std::span<const std::uint8_t> file) {
    // NOLINTNEXTLINE(cert-err52-cpp): the only way out of libjpeg
    if (setjmp(errors_.jump) != 0) {
      return false;
    }
    jpeg_create_decompress(&info_);
    jpeg_mem_src(&info_, file.data(), file.size());
    jpeg_read_header(&info_, TRUE);
    switch (info_.num_components) {
      case 1:
        info_.out_color_space = JCS_GRAYSCALE;
        break;
      case 4:
        info_.out_color_space = JCS_CMYK;
        break;
      default:
        info_.out_color_space = JCS_RGB;
    }
    jpeg_calc_output_dimensions(&info_);
    return true;
  }

  [[nodiscard]] std::int64_t height() const { return info_.output_height; }
  [[nodiscard]] std::int64_t width() const { return info_.output_width; }
  [[nodiscard]] std::int64_t channels() const { return info_.output_components; }

  /// Decodes into height() x width() x channels() bytes. False: see message().
  bool read(std::uint8_t* pixels) {
    // NOLINTNEXTLINE(cert-err52-cpp)
    if (setjmp(errors_.jump) != 0) {
      return false;
    }
    jpeg_start_decompress(&info_);
    while (info_.output_scanline < info_.output_height) {
      JSAMPROW row = pixels + static_cast<std::size_t>(info_.output_scanline) * info_.output_width *
                                  static_cast<std::size_t>(info_.output_components);
      jpeg_read_scanlines(&info_, &row, 1);
    }
    jpeg_finish_decompress(&info_);
    return true;
  }

  [[nodiscard]] const char* message() const { return errors_.message.data(); }

 private:
  struct Errors {
    jpeg_error_mgr base;
    std::jmp_buf jump;
    std::array<char, JMSG_LENGTH_MAX> message;
  };

  [[noreturn]] static void on_error(j_common_ptr info) {
    auto* errors = static_cast<Errors*>(info->client_data);
    errors->base.format_message(info, errors->message.data());
    // NOLINTNEXTLINE(cert-err52-cpp)
    std::longjmp(errors->jump, 1);
  }

  /// Pillow, too, passes over everything but the end of the file before the end of the picture.
  static void on_message(j_common_ptr info, int level) {
    if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) {
      on_error(info);
    }
  }

  jpeg_decompress_struct info_{};
  Errors errors_{};
};

/// a * b / 255, rounded, for bytes.
std::uint32_t multiply_bytes(std::uint32_t a, std::uint32_t b) {
  const std::uint32_t product = a * b + 128;
  return ((product >> 8U) + product) >> 8U;
}

/// CMYK to RGB in place, as Pillow does: the file holds the complements, as Adobe's do.
void cmyk_to_rgb(std::vector<std::uint8_t>& pixels) {
  std::size_t target = 0;
  for (std::size_t source = 0; source < pixels.size(); source += 4) {
    const std::uint32_t light = pixels[source + 3];
    for (std::size_t channel = 0; channel < 3; ++channel) {
      const std::uint32_t ink = 255U - pixels[source + channel];
      pixels[target++] = static_cast<std::uint8_t>(light - multiply_bytes(ink, light));
    }
  }
  pixels.resize(target);
}

}  // namespace

DecodedImage decode_jpeg(std::span<const std::uint8_t> file, const std::string& name,
                         std::vector<std::uint8_t>& pixels) {
  JpegDecoder decoder;
  core::require(decoder.start(file), "data", "{} is a corrupt JPEG file: {}; mend or remove it", name,
                decoder.message());
  const std::int64_t num_pixels = checked_num_pixels(decoder.height(), decoder.width(), name);
  pixels.resize(static_cast<std::size_t>(num_pixels * decoder.channels()));
  core::require(decoder.read(pixels.data()), "data", "{} is a corrupt JPEG file: {}; mend or remove it", name,
                decoder.message());
  if (decoder.channels() == 4) {
    cmyk_to_rgb(pixels);
  }
  return {.bytes = pixels,
          .height = static_cast<std::int32_t>(decoder.height()),
          .width = static_cast<std::int32_t>(decoder.width()),
          .channels = decoder.channels() == 1 ? 1 : 3};
}

}  // namespace tessera::data
