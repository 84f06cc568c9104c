#include "tessera/topology/shared_files.hpp"

#include "tessera/core/error.hpp"
#include "tessera/core/handle.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

namespace tessera::topology {
namespace {

void close_descriptor(int descriptor) noexcept { ::close(descriptor); }
using Socket = core::Handle<int, close_descriptor, -1>;

constexpr std::size_t kAtOnce = 64;  // descriptors in a message; Linux takes 253

// A name that the system makes up, in no file system: "\0" and five digits.
std::string name_of(int socket) {
  sockaddr_un address{};
  socklen_t length = sizeof(address);
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return "";
  }
  return {address.sun_path, length - offsetof(sockaddr_un, sun_path)};
}

// Listens under such a name; no socket where the system gives none.
Socket listen_somewhere(int most) {
  Socket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un nameless{AF_UNIX, {}};
  const auto* const address = reinterpret_cast<const sockaddr*>(&nameless);
  if (!socket || ::bind(socket.get(), address, sizeof(sa_family_t)) != 0 || ::listen(socket.get(), most) != 0) {
    return {};
  }
  return socket;
}

Socket connect_to(const std::string& name) {
  sockaddr_un address{AF_UNIX, {}};
  if (name.empty() || name.size() > sizeof(address.sun_path)) {
    return {};
  }
  std::memcpy(address.sun_path, name.data(), name.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  Socket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    return {};
  }
  return socket;
}

// Whether the process at the other end is of this user: anybody on the machine may connect.
bool is_ours(int socket) {
  ucred peer{};
  socklen_t length = sizeof(peer);
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.uid == ::getuid();
}

// One byte, with descriptors beside it.
struct Message {
  explicit Message(std::size_t count) {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(count * sizeof(int));
  }

  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kAtOnce * sizeof(int))> control{};
  msghdr header{};
};

void send(int socket, const std::vector<int>& descriptors) {
  for (std::size_t first = 0; first < descriptors.size(); first += kAtOnce) {
    const std::size_t count = std::min(kAtOnce, descriptors.size() - first);
    Message message(count);
    cmsghdr* const rights = CMSG_FIRSTHDR(&message.header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(count * sizeof(int));
    std::memcpy(CMSG_DATA(rights), descriptors.data() + first, count * sizeof(int));
    core::require(::sendmsg(socket, &message.header, MSG_NOSIGNAL) == 1, "topology",
                  "open files cannot be passed to another rank of this node");
  }
}

std::vector<int> receive(int socket, std::size_t total) {
  std::vector<int> descriptors;
  while (descriptors.size() < total) {
    Message message(kAtOnce);
    const ssize_t got = ::recvmsg(socket, &message.header, MSG_CMSG_CLOEXEC);
    const cmsghdr* const rights = got == 1 ? CMSG_FIRSTHDR(&message.header) : nullptr;
    core::require(rights != nullptr && rights->cmsg_type == SCM_RIGHTS, "topology",
                  "the open files of this node's first rank did not arrive");
    const std::size_t count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    const std::size_t before = descriptors.size();
    descriptors.resize(before + count);
    std::memcpy(descriptors.data() + before, CMSG_DATA(rights), count * sizeof(int));
  }
  return descriptors;
}

// A connection of another rank; those of strangers are dropped.
Socket accept_rank(int listener) {
  for (;;) {
    Socket socket(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    core::require(static_cast<bool>(socket), "topology", "a rank of this node cannot be given the open files");
    if (is_ours(socket.get())) {
      return socket;
    }
  }
}

bool all_connected(const Group& node, bool connected) {
  double worst = connected ? 1 : 0;
  node.min(std::span(&worst, 1));
  return worst > 0;
}

// The descriptors of the node's first rank; empty on every other where some rank cannot be passed them.
std::vector<int> share_descriptors(const Group& node, const std::vector<int>& descriptors) {
  if (node.size() == 1) {
    return descriptors;
  }
  const bool is_first = node.rank() == 0;
  const Socket listener = is_first ? listen_somewhere(node.size()) : Socket();
  const std::string name = node.broadcast(listener ? name_of(listener.get()) : "", 0);
  auto count = static_cast<std::int64_t>(descriptors.size());
  node.broadcast(std::as_writable_bytes(std::span(&count, 1)), 0);
  const Socket connection = is_first ? Socket() : connect_to(name);
  if (!all_connected(node, is_first ? static_cast<bool>(listener) : static_cast<bool>(connection))) {
    return is_first ? descriptors : std::vector<int>{};
  }
  if (!is_first) {
    return receive(connection.get(), static_cast<std::size_t>(count));
  }
  for (int rank = 1; rank < node.size(); ++rank) {
    send(accept_rank(listener.get()).get(), descriptors);
  }
  return descriptors;
}

}  // namespace

OpenFiles open_once_a_node(const Group& world, const Group& node, const std::function<OpenFiles()>& open) {
  OpenFiles files;
  world.agree([&] {
    if (node.rank() == 0) {
      files = open();
    }
  });
  files.text = node.broadcast(std::move(files.text), 0);
  files.descriptors = share_descriptors(node, files.descriptors);
  return files;
}

}  // namespace tessera::topology
