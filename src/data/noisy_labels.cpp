#include "data/random.hpp"
#include "tessera/data/dataset.hpp"

#include <utility>

namespace tessera::data {

namespace {

class NoisyLabels final : public Dataset {
 public:
  NoisyLabels(std::unique_ptr<Dataset> dataset, double share, std::uint64_t seed)
      : dataset_(std::move(dataset)), share_(share), stream_(seed, "data.labels") {}

  [[nodiscard]] std::int64_t size() const override { return dataset_->size(); }
  [[nodiscard]] const std::vector<std::string>& class_names() const override { return dataset_->class_names(); }
  [[nodiscard]] const Recipe& recipe() const override { return dataset_->recipe(); }
  [[nodiscard]] DecodedImage decode(std::int64_t index, std::vector<std::uint8_t>& scratch) const override {
    return dataset_->decode(index, scratch);
  }
  [[nodiscard]] std::string name(std::int64_t index) const override { return dataset_->name(index); }

  [[nodiscard]] std::int64_t label(std::int64_t index) const override {
    RandomSequence sequence(stream_, static_cast<std::uint64_t>(index), 0);
    return sequence.happens(share_) ? sequence.below(num_classes()) : dataset_->label(index);
  }

 private:
  std::unique_ptr<Dataset> dataset_;
  double share_;
  RandomStream stream_;
};

}  // namespace

std::unique_ptr<Dataset> with_random_labels(std::unique_ptr<Dataset> dataset, double share, std::uint64_t seed) {
  return std::make_unique<NoisyLabels>(std::move(dataset), share, seed);
}

}  // namespace tessera::data
