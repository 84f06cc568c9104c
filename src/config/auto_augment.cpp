#include "tessera/config/augment_config.hpp"

#include "tessera/core/error.hpp"
#include "tessera/core/parse_number.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

// The grammar is timm's (data/auto_augment.py): sections between dashes, the first one a name, the others letters and
// then a number. What timm passes over in silence is an error here.

namespace tessera::config {
namespace {

using Policy = AutoAugment::Policy;
using Ops = AutoAugment::Ops;

struct NamedPolicy {
  std::string_view name;
  Policy policy;
};
constexpr NamedPolicy kPolicies[] = {{"rand", Policy::kRandAugment},
                                     {"original", Policy::kOriginal},
                                     {"originalr", Policy::kOriginalR},
                                     {"v0", Policy::kV0},
                                     {"v0r", Policy::kV0R},
                                     {"3a", Policy::kThree}};

struct Section {
  std::string_view key;
  std::string_view value;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  AutoAugment parse() {
    std::vector<std::string_view> words = split();
    result_.policy = policy_of(words.front());
    words.erase(words.begin());
    for (const std::string_view word : words) {
      const bool names_ops = word.starts_with('t');
      const std::size_t digit = names_ops ? 1 : std::min(word.find_first_of("0123456789"), word.size());
      const Section section{word.substr(0, digit), word.substr(digit)};
      require(!section.value.empty(), "'{}' has no value", word);
      require(std::ranges::find(seen_, section.key) == seen_.end(), "'{}' stands twice", section.key);
      seen_.push_back(section.key);
      read(section);
    }
    check();
    return result_;
  }

 private:
  template <class... Args>
  void require(bool condition, fmt::format_string<Args...> text, Args&&... args) const {
    if (!condition) {
      core::fail<core::UserError>("config", "{}: {}", text_, fmt::format(text, std::forward<Args>(args)...));
    }
  }

  [[nodiscard]] std::vector<std::string_view> split() const {
    std::vector<std::string_view> words;
    std::string_view rest = text_;
    for (std::size_t dash = rest.find('-'); dash != std::string_view::npos; dash = rest.find('-')) {
      words.push_back(rest.substr(0, dash));
      rest.remove_prefix(dash + 1);
    }
    words.push_back(rest);
    return words;
  }

  [[nodiscard]] Policy policy_of(std::string_view name) const {
    const auto* const found = std::ranges::find(kPolicies, name, &NamedPolicy::name);
    require(found != std::end(kPolicies),
            "there is no policy '{}'; there are original, originalr, v0, v0r, 3a, and rand-... for RandAugment", name);
    return found->policy;
  }

  [[nodiscard]] double number(const Section& section) const {
    const auto value = core::parse_number<double>(section.value);
    require(value && std::isfinite(*value), "'{}' must be followed by a number, not '{}'", section.key, section.value);
    return *value;
  }

  [[nodiscard]] std::int64_t whole(const Section& section) const {
    const double value = number(section);
    require(value == std::trunc(value) && value <= 1000, "'{}' must be followed by a whole number up to 1000, not '{}'",
            section.key, section.value);
    return static_cast<std::int64_t>(value);
  }

  void read(const Section& section) {
    if (section.key == "mstd") {
      result_.magnitude_std = number(section);
      return;
    }
    require(result_.policy == Policy::kRandAugment, "'{}' is no part of a policy; there is mstd alone", section.key);
    if (section.key == "m") {
      result_.magnitude = static_cast<double>(whole(section));
    } else if (section.key == "mmax") {
      result_.magnitude_max = static_cast<double>(whole(section));
    } else if (section.key == "n") {
      result_.num_layers = whole(section);
    } else if (section.key == "p") {
      result_.probability = number(section);
    } else if (section.key == "inc") {
      result_.increasing = whole(section) != 0;
    } else if (section.key == "w") {
      require(whole(section) == 0, "there is one set of weights, w0, not w{}", section.value);
      result_.ops = Ops::kWeighted;
    } else if (section.key == "t") {
      read_ops(section.value);
    } else {
      require(false, "'{}' is unknown; there are m, n, p, mstd, mmax, inc, w0, tweights, t3a and t3aw", section.key);
    }
  }

  void read_ops(std::string_view name) {
    require(name == "weights" || name == "3a" || name == "3aw", "there are tweights, t3a and t3aw, not t{}", name);
    result_.ops = name == "weights" ? Ops::kWeighted : name == "3a" ? Ops::kThree : Ops::kThreeWeighted;
    named_ops_ = true;
  }

  void check() {
    const std::int64_t most = result_.ops == Ops::kWeighted ? 15 : result_.ops == Ops::kThreeWeighted ? 14 : 1000;
    require(result_.num_layers >= 1 && result_.num_layers <= most,
            "n must be from 1 to {} (weighted ops are drawn without repetition), not {}", most, result_.num_layers);
    require(result_.probability > 0 && result_.probability <= 1, "p must be above 0 and at most 1, not {}",
            result_.probability);
    require(result_.magnitude_max > 0, "mmax must be above 0, not {}", result_.magnitude_max);
    require(result_.magnitude <= result_.magnitude_max || result_.magnitude_std > 0,
            "m{} would be cut off at {}: give m{}, or a greater mmax", result_.magnitude, result_.magnitude_max,
            result_.magnitude_max);
    const auto has = [&](std::string_view key) { return std::ranges::find(seen_, key) != seen_.end(); };
    require(!named_ops_ || !has("w"), "w0 and t contradict each other: leave one out");
    require(!named_ops_ || !has("inc"), "inc has no effect beside t, whose ops all increase: leave it out");
    if (named_ops_) {
      result_.increasing = true;
    }
    constexpr double kUniform = 100;  // timm: beyond this it means infinite
    if (result_.policy == Policy::kRandAugment && result_.magnitude_std > kUniform) {
      result_.magnitude_std = std::numeric_limits<double>::infinity();
    }
  }

  std::string_view text_;
  std::vector<std::string_view> seen_;
  bool named_ops_ = false;
  AutoAugment result_;
};

}  // namespace

AutoAugment parse_auto_augment(std::string_view text) {
  return text.empty() || text == "none" ? AutoAugment{} : Parser(text).parse();
}

}  // namespace tessera::config
