// Images per second of one data set: the loader as training uses it, and the transform alone on one thread or stream.
//   loader_bench cifar10|cifar100|fashion-mnist|imagefolder PATH [cpu|cuda] [input size] [batch] [workers] [batches]
//     [--aa's policy, or none] [erase and mix: yes or no]

#include "tessera/config/run_config.hpp"
#include "tessera/core/error.hpp"
#include "tessera/data/loader.hpp"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/core.h>

#include <chrono>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

namespace tessera::data {
namespace {

struct Settings {
  DatasetSpec dataset;
  LoaderSpec loader;
  std::int64_t num_batches = 100;
};

Settings parse(const std::vector<std::string>& words) {
  core::require<core::UserError>(words.size() >= 3, "loader_bench", "which data set, and where? See the source's head");
  const auto number = [&](std::size_t index, std::int64_t otherwise) {
    return words.size() > index ? std::stoll(words[index]) : otherwise;
  };
  Settings settings;
  settings.dataset = {.kind = config::dataset_from_name(words[1]), .path = words[2]};
  if (words.size() > 3 && words[3] == "cuda") {
    settings.loader.device = c10::Device(c10::kCUDA, 0);
    settings.loader.dtype = c10::kBFloat16;
  }
  settings.loader.input_size = number(4, 224);
  settings.loader.batch_size = number(5, 64);
  settings.loader.num_workers = number(6, 4);
  settings.num_batches = number(7, 100);
  config::AugmentConfig& augment = settings.loader.augment;
  augment.auto_augment = config::parse_auto_augment(words.size() > 8 ? words[8] : "");
  if (words.size() > 9 && words[9] == "yes") {
    augment.reprob = 0.25;
    augment.mixup = 0.8;
    augment.cutmix = 1;
  }
  return settings;
}

/// Until the device has done what it was asked.
void synchronize(const c10::Device& device) {
  const c10::impl::VirtualGuardImpl guard(device.type());
  guard.getStream(device).synchronize();
}

/// By the clock, and of all the process's threads.
struct Elapsed {
  double seconds;
  double cpu_seconds;
};

/// Of `rounds` calls of `work`, the first ones not counted.
template <class Work>
Elapsed measure(std::int64_t rounds, const c10::Device& device, const Work& work) {
  for (std::int64_t i = 0; i < rounds / 10 + 1; ++i) {
    work();
  }
  synchronize(device);
  const auto start = std::chrono::steady_clock::now();
  const std::clock_t cpu_start = std::clock();
  for (std::int64_t i = 0; i < rounds; ++i) {
    work();
  }
  synchronize(device);
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
          static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC};
}

void report(const char* what, const Settings& settings, const Elapsed& elapsed) {
  const double num_images = static_cast<double>(settings.num_batches * settings.loader.batch_size);
  fmt::print("{:<10} {:>10.0f} images/s   {:>9.1f} us/batch   {:>10.0f} images per second of a core\n", what,
             num_images / elapsed.seconds, elapsed.seconds / static_cast<double>(settings.num_batches) * 1e6,
             num_images / elapsed.cpu_seconds);
}

/// The transform of the first batch of whole images, over and over.
void time_transform(const Settings& settings, const Dataset& dataset, const kernels::Ops& ops) {
  const LoaderSpec& spec = settings.loader;
  const auto size = static_cast<std::int32_t>(spec.input_size);
  std::vector<std::uint8_t> bytes;
  std::vector<kernels::ImageView> views;
  std::vector<std::uint8_t> scratch;
  for (std::int64_t i = 0; i < spec.batch_size; ++i) {
    const DecodedImage image = dataset.decode(i % dataset.size(), scratch);
    views.push_back({.offset = static_cast<std::int64_t>(bytes.size()),
                     .height = image.height,
                     .width = image.width,
                     .channels = image.channels,
                     .planar = image.planar ? 1 : 0,
                     .crop_height = image.height,
                     .crop_width = image.width,
                     .resized_height = size,
                     .resized_width = size});
    bytes.insert(bytes.end(), image.bytes.begin(), image.bytes.end());
  }
  const auto to_device = [&](const void* data, std::size_t count) {
    at::Tensor tensor = at::empty({static_cast<std::int64_t>(count)}, at::kByte);
    std::memcpy(tensor.mutable_data_ptr(), data, count);
    return tensor.to(spec.device);
  };
  const at::Tensor packed = to_device(bytes.data(), bytes.size());
  const at::Tensor views_tensor = to_device(views.data(), views.size() * sizeof(kernels::ImageView));
  const kernels::ImageTransform transform{
      .output_size = spec.input_size, .mean = dataset.recipe().mean, .std = dataset.recipe().std};
  at::Tensor out_B3SS = at::empty({spec.batch_size, 3, spec.input_size, spec.input_size},
                                  at::TensorOptions().dtype(spec.dtype).device(spec.device));
  report("transform", settings, measure(settings.num_batches, spec.device, [&] {
           ops.transform_images(packed, views_tensor, transform, out_B3SS);
         }));
}

void run(const Settings& settings) {
  const auto dataset = open_dataset(settings.dataset);
  const kernels::Ops& ops = kernels::ops_for(settings.loader.device.type());
  time_transform(settings, *dataset, ops);
  Loader loader = make_training_loader(*dataset, ops, settings.loader, {});
  report("loader", settings, measure(settings.num_batches, settings.loader.device, [&] { loader.next(); }));
}

}  // namespace
}  // namespace tessera::data

int main(int argc, char** argv) {
  try {
    tessera::data::run(tessera::data::parse({argv, argv + argc}));
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 2;
  }
}
