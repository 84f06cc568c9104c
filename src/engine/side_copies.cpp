#include "engine/side_copies.hpp"

#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace tessera::engine {
namespace {

c10::Stream current_stream_of(const c10::Stream& side) {
  return c10::impl::VirtualGuardImpl(side.device_type()).getStream(side.device());
}

}  // namespace

SideCopies::SideCopies(c10::Device device) {
  if (!device.is_cpu()) {
    stream_ = c10::impl::VirtualGuardImpl(device.type()).getNewStream(device);
  }
}

void SideCopies::Done::wait() const {
  if (event_) {
    event_->synchronize();
  }
}

void SideCopies::Done::block_current() const {
  if (event_) {
    const c10::impl::VirtualGuardImpl impl(event_->device_type());
    event_->block(impl.getStream(event_->device()));
  }
}

core::Stream SideCopies::stream() const { return stream_ ? core::Stream{stream_->native_handle()} : core::Stream{}; }

void SideCopies::follow_current() {
  if (stream_) {
    c10::Event now(stream_->device_type());
    now.record(current_stream_of(*stream_));
    now.block(*stream_);
  }
}

SideCopies::Done SideCopies::copy(const at::Tensor& destination, const at::Tensor& source) {
  Done done;
  if (!stream_) {
    destination.copy_(source);
    return done;
  }
  const c10::StreamGuard beside(*stream_);
  destination.copy_(source, /*non_blocking=*/true);
  done.event_ = std::make_shared<c10::Event>(stream_->device_type());
  done.event_->record(*stream_);
  return done;
}

}  // namespace tessera::engine
