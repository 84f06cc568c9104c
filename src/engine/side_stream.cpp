#include "tessera/engine/side_stream.hpp"

#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace tessera::engine {

SideStream::SideStream(c10::Device device) {
  if (!device.is_cpu()) {
    stream_ = c10::impl::VirtualGuardImpl(device.type()).getNewStream(device);
  }
}

void SideStream::Done::block_current() const {
  if (event_) {
    const c10::impl::VirtualGuardImpl impl(event_->device_type());
    event_->block(impl.getStream(event_->device()));
  }
}

core::Stream SideStream::stream() const { return stream_ ? core::Stream{stream_->native_handle()} : core::Stream{}; }

void SideStream::follow_current() {
  if (stream_) {
    c10::Event now(stream_->device_type());
    now.record(c10::impl::VirtualGuardImpl(stream_->device_type()).getStream(stream_->device()));
    now.block(*stream_);
  }
}

SideStream::Done SideStream::run(const std::function<void()>& work) {
  Done done;
  if (!stream_) {
    work();
    return done;
  }
  const c10::StreamGuard beside(*stream_);
  work();
  done.event_ = std::make_shared<c10::Event>(stream_->device_type());
  done.event_->record(*stream_);
  return done;
}

void SideStream::synchronize() const {
  if (stream_) {
    stream_->synchronize();
  }
}

}  // namespace tessera::engine
