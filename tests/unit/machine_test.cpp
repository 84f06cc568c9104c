// What hwloc tells of a machine, from the description of one with two sockets, two GPUs and two network cards.
#include "topology/machine.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <sched.h>

#include <thread>

namespace tessera::topology {
namespace {

// A socket of four cores with its memory, a GPU and an InfiniBand card on its PCI bus, as hwloc writes it.
std::string socket_xml(int socket) {
  const unsigned cores = 0xfU << (4 * socket);
  const int id = 100 * (socket + 1);
  std::string xml = fmt::format(
      R"(<object type="Package" os_index="{0}" cpuset="{1:#x}" complete_cpuset="{1:#x}" nodeset="{2:#x}" complete_nodeset="{2:#x}" gp_index="{3}">
<object type="NUMANode" os_index="{0}" cpuset="{1:#x}" complete_cpuset="{1:#x}" nodeset="{2:#x}" complete_nodeset="{2:#x}" gp_index="{4}" local_memory="1073741824"/>)",
      socket, cores, 1U << static_cast<unsigned>(socket), id, id + 1);
  for (int core = 0; core < 4; ++core) {
    xml += fmt::format(
        R"(<object type="Core" os_index="{0}" cpuset="{1:#x}" complete_cpuset="{1:#x}" nodeset="{2:#x}" complete_nodeset="{2:#x}" gp_index="{3}">
<object type="PU" os_index="{0}" cpuset="{1:#x}" complete_cpuset="{1:#x}" nodeset="{2:#x}" complete_nodeset="{2:#x}" gp_index="{4}"/></object>)",
        4 * socket + core, 1U << static_cast<unsigned>(4 * socket + core), 1U << static_cast<unsigned>(socket),
        id + 10 + 2 * core, id + 11 + 2 * core);
  }
  const int bus = socket == 0 ? 0x18 : 0x98;
  return xml +
         fmt::format(
             R"(<object type="Bridge" gp_index="{1}" bridge_type="0-1" depth="0" bridge_pci="0000:[{0:02x}-{0:02x}]">
<object type="PCIDev" gp_index="{2}" pci_busid="0000:{0:02x}:00.0" pci_type="0302 [10de:2330] [10de:16c1] a1" pci_link_speed="63.0"/>
<object type="PCIDev" gp_index="{3}" pci_busid="0000:{0:02x}:01.0" pci_type="0207 [15b3:1021] [15b3:0041] 00" pci_link_speed="63.0">
<object type="OSDev" gp_index="{4}" name="mlx5_{5}" osdev_type="3"/></object></object></object>)",
             bus, id + 50, id + 51, id + 52, id + 53, socket);
}

Machine two_sockets() {
  return Machine::from_xml(
      R"(<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE topology SYSTEM "hwloc2.dtd"><topology version="2.0">
<object type="Machine" os_index="0" cpuset="0xff" complete_cpuset="0xff" allowed_cpuset="0xff" nodeset="0x3" complete_nodeset="0x3" allowed_nodeset="0x3" gp_index="1">)" +
      socket_xml(0) + socket_xml(1) + "</object></topology>");
}

TEST(Machine, TellsCoresMemoriesAndDevices) {
  const Machine machine = two_sockets();
  EXPECT_EQ(machine.num_cores(), 8);
  EXPECT_EQ(machine.num_numa_nodes(), 2);
  EXPECT_EQ(machine.locality_of("0000:18:00.0").cores, (Cores{0, 1, 2, 3}));
  EXPECT_EQ(machine.locality_of("0000:98:00.0").cores, (Cores{4, 5, 6, 7}));
  EXPECT_EQ(machine.locality_of("0000:98:00.0").numa, 1);
  EXPECT_EQ(machine.locality_of("0000:77:00.0").numa, -1) << "a device that is not there";
  EXPECT_TRUE(machine.locality_of("0000:77:00.0").cores.empty());
  EXPECT_EQ(machine.numa_of({1, 2}), 0);
  EXPECT_EQ(machine.numa_of({3, 4}), -1);
  ASSERT_EQ(machine.network_cards().size(), 2U);
  EXPECT_EQ(machine.network_cards()[1].name, "mlx5_1");
  EXPECT_EQ(machine.network_cards()[1].numa, 1);
}

TEST(Machine, BindsOnlyWhatTheLauncherLeftOpen) {
  const Machine machine = two_sockets();
  const Cores near = machine.locality_of("0000:98:00.0").cores;
  EXPECT_EQ(cores_to_bind(machine.current_cores(), near), near);
  EXPECT_TRUE(cores_to_bind(near, near).empty()) << "bound already";
  EXPECT_TRUE(cores_to_bind({4, 5}, near).empty()) << "bound more narrowly";
  EXPECT_TRUE(cores_to_bind({0, 1, 2, 3}, near).empty()) << "bound elsewhere: a matter for a warning";
  EXPECT_TRUE(cores_to_bind({2, 3, 4, 5}, near).empty()) << "a share that the launcher chose";
  EXPECT_TRUE(cores_to_bind(machine.current_cores(), {}).empty()) << "nobody knows where the GPU is";
}

TEST(Machine, RefusesADescriptionThatIsNone) { EXPECT_ANY_THROW(Machine::from_xml("no XML")); }

// On this machine: to one core, and threads that are started later follow.
TEST(Machine, BindsThisProcess) {
  const Machine machine = Machine::here();
  const Cores before = machine.current_cores();
  ASSERT_FALSE(before.empty());
  EXPECT_GE(machine.num_cores(), static_cast<int>(before.size()));
  ASSERT_TRUE(machine.bind({before.back()}));
  EXPECT_EQ(machine.current_cores(), Cores{before.back()});
  Cores of_thread;
  std::thread([&] { of_thread = machine.current_cores(); }).join();
  EXPECT_EQ(of_thread, Cores{before.back()});
  ASSERT_TRUE(machine.bind(before));
  EXPECT_EQ(machine.current_cores(), before);
}

}  // namespace
}  // namespace tessera::topology
