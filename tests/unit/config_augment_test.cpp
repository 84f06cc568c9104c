// Flags of augmentation: --aa's grammar, and flags that have no effect beside each other.
#include "unit/config_support.hpp"

#include <cmath>

namespace tessera::config {
namespace {

using Policy = AutoAugment::Policy;
using Ops = AutoAugment::Ops;

AutoAugment policy_of(const std::string& text) { return parse({"config", "--aa", text}).run.augment.auto_augment; }

std::string complaint_about(const std::string& text) { return complaint({"config", "--aa", text}); }

TEST(AutoAugmentFlag, IsReadAsTimmReadsIt) {
  AutoAugment read = policy_of("rand-m9-mstd0.5-inc1");
  EXPECT_EQ(read.policy, Policy::kRandAugment);
  EXPECT_EQ(read.magnitude, 9);
  EXPECT_EQ(read.magnitude_std, 0.5);
  EXPECT_TRUE(read.increasing);
  EXPECT_EQ(read.num_layers, 2);
  EXPECT_EQ(read.probability, 0.5);
  EXPECT_EQ(read.magnitude_max, 10);
  EXPECT_EQ(read.ops, Ops::kAll);

  read = policy_of("rand-n3-p0.7-m17-mmax20-w0-inc0");
  EXPECT_EQ(read.magnitude, 17);
  EXPECT_EQ(read.magnitude_std, 0);
  EXPECT_EQ(read.num_layers, 3);
  EXPECT_EQ(read.probability, 0.7);
  EXPECT_EQ(read.magnitude_max, 20);
  EXPECT_EQ(read.ops, Ops::kWeighted);
  EXPECT_FALSE(read.increasing);

  EXPECT_EQ(policy_of("rand").magnitude, 10);
  EXPECT_TRUE(std::isinf(policy_of("rand-mstd101").magnitude_std));
  EXPECT_EQ(policy_of("rand-tweights").ops, Ops::kWeighted);
  EXPECT_EQ(policy_of("rand-t3a").ops, Ops::kThree);
  EXPECT_EQ(policy_of("rand-t3aw").ops, Ops::kThreeWeighted);
  EXPECT_TRUE(policy_of("rand-t3aw").increasing);

  EXPECT_EQ(policy_of("original").policy, Policy::kOriginal);
  EXPECT_EQ(policy_of("originalr").policy, Policy::kOriginalR);
  EXPECT_EQ(policy_of("v0").policy, Policy::kV0);
  EXPECT_EQ(policy_of("v0r-mstd0.5").policy, Policy::kV0R);
  EXPECT_EQ(policy_of("v0r-mstd0.5").magnitude_std, 0.5);
  EXPECT_EQ(policy_of("3a").policy, Policy::kThree);
  EXPECT_EQ(policy_of("").policy, Policy::kNone);
  EXPECT_EQ(policy_of("none").policy, Policy::kNone);
}

TEST(AutoAugmentFlag, SaysWhatIsWrongWithIt) {
  EXPECT_EQ(complaint_about("imagenet"),
            "[config] --aa imagenet: there is no policy 'imagenet'; there are original, originalr, v0, v0r, 3a, and "
            "rand-... for RandAugment");
  EXPECT_CONTAINS(complaint_about("rand-m9-q3"), "--aa rand-m9-q3: 'q' is unknown; there are m, n, p, mstd");
  EXPECT_CONTAINS(complaint_about("rand-m9.5"), "'m' must be followed by a whole number up to 1000, not '9.5'");
  EXPECT_CONTAINS(complaint_about("rand-m9x"), "'m' must be followed by a number, not '9x'");
  EXPECT_CONTAINS(complaint_about("rand-m9-inc"), "'inc' has no value");
  EXPECT_CONTAINS(complaint_about("rand-m9-m8"), "'m' stands twice");
  EXPECT_CONTAINS(complaint_about("rand-w1"), "there is one set of weights, w0, not w1");
  EXPECT_CONTAINS(complaint_about("rand-tall"), "there are tweights, t3a and t3aw, not tall");
  EXPECT_CONTAINS(complaint_about("rand-n0"), "n must be from 1 to 1000");
  EXPECT_CONTAINS(complaint_about("rand-n16-w0"), "n must be from 1 to 15");
  EXPECT_CONTAINS(complaint_about("rand-p1.5"), "p must be above 0 and at most 1, not 1.5");
  EXPECT_CONTAINS(complaint_about("rand-m15"), "m15 would be cut off at 10");
  EXPECT_CONTAINS(complaint_about("rand-t3a-inc1"), "inc has no effect beside t");
  EXPECT_CONTAINS(complaint_about("rand-t3a-w0"), "w0 and t contradict each other");
  EXPECT_CONTAINS(complaint_about("rand-"), "'' has no value");
  EXPECT_CONTAINS(complaint_about("v0-m9"), "'m' is no part of a policy; there is mstd alone");
  EXPECT_CONTAINS(complaint_about("augmix-m3-w3"), "there is no policy 'augmix'");
}

TEST(AugmentFlags, WithoutEffectAreRefused) {
  EXPECT_CONTAINS(complaint({"config", "--aa", "original", "--color_jitter", "0.4"}),
                  "--color_jitter has no effect beside --aa, as in timm, except with 3a: leave it out");
  EXPECT_EQ(complaint({"config", "--aa", "3a", "--color_jitter", "0.4"}), "");
  EXPECT_EQ(complaint({"config", "--aa", "rand-m9-t3a", "--color_jitter", "0.4"}), "");
  EXPECT_CONTAINS(complaint({"config", "--remode", "const"}), "--remode has no effect without --reprob");
  EXPECT_CONTAINS(complaint({"config", "--recount", "2"}), "--recount has no effect without --reprob");
  EXPECT_CONTAINS(complaint({"config", "--mixup_prob", "0.5"}),
                  "--mixup_prob has no effect without --mixup, --cutmix or --cutmix_minmax: leave it out");
  EXPECT_CONTAINS(complaint({"config", "--mixup_mode", "pair"}), "--mixup_mode has no effect without");
  EXPECT_CONTAINS(complaint({"config", "--mixup", "1", "--mixup_switch_prob", "0.2"}),
                  "--mixup_switch_prob has no effect unless both --mixup and --cutmix are on");
  EXPECT_EQ(complaint({"config", "--mixup", "1", "--cutmix_minmax", "0.2", "0.8", "--mixup_switch_prob", "0.2"}), "");
  EXPECT_CONTAINS(complaint({"config", "--cutmix", "1", "--cutmix_minmax", "0.2", "0.8"}),
                  "--cutmix has no effect beside --cutmix_minmax");
  EXPECT_CONTAINS(complaint({"config", "--resplit"}), "this program does not split batches");
}

TEST(AugmentFlags, HaveTheirRanges) {
  EXPECT_CONTAINS(complaint({"config", "--reprob", "1.5"}), "--reprob must be from 0 to 1, not 1.5");
  EXPECT_CONTAINS(complaint({"config", "--hflip", "-0.1"}), "--hflip must be from 0 to 1");
  EXPECT_CONTAINS(complaint({"config", "--random_label_ratio", "2"}), "--random_label_ratio must be from 0 to 1");
  EXPECT_CONTAINS(complaint({"config", "--mixup", "-1"}), "--mixup must be 0 or above");
  EXPECT_CONTAINS(complaint({"config", "--recount", "0", "--reprob", "1"}), "--recount must be above 0");
  EXPECT_CONTAINS(complaint({"config", "--mixup_mode", "half", "--mixup", "1"}),
                  "--mixup_mode must be batch, pair or elem, not 'half'");
  EXPECT_CONTAINS(complaint({"config", "--cutmix_minmax", "0.2"}),
                  "--cutmix_minmax must be two numbers from 0 to 1, the smaller one first, not '0.2'");
  EXPECT_CONTAINS(complaint({"config", "--cutmix_minmax", "0.8", "0.2"}), "the smaller one first");
  EXPECT_CONTAINS(complaint({"config", "--cutmix_minmax", "0.2", "0.8", "1"}), "must be two numbers");
  EXPECT_CONTAINS(complaint({"config", "--cutmix_minmax"}), "--cutmix_minmax needs a value");
  EXPECT_CONTAINS(complaint({"config", "--input_size", "32", "--cutmix_minmax", "0.5", "0.51"}),
                  "--cutmix_minmax 0.5 0.51 leaves no side to draw for images of 32 pixels");
}

TEST(AugmentFlags, ImagesAreMixedInPairs) {
  const std::string odd = complaint({"config", "--batch_size", "5", "--mixup", "0.8"});
  EXPECT_CONTAINS(odd, "images are mixed in pairs within a rank's micro-batch, but --batch_size is 5: make it even");
  EXPECT_EQ(complaint({"config", "--batch_size", "6", "--mixup", "0.8"}), "");
  // A batch size that the number of ranks decides is looked at when that is known.
  RunConfig config = parse({"config", "--mixup", "0.8"}).run;
  config.data.train_batch_size = 12;
  config.data.derive_batch_size = true;
  RunConfig fits = config;
  EXPECT_NO_THROW(validate_world(fits, 2));
  EXPECT_THROW(validate_world(config, 4), core::UserError);
}

}  // namespace
}  // namespace tessera::config
