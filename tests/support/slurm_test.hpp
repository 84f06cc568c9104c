#pragma once

#include "support/slurm_cluster.hpp"
#include "support/small_run.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace tessera::test {

/// Tests that share one Slurm cluster, and are skipped where there can be none.
class SlurmTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    missing() = SlurmCluster::missing();
    shared() = missing().empty() ? std::make_unique<SlurmCluster>() : nullptr;
  }
  static void TearDownTestSuite() { shared().reset(); }

  void SetUp() override {
    if (!missing().empty()) {
      GTEST_SKIP() << missing();
    }
    write_small_dataset(file("data"), 160, 40);
  }

  static const SlurmCluster& cluster() { return *shared(); }
  [[nodiscard]] std::string file(const std::string& name) const { return scratch_.file(name); }

  /// Flags of a fine-tuning that takes a second. `own`: those in which it differs from others.
  [[nodiscard]] std::string flags(const std::string& own = "--blr 0.02 --epochs 1") const {
    return "--device cpu --dataset fashion-mnist --data_path " + file("data") + " --model_config " +
           file("data/model.json") + " --input_size 28 --patch_size 7 --num_workers 1 --batch_size 10 " +
           "--warmup_epochs 0.5 " + own;
  }

  /// By the state and the exit code that Slurm keeps, and by its accounting.
  static void expect_completed(const std::string& id) {
    SlurmJob job = cluster().ended(id);
    EXPECT_EQ(job["JobState"], "COMPLETED") << cluster().log(job["JobId"]);
    EXPECT_EQ(job["ExitCode"], "0:0") << cluster().log(job["JobId"]);
    EXPECT_NE(
        cluster().run("sacct --completion --parsable2 --noheader --jobs=" + job["JobId"]).output.find("COMPLETED"),
        std::string::npos)
        << "accounting has job " << job["JobId"];
  }

 private:
  static std::unique_ptr<SlurmCluster>& shared() {
    static std::unique_ptr<SlurmCluster> cluster;
    return cluster;
  }
  static std::string& missing() {
    static std::string why;
    return why;
  }

  ScratchDirectory scratch_;
};

}  // namespace tessera::test
