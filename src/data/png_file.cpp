#include "data/image_file.hpp"
#include "tessera/core/error.hpp"

#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>

namespace tessera::data {

namespace {

/// libpng's reader. It, too, reports errors by a call that must not return.
class PngDecoder {
 public:
  explicit PngDecoder(std::span<const std::uint8_t> file)
      : png_(png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, [](png_structp, png_const_charp) {})),
        info_(png_ == nullptr ? nullptr : png_create_info_struct(png_)),
        left_(file) {
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      core::fail("data", "libpng of another version than its header's ({}), or out of memory", PNG_LIBPNG_VER_STRING);
    }
    png_set_read_fn(png_, this, on_read);
  }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;
  ~PngDecoder() { png_destroy_read_struct(&png_, &info_, nullptr); }

  /// Reads the header and settles the conversions. False: see message().
  bool start() {
    // NOLINTNEXTLINE(cert-err52-cpp): the only way out of libpng
    if (setjmp(jump_) != 0) {
      return false;
    }
    png_read_info(png_, info_);
    const int color = png_get_color_type(png_, info_);
    const int depth = png_get_bit_depth(png_, info_);
    if (color == PNG_COLOR_TYPE_PALETTE) {
      png_set_palette_to_rgb(png_);
    } else if (color == PNG_COLOR_TYPE_GRAY && depth < 8) {
      png_set_expand_gray_1_2_4_to_8(png_);
    } else if (depth == 16 && color != PNG_COLOR_TYPE_GRAY) {
      png_set_strip_16(png_);
    }
    png_set_strip_alpha(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }

  [[nodiscard]] std::int64_t height() const { return png_get_image_height(png_, info_); }
  [[nodiscard]] std::int64_t width() const { return png_get_image_width(png_, info_); }
  [[nodiscard]] std::int32_t channels() const { return png_get_channels(png_, info_); }
  [[nodiscard]] std::int32_t sample_bytes() const { return png_get_bit_depth(png_, info_) / 8; }

  /// Decodes into height() x width() x channels() samples. False: see message().
  bool read(std::uint8_t* pixels) {
    rows_.resize(static_cast<std::size_t>(height()));
    for (std::uint8_t*& row : rows_) {
      row = pixels;
      pixels += png_get_rowbytes(png_, info_);
    }
    return read_rows();
  }

  [[nodiscard]] const char* message() const { return message_; }

 private:
  bool read_rows() {
    // NOLINTNEXTLINE(cert-err52-cpp)
    if (setjmp(jump_) != 0) {
      return false;
    }
    png_read_image(png_, rows_.data());
    png_read_end(png_, nullptr);  // checks what comes after the last row: the pixels' checksums among it
    return true;
  }

  [[noreturn]] static void on_error(png_structp png, png_const_charp message) {
    auto* self = static_cast<PngDecoder*>(png_get_error_ptr(png));
    std::strncpy(self->message_, message, sizeof self->message_ - 1);
    // NOLINTNEXTLINE(cert-err52-cpp)
    std::longjmp(self->jump_, 1);
  }

  static void on_read(png_structp png, png_bytep target, png_size_t count) {
    auto* self = static_cast<PngDecoder*>(png_get_io_ptr(png));
    if (count > self->left_.size()) {
      png_error(png, "the file ends before the picture");
    }
    std::copy_n(self->left_.begin(), count, target);
    self->left_ = self->left_.subspan(count);
  }

  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::span<const std::uint8_t> left_;
  std::vector<std::uint8_t*> rows_;
  std::jmp_buf jump_{};
  char message_[128] = {};
};

/// 16-bit grey as Pillow converts it: values above 255 become 255.
void cut_off_16_bits(std::vector<std::uint8_t>& pixels) {
  for (std::size_t i = 0; i < pixels.size() / 2; ++i) {
    pixels[i] = pixels[2 * i] != 0 ? 255 : pixels[2 * i + 1];
  }
  pixels.resize(pixels.size() / 2);
}

}  // namespace

DecodedImage decode_png(std::span<const std::uint8_t> file, const std::string& name,
                        std::vector<std::uint8_t>& pixels) {
  PngDecoder decoder(file);
  core::require(decoder.start(), "data", "{} is a corrupt PNG file: {}; mend or remove it", name, decoder.message());
  const std::int64_t num_pixels = checked_num_pixels(decoder.height(), decoder.width(), name);
  pixels.resize(static_cast<std::size_t>(num_pixels * decoder.channels() * decoder.sample_bytes()));
  core::require(decoder.read(pixels.data()), "data", "{} is a corrupt PNG file: {}; mend or remove it", name,
                decoder.message());
  if (decoder.sample_bytes() == 2) {
    cut_off_16_bits(pixels);
  }
  return {.bytes = pixels,
          .height = static_cast<std::int32_t>(decoder.height()),
          .width = static_cast<std::int32_t>(decoder.width()),
          .channels = decoder.channels()};
}

}  // namespace tessera::data
