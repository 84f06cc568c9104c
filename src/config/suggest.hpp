#pragma once

#include "tessera/core/suggest.hpp"

namespace tessera::config {

using core::list_of;
using core::nearest;

}  // namespace tessera::config
