#include "tessera/core/error.hpp"
#include "tessera/topology/group.hpp"

#include <algorithm>

namespace tessera::topology {

void Group::agree(const std::function<void()>& work) const {
  // One character says what happened, so that an empty message is still a failure.
  std::string verdict = "+";
  try {
    work();
  } catch (const core::UserError& error) {
    verdict = std::string("u") + error.what();
  } catch (const std::exception& error) {
    verdict = std::string("e") + error.what();
  }
  const std::vector<std::string> verdicts = gather(verdict);
  const auto failed = std::ranges::find_if(verdicts, [](const auto& text) { return text[0] != '+'; });
  if (failed == verdicts.end()) {
    return;
  }
  if (failed->front() == 'u') {
    throw core::AgreedUserError(failed->substr(1));
  }
  throw core::AgreedError(failed->substr(1));
}

}  // namespace tessera::topology
