#pragma once

#include "tessera/topology/placement.hpp"

#include <string>
#include <string_view>

namespace tessera::topology {

/// Fields and lists of them as text, for ranks to tell each other. The inverses throw Error where the text is no such.
std::string encode(const GpuChoice& choice);
std::string encode(const Place& place);
std::string encode(const NodeFacts& facts);
GpuChoice decode_choice(std::string_view text);
Place decode_place(std::string_view text);
NodeFacts decode_facts(std::string_view text);

}  // namespace tessera::topology
