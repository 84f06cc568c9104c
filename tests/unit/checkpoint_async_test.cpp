// A save beside the run: the same files as a plain one, whatever happens to the state meanwhile.
#include "support/sample_state.hpp"
#include "support/scratch.hpp"
#include "tessera/checkpoint/async_saver.hpp"
#include "tessera/checkpoint/reader.hpp"
#include "tessera/checkpoint/run_directory.hpp"
#include "tessera/checkpoint/save.hpp"
#include "tessera/core/error.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace tessera::checkpoint {
namespace {

using std::chrono::milliseconds;
using test::message_of;
using test::SampleState;
using test::ScratchDirectory;
using topology::Group;

// Saves whatever state it is given as run_dir/checkpoint-NAME.
AsyncSaver::Work save_as(const std::string& run_dir, const std::string& name, const io::FileSystem& files = {}) {
  return [=](const state::StateDescription& copy, const Group& group) {
    SaveRequest request;
    request.run_dir = run_dir;
    request.name = name;
    request.state = copy;
    request.run = test::sample_run(17);
    request.group = group;
    request.created = "2026-01-31T12:00:00Z";
    request.files = files;
    save(request);
  };
}

// A gate at which a thread waits until the test lets it through.
class Gate {
 public:
  void open() { promise_.set_value(); }
  void pass() const { future_.wait(); }

 private:
  std::promise<void> promise_;
  std::shared_future<void> future_ = promise_.get_future().share();
};

TEST(AsyncSave, LeavesTheFilesOfAPlainOne) {
  for (const core::DType weight : {core::DType::kBFloat16, core::DType::kFloat32}) {
    const ScratchDirectory scratch;
    const SampleState state(0, 1, {.weight = weight});
    save_as(scratch.file("plain"), "3")(state.description(), Group::self());
    AsyncSaver saver(Group::self(), state.description(), {});
    for (int round = 0; round < 2; ++round) {  // the memory of the copy is used again
      saver.start(state.description(), save_as(scratch.file("async"), "3"));
      saver.wait();
      for (const std::string file : {"state.h5", "manifest.json"}) {
        EXPECT_TRUE(test::read_file(scratch.file("plain/checkpoint-3/" + file)) ==
                    test::read_file(scratch.file("async/checkpoint-3/" + file)))
            << file;
      }
    }
    EXPECT_EQ(saver.snapshot_bytes(), snapshot_bytes(state.description()));
  }
}

TEST(AsyncSave, IsOfTheStateThatItWasBegunWith) {
  const ScratchDirectory scratch;
  SampleState state(0, 1, {});
  AsyncSaver saver(Group::self(), state.description(), {});
  Gate gate;
  saver.start(state.description(), [&](const state::StateDescription& copy, const Group& group) {
    gate.pass();  // not a byte is written before the state has changed
    save_as(scratch.file("run"), "1")(copy, group);
  });
  saver.wait_for_snapshot();
  state.clear();
  EXPECT_TRUE(saver.is_under_way());
  EXPECT_FALSE(saver.is_done());
  gate.open();
  saver.wait();
  EXPECT_FALSE(saver.is_under_way());
  const SampleState expected(0, 1, {});
  save_as(scratch.file("expected"), "1")(expected.description(), Group::self());
  EXPECT_TRUE(test::read_file(scratch.file("run/checkpoint-1/state.h5")) ==
              test::read_file(scratch.file("expected/checkpoint-1/state.h5")));
}

TEST(AsyncSave, CopiesInItsThreadThroughWhatItIsGiven) {
  const ScratchDirectory scratch;
  const SampleState state(0, 1, {});
  const auto here = std::this_thread::get_id();
  std::size_t allocated = 0;
  std::size_t copied = 0;
  int begun = 0;
  Gate gate;
  AsyncSaver saver(Group::self(), state.description(),
                   {[&](std::size_t bytes) {
                      allocated += bytes;
                      const std::shared_ptr<std::byte[]> memory(new std::byte[bytes]);
                      return std::shared_ptr<std::byte>(memory, memory.get());
                    },
                    [&] {
                      EXPECT_EQ(std::this_thread::get_id(), here);
                      ++begun;
                    },
                    [&](void* host, const void* from, std::size_t bytes) {
                      EXPECT_NE(std::this_thread::get_id(), here);
                      gate.pass();
                      std::memcpy(host, from, bytes);
                      copied += bytes;
                    }});
  saver.start(state.description(), save_as(scratch.file("run"), "1"));
  EXPECT_EQ(begun, 1);
  auto waiting = std::async(std::launch::async, [&] { saver.wait_for_snapshot(); });
  EXPECT_EQ(waiting.wait_for(milliseconds(50)), std::future_status::timeout) << "the copy cannot be done yet";
  gate.open();
  waiting.get();
  saver.wait();
  EXPECT_EQ(allocated, static_cast<std::size_t>(snapshot_bytes(state.description())));
  EXPECT_EQ(copied, allocated);
  EXPECT_TRUE(Reader(scratch.file("run/checkpoint-1")).verify().empty());
}

TEST(AsyncSave, OneAtATime) {
  const SampleState state(0, 1, {});
  AsyncSaver saver(Group::self(), state.description(), {});
  Gate gate;
  const auto nothing = [](const state::StateDescription& /*copy*/, const Group& /*group*/) {};
  saver.start(state.description(),
              [&](const state::StateDescription& /*copy*/, const Group& /*group*/) { gate.pass(); });
  EXPECT_NE(message_of<core::Error>([&] { saver.start(state.description(), nothing); }).find("another is under way"),
            std::string::npos);
  gate.open();
  saver.wait();
  saver.start(state.description(), nothing);
  saver.wait();
  saver.wait();  // for nothing
  const SampleState smaller(0, 1, {.only_weights = true});
  EXPECT_NE(message_of<core::Error>([&] { saver.start(smaller.description(), nothing); }).find("memory for its copy"),
            std::string::npos);
}

TEST(AsyncSave, ErrorsOfTheThreadReachWhoWaits) {
  const ScratchDirectory scratch;
  const SampleState state(0, 1, {});
  AsyncSaver saver(Group::self(), state.description(), {});
  const io::FileSystem failing([](std::string_view step, const std::string& /*path*/) {
    if (step == "sync") {
      throw std::runtime_error("the disk is full");
    }
  });
  saver.start(state.description(), save_as(scratch.file("run"), "1", failing));
  EXPECT_EQ(message_of<core::AgreedError>([&] { saver.wait(); }), "the disk is full");
  EXPECT_FALSE(find_latest(scratch.file("run")).has_value());
  saver.start(state.description(), save_as(scratch.file("run"), "2"));  // the next one is not touched by it
  saver.wait();
  EXPECT_EQ(find_latest(scratch.file("run")), scratch.file("run/checkpoint-2"));
}

TEST(AsyncSave, ACopyThatFailsLeavesNothingAndNobodyWaiting) {
  const SampleState state(0, 1, {});
  AsyncSaver saver(Group::self(), state.description(),
                   {{}, {}, [](void*, const void*, std::size_t) { throw std::runtime_error("the bus is down"); }});
  std::atomic<bool> worked = false;
  saver.start(state.description(),
              [&](const state::StateDescription& /*copy*/, const Group& /*group*/) { worked = true; });
  saver.wait_for_snapshot();
  EXPECT_EQ(message_of<core::AgreedError>([&] { saver.wait(); }), "the bus is down");
  EXPECT_FALSE(worked);
}

TEST(AsyncSave, TooLittleMemoryIsSaidBeforeTheFirst) {
  const SampleState state(0, 1, {});
  const auto message = message_of<core::AgreedUserError>([&] {
    const AsyncSaver saver(Group::self(), state.description(),
                           {[](std::size_t) -> std::shared_ptr<std::byte> { throw std::bad_alloc(); }, {}, {}});
  });
  EXPECT_NE(message.find("--async_save false"), std::string::npos) << message;
}

TEST(AsyncSave, TheDestructorWaitsForWhatIsUnderWay) {
  const ScratchDirectory scratch;
  const SampleState state(0, 1, {});
  {
    AsyncSaver saver(Group::self(), state.description(), {});
    saver.start(state.description(), [&](const state::StateDescription& copy, const Group& group) {
      std::this_thread::sleep_for(milliseconds(100));
      save_as(scratch.file("run"), "1")(copy, group);
    });
  }
  EXPECT_TRUE(Reader(scratch.file("run/checkpoint-1")).verify().empty());
}

TEST(AsyncSave, WhatIsAbandonedGoesOnAlone) {
  const ScratchDirectory scratch;
  Gate gate;
  std::promise<void> ended;
  {
    SampleState state(0, 1, {});
    AsyncSaver saver(Group::self(), state.description(), {});
    saver.start(state.description(), [&](const state::StateDescription& copy, const Group& group) {
      gate.pass();
      save_as(scratch.file("run"), "1")(copy, group);
      ended.set_value();
    });
    saver.abandon(milliseconds(10));
    EXPECT_FALSE(saver.is_under_way());
    state.clear();
  }  // neither the saver nor the state is needed any more
  gate.open();
  ended.get_future().wait();
  EXPECT_TRUE(Reader(scratch.file("run/checkpoint-1")).verify().empty());
}

}  // namespace
}  // namespace tessera::checkpoint
